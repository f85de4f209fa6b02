"""Where a library in Milvus is: on a server, or in a folder of Milvus Lite."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from index.errors import InvalidInput

_SCHEMES = {"milvus:": "http", "milvus+tls:": "https"}
_ENDING = ".milvus"
_DEFAULT_NAME = "library"
_NAMEABLE = re.compile("[A-Za-z0-9_]+")
_MAX_NAME = 240
"""Milvus takes 255 characters, of which we need some for ourselves."""

_FORM = "write it like milvus://HOST:19530/NAME"


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """`uri` is the server's, None where `folder` is Milvus Lite's; `name` begins the names of the library's Milvus
    collections; `where` is what people call it."""

    where: str
    name: str
    uri: str | None = None
    folder: Path | None = None

    @property
    def below(self) -> str:
        """What the names of libraries below it begin with: that of a folder itself is none that was given."""
        return "" if self.folder == Path(self.where) else f"{self.name}__"


def milvus_address(library: Path) -> MilvusAddress | None:
    """What the name of a library says: `milvus://HOST:PORT/NAME` or `milvus+tls://HOST:PORT/NAME` (of which a Path
    keeps one slash), or a folder whose name ends in `.milvus`; None where it is a directory of ours. Below either
    there may be more: a library of its own each.

    Raises InvalidInput where a server's is not whole, or a name too long.
    """
    parts = library.parts
    if parts and parts[0] in _SCHEMES:
        scheme, (host, *names) = parts[0], (*parts[1:], "")
        where = f"{scheme}//{'/'.join(parts[1:])}"
        names = [name for name in names if name]
        if not names:
            raise InvalidInput(f"{where} names no library; {_FORM}")
        if not _has_port(host):
            raise InvalidInput(f"{where} has no port that there is; {_FORM}")
        return MilvusAddress(where, _name(where, names), uri=f"{_SCHEMES[scheme]}://{host}")
    for place, part in enumerate(parts):
        if part.endswith(_ENDING) and part != _ENDING:
            return MilvusAddress(
                str(library), _name(str(library), parts[place + 1 :]), folder=Path(*parts[: place + 1])
            )
    return None


def _has_port(host: str) -> bool:
    """Whether the port is a number there is, or left to Milvus."""
    with suppress(ValueError):
        return urlsplit(f"//{host}").port != 0
    return False


def _name(where: str, names: Sequence[str]) -> str:
    """One name of letters, digits and _, which is all that Milvus takes, and no digit first; what has others ends in a
    part of its hash. Raises InvalidInput where it is too long."""
    parts = [_nameable(name) for name in names] or [_DEFAULT_NAME]
    if parts[0][0].isdigit():
        parts[0] = f"_{_hashed(names[0])}"
    if len(name := "__".join(parts)) > _MAX_NAME:
        raise InvalidInput(f"the name of {where} is too long for Milvus; shorten it")
    return name


def _nameable(name: str) -> str:
    return name if _NAMEABLE.fullmatch(name) else _hashed(name)


def _hashed(name: str) -> str:
    return f"{re.sub('[^A-Za-z0-9]', '_', name)}_{sha256(name.encode(errors='replace')).hexdigest()[:8]}"
