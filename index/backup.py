"""A backup of the truth, made while others write, and its way back into a library.

It is the database alone, in one file: what is derived from it is built anew.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import apsw

from index.derived import sync_to_disk
from index.errors import DiskFull, InvalidInput, LibraryBusy, LibraryCorrupt, LibraryNotWritable
from index.files import database, derived_files, remove_all, second_names
from index.finding import FEEDBACK, Kind
from index.integrity import Examination, Tell, examine
from index.library import DATABASE
from index.lock import write_lock
from index.salvage import snapshot

_FULL = {errno.ENOSPC, errno.EDQUOT}
_STEP_PAGES = 2_000
"""8 MB: some milliseconds between two looks at the progress."""

_BUSY_MILLISECONDS = 5_000
_BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a database. With a database they do not belong to they would ruin it."""

Advance = Callable[[int, int], None]
"""Takes what is done, and how much there is in all."""


def _silent(*_: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Backup:
    """A file that was written, and what is in it."""

    path: Path
    articles: int
    passages: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What a library now holds, and where the database is that it had before, if any."""

    articles: int
    passages: int
    kept: Path | None


def backup(
    library: Path, target: Path, *, force: bool = False, advance: Advance = _silent, tell: Tell = _silent
) -> Backup:
    """Write the library's database as of this moment to a file, and check it; others may write meanwhile. The file is
    whole or not there. With `force` it replaces another.

    Raises LibraryNotFound, LibraryCorrupt, InvalidInput, DiskFull, LibraryNotWritable.
    """
    source = database(library)
    if target.is_dir():
        raise InvalidInput(f"{target} is a directory; name a file in it")
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"{target} is the library itself; name another file")
    if target.exists() and not force:
        raise InvalidInput(f"{target} is there already; name another file, or replace it with --force")
    temporary = target.with_name(f"{target.name}.tmp")
    with mendable(target, source), _temporary(temporary):
        found = _copied(source, temporary, advance, tell)
        if damage := _damage(found):
            raise LibraryCorrupt(f"the library is damaged, and a backup would be: {damage}; see: pullquote doctor")
        with temporary.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        size = temporary.stat().st_size
        _put(temporary, target)
    return Backup(target, len(found.articles), len(found.passages), size, digest)


def restore(
    source: Path, library: Path, *, force: bool = False, advance: Advance = _silent, tell: Tell = _silent
) -> Restored:
    """Make a library of a backup, once that has been checked. The database is the old one or the whole new one.

    A library that has articles is replaced only with `force`, and its database kept beside the new one, whatever is in
    it. Raises InvalidInput, LibraryCorrupt, LibraryBusy where any process has that library open, LibraryNotWritable.
    """
    target = library / DATABASE
    if not source.is_file():
        raise InvalidInput(f"there is no file {source}; give one that `pullquote backup` wrote")
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"{source} is the library itself; give a backup of it")
    with mendable(library, source):
        library.mkdir(parents=True, exist_ok=True)
    with write_lock(library):
        if not force and not _is_empty(target):
            raise InvalidInput(
                f"there are articles in {library}; restore into another directory with --library, or put the backup in "
                "their place with --force (what is there is kept)"
            )
        temporary = target.with_name(f"{DATABASE}.tmp")
        with mendable(target, source), _temporary(temporary):
            found = _copied(source, temporary, advance, tell)
            if damage := _damage(found):
                raise LibraryCorrupt(
                    f"{source} is damaged: {damage}; restore another backup, or put this one as {DATABASE} into a "
                    "directory DIR of its own and run: pullquote --library DIR doctor --repair"
                )
            kept = _set_aside(target)
            remove_all(derived_files(library))
            _put(temporary, target)
    return Restored(len(found.articles), len(found.passages), kept)


@contextmanager
def mendable(path: Path, source: Path) -> Iterator[None]:
    """What SQLite and the system say about a file that is written out of another, or itself, in our words."""
    try:
        yield
    except (apsw.FullError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _FULL:
            raise LibraryNotWritable(f"{path} cannot be written: {error.strerror}") from None
        raise DiskFull(f"the disk of {path}, or of the temporary files, is full; make room and try again") from None
    except apsw.BusyError:
        raise LibraryBusy(f"{path} is open in another process; end that and try again") from None
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise LibraryCorrupt(f"{source} cannot be read as a library: {error}; see: pullquote doctor") from None
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError) as error:
        raise LibraryNotWritable(f"{path} cannot be written: {error}") from None


@contextmanager
def _temporary(path: Path) -> Iterator[None]:
    """No database is there at the beginning, and none at the end."""
    everything = [path, *(path.with_name(path.name + ending) for ending in _BESIDE)]
    remove_all(everything)
    try:
        yield
    finally:
        remove_all(everything)


def _copied(source: Path, target: Path, advance: Advance, tell: Tell) -> Examination:
    """Copy a database, as of one moment, and check what was written."""
    with snapshot(source) as db:
        new = apsw.Connection(str(target))
        try:
            new.pragma("synchronous", "off")  # it is synced as a whole, before it gets its name
            with new.backup("main", db, "main") as copy:
                while not copy.done:
                    copy.step(_STEP_PAGES)
                    advance(copy.page_count - copy.remaining, copy.page_count)
            new.pragma("journal_mode", "delete")  # one file, which can be read where none can be made beside it
        finally:
            new.close()
    return examine(target, tell)


def _damage(found: Examination) -> str | None:
    """The first thing that is damaged, if any. Changed feedback is not: it is told from other feedback as long as it
    is kept, and no reason to have no backup of the articles."""
    damaged = (one for one in found.findings if one.kind is not Kind.WARNING and one.check != FEEDBACK)
    return next((one.message for one in damaged), None)


def _put(temporary: Path, target: Path) -> None:
    sync_to_disk(temporary)
    temporary.replace(target)
    sync_to_disk(target.parent)


def _is_empty(path: Path) -> bool:
    """Whether there is no database, or one without articles; not where it cannot be read."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    try:
        with snapshot(path) as db:
            return not db.execute("SELECT count(*) FROM article").get
    except apsw.Error:
        return False


def _set_aside(path: Path) -> Path | None:
    """Give the database another name beside its own, under which it is whole; returns that."""
    if not path.exists():
        remove_all(path.with_name(path.name + ending) for ending in _BESIDE)
        return None
    remove_all(second_names(path.parent))
    number, kept = 1, path.with_name(f"{path.name}.before-restore")
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.before-restore-{number}")
    _merge(path)
    for ending in _BESIDE:  # of a database that is damaged; it goes with them
        if (beside := path.with_name(path.name + ending)).exists():
            beside.rename(kept.with_name(kept.name + ending))
    try:
        kept.hardlink_to(path)  # so that at no moment there is none under the old name
    except OSError:  # the file system has no links
        path.rename(kept)
    return kept


def _merge(path: Path) -> None:
    """Leave nothing of a database outside of its file. Raises apsw.BusyError where another process has it open."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        db.set_busy_timeout(_BUSY_MILLISECONDS)
        db.pragma("journal_mode", "delete")
    except (apsw.CorruptError, apsw.NotADBError):
        pass
    finally:
        db.close()
