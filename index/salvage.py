"""Reading a damaged database past what cannot be read, and copying what is sound into a new one.

Unlike `Store`, it opens whatever SQLite opens.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from index import schema
from index.errors import LibraryNotWritable
from index.schema import ARTICLE_COLUMNS, COMPARED, FEEDBACK_COLUMNS, note_languages
from index.store import Keys

UNREADABLE = (apsw.NotADBError, apsw.CorruptError, apsw.IOError, UnicodeDecodeError)
"""What reading a damaged file, or one on a damaged disk, can raise."""

PASSAGE_COLUMNS = 'article, start, "end", vector'

_BUSY_MILLISECONDS = 10_000
_KEY_INDEX = {
    "setting": "sqlite_autoindex_setting_1",
    "article": "sqlite_autoindex_article_1",
    "passage": "passage_article",
}
"""An index that has the keys of a table too, of the tables that have one."""


@contextmanager
def snapshot(path: Path) -> Iterator[apsw.Connection]:
    """A connection that sees one moment of the database, to read it with. Raises LibraryNotWritable where that takes
    the right to write."""
    try:
        db = _begun(str(path), apsw.SQLITE_OPEN_READWRITE)
    except (apsw.ReadOnlyError, apsw.CantOpenError):  # no file can be made beside it, as WAL mode wants
        if path.with_name(f"{path.name}-wal").exists():
            raise LibraryNotWritable(f"{path} has unmerged changes; open it once with the right to write") from None
        uri = f"{path.absolute().as_uri()}?immutable=1"
        db = _begun(uri, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        yield db
    finally:
        db.close()


def _begun(name: str, flags: int) -> apsw.Connection:
    db = apsw.Connection(name, flags=flags)
    db.set_busy_timeout(_BUSY_MILLISECONDS)
    db.execute("BEGIN")
    db.pragma("user_version")  # the moment is that of the first read
    return db


def rows(db: apsw.Connection, table: str, columns: str) -> Iterator[tuple[int, tuple[Any, ...] | None]]:
    """Every row of a table with its key, ascending; None for one that cannot be read."""
    sql = f"SELECT {columns} FROM {table} NOT INDEXED WHERE rowid = ?"
    for key in _keys(db, table):
        try:
            row = db.execute(sql, (key,)).fetchone()
        except UNREADABLE:
            yield key, None
        else:
            if row is not None:
                yield key, row


def readable(db: apsw.Connection, sql: str) -> list[tuple[Any, ...]]:
    """What a query finds, as far as it can be read: nothing where the index it asks for is not there."""
    found = []
    with suppress(*UNREADABLE, apsw.SQLError):
        for row in db.execute(sql):
            found.append(row)
    return found


def _keys(db: apsw.Connection, table: str) -> list[int]:
    """Ascending, each once. Where the table is damaged, from both its ends and from an index, as far as each goes."""
    try:
        return sorted({key for (key,) in db.execute(f"SELECT rowid FROM {table} NOT INDEXED")})
    except UNREADABLE:
        ways = ["NOT INDEXED ORDER BY rowid", "NOT INDEXED ORDER BY rowid DESC"]
        if table in _KEY_INDEX:
            ways.append(f"INDEXED BY {_KEY_INDEX[table]}")
        return sorted({key for way in ways for (key,) in readable(db, f"SELECT rowid FROM {table} {way}")})


def read_settings(db: apsw.Connection) -> tuple[dict[str, str], int]:
    """The settings, and how many cannot be read."""
    pairs = [row for _, row in rows(db, "setting", "name, value")]
    sound = {row[0]: row[1] for row in pairs if row is not None and all(isinstance(value, str) for value in row)}
    return sound, len(pairs) - len(sound)


def embedder_name(path: Path) -> str | None:
    """What a library was made with, by its database; None where nothing was, or it cannot be read."""
    try:
        with snapshot(path) as db:
            return read_settings(db)[0].get("embedder_name")
    except (*UNREADABLE, apsw.SQLError):
        return None


def copy_rows(
    path: Path,
    target: Path,
    settings: Mapping[str, str],
    articles: Collection[int],
    passages: Keys,
    feedback: Collection[int],
) -> None:
    """Write a new database with these settings, and these articles of the one at `path` with those of the passages that
    belong to them, and this feedback whatever it is about, under the same keys. Its log of removals is empty: whoever
    follows it then compares keys."""
    target.unlink(missing_ok=True)
    with snapshot(path) as old:
        new = apsw.Connection(str(target))
        try:
            new.pragma("page_size", old.pragma("page_size"))  # what a database in WAL mode can be overwritten with
            new.execute("BEGIN")
            schema.create(new)
            new.executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", list(settings.items()))
            new.execute("UPDATE setting SET value = '0' WHERE name = 'generation' AND value GLOB '*[^0-9]*'")
            new.execute("UPDATE setting SET value = generation.value FROM setting AS generation "
                        "WHERE setting.name = 'removals_since' AND generation.name = 'generation'")  # fmt: skip
            new.execute("DELETE FROM setting WHERE name = ?", (COMPARED,))  # what is in no checksum is made anew
            columns = f"key, {ARTICLE_COLUMNS}, checksum"
            found = (_row(old, "article", columns, key) for key in sorted(articles))
            new.executemany(f"INSERT INTO article ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", found)
            note_languages(new)
            columns = f"key, {PASSAGE_COLUMNS}, checksum"
            found = (_row(old, "passage", columns, key) for key in passages.tolist())
            found = (row for row in found if row[1] in articles)
            new.executemany(f"INSERT INTO passage ({columns}) VALUES (?,?,?,?,?,?)", found)
            columns = f"key, {FEEDBACK_COLUMNS}, checksum"
            found = (_row(old, "feedback", columns, key) for key in sorted(feedback))
            new.executemany(f"INSERT INTO feedback ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", found)
            for last, name in readable(old, "SELECT seq, name FROM sqlite_sequence"):
                new.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (last, name))
            new.execute("COMMIT")
        finally:
            new.close()


def _row(db: apsw.Connection, table: str, columns: str, key: int) -> tuple[Any, ...]:
    return db.execute(f"SELECT {columns} FROM {table} NOT INDEXED WHERE key = ?", (key,)).fetchall()[0]


def put_back(sound: Path, path: Path) -> None:
    """Write a copy over the database it was made of, in one transaction, whoever has that open."""
    source = apsw.Connection(str(sound))
    target = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        target.set_busy_timeout(_BUSY_MILLISECONDS)
        with target.backup("main", source, "main") as copy:
            copy.step(-1)
    finally:
        source.close()
        target.close()
