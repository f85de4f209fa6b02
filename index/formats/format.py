"""What a format is, and which one a file has: by the ending of its name, else by how it begins."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from index.article import Article
from index.errors import UnreadableArticle

START_BYTES = 4096
"""How much of a file tells its format."""

Item = Article | UnreadableArticle
"""What a reader yields: an article, or what was wrong with one, so that the others still come."""

Items = Iterator[Item]


@dataclass(frozen=True, slots=True)
class Format:
    """A format and the module of this package that reads it.

    A text format has `read(text: str, where: str) -> Iterator[Item]`, a `binary` one `read(file: BinaryIO, where: str)
    -> Iterator[Item]`; a `tabular` one takes the columns as a third argument. One that is `streamed` is read from front
    to back in parts, and so may be of any size. `many`: a file holds several articles, and none has it as its origin.
    `apart`: it is parsed in a process of its own, which may crash or hang.
    """

    module: str
    binary: bool = False
    streamed: bool = False
    many: bool = False
    tabular: bool = False
    apart: bool = True


TEXT = Format("text", apart=False)
MARKDOWN = Format("markdown", apart=False)
HTML = Format("html")
RECORDS = Format("records", many=True, apart=False)
FEED = Format("feed", binary=True, many=True)
ARCHIVE = Format("archive", binary=True, streamed=True, many=True, tabular=True)

FORMATS = {
    ".txt": TEXT,
    ".text": TEXT,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".rss": FEED,
    ".atom": FEED,
    ".xml": HTML,
    ".jsonl": RECORDS,
    ".ndjson": RECORDS,
    ".json": RECORDS,
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst"), ARCHIVE),
}
"""File name ending to its format."""

NAMED = {format.module: format for format in FORMATS.values()}
"""The name of a format to it."""

_OTHERS: dict[str, frozenset[str]] = {}
"""Endings that several formats share, and the modules of those that the beginning of a file can tell."""


def format_of(name: str, start: bytes) -> Format:
    """The format of a file of that name that begins with `start`."""
    ending = PurePath(name).suffix.lower()
    named = FORMATS.get(ending)
    if named is not None and ending not in _OTHERS:
        return named
    guessed = guess(start)
    return guessed if named is None or guessed.module in _OTHERS[ending] else named


def guess(data: bytes) -> Format:
    """The format of data without a file name: records, HTML, or else plain text."""
    start = data[:START_BYTES].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n").lower()  # NULs: UTF-16
    if re.match(rb"\[?\s*\{", start):
        return RECORDS
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return HTML
    return TEXT
