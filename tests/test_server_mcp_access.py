"""What an assistant is let do over HTTP: keys, rights and collections hold for `/mcp` as for everything else."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import ToyEmbedder
from fastapi.testclient import TestClient
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from test_server_access import ASK, SECRET_SOUP, bearer, shelved
from test_server_toys import TREATY, error, listening, quoting

from index.article import make_article
from index.collection import collection_names, collection_path
from index.library import Library
from qa.answer import Ask
from server.app import create_app
from server.collections import Shelf
from server.connection import Connection
from server.keys import KeyFile, Right

ROOTS = ("", "/c/main", "/c/press", "/c/none")

INITIALIZE = (
    "initialize",
    {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
)
LIST: tuple[str, dict[str, Any]] = ("tools/list", {})
SEARCH = ("tools/call", {"name": "search", "arguments": {"question": "secret soup signed"}})
READ = ("tools/call", {"name": "get_article", "arguments": {"id": "soup"}})


def post(client: TestClient, root: str, said: tuple[str, Any], headers: dict[str, str], query: str = "") -> Any:
    method, params = said
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    accepted = {"Accept": "application/json, text/event-stream", **headers}
    return client.post(f"{root}/mcp{query}", json=body, headers=accepted)


def result(response: Any) -> dict[str, Any]:
    assert response.status_code == 200
    told: dict[str, Any] = response.json()["result"]
    return told


def found(response: Any) -> list[str]:
    """The ids of the articles that a search found."""
    return [hit["article"] for hit in result(response)["structuredContent"]["hits"]]


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("said", [INITIALIZE, LIST, SEARCH, READ])
def test_every_message_needs_a_key(tmp_path: Path, root: str, said: tuple[str, Any]) -> None:
    with shelved(tmp_path) as (client, keys):
        secret = keys.add("desk", Right.ADMIN)
        wrong: list[tuple[dict[str, str], str]] = [
            ({}, ""),
            (bearer(KeyFile(tmp_path / "elsewhere.json").add("desk", Right.ADMIN)), ""),
            (bearer(secret[:-1]), ""),
            ({"Cookie": f"pullquote_key={secret}"}, ""),
            ({"Mcp-Session-Id": secret}, ""),
            ({}, f"?key={secret}&access_token={secret}"),
        ]
        refused = [post(client, root, said, headers, query) for headers, query in wrong]
        keys.revoke([keys.all()[0].id])
        refused.append(post(client, root, said, bearer(secret)))
    assert {(response.status_code, error(response)["code"]) for response in refused} == {(401, "key_needed")}
    assert {response.headers["www-authenticate"] for response in refused} == {"Bearer"}


@pytest.mark.parametrize("right", Right)
def test_a_key_that_may_read_is_enough(tmp_path: Path, right: Right) -> None:
    with shelved(tmp_path) as (client, keys):
        headers = bearer(keys.add("desk", right))
        assert found(post(client, "", SEARCH, headers))[0] == TREATY["id"]
        assert found(post(client, "/c/press", SEARCH, headers)) == ["soup"]
        tools = [tool["name"] for tool in result(post(client, "", LIST, headers))["tools"]]
    assert tools == ["ask", "search", "get_article"]


def test_a_key_sees_nothing_of_other_collections(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        headers = bearer(keys.add("desk", Right.ADMIN, ["main"]))
        elsewhere = [post(client, "/c/press", said, headers) for said in (INITIALIZE, LIST, SEARCH, READ)]
        nowhere = post(client, "/c/none", LIST, headers)
        here = post(client, "", READ, headers)
        hits = [found(post(client, root, SEARCH, headers)) for root in ("", "/c/main")]
    assert {(response.status_code, response.text) for response in elsewhere} == {(404, nowhere.text)}
    assert error(nowhere)["code"] == "collection_not_found"
    assert result(here)["isError"] is True
    assert result(here)["content"][0]["text"] == "there is no article 'soup' in the library; see: pullquote list"
    assert [set(ids) for ids in hits] == [{TREATY["id"], "recipes/soup #1?"}] * 2


def test_a_key_for_one_collection_need_not_name_it(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        headers = bearer(keys.add("desk", Right.READ, ["press"]))
        assert [found(post(client, root, SEARCH, headers)) for root in ("", "/c/press")] == [["soup"]] * 2
        assert post(client, "/c/main", SEARCH, headers).status_code == 404
        both = bearer(keys.add("desk", Right.READ, ["press", "sport"]))
        assert error(post(client, "", SEARCH, both))["code"] == "collection_not_found"


def test_calls_are_requests_of_the_key(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        headers = bearer(keys.add("desk", Right.READ, per_minute=3))
        statuses = [post(client, "", SEARCH, headers).status_code for _ in range(2)]
        statuses += [client.post("/v1/ask", json=ASK[2], headers=headers).status_code]
        refused = post(client, "", LIST, headers)
    assert statuses == [200] * 3
    assert (refused.status_code, error(refused)["code"]) == (429, "too_many_requests")


def test_several_messages_at_once_are_not_taken(tmp_path: Path) -> None:
    """They would count as one request of the key's."""
    with shelved(tmp_path) as (client, keys):
        headers = {**bearer(keys.add("desk", Right.READ)), "Accept": "application/json, text/event-stream"}
        one = {"jsonrpc": "2.0", "method": SEARCH[0], "params": SEARCH[1]}
        response = client.post("/mcp", json=[{**one, "id": 1}, {**one, "id": 2}], headers=headers)
    assert response.status_code == 400


def test_pages_of_another_site_are_refused_with_a_key_too(tmp_path: Path) -> None:
    site = "https://example.org"
    with shelved(tmp_path, origins=[site]) as (client, keys):
        headers = bearer(keys.add("desk", Right.READ))
        assert post(client, "/c/press", LIST, {**headers, "Origin": site}).status_code == 200
        other = post(client, "/c/press", LIST, {**headers, "Origin": "https://other.example"})
    assert (other.status_code, error(other)["code"]) == (403, "cross_site")


# by the protocol's own client, over real connections


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A server with the collections `main` and `press`, one article each, and a key for each alone."""
    with ExitStack() as libraries:

        def opened(name: str) -> tuple[Ask, Library, int]:
            library = Library(collection_path(tmp_path / "library", name), ToyEmbedder(), create=True)
            libraries.enter_context(library)
            return quoting(library), library, 10

        ask, main, _ = opened("main")
        opened("press")[1].add([make_article(SECRET_SOUP["text"], id=SECRET_SOUP["id"])])
        main.add([make_article("The treaty was signed in 1648.", id="treaty")])
        libraries.close()
        ask, main, _ = opened("main")
        keys = KeyFile(tmp_path / "keys.json")
        app = create_app(ask, main, keys=keys, shelf=Shelf(lambda: collection_names(tmp_path / "library"), opened))
        with listening(app, http=Connection) as port:
            yield port


def talk(port: int, root: str, secret: str, mode: str) -> list[str]:
    """The ids of the articles that the client's search finds."""

    async def talking() -> list[str]:
        async with httpx2.AsyncClient(headers=bearer(secret)) as http:
            transport = streamable_http_client(f"http://127.0.0.1:{port}{root}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                called = await client.call_tool("search", {"question": "signed"})
                return [hit["article"] for hit in called.structured_content["hits"]]

    return asyncio.run(talking())


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_each_key_is_told_of_its_own(tmp_path: Path, port: int, mode: str) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    main, press = (keys.add(name, Right.READ, [name]) for name in ("main", "press"))
    told = [
        talk(port, root, secret, mode)
        for root, secret in (("", main), ("", press), ("/c/press", press), ("/c/main", main)) * 2
    ]
    assert told == [["treaty"], ["soup"], ["soup"], ["treaty"]] * 2


def test_one_connection_is_nobodys(tmp_path: Path, port: int) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    main, press = (keys.add(name, Right.READ, [name]) for name in ("main", "press"))
    body = {"jsonrpc": "2.0", "id": 1, "method": SEARCH[0], "params": SEARCH[1]}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        told = [
            client.post(
                "/mcp",
                content=json.dumps(body),
                headers={**headers, "Accept": "*/*", "Content-Type": "application/json"},
            )
            for headers in (bearer(main), bearer(press), {}, bearer(main))
        ]
    assert [response.status_code for response in told] == [200, 200, 401, 200]
    assert [found(told[number]) for number in (0, 1, 3)] == [["treaty"], ["soup"], ["treaty"]]
