"""Archives and compressed files: every file in one as if it lay in a folder. Nothing is written anywhere."""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BufferedReader, BytesIO, RawIOBase
from os import SEEK_END
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import zstandard

from index.errors import UnreadableArticle
from index.formats.format import FORMATS, START_BYTES, Items, format_of
from index.formats.parts import parts
from index.formats.reading import buffered, read_here, safely, whole

MAX_DEPTH = 3
"""How deep archives may lie in archives: a backup of exports of attachments."""

MAX_FILES = 1_000_000
MAX_RATIO = 100
"""How many times its own size an archive may unfold to, with all within: text comes to 5 or 10 times, repeating tables
to 50; a bomb, to a thousand at each level."""

_FREE_BYTES = 64 * 1024 * 1024
"""What may come out of the smallest archive."""

_MAX_READ_BYTES = 1 << 20
_ENCRYPTED = 1
"""A bit of the flags of a file in a ZIP archive."""

_MODE_BITS = 16
"""Where the mode of such a file begins in its external attributes."""

_FED_BYTES = 1 << 10
"""What Zstandard is given at a time: the worst of bombs makes 32 MiB of it."""


class _Zstandard:
    """The frames of a file, one after another. The library's own reader says nothing where a file is cut short."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame: Any = None
        self._unused = b""
        self._ready = bytearray()

    def read(self, size: int) -> bytes:
        while len(self._ready) < size and (data := self._unused or self._file.read(_FED_BYTES)):
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._ready += self._frame.decompress(data)
            self._unused = self._frame.unused_data if self._frame.eof else b""
            self._frame = None if self._frame.eof else self._frame
        if self._frame and not self._ready:
            raise EOFError
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data


_TAR_MARK = slice(257, 262)
_COMPRESSED: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _Zstandard,
}
"""How a compressed file begins, and what unfolds it."""


def read(file: BinaryIO, where: str, columns: Mapping[str, str]) -> Items:
    size = file.seek(0, SEEK_END)
    file.seek(0)
    yield from _Unfolding(size, where, columns).archive(buffered(file), where, where, depth=1)


@dataclass(frozen=True, slots=True)
class _Member:
    """A file in an archive. `open` may raise whatever its library does."""

    name: str
    encrypted: bool
    open: Callable[[], Any]


class _Unfolding:
    """The reading of an archive with those within it, which share what it may unfold to."""

    def __init__(self, size: int, where: str, columns: Mapping[str, str]) -> None:
        self._where = where
        self._columns = columns
        self._bytes = size * MAX_RATIO + _FREE_BYTES
        self._files = MAX_FILES

    def archive(self, file: BufferedReader, name: str, where: str, depth: int) -> Items:
        """Raises UnreadableArticle, and whatever the libraries of the formats do."""
        if depth > MAX_DEPTH:
            raise UnreadableArticle(where, f"archives lie more than {MAX_DEPTH} deep in one another; unpack them first")
        start = file.peek(START_BYTES)
        unfold = next((unfold for mark, unfold in _COMPRESSED.items() if start.startswith(mark)), None)
        if unfold is not None:
            file = self._counted(unfold(file))
            if not _is_tar(file):
                yield from self._file(file, _unfolded_name(name), where, depth)
                return
        for place, member in parts(self._named(_members(file, where), where)):
            yield from safely(self._member(member, place, depth), place)
            if self._bytes < 0:
                return

    def _named(self, members: Iterator[_Member], where: str) -> Iterator[tuple[str, _Member]]:
        """Those that would be read in a folder. Raises UnreadableArticle where there are too many, or none."""
        none = True
        for member in members:
            self._files -= 1
            if self._files < 0:
                raise UnreadableArticle(self._where, f"it holds more than {MAX_FILES:,} files; unpack it first")
            path = PurePosixPath(member.name)
            if path.suffix.lower() in FORMATS and not any(part.startswith(".") for part in path.parts):
                none = False
                yield f"{where}!{member.name}", member
        if none:
            raise UnreadableArticle(where, "it holds no file of a known format")

    def _member(self, member: _Member, where: str, depth: int) -> Items:
        if member.encrypted:
            raise UnreadableArticle(where, "it is encrypted; unpack it first")
        with member.open() as stream:
            yield from self._file(self._counted(stream), member.name, where, depth)

    def _file(self, file: BufferedReader, name: str, where: str, depth: int) -> Items:
        format = format_of(name, file.peek(START_BYTES))
        if format.module == "archive":
            yield from self.archive(file, name, where, depth + 1)
        else:
            file = _seekable(file, where) if format.seeks else file
            yield from read_here(file, where, format, self._columns)

    def _counted(self, stream: Any) -> BufferedReader:
        return buffered(_Counted(stream, self._spend))

    def _spend(self, count: int) -> None:
        """Raises UnreadableArticle where there is nothing left, then and ever after."""
        self._bytes -= count
        if self._bytes < 0:
            raise UnreadableArticle(self._where, f"it unfolds to more than {MAX_RATIO} times its size; unpack it first")


class _Counted(RawIOBase):
    """A stream whose bytes are told to `spend`. It fills what it is given, unless that is large or the stream ends."""

    def __init__(self, stream: Any, spend: Callable[[int], None]) -> None:
        self._stream = stream
        self._spend = spend

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), _MAX_READ_BYTES))
        self._spend(len(data))
        buffer[: len(data)] = data
        return len(data)


def _members(file: BufferedReader, where: str) -> Iterator[_Member]:
    """Raises UnreadableArticle, and whatever the libraries do."""
    if _is_tar(file):
        return _tar(file)
    file = _seekable(file, where)
    if not zipfile.is_zipfile(file):
        raise UnreadableArticle(where, "it is no archive that can be read, or a damaged one")
    return _zip(file)


def _tar(file: BufferedReader) -> Iterator[_Member]:
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for info in archive:
            if info.isreg():
                yield _Member(info.name, encrypted=False, open=partial(archive.extractfile, info))


def _zip(file: BufferedReader) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> _MODE_BITS):
                yield _Member(info.filename, bool(info.flag_bits & _ENCRYPTED), partial(archive.open, info))


def _is_tar(file: BufferedReader) -> bool:
    return file.peek(START_BYTES)[_TAR_MARK] == b"ustar"


def _seekable(file: BufferedReader, where: str) -> BufferedReader:
    """The file, or all of it in memory where it can only be read from front to back. Raises UnreadableArticle."""
    if file.seekable():
        return file
    return buffered(BytesIO(whole(file, where)))


def _unfolded_name(name: str) -> str:
    """`a.txt` of `a.txt.gz`."""
    return name.rpartition(".")[0]
