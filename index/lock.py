"""One writing process at a time: an advisory lock on the library's directory."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from index.errors import DiskFull, LibraryBusy, LibraryNotWritable


@contextmanager
def write_lock(library: Path) -> Iterator[None]:
    """Hold the library's write lock; the file names the process that does.

    The kernel lets go of the lock when its process ends, however it ends. Raises LibraryBusy at once where
    another holder has it, in this process or another, and LibraryNotWritable.
    """
    with _opened(library) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().decode(errors="replace").strip() or "another process"
            raise LibraryBusy(f"{library} is being written to by {holder}; try again when it is done") from None
        with suppress(OSError):  # on a full disk the lock holds without a name
            file.truncate(0)
            file.write(f"process {os.getpid()}".encode())
        try:
            yield
        finally:
            with suppress(OSError):
                file.truncate(0)


def _opened(library: Path) -> FileIO:
    try:
        descriptor = os.open(library / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"the disk of {library} is full; make room and try again") from None
        raise LibraryNotWritable(f"{library} cannot be written to: {error.strerror}") from None
    return FileIO(descriptor, "r+")
