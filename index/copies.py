"""Which of the articles in the database are copies of earlier ones. All of it is made from their texts.

An article is a copy of the earliest one it is like, as `index.duplicates` says, and so, over others, of the first of a
group. A trigger of the schema gives the place of an article that goes to the earliest of its copies.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import apsw

from index.duplicates import Shingles, bands, is_copy, shingles
from index.schema import COMPARED

_LIKELIEST = 20
"""Earlier articles whose text is looked at, of those with most bands in common: some 3 ms each."""

_OF_A_BAND = 20
"""Earlier articles looked up for each band: where more have it, it is a phrase that all articles of a source have."""

FIRST_ID = """
(
    WITH RECURSIVE earlier(key) AS (
        SELECT copy_of FROM trait WHERE trait.article = article.key
        UNION SELECT copy_of FROM trait JOIN earlier ON trait.article = earlier.key WHERE copy_of IS NOT NULL
    )
    SELECT first.id FROM article AS first WHERE first.key = (SELECT min(key) FROM earlier)
)
"""
"""In a query of articles: the id of the first of the group, None where the article is it."""


def left(db: apsw.Connection, most: int) -> list[int]:
    """Keys of articles that were not yet compared with those before them, ascending."""
    found = db.execute("SELECT value FROM setting WHERE name = ?", (COMPARED,)).get or "0"
    last = int(found) if found.isdecimal() else 0
    return [key for (key,) in db.execute("SELECT key FROM article WHERE key > ? ORDER BY key LIMIT ?", (last, most))]


def compare(db: apsw.Connection, most: int) -> None:
    """Compare so many articles, at most, that were not yet with those before them. Within the caller's transaction."""
    keys = left(db, most)
    for key in keys:
        if (text := _text(db, key)) is not None:
            _compare(db, key, shingles(text))
    if keys:
        db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (COMPARED, str(keys[-1])))


def forget(db: apsw.Connection) -> None:
    """Have all articles compared anew. Within the caller's transaction."""
    db.execute("DELETE FROM band; UPDATE trait SET copy_of = NULL WHERE copy_of IS NOT NULL")
    db.execute("DELETE FROM setting WHERE name = ?", (COMPARED,))


def groups(db: apsw.Connection) -> list[list[str]]:
    """The ids of articles that are copies of one another, each group and all groups in the order they came in."""
    first: dict[int, int] = {}
    found: dict[int, list[str]] = defaultdict(list)
    for key, id, copy_of in db.execute(
        "SELECT key, id, copy_of FROM article JOIN trait ON article = key "
        "WHERE copy_of IS NOT NULL OR key IN (SELECT copy_of FROM trait WHERE copy_of IS NOT NULL) ORDER BY key"
    ):
        first[key] = first.get(copy_of, key)
        found[first[key]].append(id)
    return [ids for ids in found.values() if len(ids) > 1]


def _compare(db: apsw.Connection, key: int, found: Shingles) -> None:
    keys = bands(found)
    for earlier in _likely(db, key, keys):
        if (text := _text(db, earlier)) is not None and is_copy(found, shingles(text)):
            db.execute("UPDATE trait SET copy_of = ? WHERE article = ?", (earlier, key))
            break
    db.executemany("INSERT OR IGNORE INTO band VALUES (?, ?)", [(band, key) for band in keys])


def _likely(db: apsw.Connection, key: int, keys: Sequence[int]) -> list[int]:
    """Earlier articles that may be copies, the earliest first."""
    sql = "SELECT article FROM band WHERE key = ? AND article < ? ORDER BY article LIMIT ?"
    shared = Counter(article for band in keys for (article,) in db.execute(sql, (band, key, _OF_A_BAND)))
    return sorted(article for article, _ in shared.most_common(_LIKELIEST))


def _text(db: apsw.Connection, key: int) -> str | None:
    """None where it cannot be read, which the doctor tells of."""
    try:
        text: str | None = db.execute("SELECT text FROM article WHERE key = ?", (key,)).get
        return text
    except (apsw.CorruptError, UnicodeDecodeError):
        return None
