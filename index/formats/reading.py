"""A file of a known format to articles, in this process."""

import importlib
from collections.abc import Mapping
from io import BufferedReader
from typing import Any, BinaryIO

from index.errors import UnreadableArticle
from index.formats.encoding import NotText, decode
from index.formats.format import Format, Items

MAX_FILE_BYTES = 512 * 1024 * 1024
"""Largest file that is read whole."""

_PIECE_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 16

_MAX_REASON_CHARACTERS = 200


def read_here(file: BufferedReader, where: str, format: Format, columns: Mapping[str, str]) -> Items:
    """The articles of a file; `where` names it in messages. Raises UnreadableArticle, and whatever the format's library
    does."""
    # A format's library is imported when its first file comes: trafilatura alone takes most of a second.
    read = importlib.import_module(f"index.formats.{format.module}").read
    content = file if format.binary else _text(whole(file, where), where)
    yield from read(content, where, columns) if format.tabular else read(content, where)


def buffered(file: Any) -> BufferedReader:
    """A raw or an open file, of which the beginning can be looked at before it is read."""
    return BufferedReader(file, _BUFFER_BYTES)


def whole(file: BinaryIO, where: str, start: bytes = b"") -> bytes:
    """A file of which `start` has been read. Raises UnreadableArticle where it is too much, or nothing."""
    data = bytearray(start)
    while piece := file.read(_PIECE_BYTES):  # asked for all at once, room would be made for the largest file there is
        data += piece
        if len(data) > MAX_FILE_BYTES:
            raise UnreadableArticle(where, f"it is larger than {MAX_FILE_BYTES >> 20} MiB; split it")
    if not data.strip():
        raise UnreadableArticle(where, "it is empty")
    return bytes(data)


def _text(data: bytes, where: str) -> str:
    try:
        return decode(data)
    except NotText as error:
        raise UnreadableArticle(where, str(error)) from None


def safely(items: Items, where: str) -> Items:
    """The items, with whatever the library of a format raises as what is wrong with the file, since it was written for
    files that are as they should be. Raises MemoryError."""
    try:
        yield from items
    except UnreadableArticle as error:
        yield error
    except MemoryError:
        raise
    except EOFError:
        yield UnreadableArticle(where, "it breaks off before its end; get it again")
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:_MAX_REASON_CHARACTERS]
        yield UnreadableArticle(where, f"it cannot be parsed: {reason}")
