"""The tables of the database, and how those of earlier versions become today's."""

import struct
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from json import dumps, loads
from typing import Any
from zlib import crc32

import apsw

from index.language import ENGLISH, language_of
from index.passage import CUTTER, CUTTER_BEFORE

VERSION = 4
CHECKSUMS = 2
"""The first version with checksums and the log of removals."""

TRAITS = 4
"""The first version that knows languages and copies."""

COMPARED = "compared_up_to"
"""The setting with the key of the last article that was compared with those before it."""

ARTICLE_COLUMNS = "id, text, title, url, published, source, authors, metadata, origin"
FEEDBACK_COLUMNS = 'created, question, verdict, article, start, "end", quote, text_sha256, comment'

_SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE article (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    title TEXT,
    url TEXT,
    published TEXT,
    source TEXT,
    authors TEXT NOT NULL,      -- JSON list
    metadata TEXT NOT NULL,     -- JSON object
    origin TEXT,
    checksum TEXT NOT NULL      -- of all the above but key and origin
) STRICT;
CREATE INDEX article_published ON article (published);
CREATE INDEX article_source ON article (source);
CREATE INDEX article_origin ON article (origin);
-- Keys are never used again (AUTOINCREMENT), and a passage never changes: the same key is the same passage.
CREATE TABLE passage (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    article INTEGER NOT NULL REFERENCES article ON DELETE CASCADE,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    vector BLOB NOT NULL,       -- float32, little-endian
    checksum INTEGER NOT NULL   -- of all the above but key
) STRICT;
CREATE INDEX passage_article ON passage (article);
INSERT INTO setting VALUES ('generation', '0');
"""

_REMOVALS = """
-- The passages removed by each generation, from the one in the setting removals_since on: what an index has to forget.
CREATE TABLE removal (generation INTEGER, passage INTEGER, PRIMARY KEY (generation, passage)) STRICT, WITHOUT ROWID;
CREATE TRIGGER passage_removal AFTER DELETE ON passage BEGIN
    INSERT INTO removal SELECT value + 1, old.key FROM setting WHERE name = 'generation';
END;
INSERT INTO setting SELECT 'removals_since', value FROM setting WHERE name = 'generation';
"""

_FEEDBACK = """
-- What people say of answers. It outlives its article, which is therefore an id and no key.
CREATE TABLE feedback (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    created TEXT NOT NULL,      -- ISO 8601, UTC
    question TEXT NOT NULL,
    verdict TEXT NOT NULL,
    article TEXT,
    start INTEGER,
    "end" INTEGER,
    quote TEXT,
    text_sha256 TEXT,           -- of the article's text then
    comment TEXT,
    checksum TEXT NOT NULL      -- of all the above but key
) STRICT;
"""

_TRAITS = """
-- What is made of an article's text and metadata, and can be again.
CREATE TABLE trait (
    article INTEGER PRIMARY KEY REFERENCES article ON DELETE CASCADE,
    language TEXT,              -- ISO 639
    copy_of INTEGER             -- key of an earlier article that has the same text, or nearly
) STRICT;
CREATE INDEX trait_language ON trait (language);
CREATE INDEX trait_copy_of ON trait (copy_of);
-- The earliest copy of an article that goes takes its place.
CREATE TRIGGER trait_copies AFTER DELETE ON trait BEGIN
    UPDATE trait SET copy_of = (SELECT min(article) FROM trait WHERE copy_of = old.article)
        WHERE copy_of = old.article AND article > (SELECT min(article) FROM trait WHERE copy_of = old.article);
    UPDATE trait SET copy_of = old.copy_of WHERE copy_of = old.article;
END;
-- Keys that texts have in common which are nearly the same.
CREATE TABLE band (
    key INTEGER,
    article INTEGER REFERENCES article ON DELETE CASCADE,
    PRIMARY KEY (key, article)
) STRICT, WITHOUT ROWID;
CREATE INDEX band_article ON band (article);
"""


def create(db: apsw.Connection) -> None:
    """Within the caller's transaction."""
    db.execute(_SCHEMA + _REMOVALS + _FEEDBACK + _TRAITS)
    db.pragma("user_version", VERSION)


def migrate(db: apsw.Connection, version: int) -> None:
    """Make a database of an earlier version one of today's, within the caller's transaction."""
    for step in range(version, VERSION):
        _STEPS[step](db)
    db.pragma("user_version", VERSION)


def note_languages(db: apsw.Connection) -> None:
    """Find what language each article is in that can be read: 1 ms each. Within the caller's transaction."""
    keys = []
    with suppress(apsw.CorruptError):
        for (key,) in db.execute("SELECT key FROM article"):
            keys.append(key)
    for key in keys:
        with suppress(apsw.CorruptError, UnicodeDecodeError):
            rows = db.execute("SELECT text, metadata FROM article WHERE key = ?", (key,)).fetchall()
            noted = [(key, _language(text, metadata)) for text, metadata in rows]
            db.executemany("INSERT INTO trait (article, language) VALUES (?, ?)", noted)


def article_checksum(*row: Any) -> str:
    """SHA-256 of an article's values in the order of ARTICLE_COLUMNS, its origin left out: that may change."""
    return _digest(row[:-1])


def feedback_checksum(*row: Any) -> str:
    """SHA-256 of the values of a row of feedback in the order of FEEDBACK_COLUMNS."""
    return _digest(row)


def passage_checksum(*row: Any) -> int:
    """CRC-32 of a passage's article key, start, end and vector: against bits that flip, not against anybody. -1 where
    they are of types that were never stored."""
    *numbers, vector = row
    try:
        return crc32(vector, crc32(struct.pack("<qqq", *numbers)))
    except (TypeError, struct.error):
        return -1


def _digest(row: tuple[Any, ...]) -> str:
    return sha256(dumps(row, default=repr).encode()).hexdigest()


def _to_2(db: apsw.Connection) -> None:
    """Checksums, and the log of removals."""
    db.create_scalar_function("article_checksum", article_checksum, deterministic=True)
    db.create_scalar_function("passage_checksum", passage_checksum, deterministic=True)
    db.execute("ALTER TABLE article ADD COLUMN checksum TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE passage ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0")
    db.execute(f"UPDATE article SET checksum = article_checksum({ARTICLE_COLUMNS})")
    db.execute('UPDATE passage SET checksum = passage_checksum(article, start, "end", vector)')
    db.execute(_REMOVALS)


def _to_3(db: apsw.Connection) -> None:
    """Feedback."""
    db.execute(_FEEDBACK)


def _to_4(db: apsw.Connection) -> None:
    """Languages and copies. Articles are compared when something is added next, since that takes longer; and those that
    are English are cut as they would be today, so that their library need not be cut anew."""
    db.execute(_TRAITS)
    note_languages(db)
    if not db.execute("SELECT 1 FROM trait WHERE language != ? LIMIT 1", (ENGLISH,)).get:
        db.execute(
            "UPDATE setting SET value = replace(value, ?, ?) WHERE name = 'splitter'",
            (f"{CUTTER_BEFORE}/", f"{CUTTER}/"),
        )


def _language(text: Any, metadata: Any) -> str | None:
    try:
        return language_of(text, loads(metadata))
    except (ValueError, TypeError, AttributeError):  # what a changed row can lead to; its checksum will tell
        return None


_STEPS: dict[int, Callable[[apsw.Connection], None]] = {1: _to_2, 2: _to_3, 3: _to_4}
"""What leads from a version to the next."""
