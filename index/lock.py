"""One writing process at a time: an advisory lock on the library's directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from index.errors import LibraryBusy, LibraryNotWritable


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
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise LibraryBusy(f"{library} is being written to by {holder}; try again when it is done") from None
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _opened(library: Path) -> TextIO:
    try:
        return open(library / "lock", "a+", encoding="utf-8")
    except OSError as error:
        raise LibraryNotWritable(f"{library} cannot be written to: {error.strerror}") from None
