"""`Article`: an exact text with its identity and what is known about it."""

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any

from index.errors import InvalidInput

MAX_CHARACTERS = 20_000_000
"""Longest text taken as one article: some 40 novels; a longer one is a collection and wants splitting."""

MAX_ID_CHARACTERS = 512
MAX_METADATA_VALUES = 10_000
MAX_METADATA_DEPTH = 32

_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Article:
    """A text as it was extracted, never normalised afterwards. Make one with `make_article`.

    `published` is ISO 8601: a date (`2023-07-28`) or a UTC instant (`2023-07-28T09:30:00Z`), so that the order
    of strings is the order in time. `origin` is the file that held this article and no other, if any. A library adds
    the `language` (ISO 639), where it can be told, and of an article that it has, where that is a copy of earlier ones,
    the id of the first of them as `duplicate_of`.
    """

    id: str
    text: str
    title: str | None = None
    url: str | None = None
    published: str | None = None
    source: str | None = None
    authors: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    origin: str | None = field(default=None, compare=False)
    language: str | None = field(default=None, compare=False)
    duplicate_of: str | None = field(default=None, compare=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8, 64 hexadecimal digits."""
        return sha256(self.text.encode()).hexdigest()


def make_article(
    text: str,
    *,
    id: str | None = None,
    title: str | None = None,
    url: str | None = None,
    published: str | None = None,
    source: str | None = None,
    authors: tuple[str, ...] = (),
    metadata: Mapping[str, object] | None = None,
    origin: str | None = None,
) -> Article:
    """Build an article whose text and metadata can be stored, with an identity.

    Lone surrogates and NUL become U+FFFD, here and so before any offset exists. The id is the given one, else
    derived from the URL, else from the text. A `published` that is no date is kept in the metadata instead.

    Raises InvalidInput where there is no text, too much of it, or the id is too long.
    """
    text = storable(text)
    if not text.strip():
        raise InvalidInput("the article has no text")
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(
            f"the article has {len(text):,} characters, more than {MAX_CHARACTERS:,}; split it into several articles"
        )
    url = _line(url)
    identity = _line(id) or sha256((url or text).encode()).hexdigest()[:16]
    if len(identity) > MAX_ID_CHARACTERS:
        raise InvalidInput(f"the article's id has {len(identity)} characters, more than {MAX_ID_CHARACTERS}")
    extra = dict(metadata or {})
    when = parse_published(published) if published else None
    if published and when is None:
        extra["published"] = published
    names = (_line(author) for author in authors)
    return Article(
        id=identity,
        text=text,
        title=_line(title),
        url=url,
        published=when,
        source=_line(source),
        authors=tuple(name for name in names if name),
        metadata=_storable_metadata(extra),
        origin=origin,
    )


def is_unchanged(article: Article, old: Article | None) -> bool:
    """Whether an article says what it said before, whenever it was fetched."""
    if old is None:
        return False
    then, now = ({**one.metadata, "fetched": None} for one in (old, article))
    return replace(old, metadata=then) == replace(article, metadata=now)


def article_row(article: Article) -> tuple[str | None, ...]:
    """Its values in the order of the database's columns; what is structured, as JSON."""
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


def article_of(row: Sequence[Any]) -> Article:
    """What `article_row` was given."""
    id, text, title, url, published, source, authors, metadata, origin = row
    names = tuple(json.loads(authors))
    return Article(id, text, title, url, published, source, names, json.loads(metadata), origin)


def storable(text: str) -> str:
    """The text with each lone surrogate and NUL replaced by U+FFFD; its length does not change."""
    return _NOT_STORABLE.sub("\ufffd", text)


def parse_published(text: str) -> str | None:
    """Read ISO 8601, `YYYY/MM/DD`, `DD.MM.YYYY` or RFC 2822 as `Article.published`; None where it is none of them.

    An instant without a time zone is taken as UTC.
    """
    text = text.strip()
    if re.fullmatch(r"\d{4}/\d{1,2}/\d{1,2}", text):
        text = "-".join(part.zfill(2) for part in text.split("/"))
    elif re.fullmatch(r"\d{1,2}\.\d{1,2}\.\d{4}", text):  # with dots the day is first wherever dates are written so
        text = "-".join(part.zfill(2) for part in reversed(text.split(".")))
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = parse(text)
            when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        except (ValueError, OverflowError):  # the second where a year or a zone leads out of the calendar
            continue
        return when.isoformat(timespec="seconds").replace("+00:00", "Z")  # strftime has 999 for the year 0999
    return None


def _line(text: str | None) -> str | None:
    """One storable line without stray white space, or None where nothing is left."""
    return " ".join(storable(text).split()) or None if text else None


def _storable_metadata(metadata: Mapping[str, object]) -> dict[str, object]:
    """A copy that JSON can hold. Raises InvalidInput where it is too large or too deep: a kilobyte of YAML, whose
    values may refer to one another, can be either."""
    counter = itertools.count(1)

    def copied(value: object, depth: int) -> object:
        if depth > MAX_METADATA_DEPTH or next(counter) > MAX_METADATA_VALUES:
            raise InvalidInput(
                f"the article's metadata has more than {MAX_METADATA_VALUES:,} values, "
                f"or is nested deeper than {MAX_METADATA_DEPTH}; leave some of it out"
            )
        if isinstance(value, Mapping):
            return {storable(str(name)): copied(item, depth + 1) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [copied(item, depth + 1) for item in value]
        return _storable_value(value)

    return {storable(name): copied(value, 1) for name, value in metadata.items()}


def _storable_value(value: object) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return storable(str(value))
