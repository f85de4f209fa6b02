"""`MilvusStore`: the truth in two collections of Milvus.

One has rows by key: of articles, of pieces of their content, of settings and of feedback. The other has passages. An
article is written as a new version: first its pieces and passages, which nobody reads yet, and last its own row, which
names them. So it is there whole or not at all, and the same article added by two is the one of whoever was last.
"""

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from secrets import token_hex

import numpy as np

from index.article import Article, article_of, article_row, storable
from index.embed import Vectors
from index.errors import ArticleDamaged, InvalidInput, LibraryNotFound
from index.feedback import Feedback, feedback_of, feedback_row
from index.lexical import Terms
from index.milvus_client import STRING_BYTES, Milvus, Row
from index.milvus_rows import (
    PASSAGE_INDEXES,
    RANDOM_DIGITS,
    VERSION_DIGITS,
    ArticleRow,
    article_key,
    article_row_of,
    digest,
    feedback_key,
    moment_of,
    passage_key,
    passage_row,
    passages_schema,
    record,
    records_schema,
    setting_key,
    version_of,
)
from index.passage import Passage
from index.schema import article_checksum, feedback_checksum
from index.store import Indexed

_PIECE_CHARACTERS = STRING_BYTES // 4
"""Of an article's content in one row: as many as fit whatever they are."""

_PIECES_AT_ONCE = 200
"""13 MB in one answer."""

_ROW_BYTES = 8_000
"""An article's own row has less: its id, its origin, and numbers."""

_TRIES = 5
"""How often an article is looked up that is replaced meanwhile."""


_RECORDS = "_records"


def library_names(milvus: Milvus, prefix: str) -> list[str]:
    """What the names of libraries go on with that begin so."""
    ours = [name for name in milvus.collections() if name.startswith(prefix) and name.endswith(_RECORDS)]
    return [name.removeprefix(prefix).removesuffix(_RECORDS) for name in ours]


class MilvusStore:
    """As `Store`, in the two collections whose names begin with `name`. A passage's key is the number that its digits
    in Milvus say. Any number of processes may read and write."""

    def __init__(self, milvus: Milvus, name: str, where: str, *, create: bool) -> None:
        """Raises LibraryNotFound."""
        self._milvus = milvus
        self._where = where
        self._records, self.passage_rows = f"{name}{_RECORDS}", f"{name}_passages"
        self._terms = Terms()
        self._latest = 0
        self._searchable = False
        if not create and not milvus.has(self._records):
            raise LibraryNotFound(
                f"there is no library at {where}; make one with: pullquote --library {where} add FILES"
            )
        milvus.make(self._records, *records_schema())

    def close(self) -> None:
        self._milvus.close()

    def flush(self) -> None:
        """Have what is in Milvus's log written to where it stays."""
        self._milvus.flush(self._records)
        if self.searchable:
            self._milvus.flush(self.passage_rows)

    # Articles

    def replace(self, batch: Iterable[Indexed], *, displace: bool = True) -> None:
        """Store articles, each in place of the one with its id and, if it is to `displace` it, of the one read from its
        origin before. When this returns, Milvus has the whole batch; when it raises, each article is the old one or the
        new one. What others write over a displaced row while the last request is under way is lost."""
        made = [self._written(item) for item in batch]
        keys = [row.key for row in made]
        moved = [row for row in self._of_origins([row.origin for row in made if displace]) if row.key not in keys]
        old = self._rows(keys)
        moved = self._still(moved, moved)  # another may have seen the same text elsewhere since, and been told so
        # In one request, so that no file is ever quoted as it is and as it was. What is written over those rows stays:
        # deleted by its key it might by then be somebody's new one.
        gone = [record(row.key, "gone", "", self._version()) for row in moved]
        self._milvus.upsert(self._records, [*(row.record() for row in made), *gone], _ROW_BYTES)
        self._forget([*old, *moved])

    def remove(self, ids: Iterable[str]) -> None:
        """Remove articles with their passages, those that are there; up to 1,000 at one moment."""
        old = self._rows(_article_keys(ids))
        self._milvus.delete(self._records, [row.key for row in old])
        self._forget(old)

    def has_origin(self, origin: str | None) -> bool:
        """Whether there is an article read from this file."""
        return bool(self._of_origins([origin]))

    def origins(self) -> dict[str, str]:
        """The files that articles were read from, with the ids of these."""
        return {row.origin: row.id for row in self.article_rows() if row.origin is not None}

    def note_origin(self, article: Article) -> None:
        """Remember the file in which an unchanged article was seen last, or that it came without one.

        It is written anew and so comes last: a row alone would name what another writer may just have deleted.
        """
        with suppress(ArticleDamaged):  # one that has lost passages, of which `doctor` tells
            if (item := self.indexed(article.id)) is not None:
                self.replace([replace(item, article=replace(item.article, origin=article.origin))], displace=False)

    def article(self, id: str) -> Article | None:
        """Raises ArticleDamaged."""
        return next((article for _, article in self._whole(_article_keys([id]))), None)

    def articles(self, offset: int, limit: int) -> list[tuple[Article, int]]:
        """A page of articles in the order they came in, each with its number of passages. Reads a line of every
        article there is."""
        rows = self._milvus.rows(self._records, _ARTICLES, ["key", "version"])
        keys = [key for _, key in sorted((row["version"], row["key"]) for row in rows)]
        return [(article, row.passages) for row, article in self._whole(keys[offset : offset + limit])]

    def indexed(self, id: str) -> Indexed | None:
        """The article with its passages and their vectors, if it is there."""
        for row, article in self._whole(_article_keys([id])):
            found = list(self._passages(row.passage_keys, ["start", "end", "vector"]).values())
            if len(found) < row.passages:
                raise self._damaged(id)
            vectors = np.array([one["vector"] for one in found], dtype=np.float32)
            return Indexed(article, [Passage(article, one["start"], one["end"]) for one in found], vectors)
        return None

    def article_checksums(self) -> dict[str, str]:
        """By id, in the order they came in: two articles with the same are equal."""
        return {row.id: row.checksum for row in self.article_rows()}

    def article_count(self) -> int:
        return self._milvus.count(self._records, _ARTICLES)

    def passage_count(self) -> int:
        """With those of what is being written or was left unfinished."""
        return self._milvus.count(self.passage_rows, "") if self.searchable else 0

    def counts(self) -> tuple[int, int]:
        """Numbers of articles and passages, not of what is being written or was left unfinished. Reads a line of every
        article there is."""
        rows = self.article_rows()
        return len(rows), sum(row.passages for row in rows)

    # Passages

    @property
    def searchable(self) -> bool:
        """Whether there are passages, or were any."""
        self._searchable = self._searchable or self._milvus.load(self.passage_rows, PASSAGE_INDEXES)
        return self._searchable

    def passages(self, keys: Iterable[int]) -> dict[int, Passage]:
        """Those of the passages that are there, which is that their article's row names them. Passages of one article
        share its `Article`."""
        found = self._passages([passage_key(key) for key in keys], ["start", "end", "article"])
        named = {row.version: article for row, article in self._whole([one["article"] for one in found.values()])}
        return {
            int(key, 16): Passage(named[version], one["start"], one["end"])
            for key, one in found.items()
            if (version := key[:VERSION_DIGITS]) in named
        }

    def vectors(self, keys: Iterable[int]) -> tuple[list[int], Vectors]:
        """Those of the keys that are there, and their vectors, shape (keys, dimensions)."""
        found = self._passages([passage_key(key) for key in keys], ["vector"])
        return [int(key, 16) for key in found], np.array([one["vector"] for one in found.values()], dtype=np.float32)

    # Feedback

    def add_feedback(self, feedback: Feedback) -> int:
        """Its key: the microsecond, which does not come again."""
        key = time.time_ns() // 1_000
        row = feedback_row(feedback)
        self._note(feedback_key(key), "feedback", [feedback_checksum(*row), *row])
        return key

    def feedback(self) -> dict[int, Feedback | None]:
        """All of it by key, in the order it came in; None where it is not what was stored."""
        rows = self._milvus.rows(self._records, 'kind == "feedback"', ["key", "value"])
        return {int(key[1:], 16): _feedback(value) for key, value in sorted((row["key"], row["value"]) for row in rows)}

    def remove_feedback(self, keys: Iterable[int]) -> None:
        self._milvus.delete(self._records, [feedback_key(key) for key in keys])

    # Settings

    def setting(self, name: str) -> str | None:
        rows = self._milvus.get(self._records, [setting_key(name)], ["value"])
        return next((str(json.loads(row["value"])[1]) for row in rows), None)

    def settings(self) -> dict[str, str]:
        rows = self._milvus.rows(self._records, 'kind == "setting"', ["value"])
        return dict(sorted(json.loads(row["value"]) for row in rows))

    def set_settings(self, settings: dict[str, str]) -> None:
        for name, value in settings.items():
            self._note(setting_key(name), "setting", [name, value])

    def remove_setting(self, name: str) -> None:
        self._milvus.delete(self._records, [setting_key(name)])

    # Checking

    def article_rows(self) -> list[ArticleRow]:
        """Of all articles, in the order they came in."""
        rows = [article_row_of(row["value"]) for row in self._milvus.rows(self._records, _ARTICLES, ["value"])]
        return sorted(rows, key=lambda row: row.version)

    def damaged(self, rows: Sequence[ArticleRow]) -> list[ArticleRow]:
        """Those whose article is not what was stored."""
        contents = {row.version: content for row, content in self._contents(rows)}
        return self._still(rows, [row for row in rows if not self._is_sound(row, contents.get(row.version, ""))])

    def bare(self, rows: Sequence[ArticleRow]) -> list[ArticleRow]:
        """Those that name passages which are not there."""
        found = self._passages([key for row in rows for key in row.passage_keys], ["start"])
        return self._still(rows, [row for row in rows if any(key not in found for key in row.passage_keys)])

    def unnamed(self, before: int) -> list[str]:
        """The keys of pieces and passages that no article's row names, written before this nanosecond."""
        found = [row["key"] for row in self._milvus.rows(self._records, 'kind == "piece"', ["key"])]
        found += [row["key"] for row in self._milvus.rows(self.passage_rows, "", ["key"])] if self.searchable else []
        named = {row.version for row in self.article_rows()}  # read last: what is named by now was found before
        return [key for key in found if (version := version_of(key)) not in named and moment_of(version) < before]

    def delete_unnamed(self, keys: Sequence[str]) -> None:
        """What `unnamed` has found."""
        self._milvus.delete(self._records, keys)
        if self.searchable:
            self._milvus.delete(self.passage_rows, keys)

    def delete_gone(self, before: int) -> None:
        """What `replace` wrote over displaced rows before this nanosecond, unless an article is there by now."""
        latest = f"{before:0{VERSION_DIGITS - RANDOM_DIGITS}x}"
        self._milvus.delete_where(self._records, f'kind == "gone" and version < "{latest}"')

    # Within

    def _written(self, item: Indexed) -> ArticleRow:
        """Write an article's pieces and passages as a new version, for the row that will name them."""
        article, row = item.article, article_row(item.article)
        content = json.dumps(row[:-1], ensure_ascii=False)
        pieces = [content[start : start + _PIECE_CHARACTERS] for start in range(0, len(content), _PIECE_CHARACTERS)]
        made = ArticleRow(
            article.id,
            self._version(),
            len(pieces),
            len(item.passages),
            article_checksum(*row),
            article.origin,
            article.language,
        )
        records = [
            record(key, "piece", piece, made.version) for key, piece in zip(made.piece_keys, pieces, strict=True)
        ]
        self._milvus.upsert(self._records, records, STRING_BYTES)
        if item.passages:
            self._make_searchable(item.vectors.shape[1])
        rows = [
            passage_row(key, made, passage, self._terms.of_passage(passage), vector)
            for key, passage, vector in zip(made.passage_keys, item.passages, item.vectors, strict=True)
        ]
        self._milvus.upsert(self.passage_rows, rows, STRING_BYTES)
        return made

    def _version(self) -> str:
        """Later than all before, of whoever's clocks are right."""
        self._latest = max(self._latest + 1, time.time_ns())
        return f"{self._latest:0{VERSION_DIGITS - RANDOM_DIGITS}x}{token_hex(RANDOM_DIGITS // 2)}"

    def _make_searchable(self, dimensions: int) -> None:
        if not self.searchable:
            self._milvus.make(self.passage_rows, *passages_schema(dimensions))
            self._searchable = True

    def _rows(self, keys: Sequence[str]) -> list[ArticleRow]:
        rows = self._milvus.get(self._records, keys, ["kind", "value"])
        return [article_row_of(row["value"]) for row in rows if row["kind"] == "article"]

    def _of_origins(self, origins: Iterable[str | None]) -> list[ArticleRow]:
        digests = sorted({digest(origin) for origin in origins if origin is not None})
        if not digests:
            return []
        filter = f"{_ARTICLES} and origin in {json.dumps(digests)}"
        return [article_row_of(row["value"]) for row in self._milvus.rows(self._records, filter, ["value"])]

    def _whole(self, keys: Iterable[str]) -> list[tuple[ArticleRow, Article]]:
        """The articles of those keys that are there, in their order. One whose pieces are gone was replaced meanwhile,
        and is looked up again. Raises ArticleDamaged."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, tuple[ArticleRow, Article]] = {}
        left = wanted
        for _ in range(_TRIES):
            rows = self._rows(left)
            contents = self._contents(rows)
            found |= {row.key: (row, self._article(row, content)) for row, content in contents}
            left = [row.key for row in rows if row.key not in found]
            if not left:
                return [found[key] for key in wanted if key in found]
        raise self._damaged(next(row.id for row in rows if row.key in left))

    def _contents(self, rows: Sequence[ArticleRow]) -> list[tuple[ArticleRow, str]]:
        """Of those that have all their pieces."""
        keys = [key for row in rows for key in row.piece_keys]
        pieces = {one["key"]: one["value"] for one in self._milvus.get(self._records, keys, ["value"], _PIECES_AT_ONCE)}
        whole = [row for row in rows if all(key in pieces for key in row.piece_keys)]
        return [(row, "".join(pieces[key] for key in row.piece_keys)) for row in whole]

    def _article(self, row: ArticleRow, content: str) -> Article:
        try:
            values = [*json.loads(content), row.origin]
        except ValueError:
            raise self._damaged(row.id) from None
        if article_checksum(*values) != row.checksum:
            raise self._damaged(row.id)
        return replace(article_of(values), language=row.language)

    def _is_sound(self, row: ArticleRow, content: str) -> bool:
        try:
            self._article(row, content)
        except ArticleDamaged:
            return False
        return True

    def _still(self, rows: Sequence[ArticleRow], some: Sequence[ArticleRow]) -> list[ArticleRow]:
        """Those of some that were not replaced or removed since the rows were read."""
        return [row for row in self._rows([one.key for one in some]) if row in rows]

    def _damaged(self, id: str) -> ArticleDamaged:
        return ArticleDamaged(f"the article {id!r} in {self._where} is not what was stored; add it again")

    def _passages(self, keys: Sequence[str], fields: list[str]) -> dict[str, Row]:
        """By key, in the order of the keys."""
        if not keys or not self.searchable:
            return {}
        found = {one["key"]: one for one in self._milvus.get(self.passage_rows, keys, ["key", *fields])}
        return {key: found[key] for key in keys if key in found}

    def _forget(self, rows: Iterable[ArticleRow]) -> None:
        """Delete what no row names any more."""
        for row in rows:
            self._milvus.delete(self._records, row.piece_keys)
            self._milvus.delete(self.passage_rows, row.passage_keys)

    def _note(self, key: str, kind: str, value: object) -> None:
        """Raises InvalidInput where it is more than a row holds."""
        text = json.dumps(value, ensure_ascii=False)
        if len(text.encode()) > STRING_BYTES:
            raise InvalidInput(f"this {kind} has more than the {STRING_BYTES:,} bytes that Milvus stores; shorten it")
        self._milvus.upsert(self._records, [record(key, kind, text)], STRING_BYTES)


_ARTICLES = 'kind == "article"'


def _article_keys(ids: Iterable[str]) -> list[str]:
    return [article_key(storable(id)) for id in dict.fromkeys(ids)]


def _feedback(value: str) -> Feedback | None:
    try:
        checksum, *row = json.loads(value)
    except ValueError:
        return None
    return feedback_of(row) if feedback_checksum(*row) == checksum else None
