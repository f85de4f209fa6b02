"""The library as tools of an assistant, asked by the protocol's own client over real connections."""

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import httpx2
import pytest
from conftest import ToyEmbedder
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult
from test_server_toys import RECIPE, TREATY, Places, error, listening, quoting

from index.article import make_article
from index.library import Library
from qa.answer import Answer, Ask, Question
from server import mcp, tools
from server.app import create_app
from server.connection import Connection
from server.tool_words import answer_words

SECONDS = 30
"""After this a test has failed; none takes nearly as long."""

ASKING = {"question": "When was it signed?"}
QUOTE = str(TREATY["text"])
PLACE = f"The treaty, Almanac, 1998-10-24, article treaty-1648, characters 0 to {len(QUOTE)}"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with Library(tmp_path_factory.mktemp("mcp") / "library", ToyEmbedder(), create=True) as opened:
        opened.add([make_article(**{**TREATY, "authors": tuple(TREATY["authors"])}), make_article(**RECIPE)])
        yield opened


@pytest.fixture(scope="module")
def port(library: Library) -> Iterator[int]:
    """A server over that library, which answers with the whole of the best passage."""
    with listening(create_app(quoting(library), library), http=Connection) as port:
        yield port


def talk(port: int, say: Callable[[Client], Awaitable[Any]], mode: str = "auto") -> Any:
    """What the protocol's own client is told. Its mode `legacy` is the protocol that begins with `initialize`."""

    async def talking() -> Any:
        async with Client(f"http://127.0.0.1:{port}/mcp", mode=mode) as client:
            return await say(client)

    return asyncio.run(talking())


def call(port: int, tool: str, arguments: dict[str, Any], mode: str = "auto") -> CallToolResult:
    called: CallToolResult = talk(port, lambda client: client.call_tool(tool, arguments), mode)
    return called


def words(result: CallToolResult) -> str:
    [content] = result.content
    assert content.type == "text"
    return content.text


def failure(result: CallToolResult) -> str:
    assert result.is_error
    assert result.structured_content is None
    return words(result)


def message(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def calling(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return message("tools/call", {"name": tool, "arguments": arguments})


def post(port: int, body: bytes | dict[str, Any], **headers: str) -> httpx2.Response:
    """A message of the older protocol without its client."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers}
    return httpx2.post(f"http://127.0.0.1:{port}/mcp", content=content, headers=sent, timeout=SECONDS)


# the protocol


@pytest.mark.parametrize(("mode", "protocol"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
def test_it_says_what_it_is(port: int, mode: str, protocol: str) -> None:
    async def say(client: Client) -> tuple[Any, ...]:
        return client.server_info, client.protocol_version, client.instructions, client.server_capabilities

    info, spoken, instructions, capabilities = talk(port, say, mode)
    assert (info.name, info.title, info.version, spoken) == ("pullquote", "Pullquote", version("pullquote"), protocol)
    assert "verbatim quote with the citation" in instructions
    assert set(capabilities.model_dump(exclude_none=True)) == {"tools"}


def test_the_tools_read_and_tell_to_quote(port: int) -> None:
    listed = {tool.name: tool for tool in talk(port, lambda client: client.list_tools()).tools}
    assert list(listed) == ["ask", "search", "get_article"]
    for tool in listed.values():
        hints = tool.annotations
        assert (hints.read_only_hint, hints.destructive_hint, hints.open_world_hint) == (True, False, False)
        assert "word for word, in quotation marks, with its source, date and article id" in tool.description
    fields = {name: set(tool.input_schema["properties"]) for name, tool in listed.items()}
    assert fields == {
        "ask": {"question", "k", "since", "until", "sources", "languages", "threshold"},
        "search": {"question", "k", "since", "until", "sources", "languages"},
        "get_article": {"id", "start", "end"},
    }
    assert listed["ask"].input_schema["required"] == ["question"]
    assert set(listed["get_article"].output_schema["properties"]) >= {"text", "start", "end", "characters"}


def test_there_is_no_telemetry(library: Library) -> None:
    assert mcp._server(lambda _: None).middleware == []  # type: ignore[arg-type,return-value]


# the tools


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_ask(port: int, mode: str) -> None:
    result = call(port, "ask", ASKING, mode)
    assert result.is_error is False
    assert words(result) == (
        f"“{QUOTE}”\n90\N{NO-BREAK SPACE}% sure\n— {PLACE}\n  in: “{QUOTE}”\n"
        "  https://example.org/treaty#:~:text=It%20was%20signed%20in%201648.%20Nobody%20had%20expected%20it%20%F0%9F%95%8A."
    )
    answered = httpx2.post(f"http://127.0.0.1:{port}/v1/ask", json=ASKING).json()
    assert result.structured_content == answered
    assert answered["answer"] == QUOTE


def test_copies_are_named_beneath_what_they_are_copies_of() -> None:
    citation: Any = {
        **{"article": "a", "title": None, "source": None, "published": None, "start": 0, "end": 4, "link": None},
        **{"quote": "Oslo", "sentence": "Oslo.", "copies": ["b", "c", "d", "e"]},
    }
    answer: Any = {"answer": "Oslo", "reason": None, "confidence": 0.9, "citations": [citation], "alternatives": []}
    assert answer_words(answer) == (
        "“Oslo”\n90\N{NO-BREAK SPACE}% sure\n— article a, characters 0 to 4\n  in: “Oslo.”\n"
        "  the same, from the same source, in article b, c, d"
    )


def test_what_is_asked_reaches_the_reader(library: Library) -> None:
    asked: list[Question] = []

    def ask(question: Question) -> Answer:
        asked.append(question)
        return quoting(library)(question)

    arguments = {"k": 3, "since": "1998-10-24", "until": "1999-01-01", "sources": ["Almanac"], "threshold": 0.5}
    with listening(create_app(ask, library)) as port:
        call(port, "ask", {**ASKING, **arguments})
    [question] = asked
    assert (question.text, question.k, question.threshold) == (ASKING["question"], 3, 0.5)
    assert question.filter.sources == {"Almanac"}
    assert (question.filter.since, question.filter.until) == ("1998-10-24", "1999-01-01")


def test_search(port: int) -> None:
    result = call(port, "search", {"question": "signed", "k": 1})
    assert words(result) == f"1. {PLACE}\n{QUOTE}"
    [hit] = result.structured_content["hits"]
    assert (hit["article"], hit["text"]) == ("treaty-1648", QUOTE)
    nothing = call(port, "search", {"question": "signed", "sources": ["Nobody"]})
    assert words(nothing) == "No passages: the library has no article that passes the filter."
    assert nothing.structured_content["hits"] == []


def test_get_article(port: int) -> None:
    result = call(port, "get_article", {"id": "treaty-1648"})
    assert words(result) == f"{PLACE} of {len(QUOTE)}\n\n{QUOTE}"
    shown = httpx2.get(f"http://127.0.0.1:{port}/v1/articles/treaty-1648").json()
    assert result.structured_content == {
        "article": "treaty-1648",
        "start": 0,
        "end": len(QUOTE),
        **{name: value for name, value in shown.items() if name not in ("id", "metadata")},
    }


@pytest.mark.parametrize(
    ("part", "place", "text"),
    [
        ({"start": 14, "end": 18}, (14, 18), "in 1"),
        ({"start": 14}, (14, 24), "in 1648. N"),
        ({"start": 46, "end": 1_000}, (46, 48), "🕊."),
        ({}, (0, 10), "It was sig"),
    ],
)
def test_a_part_of_an_article(
    port: int, monkeypatch: pytest.MonkeyPatch, part: dict[str, int], place: tuple[int, int], text: str
) -> None:
    monkeypatch.setattr(tools, "MAX_PART_CHARACTERS", 10)
    result = call(port, "get_article", {"id": "treaty-1648", **part})
    found = result.structured_content
    assert (found["start"], found["end"], found["characters"], found["text"]) == (*place, 48, text)
    more = "" if place[1] == 48 else f"; to go on, start at {place[1]}"
    assert words(result).endswith(f"characters {place[0]} to {place[1]} of 48{more}\n\n{text}")


# errors


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("ask", {}, "question: Field required"),
        ("ask", {"question": ""}, "question: String should have at least 1 character"),
        ("ask", {"question": " "}, "the question is empty; ask something, like: When was the treaty signed?"),
        ("ask", {"question": "x" * 10_001}, "question: String should have at most 10000 characters"),
        ("ask", {**ASKING, "k": 0}, "k: Input should be greater than or equal to 1"),
        ("ask", {**ASKING, "k": "3"}, "k: Input should be a valid integer"),
        ("ask", {**ASKING, "threshold": 2}, "threshold: Input should be less than or equal to 1"),
        ("ask", {**ASKING, "sources": []}, "sources: List should have at least 1 item after validation, not 0"),
        ("search", {**ASKING, "k": 1_001}, "k: Input should be less than or equal to 1000"),
        (
            "search",
            {"since": "yesterday", "until": "1998", "limit": 1},
            "question: Field required; since: Input should be a date like 2023-07-28 or 2023-07-28T09:30:00Z; "
            "until: Input should be a date like 2023-07-28 or 2023-07-28T09:30:00Z; "
            "limit: Extra inputs are not permitted",
        ),
        ("get_article", {"id": "treaty-1649"}, "there is no article 'treaty-1649' in the library; see: pullquote list"),
        ("get_article", {"id": ""}, "id: String should have at least 1 character"),
        ("get_article", {"id": "x" * 513}, "id: String should have at most 512 characters"),
        (
            "get_article",
            {"id": "treaty-1648", "start": 48},
            "the article has 48 characters; start must be less than that, and than end",
        ),
        (
            "get_article",
            {"id": "treaty-1648", "start": 5, "end": 5},
            "the article has 48 characters; start must be less than that, and than end",
        ),
        ("get_article", {"id": "treaty-1648", "start": -1}, "start: Input should be greater than or equal to 0"),
    ],
)
def test_what_can_be_mended_is_said(port: int, tool: str, arguments: dict[str, Any], told: str) -> None:
    assert failure(call(port, tool, arguments)) == told


def test_no_such_tool(port: int) -> None:
    async def say(client: Client) -> None:
        with pytest.raises(MCPError, match="there is no such tool; there are ask, search, get_article"):
            await client.call_tool("add", {"text": "x"})

    talk(port, say)


def test_what_was_not_foreseen_is_told_in_fixed_words(library: Library) -> None:
    def ask(question: Question) -> Answer:
        raise RuntimeError(f"secret of {question.text}")

    with listening(create_app(ask, library)) as port:
        told = failure(call(port, "ask", ASKING))
    assert told == "something went wrong on our side; the server's log says what"


@pytest.mark.parametrize("arguments", [[1], "x", 3])
def test_arguments_that_are_no_object(port: int, arguments: object) -> None:
    told = post(port, message("tools/call", {"name": "ask", "arguments": arguments})).json()
    assert (told["error"]["code"], told["error"]["message"]) == (-32602, "Invalid request parameters")


# over HTTP


def test_it_takes_only_post(port: int) -> None:
    for method in ("GET", "DELETE"):
        response = httpx2.request(method, f"http://127.0.0.1:{port}/mcp")
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert error(response)["code"] == "method_not_allowed"


def test_it_passes_the_guard(library: Library) -> None:
    with listening(create_app(quoting(library), library, max_body_bytes=1_000)) as port:
        asked = calling("ask", ASKING)
        assert error(post(port, asked, Host="evil.example"))["code"] == "unknown_host"
        assert error(post(port, calling("ask", {"question": "x" * 1_000})))["code"] == "content_too_large"
        answered = post(port, asked, **{"X-Request-ID": "mine"})
    assert answered.headers["x-request-id"] == "mine"
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert answered.json()["result"]["structuredContent"]["answer"] == QUOTE


def test_pages_of_other_sites_are_refused(port: int) -> None:
    refused = post(port, calling("ask", ASKING), Origin="http://evil.example")
    assert (refused.status_code, error(refused)["code"]) == (403, "cross_site")
    assert error(post(port, calling("ask", ASKING), Origin="null"))["code"] == "cross_site"
    assert post(port, calling("ask", ASKING), Origin=f"http://127.0.0.1:{port}").status_code == 200


def test_pages_of_allowed_sites_are_not(library: Library) -> None:
    with listening(create_app(quoting(library), library, origins=["https://ours.example"])) as port:
        assert post(port, calling("ask", ASKING), Origin="https://ours.example").status_code == 200
        assert error(post(port, calling("ask", ASKING), Origin="http://ours.example"))["code"] == "cross_site"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "Expecting property name enclosed in double quotes, at character 1"),
        (b"[" * 40 + b"]" * 40, "it is nested deeper than 32 levels"),
        (b"[" + b"[]," * 100_000 + b"[]]", "it has more than 100,000 strings, commas and opening brackets"),
        (b'{"jsonrpc": "2.0", "id": NaN}', "it has a number that is not finite"),
    ],
)
def test_bodies_are_read_as_elsewhere(port: int, body: bytes, told: str) -> None:
    refused = post(port, body)
    assert refused.status_code == 422
    assert told in error(refused)["message"]


def test_characters_that_cannot_be_stored_are_replaced(port: int) -> None:
    body = json.dumps(calling("search", {"question": "\ud800 signed\0", "k": 1})).encode()
    assert post(port, body).json()["result"]["structuredContent"]["question"] == "� signed�"


# its place among other requests


class Reading:
    """An `ask` that reads until it is told to go on."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.times = 0
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, question: Question) -> Answer:
        self.times += 1
        self.begun.set()
        assert self.go_on.wait(SECONDS)
        return self._ask(question)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_many_at_once(port: int, mode: str) -> None:
    async def say(client: Client) -> list[CallToolResult]:
        return await asyncio.gather(*(client.call_tool("ask", ASKING) for _ in range(20)))

    assert [result.structured_content["answer"] for result in talk(port, say, mode)] == [QUOTE] * 20


def test_calls_take_places_in_the_queue_of_all(library: Library) -> None:
    reading = Reading(quoting(library))
    with ThreadPoolExecutor(1) as other, listening(create_app(reading, library, waiting=0)) as port:
        first = other.submit(httpx2.post, f"http://127.0.0.1:{port}/v1/ask", json=ASKING, timeout=SECONDS)
        try:
            assert reading.begun.wait(SECONDS)
            refused = [failure(call(port, tool, ASKING)) for tool in ("ask", "search")]
            assert call(port, "get_article", {"id": "treaty-1648"}).structured_content["text"] == QUOTE
        finally:
            reading.go_on.set()
        assert first.result(SECONDS).json()["answer"] == QUOTE
    assert refused == ["too many requests are waiting; send this again in a second"] * 2
    assert reading.times == 1


def test_what_waits_for_an_assistant_that_has_left_is_not_done(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, places = Reading(quoting(library)), Places(monkeypatch)
    with ThreadPoolExecutor(1) as other, listening(create_app(reading, library)) as port:
        first = other.submit(call, port, "ask", ASKING)
        try:
            assert reading.begun.wait(SECONDS)
            assert places.taken.acquire(timeout=SECONDS)
            leave_after_taking_a_place(port, places)
            assert places.given_back.acquire(timeout=SECONDS)
        finally:
            reading.go_on.set()
        assert first.result(SECONDS).structured_content["answer"] == QUOTE
    assert reading.times == 1


def leave_after_taking_a_place(port: int, places: Places) -> None:
    body = json.dumps(calling("ask", ASKING)).encode()
    head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert places.taken.acquire(timeout=SECONDS)
