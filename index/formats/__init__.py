"""Files to articles. One module per format, each with `read`; `FORMATS` says which reads what."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import BufferedReader, BytesIO, UnsupportedOperation
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from index.article import Article
from index.errors import UnreadableArticle
from index.formats import reading
from index.formats.format import FORMATS, NAMED, START_BYTES, Format, Item, Items, format_of, guess
from index.formats.parsing import LIMITS, Limits, read_apart
from index.formats.reading import buffered, read_here

__all__ = [
    "FORMATS",
    "NAMED",
    "Format",
    "Item",
    "Skipped",
    "file_of",
    "find_files",
    "format_of",
    "guess",
    "origin_of",
    "read",
    "read_file",
    "read_open",
]

NO_COLUMNS: Mapping[str, str] = {}


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


def read_file(
    path: Path,
    format: Format | None = None,
    columns: Mapping[str, str] = NO_COLUMNS,
    reached: Callable[[float], None] = lambda share: None,
) -> Items:
    """The articles of a file. One of a format that has one article a file remembers it as its origin.

    Without a format, the file's name and beginning say which it has. Before each item `reached` is told what share of
    the file is read with it.
    """
    where = str(path)
    try:
        if not path.is_file():
            raise UnreadableArticle(where, "it is not a regular file")
        with path.open("rb") as file:
            format = format or format_of(path.name, file.peek(START_BYTES))
            for item in read_open(file, where, format, columns, reached):
                if isinstance(item, Article) and not format.many:
                    item = replace(item, origin=origin_of(path))
                yield item
    except (UnreadableArticle, OSError) as error:
        yield _unreadable(where, error)


def origin_of(path: Path) -> str:
    """How an article names the file it came from: by its path, where that is not UTF-8 by its URI."""
    path = path.resolve()
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.as_uri()
    return str(path)


def file_of(origin: str) -> Path:
    """What `origin_of` was given, resolved."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(origin).path)) if origin.startswith("file:") else origin)


def read_open(
    file: BufferedReader,
    where: str,
    format: Format | None = None,
    columns: Mapping[str, str] = NO_COLUMNS,
    reached: Callable[[float], None] = lambda share: None,
    limits: Limits = LIMITS,
) -> Items:
    """The same of a file that is open at its beginning; `where` names it in messages."""
    try:
        format = format or format_of(where, file.peek(START_BYTES))
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if not size:
            raise UnreadableArticle(where, "it is empty")
        if not format.streamed and size > reading.MAX_FILE_BYTES:
            raise UnreadableArticle(where, f"it is larger than {reading.MAX_FILE_BYTES >> 20} MiB; split it")
        if format.apart:
            items = read_apart(file, where, format, columns, limits)
        else:
            items = read_here(file, where, format, columns)
        for share, item in _streamed(items, file, size) if format.streamed else _counted(items):
            reached(share)
            yield item
    except (UnreadableArticle, OSError) as error:
        yield _unreadable(where, error)


def read(data: bytes, where: str, format: Format | None = None, limits: Limits = LIMITS) -> Items:
    """The same of bytes."""
    return read_open(buffered(BytesIO(data)), where, format or guess(data), limits=limits)


def _streamed(items: Items, file: BufferedReader, size: int) -> Iterator[tuple[float, Item]]:
    """The items, each with the share of the file that was read when it came; in memory, all of it is."""
    for item in items:
        try:
            yield min(1.0, os.lseek(file.fileno(), 0, os.SEEK_CUR) / size), item
        except UnsupportedOperation:
            yield 1.0, item


def _counted(items: Items) -> Iterator[tuple[float, Item]]:
    """The items, each with the share of them that it ends."""
    all_items = list(items)
    return ((number / len(all_items), item) for number, item in enumerate(all_items, start=1))


def _unreadable(where: str, error: UnreadableArticle | OSError) -> UnreadableArticle:
    return error if isinstance(error, UnreadableArticle) else UnreadableArticle(where, error.strerror or str(error))
