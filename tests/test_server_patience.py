import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import StreamingResponse
from test_server_toys import serving

from server import patience
from server.patience import Patience

SECONDS = 30
"""After this a test has failed; none takes nearly as long."""

SCOPE: dict[str, Any] = {"type": "http", "asgi": {"spec_version": "2.3"}}
PART = {"type": "http.request", "body": b"x" * 1_000, "more_body": True}
LAST = {"type": "http.request", "body": b"", "more_body": False}
LEFT = {"type": "http.disconnect"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0)


async def never() -> Any:
    await asyncio.Event().wait()


def run(app: Any, *messages: dict[str, Any], send: Any = None) -> None:
    """Handle a request whose messages come at once, and then no more."""
    coming = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(coming, None) or await never()

    asyncio.run(asyncio.wait_for(Patience(app)(SCOPE, receive, send), SECONDS))


@pytest.mark.usefixtures("impatient")
def test_a_request_that_does_not_arrive_is_refused(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"question": '
        await never()

    with serving(tmp_path) as client:
        sent: list[dict[str, Any]] = []

        async def main() -> None:
            parts = chunks()

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": await anext(parts), "more_body": True}

            async def send(message: dict[str, Any]) -> None:
                sent.append(message)

            headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"100")]
            scope = {"type": "http", "method": "POST", "path": "/v1/ask", "query_string": b"", "headers": headers}
            await asyncio.wait_for(client.app(scope, receive, send), SECONDS)

        asyncio.run(main())
    start, body = sent
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert b'"code":"too_slow"' in body["body"]


def test_a_long_request_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    due = []

    def noted(when: float) -> asyncio.Timeout:
        due.append(when)
        return asyncio.timeout_at(when)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            await receive()

    monkeypatch.setattr(patience, "timeout_at", noted)
    run(app, PART, PART, LAST)
    assert [when - due[0] for when in due] == pytest.approx([0.0, 0.01, 0.02])


@pytest.mark.usefixtures("impatient")
def test_whether_a_client_leaves_may_be_waited_for() -> None:
    received = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        received.extend([await receive(), await receive()])

    run(app, LAST, LEFT)
    assert received == [LAST, LEFT]


@pytest.mark.usefixtures("impatient")
def test_a_response_that_is_not_read_is_ended() -> None:
    made, ended = [], []

    async def lines() -> AsyncIterator[str]:
        try:
            for number in range(10):
                made.append(number)
                yield f"{number}\n"
        finally:
            ended.append(True)

    async def send(message: dict[str, Any]) -> None:
        if b"1" in message.get("body", b""):
            await never()

    run(StreamingResponse(lines()), LAST, send=send)
    assert (made, ended) == ([0, 1], [True])


def test_what_is_no_request_is_passed_on() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Patience(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
