"""A file of a known format to articles, in this process."""

import importlib
from collections.abc import Mapping
from typing import BinaryIO

from index.errors import UnreadableArticle
from index.formats.encoding import NotText, decode
from index.formats.format import Format, Items

MAX_FILE_BYTES = 512 * 1024 * 1024
"""Largest file that is read whole."""


_MAX_REASON_CHARACTERS = 200


def read_safely(file: BinaryIO, where: str, format: Format, columns: Mapping[str, str]) -> Items:
    """The same as `read_here`, with whatever the format's library raises as what is wrong with the file: it was written
    for files that are as they should be. Raises MemoryError."""
    try:
        yield from read_here(file, where, format, columns)
    except MemoryError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:_MAX_REASON_CHARACTERS]
        yield UnreadableArticle(where, f"it cannot be parsed: {reason}")


def read_here(file: BinaryIO, where: str, format: Format, columns: Mapping[str, str]) -> Items:
    """The articles of a file; `where` names it in messages."""
    # A format's library is imported when its first file comes: trafilatura alone takes most of a second.
    read = importlib.import_module(f"index.formats.{format.module}").read
    content: BinaryIO | str
    if format.binary:
        content = file
    else:
        data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            yield UnreadableArticle(where, f"it is larger than {MAX_FILE_BYTES >> 20} MiB; split it")
            return
        if not data.strip():
            yield UnreadableArticle(where, "it is empty")
            return
        try:
            content = decode(data)
        except NotText as error:
            yield UnreadableArticle(where, str(error))
            return
    yield from read(content, where, columns) if format.tabular else read(content, where)
