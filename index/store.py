"""The truth: articles, passages and vectors in one SQLite database. Everything else is derived from it."""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from index.article import Article, parse_published, storable
from index.embed import Vectors
from index.errors import DiskFull, InvalidInput, LibraryCorrupt, LibraryNotWritable
from index.passage import Passage

SCHEMA_VERSION = 1
_BUSY_MILLISECONDS = 10_000
_CORRUPT = (apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError)

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
    authors TEXT NOT NULL,   -- JSON list
    metadata TEXT NOT NULL,  -- JSON object
    origin TEXT
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
    vector BLOB NOT NULL     -- float32, little-endian
) STRICT;
CREATE INDEX passage_article ON passage (article);
INSERT INTO setting VALUES ('generation', '0');
"""
_COLUMNS = "id, text, title, url, published, source, authors, metadata, origin"

Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which articles a search may use; a field left out does not restrict.

    `since` and `until` are ISO 8601 dates or instants, both inclusive (an `until` date means that whole day); an
    article without a date is outside every range. Raises InvalidInput where they are no dates.
    """

    articles: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    since: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            given = getattr(self, name)
            if given is not None:
                if (parsed := parse_published(given)) is None:
                    raise InvalidInput(f"{name}: {given!r} is no date; write it like 2023-07-28")
                object.__setattr__(self, name, parsed)

    @property
    def empty(self) -> bool:
        return self == Filter()


@dataclass(frozen=True, slots=True)
class Indexed:
    """An article with its passages and their vectors, shape (passages, dimensions)."""

    article: Article
    passages: Sequence[Passage]
    vectors: Vectors


class Store:
    """The database at `path`. Any number of threads may read; `write` is for the holder of the write lock.

    Raises LibraryCorrupt where the file is no database of ours.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._path = path
        self._flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
        self._local = threading.local()
        self._connections: list[apsw.Connection] = []
        try:
            version = self._db.pragma("user_version")
            if version == 0 and create:
                with self.write() as db:
                    if db.pragma("user_version") == 0:
                        db.execute(_SCHEMA)
                        db.pragma("user_version", SCHEMA_VERSION)
                version = SCHEMA_VERSION
        except _CORRUPT as error:
            raise LibraryCorrupt(f"{path} cannot be read as a library: {error}") from None
        if version != SCHEMA_VERSION:
            raise LibraryCorrupt(
                f"{path} has schema version {version}; this version of pullquote reads {SCHEMA_VERSION}"
            )

    @property
    def _db(self) -> apsw.Connection:
        """This thread's connection: readers of a WAL database do not wait for the writer."""
        db: apsw.Connection | None = getattr(self._local, "db", None)
        if db is None:
            try:
                db = apsw.Connection(str(self._path), flags=self._flags)
                db.set_busy_timeout(_BUSY_MILLISECONDS)
                db.pragma("journal_mode", "wal")
            except (apsw.ReadOnlyError, apsw.CantOpenError):
                db = self._read_only()
            db.pragma("synchronous", "full")
            db.pragma("foreign_keys", True)
            self._local.db = db
            self._connections.append(db)
        return db

    def _read_only(self) -> apsw.Connection:
        """A connection where no file can be made beside the database, as one in WAL mode otherwise needs."""
        if self._path.with_name(f"{self._path.name}-wal").exists():
            raise LibraryNotWritable(f"{self._path} has unmerged changes; open it once with the right to write")
        uri = f"{self._path.absolute().as_uri()}?immutable=1"
        return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)

    def _rows(self, sql: str, values: Sequence[str | int | None] = ()) -> list[tuple[Any, ...]]:
        """What a query finds. Raises LibraryCorrupt."""
        try:
            return self._db.execute(sql, values).fetchall()
        except _CORRUPT as error:
            raise LibraryCorrupt(f"{self._path} cannot be read as a library: {error}") from None

    @contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """One transaction, durable when the block is left and undone when it raises.

        Raises DiskFull, LibraryNotWritable.
        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except _CORRUPT as error:
            raise LibraryCorrupt(f"{self._path} cannot be read as a library: {error}") from None
        except apsw.FullError:
            raise DiskFull(f"the disk of {self._path} is full; make room and try again") from None
        except (apsw.ReadOnlyError, apsw.IOError) as error:
            raise LibraryNotWritable(f"{self._path} cannot be written to: {error}") from None
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    def close(self) -> None:
        for db in self._connections:
            db.close()
        self._connections.clear()
        self._local = threading.local()

    # Articles

    def replace(self, batch: Iterable[Indexed]) -> None:
        """Store articles, each in place of the one with its id and of the one read from its origin before.

        One transaction: when this returns, the whole batch survives a crash; when it raises, nothing changed.
        """
        with self.write() as db:
            for item in batch:
                article = item.article
                db.execute("DELETE FROM article WHERE id = ? OR origin = ?", (article.id, article.origin))
                db.execute(f"INSERT INTO article ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", _row(article))
                key = db.last_insert_rowid()
                db.executemany(
                    'INSERT INTO passage (article, start, "end", vector) VALUES (?,?,?,?)',
                    [
                        (key, passage.start, passage.end, vector.astype("<f4").tobytes())
                        for passage, vector in zip(item.passages, item.vectors, strict=True)
                    ],
                )
            _advance(db)

    def remove(self, ids: Iterable[str]) -> list[str]:
        """Remove articles with their passages; returns the ids that were there. One transaction."""
        with self.write() as db:
            sql = "DELETE FROM article WHERE id = ? RETURNING id"
            gone = [id for id in map(storable, ids) if db.execute(sql, (id,)).get]
            if gone:
                _advance(db)
        return gone

    def has_origin(self, origin: str | None) -> bool:
        """Whether there is an article read from this file."""
        return bool(self._rows("SELECT 1 FROM article WHERE origin = ?", (origin,)))

    def note_origin(self, article: Article) -> None:
        """Remember the file in which an unchanged article was seen last, or that it came without one."""
        with self.write() as db:
            db.execute("UPDATE article SET origin = ? WHERE id = ?", (article.origin, article.id))

    def article(self, id: str) -> Article | None:
        rows = self._rows(f"SELECT {_COLUMNS} FROM article WHERE id = ?", (storable(id),))
        return _article(rows[0]) if rows else None

    def articles(self, offset: int, limit: int) -> list[tuple[Article, int]]:
        """A page of articles in the order they came in, each with its number of passages."""
        rows = self._rows(
            f"SELECT (SELECT count(*) FROM passage WHERE article = article.key), {_COLUMNS} "
            "FROM article ORDER BY key LIMIT ? OFFSET ?",
            (limit, offset),
        )
        return [(_article(row), count) for count, *row in rows]

    def counts(self) -> tuple[int, int]:
        """Numbers of articles and passages."""
        [(articles, passages)] = self._rows("SELECT (SELECT count(*) FROM article), (SELECT count(*) FROM passage)")
        return articles, passages

    # Passages

    def snapshot(self) -> tuple[int, Keys]:
        """The generation and, ascending, the keys of all its passages."""
        with self._db:  # a savepoint, so that both are of one moment
            generation = self.generation
            keys = [key for (key,) in self._rows("SELECT key FROM passage ORDER BY key")]
        return generation, np.array(keys, dtype=np.int64)

    def passages(self, keys: Iterable[int]) -> dict[int, Passage]:
        """Those of the passages that are there. Passages of one article share its `Article`."""
        articles: dict[int, Article] = {}
        found = {}
        for key in keys:
            for article, start, end in self._rows('SELECT article, start, "end" FROM passage WHERE key = ?', (key,)):
                if article not in articles:
                    stored = self._rows(f"SELECT {_COLUMNS} FROM article WHERE key = ?", (article,))
                    if not stored:  # removed between the two queries
                        continue
                    articles[article] = _article(stored[0])
                found[key] = Passage(articles[article], start, end)
        return found

    def vectors(self, keys: Sequence[int]) -> tuple[Keys, Vectors]:
        """Those of the keys that are there, and their vectors, shape (keys, dimensions)."""
        rows = [
            (key, vector)
            for key in keys
            for (vector,) in self._rows("SELECT vector FROM passage WHERE key = ?", (key,))
        ]
        matrix = np.frombuffer(b"".join(vector for _, vector in rows), dtype="<f4")
        return np.array([key for key, _ in rows], dtype=np.int64), matrix.reshape(len(rows), -1).astype(np.float32)

    def select(self, filter: Filter) -> Keys:
        """The keys of the passages of all articles the filter lets through, ascending."""
        conditions, values = ["TRUE"], []
        for column, allowed in (("id", filter.articles), ("source", filter.sources)):
            if allowed:
                conditions.append(f"{column} IN (SELECT value FROM json_each(?))")
                values.append(json.dumps(sorted(allowed)))
        if filter.since is not None:
            conditions.append("(published >= ? OR published = ?)")
            values += [filter.since, filter.since[:10]]  # an article dated by that day may be of a later hour
        if filter.until is not None:
            conditions.append("published < ?")
            values.append(filter.until + "~")  # sorts after every instant that begins with the given date
        rows = self._rows(
            "SELECT passage.key FROM article JOIN passage ON passage.article = article.key "
            f"WHERE {' AND '.join(conditions)} ORDER BY passage.key",
            values,
        )
        return np.array([key for (key,) in rows], dtype=np.int64)

    # Settings

    @property
    def generation(self) -> int:
        """Rises with every change to the articles."""
        return int(self.setting("generation") or 0)

    def setting(self, name: str) -> str | None:
        rows = self._rows("SELECT value FROM setting WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def set_settings(self, settings: dict[str, str]) -> None:
        with self.write() as db:
            db.executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", list(settings.items()))


def _advance(db: apsw.Connection) -> None:
    db.execute("UPDATE setting SET value = value + 1 WHERE name = 'generation'")


def _row(article: Article) -> tuple[str | None, ...]:
    return (
        article.id,
        article.text,
        article.title,
        article.url,
        article.published,
        article.source,
        json.dumps(article.authors),
        json.dumps(article.metadata),
        article.origin,
    )


def _article(row: Sequence[str]) -> Article:
    id, text, title, url, published, source, authors, metadata, origin = row
    return Article(id, text, title, url, published, source, tuple(json.loads(authors)), json.loads(metadata), origin)
