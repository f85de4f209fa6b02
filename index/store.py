"""The truth: articles, passages and vectors in one SQLite database. Everything else is derived from it."""

import json
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import disk_usage
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from index import copies, schema
from index.article import Article, article_of, article_row, storable
from index.copies import FIRST_ID
from index.embed import Vectors
from index.errors import ArticleDamaged, DiskFull, LibraryBusy, LibraryCorrupt, LibraryNotWritable
from index.feedback import Feedback, feedback_of, feedback_row
from index.filter import Filter
from index.passage import Passage
from index.schema import ARTICLE_COLUMNS, FEEDBACK_COLUMNS, article_checksum, feedback_checksum, passage_checksum

_BUSY_MILLISECONDS = 10_000
_CORRUPT = (apsw.NotADBError, apsw.CorruptError, apsw.SQLError, UnicodeDecodeError)
"""What reading a damaged file can raise: our own statements are sound, so that an error in one is the schema's."""

_LEAST_ROOM = 1_000_000
"""Bytes on the disk without which SQLite cannot make the files of a database in WAL mode."""

_REMEMBERED_GENERATIONS = 1_000
"""An index that is further behind compares all its keys with all there are."""

_ARTICLE = f"checksum, {ARTICLE_COLUMNS}, (SELECT language FROM trait WHERE trait.article = key), {FIRST_ID}"

_COMPARED = 100
"""Articles of a library that never was compared, in each transaction: half a second."""

Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Indexed:
    """An article with its passages and their vectors, shape (passages, dimensions)."""

    article: Article
    passages: Sequence[Passage]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Changes:
    """What has happened to the passages up to a generation: keys that came, ascending, and keys that went."""

    generation: int
    new: Keys
    gone: Keys


class Store:
    """The database at `path`. Any number of threads may read; `write` is for the holder of the write lock.

    Every row has a checksum: what is read is what was stored, or LibraryCorrupt is raised. So it is where the file is
    no database of ours. One of an earlier version is migrated.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._path = path
        self._flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
        self._local = threading.local()
        self._connections: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()  # a thread's ends with it
        self._failure: str | None = None
        with self._understood():
            version = self._db.pragma("user_version")
        if 0 < version < schema.VERSION or (version == 0 and create):
            with self.write() as db:
                version = db.pragma("user_version")  # another process may have been faster
                if version == 0:
                    schema.create(db)
                else:
                    schema.migrate(db, version)
            version = schema.VERSION
        if version != schema.VERSION:
            raise LibraryCorrupt(
                f"{path} has schema version {version}; this version of pullquote reads up to {schema.VERSION}"
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
            except apsw.IOError:
                if disk_usage(self._path.parent).free < _LEAST_ROOM:
                    raise apsw.FullError from None
                raise
            db.pragma("synchronous", "full")
            db.pragma("foreign_keys", True)
            db.pragma("temp_store", "memory")  # nothing of the articles is written to any other place
            self._local.db = db
            self._connections.add(db)
        return db

    def _read_only(self) -> apsw.Connection:
        """A connection where no file can be made beside the database, as one in WAL mode otherwise needs."""
        if self._path.with_name(f"{self._path.name}-wal").exists():
            raise LibraryNotWritable(f"{self._path} has unmerged changes; open it once with the right to write")
        uri = f"{self._path.absolute().as_uri()}?immutable=1"
        return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)

    def _rows(self, sql: str, values: Sequence[str | int | None] = ()) -> list[tuple[Any, ...]]:
        """What a query finds. Raises LibraryCorrupt, DiskFull, LibraryNotWritable, LibraryBusy."""
        with self._understood():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """SQLite's errors as ours."""
        try:
            yield
        except _CORRUPT as error:
            raise self._corrupt(error) from None
        except apsw.FullError:
            raise DiskFull(f"the disk of {self._path} is full; make room and try again") from None
        except apsw.BusyError:
            raise LibraryBusy(f"{self._path} is in use by another process; try again when it is done") from None
        except (apsw.ReadOnlyError, apsw.IOError, apsw.CantOpenError) as error:
            raise LibraryNotWritable(f"{self._path} cannot be written to: {error}") from None

    @contextmanager
    def _moment(self) -> Iterator[None]:
        """All that is read within is of one moment."""
        with self._understood(), self._db:  # a savepoint
            yield

    def _corrupt(self, reason: object) -> LibraryCorrupt:
        return LibraryCorrupt(f"{self._path} cannot be read as a library: {reason}; see: pullquote doctor")

    @contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """One transaction, durable when the block is left and undone when it raises.

        After an input or output error nothing is written any more: what the system then has on the disk is unknown
        until the file is opened anew. Raises DiskFull, LibraryBusy, LibraryNotWritable, LibraryCorrupt.
        """
        if self._failure is not None:
            raise LibraryNotWritable(f"{self._path} could not be written to before: {self._failure}; start again")
        with self._understood():
            db = self._db
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except apsw.IOError as error:
                self._failure = str(error)
                raise
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def close(self) -> None:
        for db in list(self._connections):
            db.close()
        self._connections.clear()
        self._local = threading.local()

    # Articles

    def replace(self, batch: Iterable[Indexed], *, displace: bool = True) -> None:
        """Store articles, each in place of the one with its id and, if it is to `displace` it, of the one read from its
        origin before.

        One transaction: when this returns, the whole batch survives a crash; when it raises, nothing changed.
        """
        items = list(batch)
        with self.write() as db:
            for item in items:
                article = item.article
                db.execute(
                    "DELETE FROM article WHERE id = ? OR origin = ?", (article.id, article.origin if displace else None)
                )
                row = article_row(article)
                db.execute(
                    f"INSERT INTO article ({ARTICLE_COLUMNS}, checksum) VALUES (?,?,?,?,?,?,?,?,?,?)",
                    (*row, article_checksum(*row)),
                )
                key = db.last_insert_rowid()
                db.execute("INSERT INTO trait (article, language) VALUES (?, ?)", (key, article.language))
                _insert_passages(db, key, item)
            copies.compare(db, len(items) + _COMPARED)
            _advance(db)

    def recut(self, batch: Iterable[Indexed], settings: Mapping[str, str]) -> None:
        """Give articles that are there other passages, and note what made them. One transaction."""
        with self.write() as db:
            for item in batch:
                [(key,)] = db.execute("SELECT key FROM article WHERE id = ?", (item.article.id,))
                db.execute("DELETE FROM passage WHERE article = ?", (key,))
                _insert_passages(db, key, item)
            db.executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", list(settings.items()))
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

    def origins(self) -> dict[str, str]:
        """The files that articles were read from, with the ids of these."""
        return dict(self._rows("SELECT origin, id FROM article WHERE origin IS NOT NULL"))

    def indexed(self, id: str) -> Indexed | None:
        """The article with its passages and their vectors, if it is there."""
        with self._moment():
            article = self.article(id)
            keys = self._rows(
                "SELECT passage.key FROM article JOIN passage ON passage.article = article.key WHERE id = ? ORDER BY 1",
                (storable(id),),
            )
            found = [self._passage(key)[0] for (key,) in keys]
        if article is None:
            return None
        vectors = np.array([np.frombuffer(vector, dtype="<f4") for *_, vector in found], dtype=np.float32)
        return Indexed(article, [Passage(article, start, end) for _, start, end, _ in found], vectors)

    def note_origin(self, article: Article) -> None:
        """Remember the file in which an unchanged article was seen last, or that it came without one."""
        with self.write() as db:
            db.execute("UPDATE article SET origin = ? WHERE id = ?", (article.origin, article.id))

    def article(self, id: str) -> Article | None:
        rows = self._rows(f"SELECT {_ARTICLE} FROM article WHERE id = ?", (storable(id),))
        return self._article(rows[0]) if rows else None

    def articles(self, offset: int, limit: int) -> list[tuple[Article, int]]:
        """A page of articles in the order they came in, each with its number of passages."""
        rows = self._rows(
            f"SELECT (SELECT count(*) FROM passage WHERE article = article.key), {_ARTICLE} "
            "FROM article ORDER BY key LIMIT ? OFFSET ?",
            (limit, offset),
        )
        return [(self._article(row), count) for count, *row in rows]

    def article_checksums(self) -> dict[str, str]:
        """By id, in the order they came in: two articles with the same are equal."""
        return dict(self._rows("SELECT id, checksum FROM article ORDER BY key"))

    @property
    def compared(self) -> bool:
        """Whether it is known of every article whether it is a copy."""
        with self._understood():
            return not copies.left(self._db, 1)

    def compare(self) -> None:
        """Compare up to 100 articles that were not yet with those before them. One transaction."""
        with self.write() as db:
            copies.compare(db, _COMPARED)

    def forget_copies(self) -> None:
        """Have all articles compared anew. One transaction."""
        with self.write() as db:
            copies.forget(db)

    def duplicates(self) -> list[list[str]]:
        """The ids of articles that are copies of one another, each group and all groups in the order they came in."""
        with self._understood():
            return copies.groups(self._db)

    def article_count(self) -> int:
        [(articles,)] = self._rows("SELECT count(*) FROM article")
        return int(articles)

    def passage_count(self) -> int:
        [(passages,)] = self._rows("SELECT count(*) FROM passage")
        return int(passages)

    def counts(self) -> tuple[int, int]:
        """Numbers of articles and passages."""
        [(articles, passages)] = self._rows("SELECT (SELECT count(*) FROM article), (SELECT count(*) FROM passage)")
        return articles, passages

    # Passages

    def snapshot(self) -> tuple[int, Keys]:
        """The generation and, ascending, the keys of all its passages."""
        with self._moment():
            generation, keys = self.generation, self._keys("SELECT key FROM passage ORDER BY key")
        return generation, keys

    def changes(self, generation: int, last: int) -> Changes | None:
        """What has happened since a generation whose greatest key was `last`; None where that is not remembered."""
        with self._moment():
            now = self.generation
            remembered = self.forgotten <= generation <= now
            new = self._keys("SELECT key FROM passage WHERE key > ? ORDER BY key", last) if remembered else None
            gone = self._keys("SELECT passage FROM removal WHERE generation > ? AND passage <= ?", generation, last)
        return None if new is None else Changes(now, new, gone)

    def forget_removals(self, before: int | None = None) -> None:
        """Forget which passages were removed by generations before this one; by default all but the latest."""
        before = self.generation - _REMEMBERED_GENERATIONS if before is None else before
        if before > self.forgotten:
            with self.write() as db:
                db.execute("DELETE FROM removal WHERE generation <= ?", (before,))
                db.execute("UPDATE setting SET value = ? WHERE name = 'removals_since'", (str(before),))

    def _keys(self, sql: str, *values: str | int) -> Keys:
        return np.array([key for (key,) in self._rows(sql, values)], dtype=np.int64)

    def passages(self, keys: Iterable[int]) -> dict[int, Passage]:
        """Those of the passages that are there. Passages of one article share its `Article`."""
        articles: dict[int, Article] = {}
        found = {}
        for key in keys:
            for article, start, end, _ in self._passage(key):
                if article not in articles:
                    stored = self._rows(f"SELECT {_ARTICLE} FROM article WHERE key = ?", (article,))
                    if not stored:  # removed between the two queries
                        continue
                    articles[article] = self._article(stored[0])
                found[key] = Passage(articles[article], start, end)
        return found

    def vectors(self, keys: Iterable[int]) -> tuple[Keys, Vectors]:
        """Those of the keys that are there, and their vectors, shape (keys, dimensions)."""
        rows = [(key, vector) for key in keys for _, _, _, vector in self._passage(key)]
        matrix = np.frombuffer(b"".join(vector for _, vector in rows), dtype="<f4")
        dimensions = len(matrix) // max(len(rows), 1)
        return np.array([key for key, _ in rows], dtype=np.int64), matrix.reshape(-1, dimensions or 1).astype(
            np.float32
        )

    def _passage(self, key: int) -> list[tuple[int, int, int, bytes]]:
        """Article key, start, end and vector of the passage, if it is there. Raises LibraryCorrupt."""
        rows = self._rows('SELECT checksum, article, start, "end", vector FROM passage WHERE key = ?', (key,))
        if any(passage_checksum(*row) != checksum for checksum, *row in rows):
            raise self._corrupt(f"passage {key} is not what was stored")
        return [(article, start, end, vector) for _, article, start, end, vector in rows]

    def _article(self, row: Sequence[str]) -> Article:
        """Of values in the order of _ARTICLE. Raises LibraryCorrupt."""
        checksum, *values, language, first = row
        if article_checksum(*values) != checksum:
            raise ArticleDamaged(
                f"the article {values[0]!r} in {self._path} is not what was stored; add it again; see: pullquote doctor"
            )
        return replace(article_of(values), language=language, duplicate_of=first)

    def select(self, filter: Filter) -> Keys:
        """The keys of the passages of all articles the filter lets through, ascending."""
        conditions, values = ["TRUE"], []
        among = "IN (SELECT value FROM json_each(?))"
        for condition, allowed in (
            (f"id {among}", filter.articles),
            (f"source {among}", filter.sources),
            (f"article.key IN (SELECT article FROM trait WHERE language {among})", filter.languages),
        ):
            if allowed:
                conditions.append(condition)
                values.append(json.dumps(sorted(allowed)))
        if filter.since is not None:
            conditions.append("(published >= ? OR published = ?)")
            values += [filter.since, filter.since[:10]]  # an article dated by that day may be of a later hour
        if filter.until is not None:
            conditions.append("published < ?")
            values.append(filter.until + "~")  # sorts after every instant that begins with the given date
        return self._keys(
            "SELECT passage.key FROM article JOIN passage ON passage.article = article.key "
            f"WHERE {' AND '.join(conditions)} ORDER BY passage.key",
            *values,
        )

    # Feedback

    def add_feedback(self, feedback: Feedback) -> int:
        """Its key, which is never used again."""
        row = feedback_row(feedback)
        with self.write() as db:
            sql = f"INSERT INTO feedback ({FEEDBACK_COLUMNS}, checksum) VALUES (?,?,?,?,?,?,?,?,?,?)"
            db.execute(sql, (*row, feedback_checksum(*row)))
            return db.last_insert_rowid()

    def feedback(self) -> dict[int, Feedback | None]:
        """All of it by key, in the order it came in; None where it is not what was stored."""
        with self._moment():
            keys = self._keys("SELECT key FROM feedback ORDER BY key").tolist()
            return {key: self._one_feedback(key) for key in keys}

    def _one_feedback(self, key: int) -> Feedback | None:
        try:
            [(checksum, *row)] = self._rows(f"SELECT checksum, {FEEDBACK_COLUMNS} FROM feedback WHERE key = ?", (key,))
        except LibraryCorrupt:
            return None
        return feedback_of(row) if feedback_checksum(*row) == checksum else None

    def remove_feedback(self, keys: Iterable[int]) -> None:
        with self.write() as db:
            db.executemany("DELETE FROM feedback WHERE key = ?", [(key,) for key in keys])

    # Settings

    @property
    def generation(self) -> int:
        """Rises with every change to the articles."""
        return self._number("generation")

    @property
    def forgotten(self) -> int:
        """The generation up to which nobody knows any more what was removed."""
        return self._number("removals_since")

    def setting(self, name: str) -> str | None:
        rows = self._rows("SELECT value FROM setting WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def _number(self, name: str) -> int:
        text = self.setting(name) or "0"
        if not text.isdecimal():
            raise self._corrupt(f"the setting {name} is {text!r}")
        return int(text)

    def settings(self) -> dict[str, str]:
        """All but those that say how far this database is."""
        sql = "SELECT name, value FROM setting WHERE name NOT IN ('generation', 'removals_since', ?) ORDER BY name"
        return dict(self._rows(sql, (schema.COMPARED,)))

    def set_settings(self, settings: dict[str, str]) -> None:
        with self.write() as db:
            db.executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", list(settings.items()))

    def remove_setting(self, name: str) -> None:
        with self.write() as db:
            db.execute("DELETE FROM setting WHERE name = ?", (name,))


def _insert_passages(db: apsw.Connection, article: int, item: Indexed) -> None:
    blobs = (vector.astype("<f4").tobytes() for vector in item.vectors)
    db.executemany(
        'INSERT INTO passage (article, start, "end", vector, checksum) VALUES (?,?,?,?,?)',
        [
            (article, passage.start, passage.end, blob, passage_checksum(article, passage.start, passage.end, blob))
            for passage, blob in zip(item.passages, blobs, strict=True)
        ],
    )


def _advance(db: apsw.Connection) -> None:
    db.execute("UPDATE setting SET value = value + 1 WHERE name = 'generation'")
