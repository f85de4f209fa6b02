"""Many who ask at once: rows B1, B2, B3 and B6 of the reliability matrix. Times are in seconds."""

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from time import perf_counter

from server.admission import MAX_WAITING
from tests.figures import Figure, at_least, at_most, counted, exactly
from tests.served import Command, Served, serving
from tests.traffic import Client, Make, Reply, at_once, closed_loop, counts, open_loop, quantile, request

PLACES = MAX_WAITING + 1
"""One request at work, the others waiting."""

_MORE = 10
"""Requests offered in an overload, as a multiple of those that can be answered."""

_MOST_MEMORY_MIB = 150
_LEAST_GOODPUT = 0.9
_MOST_HEALTH_SECONDS = 0.1
_HEALTH_RATE = 5.0
_MOST_LAG_SECONDS = 0.05
"""A generator that is later than that measures itself."""

_MOST_SLOWDOWN = 1.5
_FEW = 4
"""Clients that keep a server busy and its queue short."""

_ABORTERS = 8
_ABORT_SECONDS = 0.01
_CPU_SECONDS = 3.0
"""Of questions, enough for their mean."""

_ONE_LOAD = 1.5
"""Models that were loaded twice would take twice the memory."""

_TICK_SECONDS = 0.1
_LARGE_PATH = "/docs/assets/swagger-ui-bundle.js"
"""The largest response that needs no model, 1.5 MB. The system takes some megabytes off a server, so that a slow
reader asks for it so many times in one go."""

_PIPELINED = 20

_SMALL_BUFFER = 4_096
_LATENESS = 1.2
"""How much later than its patience says a server may have closed a connection: it is busy, and so are we."""


@dataclass(frozen=True, slots=True)
class Rig:
    """What servers are started with. With `pin` they have one core to themselves, and the generator another one."""

    scratch: Path
    library: Path
    command: Command
    questions: Sequence[str]
    pin: bool = False

    @property
    def log(self) -> Path:
        return self.scratch / "server.log"

    def listening(self) -> AbstractContextManager[Served]:
        """A server, which may still be loading."""
        return serving(self.command, self.library, self.log, sorted(os.sched_getaffinity(0))[:1] if self.pin else ())

    @contextmanager
    def ready(self) -> Iterator[Served]:
        """A server that answers. With `pin`, the generator is on the other core meanwhile."""
        own = os.sched_getaffinity(0)
        with self.listening() as served:
            served.wait_until_ready()
            try:
                os.sched_setaffinity(0, sorted(own)[-1:] if self.pin else own)
                yield served
            finally:
                os.sched_setaffinity(0, own)

    def asking(self) -> Make:
        """Questions one after the other, again and again."""
        requests = cycle([request("POST", "/v1/ask", {"question": question}) for question in self.questions])
        return lambda: next(requests)


def capacity(rig: Rig, seconds: float) -> list[Figure]:
    """Closed loops of 1, 8 and 32 clients, so many seconds each."""

    async def measure(port: int) -> list[Figure]:
        figures: list[Figure] = []
        for clients in (1, 8, PLACES - 1):
            replies = await looped(port, rig.asking(), clients, seconds)
            times = [reply.seconds for reply in replies]
            figures += [
                Figure(f"{clients} clients: questions a second", rate(replies)),
                Figure(f"{clients} clients: p50 ms", 1000 * quantile(times, 0.5)),
                Figure(f"{clients} clients: p99 ms", 1000 * quantile(times, 0.99)),
                exactly(f"{clients} clients: not answered", sum(reply.status != 200 for reply in replies), 0),
            ]
        return figures

    with rig.ready() as served:
        return [*asyncio.run(measure(served.port)), tracebacks(served)]


def overload(rig: Rig, seconds: float) -> list[Figure]:
    """B1: ten times as many questions as can be answered, for so long."""
    with rig.ready() as served:
        return [*asyncio.run(_overloaded(rig, served, seconds)), tracebacks(served)]


async def _overloaded(rig: Rig, served: Served, seconds: float) -> list[Figure]:
    warm_up = min(10.0, seconds)
    alone = quantile([reply.seconds for reply in await looped(served.port, rig.asking(), 1, warm_up)], 0.99)
    most = rate(await looped(served.port, rig.asking(), _FEW, warm_up))
    before = served.memory
    client, healthy = Client(served.port), Client(served.port)
    health = request("GET", "/v1/health")
    replies, probes = await asyncio.gather(
        open_loop(client, rig.asking(), _MORE * most, seconds),
        open_loop(healthy, lambda: health, _HEALTH_RATE, seconds),
    )
    client.close()
    healthy.close()
    accepted = [reply for reply in replies if reply.status == 200]
    return [
        Figure("C, questions a second in a closed loop", most),
        Figure("questions offered a second", len(replies) / seconds),
        at_most("generator's lag, p99 ms", 1000 * _lag(replies), 1000 * _MOST_LAG_SECONDS),
        counted("responses", counts(replies)),
        exactly("neither 200 nor 429", sum(reply.status not in (200, 429) for reply in replies), 0),
        Figure("share refused", sum(reply.status == 429 for reply in replies) / max(1, len(replies))),
        at_most(
            "accepted, p99 s; wanted: the queue at least goodput, and the p99 of one client",
            quantile([reply.seconds for reply in accepted], 0.99),
            PLACES / (_LEAST_GOODPUT * most) + alone,
        ),
        at_least("goodput / C", rate(replies) / most, _LEAST_GOODPUT),
        at_most("more memory, MiB", served.memory - before, _MOST_MEMORY_MIB),
        at_most(
            "health, p99 ms", 1000 * quantile([reply.seconds for reply in probes], 0.99), 1000 * _MOST_HEALTH_SECONDS
        ),
        exactly("health not told", sum(reply.status != 200 for reply in probes), 0),
    ]


def slow(rig: Rig, clients: int, patience: float) -> list[Figure]:
    """B2: so many who send or read a byte a second, on a server of that patience, beside a few who ask."""
    with rig.ready() as served:
        return [*asyncio.run(_beside_slow(rig, served, clients, patience)), tracebacks(served)]


async def _beside_slow(rig: Rig, served: Served, clients: int, patience: float) -> list[Figure]:
    without = await looped(served.port, rig.asking(), _FEW, patience / 2)
    before = await _settled(served)
    behave = cycle((_send_head, _send_body, _read))
    slow_ones = [asyncio.create_task(next(behave)(served.port)) for _ in range(clients)]
    beside = asyncio.create_task(looped(served.port, rig.asking(), _FEW, patience))
    began, seconds, most = perf_counter(), 0.0, 0
    while seconds < 3 * patience and (seconds < patience / 2 or served.files > before + _FEW):
        await asyncio.sleep(_TICK_SECONDS)
        seconds, most = perf_counter() - began, max(most, served.files)
    replies = await beside
    left = await _settled(served) - before
    for one in slow_ones:
        one.cancel()
    await asyncio.gather(*slow_ones, return_exceptions=True)
    p99 = [1000 * quantile([reply.seconds for reply in some], 0.99) for some in (without, replies)]
    return [
        at_least("connections and other files open together", most - before, clients),
        at_most("s until the server had closed all of them", seconds, _LATENESS * patience),
        exactly("files left open", max(0, left), 0),
        Figure("others without them, p99 ms", p99[0]),
        at_most("others beside them, p99 ms", p99[1], p99[0] * _MOST_SLOWDOWN),
        exactly("others not answered", sum(reply.status != 200 for reply in replies), 0),
    ]


async def _settled(served: Served) -> int:
    """Open files when connections that their clients have closed are closed here too."""
    await asyncio.sleep(1)
    return served.files


async def _send_head(port: int) -> None:
    with _connection(port) as (loop, connection):
        await _drip(loop, connection, request("GET", "/v1/health")[:-2] + b"X-More: " + b"x" * 10**5)


async def _send_body(port: int) -> None:
    head = (
        b"POST /v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    )
    with _connection(port) as (loop, connection):
        await loop.sock_sendall(connection, head)
        await _drip(loop, connection, b" " * 10**5)


async def _read(port: int) -> None:
    with _connection(port) as (loop, connection):
        await loop.sock_sendall(connection, request("GET", _LARGE_PATH) * _PIPELINED)
        while await loop.sock_recv(connection, 1):
            await asyncio.sleep(1)


async def _drip(loop: asyncio.AbstractEventLoop, connection: socket.socket, content: bytes) -> None:
    for byte in content:
        await loop.sock_sendall(connection, bytes([byte]))
        await asyncio.sleep(1)


@contextmanager
def _connection(port: int) -> Iterator[tuple[asyncio.AbstractEventLoop, socket.socket]]:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        connection.connect(("127.0.0.1", port))
        connection.setblocking(False)
        with suppress(OSError):  # the server has closed it
            yield asyncio.get_running_loop(), connection


def abort(rig: Rig, times: int) -> list[Figure]:
    """B3: so many clients who ask and have left ten milliseconds later."""
    with rig.ready() as served:
        return [*asyncio.run(_aborted(rig, served, times)), tracebacks(served)]


async def _aborted(rig: Rig, served: Served, times: int) -> list[Figure]:
    make = rig.asking()
    began = served.cpu_seconds
    answered = await looped(served.port, make, 1, min(_CPU_SECONDS, times * _ABORT_SECONDS))
    each = (served.cpu_seconds - began) / len(answered)
    began, numbers = served.cpu_seconds, iter(range(times))

    async def one() -> None:
        for _ in numbers:
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(make())
            await asyncio.sleep(_ABORT_SECONDS)
            writer.transport.abort()

    await asyncio.gather(*(one() for _ in range(_ABORTERS)))
    client = Client(served.port)
    last = await client.send(make())  # whoever is before it is done with then
    wasted = (served.cpu_seconds - began - each) / each / times
    burst = await at_once(client, [make() for _ in range(PLACES)])
    client.close()
    return [
        Figure("clients who left", times),
        exactly("the next one's status", last.status, 200),
        Figure("CPU time spent on them, as a share of answers to all", wasted),
        exactly("places that did not return", sum(reply.status == 429 for reply in burst), 0),
        counted(f"then {PLACES} at once", counts(burst)),
    ]


def cold(rig: Rig, requests: int) -> list[Figure]:
    """B6: so many questions while the models are being loaded."""
    with rig.ready() as served:
        alone = served.peak_memory
    with rig.listening() as served:
        replies = asyncio.run(_early(served.port, rig.asking(), requests))
        served.wait_until_ready()
        after = asyncio.run(_early(served.port, rig.asking(), 1))
        return [
            counted("while loading", counts(replies)),
            exactly("neither 200, 429 nor 503", sum(reply.status not in (200, 429, 503) for reply in replies), 0),
            exactly("afterwards", after[0].status, 200),
            at_most("peak memory against a start that nobody disturbed", served.peak_memory / alone, _ONE_LOAD),
            tracebacks(served),
        ]


async def _early(port: int, make: Make, requests: int) -> list[Reply]:
    client = Client(port)
    replies = await at_once(client, [make() for _ in range(requests)])
    client.close()
    return replies


async def looped(port: int, make: Make, clients: int, seconds: float) -> list[Reply]:
    client = Client(port)
    replies = await closed_loop(client, make, clients, seconds)
    client.close()
    return replies


def rate(replies: Sequence[Reply]) -> float:
    """Answers a second, from the first that was due to the last."""
    answered = sum(reply.status == 200 for reply in replies)
    return answered / (max(reply.done for reply in replies) - min(reply.due for reply in replies))


def _lag(replies: Sequence[Reply]) -> float:
    return quantile([reply.sent - reply.due for reply in replies], 0.99)


def tracebacks(served: Served) -> Figure:
    return exactly("tracebacks in the server's log", served.tracebacks, 0)
