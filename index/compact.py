"""Removed text leaves a library's files, not only what it finds."""

from contextlib import closing
from pathlib import Path

import apsw

from index.backup import mendable
from index.errors import LibraryBusy
from index.files import database, derived_files, leftovers, remove_all, side_directories
from index.library import DATABASE
from index.lock import write_lock
from index.reindex import outdated
from index.store import Store

_BUSY_MILLISECONDS = 10_000


def compact(library: Path) -> None:
    """Write the database anew without what was removed, and remove the derived indexes, which have words of it yet:
    they are for the caller to build again. An unfinished reindex loses what was removed meanwhile, and nothing else.
    Feedback stays, with what it quotes of removed articles: it is a statement of its own, and can be removed itself.

    Raises LibraryNotFound, LibraryBusy, DiskFull: it takes as much room again as the database has.
    """
    path = database(library)
    with write_lock(library), closing(Store(path)) as main:
        for side in side_directories(library):
            if (side / DATABASE).is_file():
                with write_lock(side), closing(Store(side / DATABASE)) as stored:
                    stored.remove(outdated(main, stored))
                _vacuum(side / DATABASE)
        main.recut([], {})  # a new generation: an index of an older one, in whatever process, must not be carried on
        main.forget_removals(main.generation)
        remove_all([*derived_files(library), *leftovers(library, None)])
        _vacuum(path)


def _vacuum(path: Path) -> None:
    with mendable(path, path):
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            db.set_busy_timeout(_BUSY_MILLISECONDS)
            db.execute("VACUUM")
            [(busy, *_)] = db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            db.close()
    if busy:
        raise LibraryBusy(
            f"{path} is being read by another process, for which removed text is kept; end that and try again"
        )
