"""Requests to a server, so light that a core can send thousands a second: over kept connections of asyncio's streams.

Times are of `perf_counter`, in seconds.
"""

import asyncio
import json
import math
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from time import perf_counter

import numpy as np

REPLY_SECONDS = 60
"""What is not answered by then counts as broken off."""

BROKEN = 0
"""The status of a request without a whole response."""

Make = Callable[[], bytes]
"""The next request."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a request that was `due` at a time and `sent` at it or later; `code` is that of an error."""

    due: float
    sent: float
    done: float
    status: int
    code: str

    @property
    def seconds(self) -> float:
        """Since it was due, not since it was sent: a generator that is late must not hide that a server is."""
        return self.done - self.due


def request(method: str, path: str, body: object = None) -> bytes:
    """The bytes of a request; a body is sent as JSON."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    content = json.dumps(body).encode()
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


class Client:
    """Sends requests over connections that are kept, one more whenever all are taken."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._free: list[tuple[StreamReader, StreamWriter]] = []

    async def send(self, content: bytes, due: float | None = None) -> Reply:
        """Never raises for what the server does."""
        sent = perf_counter()
        due = sent if due is None else due
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                status, body = await self._exchange(content)
        except (OSError, EOFError, TimeoutError):
            return Reply(due, sent, perf_counter(), BROKEN, "")
        return Reply(due, sent, perf_counter(), status, _code(status, body))

    def close(self) -> None:
        """All connections that are free."""
        for _, writer in self._free:
            writer.close()
        self._free.clear()

    async def _exchange(self, content: bytes) -> tuple[int, bytes]:
        reader, writer = await self._connection()
        kept = False
        try:
            writer.write(content)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(_length(head))
            kept = b"\r\nconnection: close" not in head
        finally:
            if kept:
                self._free.append((reader, writer))
            else:
                writer.close()
        return int(head.split(maxsplit=2)[1]), body

    async def _connection(self) -> tuple[StreamReader, StreamWriter]:
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()  # the server has closed it, having waited long enough
        return await asyncio.open_connection("127.0.0.1", self.port)


async def closed_loop(client: Client, make: Make, clients: int, seconds: float) -> list[Reply]:
    """So many clients, each of whom waits for a reply and asks again. At least one request each."""
    end = perf_counter() + seconds

    async def one() -> list[Reply]:
        replies = [await client.send(make())]
        while perf_counter() < end:
            replies.append(await client.send(make()))
        return replies

    return [reply for replies in await asyncio.gather(*(one() for _ in range(clients))) for reply in replies]


async def open_loop(client: Client, make: Make, rate: float, seconds: float, seed: float = 1) -> list[Reply]:
    """Requests that come at random (Poisson), on average so many a second, whatever becomes of those before them."""
    random, began, due = Random(seed), perf_counter(), 0.0
    under_way: list[asyncio.Task[Reply]] = []
    while (due := due + random.expovariate(rate)) < seconds:
        await asyncio.sleep(began + due - perf_counter())
        under_way.append(asyncio.create_task(client.send(make(), began + due)))
    return list(await asyncio.gather(*under_way))


async def at_once(client: Client, contents: Iterable[bytes]) -> list[Reply]:
    """All of them together."""
    return list(await asyncio.gather(*map(client.send, contents)))


def counts(replies: Iterable[Reply]) -> Counter[str]:
    """How many there are of each status, with its code where it is an error."""
    return Counter(f"{reply.status} {reply.code}".strip() if reply.status else "broken off" for reply in replies)


def quantile(values: Sequence[float], share: float) -> float:
    """NaN where there are no values."""
    return float(np.quantile(values, share)) if values else math.nan


def _length(head: bytes) -> int:
    _, found, after = head.partition(b"\r\ncontent-length:")
    return int(after.split(b"\r\n", 1)[0]) if found else 0


def _code(status: int, body: bytes) -> str:
    if status < 400:
        return ""
    try:
        code: str = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return "not our JSON"
    return code
