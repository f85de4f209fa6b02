"""What lies in a library's directory beside the database: derived indexes, unfinished work, and what was kept."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from index.derived import MANIFEST, Manifest
from index.errors import LibraryNotFound
from index.library import DATABASE

SALVAGED = f"{DATABASE}.salvaged"
_DERIVED = ("dense-*", "lexical-*")
_TEMPORARY = ("*.tmp", "*.tmp-*")
_SIDE = "reindex-"
_KEPT = (f"{DATABASE}.before-restore", f"{DATABASE}.before-restore-[0-9]*", SALVAGED)


def database(library: Path) -> Path:
    """Where the library's database is. Raises LibraryNotFound where there is none."""
    path = library / DATABASE
    if not path.is_file():
        raise LibraryNotFound(
            f"there is no library at {library}; make one with: pullquote --library {library} add FILES, "
            f"or of a backup with: pullquote --library {library} restore FILE"
        )
    return path


def derived_files(library: Path) -> list[Path]:
    """The manifest and all derived indexes, of whatever generation; what others depend on comes first."""
    return [library / MANIFEST, *_matching(library, _DERIVED)]


def leftovers(library: Path, manifest: Manifest | None) -> list[Path]:
    """What a process that was killed has left: temporary files, second names of the database, and indexes that the
    manifest does not name."""
    named = {Path(name).parts[0] for name in manifest.files} if manifest else set()
    found = {*_matching(library, _TEMPORARY), *_matching(library, _DERIVED), *second_names(library)}
    return sorted(path for path in found if path.name not in named)


def second_names(library: Path) -> list[Path]:
    """Under which the database in use was about to be kept."""
    database = library / DATABASE
    return [path for path in _matching(library, _KEPT) if database.exists() and path.samefile(database)]


def side_directory(library: Path, fingerprint: str) -> Path:
    """Where a reindex with the models of this fingerprint puts its work until it is done."""
    return library / f"{_SIDE}{fingerprint}"


def side_directories(library: Path) -> list[Path]:
    return _matching(library, (f"{_SIDE}*",))


def kept_files(library: Path) -> list[Path]:
    """Whole databases beside the one in use."""
    used = second_names(library)
    return [path for path in _matching(library, _KEPT) if path not in used]


def remove_all(paths: Iterable[Path]) -> None:
    """Remove files and directories, in that order, whether they are there or not."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def size(library: Path) -> int:
    """Bytes of everything in the directory; a file with several names counts once."""
    found = {}
    for directory, _, names in os.walk(library):
        for name in names:
            status = os.lstat(os.path.join(directory, name))
            found[status.st_ino] = status.st_size
    return sum(found.values())


def _matching(library: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted(path for pattern in patterns for path in library.glob(pattern))
