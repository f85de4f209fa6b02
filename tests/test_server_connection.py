import asyncio
import socket
import threading
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import pytest
from starlette.responses import Response
from test_server_toys import listening
from uvicorn.protocols.http.flow_control import FlowControl

from server import connection
from server.connection import Connection

SECONDS = 30
"""After this a test has failed; none takes nearly as long."""

BEGUN = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
GET = BEGUN + b"\r\n"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.01)


def received(port: int, sent: bytes) -> bytes:
    """What comes over a connection until the server closes it."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        client.sendall(sent)
        parts = []
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("sent", [b"", b"G", BEGUN], ids=["nothing", "a letter", "a part"])
def test_a_request_whose_head_does_not_arrive(sent: bytes) -> None:
    with listening(Response("yes"), http=Connection) as port:
        assert received(port, sent) == b""


@pytest.mark.parametrize("more", [b"", BEGUN])
def test_a_second_request_whose_head_does_not_arrive(more: bytes) -> None:
    with listening(Response("yes"), http=Connection) as port:
        assert received(port, GET + more).count(b"yes") == 1


def test_a_response_may_take_its_time() -> None:
    looked = threading.Event()

    class Noted(Connection):
        def _look(self, *arguments: Any) -> None:
            super()._look(*arguments)
            looked.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await asyncio.to_thread(looked.wait, SECONDS)
        await Response("yes")(scope, receive, send)

    with listening(app, http=Noted, lifespan="off") as port:
        assert b"yes" in received(port, GET)


class InParts(Response):
    """Fifty times its body, each time after the client has taken what is before it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(50):
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await send({"type": "http.response.body"})


@pytest.mark.parametrize("response", [Response(b"x" * 50_000_000), InParts(b"x" * 10**6)], ids=["whole", "in parts"])
def test_a_response_that_nobody_takes(response: Response) -> None:
    lost = threading.Event()

    class Noted(Connection):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    with (
        listening(response, http=Noted, lifespan="off") as port,
        socket.create_connection(("127.0.0.1", port), SECONDS) as client,
    ):
        client.sendall(GET)
        assert lost.wait(SECONDS)


class Slow:
    """A transport, and the loop of its connection, with so much left unsent whenever one looks."""

    def __init__(self, *left: int) -> None:
        self._left = list(left)
        self.ended: list[str] = []

    def get_write_buffer_size(self) -> int:
        return self._left.pop(0)

    def call_later(self, _: float, look: Callable[..., None], *arguments: Any) -> None:
        look(*arguments)

    def close(self) -> None:
        self.ended.append("closed")

    def abort(self) -> None:
        self.ended.append("aborted")


def looked_at(*left: int) -> tuple[Connection, Slow]:
    """A connection before its first request, and what it is looked at through."""
    one, slow = Connection.__new__(Connection), Slow(*left)
    one.cycle = None  # type: ignore[assignment]
    one.loop = one.transport = slow  # type: ignore[assignment]
    one.flow = FlowControl(slow)  # type: ignore[arg-type]
    return one, slow


@pytest.mark.parametrize(
    ("left", "ended"), [([300, 200, 100, 0], "closed"), ([300, 200, 200], "aborted"), ([0], "closed")]
)
def test_a_response_that_is_taken_slowly(left: list[int], ended: str) -> None:
    """As long as there is less of it at every look, it goes on."""
    one, slow = looked_at(*left)
    one._look_later(None, inf)
    assert slow.ended == [ended]


def test_a_part_that_is_taken_slowly() -> None:
    one, slow = looked_at(300, 200, 100, 100)
    one.pause_writing()
    assert slow.ended == ["aborted"]


def test_a_part_that_is_taken_makes_place_for_the_next() -> None:
    """Then there may be as much left as before."""
    one, slow = looked_at(300)
    looks: list[Callable[[], None]] = []
    slow.call_later = lambda _, look, *arguments: looks.append(partial(look, *arguments))  # type: ignore[method-assign]
    one.pause_writing()
    one.resume_writing()
    [look] = looks
    look()
    assert slow.ended == []
