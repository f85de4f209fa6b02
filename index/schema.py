"""The tables of the database, and how those of earlier versions become today's."""

import struct
from collections.abc import Callable
from hashlib import sha256
from json import dumps
from typing import Any
from zlib import crc32

import apsw

VERSION = 2

ARTICLE_COLUMNS = "id, text, title, url, published, source, authors, metadata, origin"

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


def create(db: apsw.Connection) -> None:
    """Within the caller's transaction."""
    db.execute(_SCHEMA + _REMOVALS)
    db.pragma("user_version", VERSION)


def migrate(db: apsw.Connection, version: int) -> None:
    """Make a database of an earlier version one of today's, within the caller's transaction."""
    for step in range(version, VERSION):
        _STEPS[step](db)
    db.pragma("user_version", VERSION)


def article_checksum(*row: Any) -> str:
    """SHA-256 of an article's values in the order of ARTICLE_COLUMNS, its origin left out: that may change."""
    return sha256(dumps(row[:-1], default=repr).encode()).hexdigest()


def passage_checksum(*row: Any) -> int:
    """CRC-32 of a passage's article key, start, end and vector: against bits that flip, not against anybody. -1 where
    they are of types that were never stored."""
    *numbers, vector = row
    try:
        return crc32(vector, crc32(struct.pack("<qqq", *numbers)))
    except (TypeError, struct.error):
        return -1


def _to_2(db: apsw.Connection) -> None:
    """Checksums, and the log of removals."""
    db.create_scalar_function("article_checksum", article_checksum, deterministic=True)
    db.create_scalar_function("passage_checksum", passage_checksum, deterministic=True)
    db.execute("ALTER TABLE article ADD COLUMN checksum TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE passage ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0")
    db.execute(f"UPDATE article SET checksum = article_checksum({ARTICLE_COLUMNS})")
    db.execute('UPDATE passage SET checksum = passage_checksum(article, start, "end", vector)')
    db.execute(_REMOVALS)


_STEPS: dict[int, Callable[[apsw.Connection], None]] = {1: _to_2}
"""What leads from a version to the next."""
