import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from test_server_toys import TREATY, error, serving

from server.access import is_loopback
from server.guard import MAX_BODY_BYTES, Guard
from server.pages.errors import response_to

HEADERS = [(b"host", b"localhost"), (b"content-type", b"application/json")]


def send_chunks(app: Any, chunks: Iterator[bytes], headers: list[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    """What the server sends for a body that comes in chunks; TestClient would join them."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/articles",
        "raw_path": b"/v1/articles",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": next(chunks), "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


@pytest.mark.parametrize("extra", [[], [(b"content-length", b"10")], [(b"content-length", b"ten")]])
def test_a_body_that_grows_too_large_is_refused_early(tmp_path: Path, extra: list[tuple[bytes, bytes]]) -> None:
    """In chunks, with a Content-Length that lies, and with one that is none."""
    chunks = iter([b" " * 1_000] * 100)
    with serving(tmp_path, max_body_bytes=5_000) as client:
        start, body = send_chunks(client.app, chunks, HEADERS + extra)
    assert start["status"] == 413
    assert b'"code":"content_too_large"' in body["body"]
    assert len(list(chunks)) == 94  # six were read


@pytest.mark.parametrize(("spaces", "status"), [(0, 200), (1, 413)])
def test_a_body_that_is_declared_too_large(tmp_path: Path, spaces: int, status: int) -> None:
    body = b'{"text": "x"}'
    with serving(tmp_path, max_body_bytes=len(body)) as client:
        response = client.post(
            "/v1/articles", content=body + b" " * spaces, headers={"content-type": "application/json"}
        )
    assert response.status_code == status
    if status == 413:
        assert error(response) == {
            "code": "content_too_large",
            "message": "the body is larger than 13 bytes; send it in parts",
        }


def test_a_declared_body_is_refused_before_any_of_it_is_read(tmp_path: Path) -> None:
    chunks = iter([b" "] * 3)
    with serving(tmp_path) as client:
        declared = (b"content-length", str(MAX_BODY_BYTES + 1).encode())
        start, _ = send_chunks(client.app, chunks, [*HEADERS, declared])
    assert start["status"] == 413
    assert len(list(chunks)) == 3


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("127.0.0.1.example.org", 421),
        ("example.org:8000", 421),
        ("192.168.1.7", 421),
        ("0.0.0.0:8000", 421),
        ("[", 421),
    ],
)
def test_only_this_machine_is_answered(tmp_path: Path, host: str, status: int) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.get("/v1/articles", headers={"host": host})
    assert response.status_code == status
    if status == 421:
        assert error(response)["code"] == "unknown_host"


def test_a_response_that_has_begun_is_not_begun_again() -> None:
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError("in the middle")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "headers": HEADERS}
    with pytest.raises(ZeroDivisionError, match="in the middle"):
        asyncio.run(Guard(app, MAX_BODY_BYTES, respond=response_to)(scope, None, send))
    assert sent == ["http.response.start"]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_is_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/health", 200),
        ("GET", "/v1/articles/none", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/v1/health", 405),
        ("POST", "/v1/ask", 415),
    ],
)
def test_no_response_is_a_page_and_no_other_origin_is_let_in(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    with serving(tmp_path) as client:
        response = client.request(method, path, headers={"origin": "https://example.org"})
    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["content-security-policy"] == (
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert response.headers["content-type"] == "application/json"
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_response_keeps_the_headers_it_has(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response(headers={"Referrer-Policy": "same-origin"})(scope, receive, send)

    guarded = Guard(app, MAX_BODY_BYTES, respond=response_to)
    start, _ = send_chunks(guarded, iter([]), HEADERS)
    headers = [value for name, value in start["headers"] if name == b"referrer-policy"]
    assert headers == [b"same-origin"]


@pytest.mark.parametrize("path", ["/v1/health", "/nowhere"])
@pytest.mark.parametrize("given", ["a", "01JD.x_Y-9", "x" * 64])
def test_a_request_keeps_its_id(tmp_path: Path, path: str, given: str) -> None:
    with serving(tmp_path) as client:
        assert client.get(path, headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a\tb", "<script>", "a,b", "ü".encode()])
def test_a_request_without_a_fit_id_is_given_one(tmp_path: Path, given: str | bytes | None) -> None:
    headers = {} if given is None else {"x-request-id": given}
    with serving(tmp_path) as client:
        made = [client.get("/v1/health", headers=headers).headers["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
    assert made[0] != made[1]


def test_the_id_is_known_while_the_request_is_worked_at() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["state"]["request_id"])

    guarded = Guard(app, MAX_BODY_BYTES, respond=response_to)
    send_chunks(guarded, iter([]), [*HEADERS, (b"x-request-id", b"a")])
    assert seen == ["a"]
