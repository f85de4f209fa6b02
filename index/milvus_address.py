"""Where a library in Milvus is: on a server, or in a folder of Milvus Lite."""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from index.errors import InvalidInput

_SCHEMES = {"milvus:": "http", "milvus+tls:": "https"}
_ENDING = ".milvus"
_DEFAULT_NAME = "library"
_NAMEABLE = re.compile("[A-Za-z0-9_]+")
_FORM = "write it like milvus://HOST:19530/NAME"


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """`uri` is the server's, None where `folder` is Milvus Lite's; `name` begins the names of the library's Milvus
    collections; `where` is what people call it."""

    where: str
    name: str
    uri: str | None = None
    folder: Path | None = None


def milvus_address(library: Path) -> MilvusAddress | None:
    """What the name of a library says: `milvus://HOST:PORT/NAME` or `milvus+tls://HOST:PORT/NAME` (of which a Path
    keeps one slash), or a folder whose name ends in `.milvus`; None where it is a directory of ours. Below either
    there may be more: a library of its own each.

    Raises InvalidInput where a server's is not whole.
    """
    parts = library.parts
    if parts and parts[0] in _SCHEMES:
        scheme, (host, *names) = parts[0], (*parts[1:], "")
        where = f"{scheme}//{'/'.join(parts[1:])}"
        names = [name for name in names if name]
        if not names:
            raise InvalidInput(f"{where} names no library; {_FORM}")
        return MilvusAddress(where, _name(names), uri=f"{_SCHEMES[scheme]}://{host}")
    for place, part in enumerate(parts):
        if part.endswith(_ENDING) and part != _ENDING:
            return MilvusAddress(str(library), _name(parts[place + 1 :]), folder=Path(*parts[: place + 1]))
    return None


def _name(names: tuple[str, ...] | list[str]) -> str:
    """One name of letters, digits and _, which is all that Milvus takes; what has others ends in a part of its hash."""
    return "__".join(map(_nameable, names)) or _DEFAULT_NAME


def _nameable(name: str) -> str:
    if _NAMEABLE.fullmatch(name):
        return name
    return f"{re.sub('[^A-Za-z0-9]', '_', name)}_{sha256(name.encode(errors='replace')).hexdigest()[:8]}"
