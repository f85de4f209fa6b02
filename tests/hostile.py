"""A format whose files say, a line each, what its parser shall do: what parsers of real formats do by mistake."""

import ctypes
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from index.article import make_article
from index.formats import Item
from index.formats.parts import parts


def read(file: BinaryIO, where: str) -> Iterator[Item]:
    lines = file.read().decode().splitlines()
    for place, line in parts((f"{where}, line {number}", line) for number, line in enumerate(lines, start=1)):
        word, _, rest = line.partition(" ")
        yield make_article(str(_ACTS[word](rest)) if word in _ACTS else line, id=place)


def _hang(_: str) -> None:
    time.sleep(3600)


def _spin(_: str) -> None:
    while True:
        pass


def _crash(_: str) -> None:
    ctypes.string_at(0)


def _eat(_: str) -> None:
    eaten = []
    while True:
        eaten.append(bytes(1 << 24))


def _raise(_: str) -> None:
    raise KeyError("/Root")


def _recur(line: str) -> None:
    _recur(line)


def _shout(_: str) -> None:
    os.write(0, b"no message\n")


def _connect(port: str) -> None:
    socket.create_connection(("127.0.0.1", int(port)))


def _connect_natively(port: str) -> int:
    """Past Python and what it refuses: the result of connect(2)."""
    address = (2).to_bytes(2, "little") + int(port).to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    libc = ctypes.CDLL(None)
    result: int = libc.connect(libc.socket(2, 1, 0), address, len(address))
    return result


def _write(path: str) -> None:
    Path(path).write_text("x")


def _write_natively(path: str) -> int:
    libc = ctypes.CDLL(None)
    written: int = libc.write(libc.open(path.encode(), os.O_WRONLY | os.O_CREAT, 0o600), b"x", 1)
    return written


def _read(path: str) -> str:
    return Path(path).read_text()


def _fork(_: str) -> None:
    os.fork()


def _fork_natively(_: str) -> int:
    process: int = ctypes.CDLL(None).fork()
    return process


def _process(_: str) -> int:
    return os.getpid()


_ACTS: dict[str, Callable[[str], object]] = {
    "hang": _hang,
    "spin": _spin,
    "crash": _crash,
    "eat": _eat,
    "raise": _raise,
    "recur": _recur,
    "shout": _shout,
    "connect": _connect,
    "connect-natively": _connect_natively,
    "write": _write,
    "write-natively": _write_natively,
    "read": _read,
    "fork": _fork,
    "fork-natively": _fork_natively,
    "process": _process,
}
