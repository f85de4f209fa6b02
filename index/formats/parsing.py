"""Files parsed in a process of its own, which may crash, hang or run out of memory: this one only hears of it."""

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import UnsupportedOperation
from tempfile import TemporaryFile
from typing import BinaryIO

from index.errors import UnreadableArticle
from index.formats.format import Format, Item, Items
from index.formats.message import MAX_LINE_BYTES, Begun, Done, Message, from_line

_COMMAND = (sys.executable, "-P", "-B", "-m", "index.formats.child")
_RECEIVED_BYTES = 1 << 20
_CLOCK = 3
"""Seconds on the clock for one of the processor: the machine has other work."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What parsing may take. `seconds` of the processor, and `_CLOCK` times as many on the clock, for one article or
    until more of the file has been read; `memory`, in bytes, beyond that of a parser without work. A file may end its
    parser `ends` times, each time by another of its parts."""

    seconds: int = 60
    memory: int = 1 << 30
    ends: int = 20


LIMITS = Limits()


class _Ended(Exception):
    """The parser has ended, or has to be; says why."""


class Parser:
    """A process that parses one file after another, without a network and unable to write."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(limits.seconds * _CLOCK)
        self._received = bytearray()
        self._working = False
        command = [*_COMMAND, str(limits.seconds), str(limits.memory)]
        with theirs:  # in a session of its own, where Ctrl-C does not reach it
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True
            )

    @property
    def idle(self) -> bool:
        """Whether it is there for another file."""
        return not self._working and self._process.poll() is None

    def read(self, descriptor: int, request: Mapping[str, object]) -> Iterator[Item | Begun]:
        """What it says of the file, until it is done with it. Raises _Ended."""
        self._working = True
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], [descriptor])
            while not isinstance(message := self._message(descriptor), Done):
                yield message
        except (EOFError, ConnectionError):
            raise _Ended(self._post_mortem()) from None
        self._working = False

    def end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._socket.close()

    def _message(self, descriptor: int) -> Message:
        line = self._line(descriptor)
        try:
            return from_line(line)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise _Ended("its parser has said what nobody understands") from None

    def _line(self, descriptor: int) -> bytes:
        searched, furthest = 0, _position(descriptor)
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > MAX_LINE_BYTES:
                raise _Ended("its parser has said more than an article can have")
            try:
                received = self._socket.recv(_RECEIVED_BYTES)
            except TimeoutError:
                if (position := _position(descriptor)) <= furthest:
                    raise _Ended(f"it could not be parsed in {self.limits.seconds * _CLOCK:,} seconds") from None
                furthest = position
                continue
            if not received:
                raise EOFError
            self._received += received
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _post_mortem(self) -> str:
        code = self._process.wait()
        if code == os.EX_OSERR:
            return f"parsing it takes more than {self.limits.memory >> 20:,} MiB of memory"
        if code == -signal.SIGXCPU:
            return f"it could not be parsed in {self.limits.seconds:,} seconds"
        return f"its parser has crashed ({signal.Signals(-code).name if code < 0 else f'exit code {code}'})"


def _position(descriptor: int) -> int:
    """How far a file is read, by the parser, whose position it is too."""
    return os.lseek(descriptor, 0, os.SEEK_CUR)


_idle: dict[Limits, Parser] = {}
"""One of each sort: it is used again, since starting one takes up to a second. Threads that read at the same time have
one each."""


def read_apart(
    file: BinaryIO, where: str, format: Format, columns: Mapping[str, str], limits: Limits = LIMITS
) -> Items:
    """The articles of a file, read from its beginning; `where` names it in messages. What ends a parser is reported,
    and where it was one of many parts, reading goes on behind it."""
    request = {"where": where, "format": asdict(format), "columns": dict(columns)}
    begun = Begun((), where)
    with _descriptor_of(file) as descriptor:
        for _ in range(limits.ends):
            after = begun.path
            with _parser(limits) as parser:
                try:
                    for message in parser.read(descriptor, {**request, "after": after}):
                        if not isinstance(message, Begun):
                            yield message
                        elif message.path >= begun.path:
                            begun = message
                    return
                except _Ended as error:
                    yield UnreadableArticle(begun.where, str(error))
            if begun.path == after:
                return
    yield UnreadableArticle(where, f"the rest of it was left: it has ended its parser {limits.ends} times")


@contextmanager
def _parser(limits: Limits) -> Iterator[Parser]:
    parser = _idle.pop(limits, None) or Parser(limits)
    if not parser.idle:  # it has died meanwhile
        parser.end()
        parser = Parser(limits)
    try:
        yield parser
    finally:
        if not parser.idle or _idle.setdefault(limits, parser) is not parser:
            parser.end()


@contextmanager
def _descriptor_of(file: BinaryIO) -> Iterator[int]:
    """That of the file, or of a copy if it is none on the disk."""
    try:
        descriptor = file.fileno()
    except UnsupportedOperation:
        with TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            yield copy.fileno()
    else:
        yield descriptor


@atexit.register
def end_idle() -> None:
    """End the parsers without work."""
    while _idle:
        _idle.popitem()[1].end()
