import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import ToyEmbedder
from test_server_toys import TREATY, Places, listening

from index.article import make_article
from index.library import Library
from qa.answer import Answer, NoAnswer, Question
from server import app as app_module
from server import articles
from server.app import create_app
from server.leaving import Leaving

SECONDS = 30
"""After this a test has failed; none takes nearly as long."""


class Reading:
    """An `ask` that reads for the question "first" until it is told to go on."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, question: Question) -> Answer:
        self.asked.append(question.text)
        if question.text == "first":
            self.begun.set()
            assert self.go_on.wait(SECONDS)
        return Answer(question.text, None, NoAnswer.NOTHING_ANSWERS, 0.0, (), (), 0, True, {})


def request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


@pytest.mark.parametrize(
    "second",
    [request("POST", "/v1/ask", b'{"question": "second"}'), request("DELETE", "/v1/articles/treaty-1648")],
    ids=["with a body", "without"],
)
def test_what_waits_for_a_client_that_has_left_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: bytes
) -> None:
    """Over a real connection, since only those can be closed."""
    reading = Reading()
    places = Places(monkeypatch)
    with Library(tmp_path / "library", ToyEmbedder(), create=True) as library, ThreadPoolExecutor(1) as other:
        library.add([make_article(str(TREATY["text"]), id="treaty-1648")])
        with (
            listening(create_app(reading, library)) as port,
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client,
        ):
            first = other.submit(client.post, "/v1/ask", json={"question": "first"})
            try:
                assert reading.begun.wait(SECONDS)
                with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
                    assert places.taken.acquire(timeout=SECONDS)
                    connection.sendall(second)
                    assert places.taken.acquire(timeout=SECONDS)
                assert places.given_back.acquire(timeout=SECONDS)
            finally:
                reading.go_on.set()
            assert first.result(SECONDS).status_code == 200
            assert client.post("/v1/ask", json={"question": "third"}).status_code == 200
        assert reading.asked == ["first", "third"]
        assert library.counts()[0] == 1


def test_an_addition_ends_with_the_turn_in_which_its_client_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is whole, and the rest is not begun."""
    begun, go_on = threading.Event(), threading.Event()
    add = Library.add

    def slow_add(library: Library, *arguments: Any) -> None:
        begun.set()
        assert go_on.wait(SECONDS)
        add(library, *arguments)

    monkeypatch.setattr(Library, "add", slow_add)
    monkeypatch.setattr(articles, "TURN_CHARACTERS", 1)
    places = Places(monkeypatch)
    left = threading.Event()

    class Noted(Leaving):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def receive_noted() -> Any:
                message = await receive()
                if message["type"] == "http.disconnect":
                    left.set()
                return message

            await super().__call__(scope, receive_noted, send)

    monkeypatch.setattr(app_module, "Leaving", Noted)
    body = b'[{"text": "First."}, {"text": "Second."}, {"text": "Third."}]'
    with (
        Library(tmp_path / "library", ToyEmbedder(), create=True) as library,
        listening(create_app(Reading(), library)) as port,
    ):
        with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
            connection.sendall(request("POST", "/v1/articles", body))
            assert begun.wait(SECONDS)
        assert left.wait(SECONDS)
        go_on.set()
        assert places.given_back.acquire(timeout=SECONDS)
        assert [article.text for article, _ in library.articles()] == ["First."]


SCOPE = {"type": "http", "method": "POST", "headers": [(b"content-length", b"2")]}
PART = {"type": "http.request", "body": b"{", "more_body": True}
LAST = {"type": "http.request", "body": b"}", "more_body": False}
EMPTY = {"type": "http.request", "body": b"", "more_body": False}
LEFT = {"type": "http.disconnect"}


def handled(app: Any, scope: dict[str, Any], *messages: dict[str, Any]) -> list[str]:
    """The types of what is sent for a request of these messages; whether it was handled to the end."""
    sent: list[str] = []
    coming = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(coming)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    async def main() -> None:
        await asyncio.wait_for(Leaving(app)(scope, receive, send), SECONDS)

    asyncio.run(main())
    return sent


def test_a_body_is_passed_on_part_by_part_then_the_leaving() -> None:
    received = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        received.append(await receive())
        received.append(await receive())
        await send({"type": "http.response.start"})
        received.append(await receive())
        received.append(await receive())

    assert handled(app, SCOPE, PART, LAST, LEFT) == ["http.response.start"]
    assert received == [PART, LAST, LEFT, LEFT]


def test_a_request_without_a_body_has_an_empty_one() -> None:
    received = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start"})
        received.append(await receive())
        received.append(await receive())

    handled(app, {"type": "http", "method": "GET", "headers": []}, EMPTY, LEFT)
    assert received == [EMPTY, LEFT]


def test_the_work_for_one_that_has_left_ends_where_it_waits() -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        await send({"type": "http.response.start"})

    assert handled(app, SCOPE, LAST, LEFT) == []
    assert ended == [True]


def test_a_response_that_has_begun_is_not_cut_off() -> None:
    """The server says that a client has left also when it has its whole response."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start"})
        await receive()
        await asyncio.sleep(0)
        await send({"type": "http.response.body"})

    assert handled(app, SCOPE, LAST, LEFT) == ["http.response.start", "http.response.body"]


def test_a_server_that_ends_is_not_held_up() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        handled(app, SCOPE, LAST)


def test_what_is_no_request_is_passed_on() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    handled(app, {"type": "lifespan"})
    assert seen == ["lifespan"]
