"""Faults for the reliability tests: of the disk, by SQLite's file layer and by mounts; of the program, planted."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Self
from unittest import SkipTest
from unittest.mock import patch

import apsw

from index.article import Article
from index.dense import DenseIndex
from index.filter import Filter
from index.lexical import LexicalIndex
from index.library import Acknowledge, Library, Outcome
from index.passage import Passage
from index.store import Indexed, Keys, Store


class Impossible(SkipTest):
    """This machine does not allow what is needed; the message says why. A test that raises it is skipped."""


# The disk beneath SQLite


class Disk(apsw.VFS):
    """All that SQLite reads and writes on connections opened within `with` passes through here.

    The methods are called before writing and truncating, after opening and syncing.
    """

    def __init__(self) -> None:
        self.base = apsw.vfs_names()[0]
        super().__init__("watched", self.base, makedefault=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        file = _File(self, name, flags)
        self.opened(file.name)
        return file

    def opened(self, name: str) -> None: ...

    def write(self, name: str, data: bytes, offset: int) -> None: ...

    def truncate(self, name: str, size: int) -> None: ...

    def sync(self, name: str) -> None: ...


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(disk.base, name, flags)
        self._disk = disk
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._disk.write(self.name, bytes(data), offset)
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._disk.truncate(self.name, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._disk.sync(self.name)


@dataclass(slots=True)
class _Content:
    """What is on the disk for certain, and what was written since: pieces at their offsets, sizes it was cut to."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def apply(self, changes: Iterable[tuple[int, bytes | None]]) -> bytearray:
        data = bytearray(self.durable)
        for offset, piece in changes:
            if piece is None:
                del data[offset:]
            else:
                data.extend(bytes(max(0, offset - len(data))))
                data[offset : offset + len(piece)] = piece
        return data


def _torn(piece: bytes | None, random: Random) -> bytes | None:
    """One in four is not whole."""
    return piece[: random.randrange(len(piece))] if piece and random.random() < 0.25 else piece


class PowerLoss(Disk):
    """A disk that knows what a power cut would leave. `at_change` is called at each write and sync."""

    def __init__(self, at_change: Callable[[], None]) -> None:
        super().__init__()
        self._files: dict[str, _Content] = {}
        self._at_change = at_change

    def opened(self, name: str) -> None:
        if name not in self._files:
            self._files[name] = _Content(bytearray(Path(name).read_bytes()))

    def write(self, name: str, data: bytes, offset: int) -> None:
        self._changed(name, offset, data)

    def truncate(self, name: str, size: int) -> None:
        self._changed(name, size, None)

    def sync(self, name: str) -> None:
        content = self._files[name]
        content.durable, content.pending = content.apply(content.pending), []
        self._at_change()

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self._files.pop(filename, None)

    def cut(self, library: Path, copy: Path, random: Random) -> None:
        """Copy the library as it might be found afterwards: of what was not synced any part may be missing, and the
        pieces that are there may be torn."""
        shutil.copytree(library, copy, ignore=shutil.ignore_patterns("*-shm"))
        for name, content in self._files.items():
            if (copy / Path(name).name).exists():
                kept = [(offset, _torn(piece, random)) for offset, piece in content.pending if random.random() < 0.5]
                (copy / Path(name).name).write_bytes(content.apply(kept))

    def _changed(self, name: str, offset: int, data: bytes | None) -> None:
        self._files[name].pending.append((offset, data))
        self._at_change()


# Directories


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory in memory, where there is one, and all temporary ones in it: syncing a disk would take most of the
    time of many a test for which it makes no difference."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(dir=place) as directory,
        patch.dict(os.environ, TMPDIR=directory),
        patch.object(tempfile, "tempdir", None),
    ):
        yield Path(directory)


@contextmanager
def mounted(path: Path, *options: str) -> Iterator[Path]:
    """Mount something at `path` as mount(8) does with those options. Raises Impossible."""
    path.mkdir()
    _mount(*options, str(path))
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def read_only(library: Path, path: Path) -> Iterator[Path]:
    """The library at another path at which nobody can write, not even root. Raises Impossible."""
    with mounted(path, "--bind", str(library)):
        _mount("-o", "remount,ro,bind", str(path))
        yield path


def _mount(*options: str) -> None:
    if shutil.which("mount") is None:
        raise Impossible("there is no mount command")
    ended = subprocess.run(["mount", *options], capture_output=True, text=True)
    if ended.returncode:
        raise Impossible(f"nothing can be mounted here: {ended.stderr.strip()}")


@contextmanager
def full(directory: Path, free: int = 0) -> Iterator[None]:
    """Leave at most so many bytes free on the file system of a directory, until the end."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while (room := shutil.disk_usage(directory).free - free) > 0:
                file.write(bytes(min(room, 1 << 16)))
        except OSError:  # full before the last byte
            pass
    try:
        yield
    finally:
        ballast.unlink()


# Planted faults

Patch = Callable[[Any, str, Any], None]
"""Like setattr, which is what it is in a process of its own; a test's undoes it."""


def acknowledge_early(plant: Patch) -> None:
    add = Library.add

    def early(library: Library, articles: Iterable[Article], acknowledge: Acknowledge) -> None:
        given = list(articles)
        for article in given:
            acknowledge(article, Outcome.ADDED)
        add(library, given)

    plant(Library, "add", early)


class _Careless(apsw.Connection):
    def pragma(self, name: str, value: Any = None, **options: Any) -> Any:
        if name == "synchronous":
            value = "off"
        return super().pragma(name, value, **options) if value is not None else super().pragma(name, **options)


def never_sync(plant: Patch) -> None:
    plant(os, "fsync", lambda descriptor: None)
    plant(apsw, "Connection", _Careless)


def shift_offsets(plant: Patch) -> None:
    replace = Store.replace

    def shifted(store: Store, batch: Iterable[Indexed]) -> None:
        replace(store, [Indexed(item.article, [_shift(p) for p in item.passages], item.vectors) for item in batch])

    plant(Store, "replace", shifted)


def _shift(passage: Passage) -> Passage:
    return Passage(passage.article, passage.start + 1, passage.end)


def ignore_filters(plant: Patch) -> None:
    select = Store.select

    def everything(store: Store, filter: Filter) -> Keys:
        return select(store, Filter())

    plant(Store, "select", everything)


def keep_removed(plant: Patch) -> None:
    update = LexicalIndex.update

    def only_add(index: LexicalIndex, add: Iterable[tuple[int, Passage]], remove: Sequence[int]) -> None:
        update(index, add, [])

    plant(LexicalIndex, "update", only_add)
    plant(DenseIndex, "remove", lambda index, keys: None)


PLANTED: Mapping[str, Callable[[Patch], None]] = {
    "acknowledged before the commit": acknowledge_early,
    "no fsync": never_sync,
    "shifted offset": shift_offsets,
    "filter ignored": ignore_filters,
    "removed passages kept": keep_removed,
}
"""Row E of the matrix, but for the unbounded queue, which is the server's."""
