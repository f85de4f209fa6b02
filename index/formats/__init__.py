"""Files to articles. One module per format, each with `read(data, where)`; `FORMATS` says which reads what."""

import importlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from index.article import Article
from index.errors import UnreadableArticle
from index.formats.encoding import NotText, decode

MAX_FILE_BYTES = 512 * 1024 * 1024

FORMATS = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "records",
    ".ndjson": "records",
    ".json": "records",
}
"""File name ending to the module that reads it."""

Item = Article | UnreadableArticle
"""What a reader yields: an article, or what was wrong with one, so that the others still come."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file in a folder that is of no known format. Not an error: folders hold all sorts of things."""

    path: Path


def find_files(paths: list[Path]) -> list[Path | Skipped | UnreadableArticle]:
    """The files given and, in order of name, those in the folders given, recursively; hidden ones are left out.

    Links to folders are not followed. A file that is named is never skipped, whatever its ending.
    """
    found: list[Path | Skipped | UnreadableArticle] = []
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path, onerror=lambda error: found.append(_unlisted(error))):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(names):
                    if not name.startswith("."):
                        file = Path(folder, name)
                        found.append(file if file.suffix.lower() in FORMATS else Skipped(file))
        elif path.exists():
            found.append(path)
        else:
            found.append(UnreadableArticle(str(path), "there is no such file or folder"))
    return found


def _unlisted(error: OSError) -> UnreadableArticle:
    return UnreadableArticle(str(error.filename), error.strerror or str(error))


def read_file(path: Path) -> Iterator[Item]:
    """The articles of a file. One of a format that has one article a file remembers it as its origin."""
    where = str(path)
    try:
        if not path.is_file():
            raise UnreadableArticle(where, "it is not a regular file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UnreadableArticle(where, f"the file is larger than {MAX_FILE_BYTES >> 20} MiB; split it")
        data = path.read_bytes()
    except UnreadableArticle as error:
        yield error
        return
    except OSError as error:
        yield UnreadableArticle(where, error.strerror or str(error))
        return
    module = FORMATS.get(path.suffix.lower()) or guess(data)
    for item in read(data, where, module):
        if isinstance(item, Article) and module != "records":
            item = replace(item, origin=str(path.resolve()))
        yield item


def read(data: bytes, where: str, module: str | None = None) -> Iterator[Item]:
    """The articles in `data`; `where` names it in messages; `module` is one of the values of FORMATS, else guessed."""
    if not data.strip():
        yield UnreadableArticle(where, "it is empty")
        return
    try:
        text = decode(data)
    except NotText as error:
        yield UnreadableArticle(where, str(error))
        return
    # A format's library is imported when its first file comes: trafilatura alone takes most of a second.
    yield from importlib.import_module(f"index.formats.{module or guess(data)}").read(text, where)


def guess(data: bytes) -> str:
    """The module for data without a file name: records, HTML, or else plain text."""
    start = data[:1000].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n").lower()  # NULs: UTF-16
    if re.match(rb"\[?\s*\{", start):
        return "records"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "html"
    return "text"
