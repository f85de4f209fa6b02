"""Collections: sets of articles kept apart, each a library of its own below the library."""

import re
from pathlib import Path

from index.errors import InvalidInput

MAIN = "main"
"""The collection in the library's own directory."""

FOLDER = "collections"
"""Below it each has a directory, or what stands for one, of its name."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")


def collection_path(library: Path, name: str) -> Path:
    """The directory of a collection, whether it is there or not. Nothing is shared with another one: no search,
    score, id, setting or error of one can tell of the articles of another.

    Raises InvalidInput where the name is none.
    """
    check_collection_name(name)
    return library if name == MAIN else library / FOLDER / name


def check_collection_name(name: str) -> None:
    """Raises InvalidInput where it is none."""
    if not is_collection_name(name):
        raise InvalidInput(
            f"{name!r} is no name of a collection; take up to 64 small letters, digits and _, the first no _"
        )


def is_collection_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def collection_names(library: Path) -> list[str]:
    """Those there are, the main one first."""
    found = (library / FOLDER).iterdir() if (library / FOLDER).is_dir() else ()
    return [MAIN, *sorted(path.name for path in found if path.is_dir() and is_collection_name(path.name))]
