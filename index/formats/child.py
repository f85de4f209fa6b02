"""The process that parses. What it may use is limited before the first file comes; it hears of files and speaks of them
by its standard input, which is a socket."""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from io import FileIO
from math import ceil
from pathlib import Path
from time import process_time
from typing import Any

from index.errors import UnreadableArticle
from index.formats.format import Format
from index.formats.message import MAX_LINE_BYTES, Begun, Done, Message, to_line
from index.formats.parts import Parts, use
from index.formats.reading import buffered, read_here, safely

_NEW_USER_AND_NETWORK = 0x10000000 | 0x40000000
"""CLONE_NEWUSER and CLONE_NEWNET of Linux."""

_REQUEST_BYTES = 1 << 18
_FORBIDDEN = (
    *("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "os.kill", "pty."),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate"),
)
"""How the names of Python's audit events begin that no parser has a reason for."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_READABLE = tuple(
    os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, *filter(None, sys.path), "/usr/share/zoneinfo")
)
"""Folders with Python and its packages; files are brought to it open."""


def main() -> None:
    seconds, memory = map(int, sys.argv[1:])
    channel = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries complain of files there
    _leave_network()
    _limit(memory)
    sys.addaudithook(_refuse)
    allowance = _Allowance(seconds)
    with suppress(ConnectionError, EOFError):  # whoever it works for is gone
        while True:
            _parse(*_request(channel), channel, allowance)


class _Allowance:
    """Time of the processor, which the kernel ends the process after."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def renew(self) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (ceil(process_time()) + self._seconds, most))


class _File(FileIO):
    """Renews the allowance when more of it has been read than ever before."""

    def __init__(self, descriptor: int, name: str, allowance: _Allowance) -> None:
        super().__init__(descriptor)
        self.name = name  # libraries expect one
        self._allowance = allowance
        self._furthest = 0

    def readinto(self, buffer: Any) -> int | None:
        count = super().readinto(buffer)
        if (position := self.tell()) > self._furthest:
            self._furthest = position
            self._allowance.renew()
        return count


def _request(channel: socket.socket) -> tuple[dict[str, Any], int]:
    """What is wanted, and the descriptor of the file."""
    line, descriptors, _, _ = socket.recv_fds(channel, _REQUEST_BYTES, 1)
    while line and not line.endswith(b"\n"):
        line += channel.recv(_REQUEST_BYTES)
    if not line:
        raise EOFError
    return json.loads(line), descriptors[0]


def _parse(request: dict[str, Any], descriptor: int, channel: socket.socket, allowance: _Allowance) -> None:
    def say(message: Message) -> None:
        line = to_line(message)
        if len(line) > MAX_LINE_BYTES:
            line = to_line(UnreadableArticle(request["where"], "what is known about an article of it is too much"))
        channel.sendall(line)
        allowance.renew()

    allowance.renew()
    use(Parts(request["where"], tuple(request["after"]), lambda path, where: say(Begun(path, where))))
    try:
        with buffered(_File(descriptor, request["where"], allowance)) as file:
            items = read_here(file, request["where"], Format(**request["format"]), request["columns"])
            for item in safely(items, request["where"]):
                say(item)
    except MemoryError:  # what it has broken, nobody knows
        os._exit(os.EX_OSERR)
    say(Done())


def _leave_network() -> None:
    """Where the kernel lets everybody do so; elsewhere there is `_refuse` alone."""
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    if unshare is not None:
        unshare(_NEW_USER_AND_NETWORK)


def _limit(memory: int) -> None:
    """No more memory than this, no file longer than nothing, no other process and no thread."""
    limits = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, "RLIMIT_NPROC": 0}
    statm = Path("/proc/self/statm")
    if statm.exists():  # macOS has no such limit
        limits["RLIMIT_AS"] = int(statm.read_text().split()[0]) * resource.getpagesize() + memory
    for name, limit in limits.items():
        resource.setrlimit(getattr(resource, name), (limit, limit))


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Python's own part of what is forbidden."""
    forbidden = event.startswith(_FORBIDDEN)
    if event == "open":
        path, _, flags = arguments
        forbidden = bool(flags & _WRITING) or (
            not isinstance(path, int) and not os.path.realpath(os.fsdecode(path)).startswith(_READABLE)
        )
    if forbidden:
        raise PermissionError(f"a parser must not use {event}")


if __name__ == "__main__":
    main()
