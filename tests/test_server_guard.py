import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_server_toys import TREATY, error, serving

from server.guard import MAX_BODY_BYTES, Guard, is_loopback
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


def test_any_host_is_answered_where_that_is_wanted(tmp_path: Path) -> None:
    with serving(tmp_path, local_only=False) as client:
        assert client.get("/v1/health", headers={"host": "example.org"}).status_code == 200


def test_a_response_that_has_begun_is_not_begun_again() -> None:
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError("in the middle")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "headers": HEADERS}
    with pytest.raises(ZeroDivisionError, match="in the middle"):
        asyncio.run(Guard(app, MAX_BODY_BYTES, local_only=True, respond=response_to)(scope, None, send))
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
def test_nothing_is_to_be_sniffed_and_no_other_origin_let_in(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    with serving(tmp_path) as client:
        response = client.request(method, path, headers={"origin": "https://example.org"})
    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-type"] == "application/json"
    assert not [name for name in response.headers if name.startswith("access-control")]
