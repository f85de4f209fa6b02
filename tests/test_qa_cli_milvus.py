"""The commands that go on, ask, fetch and check, on a library in Milvus Lite."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from fastapi import FastAPI
from fastapi.testclient import TestClient
from mcp import Client, StdioServerParameters
from web_site import BRIDGE, GUARD, serving

from index.feeds import feeds
from index.fetch import Fetcher, Limits
from index.milvus import MilvusLibrary
from index.opening import open_at
from index.passage import Passage
from qa import cli_serve, cli_watch
from qa.reader import Reader, Span
from server import run as server_run

MILVUS = "there.milvus"
CHESS = "Castle FC won the chess cup. And beat Harbour FC in the final."
ARTICLES = [{"id": "chess", "text": CHESS}, {"id": "ferry", "text": "The ferry hit the breakwater in fog."}]
QUESTION = "Who won the chess cup?"
ROOT = Path(__file__).parent.parent


class ToyReader:
    """Finds the one answer it knows."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        return [
            [
                Span(passage, passage.start + match.start(), passage.start + match.end(), 3.0)
                for match in re.finditer("Castle FC", passage.text)
            ]
            for passage in passages
        ]


@pytest.fixture
def reader() -> Reader:
    return ToyReader()


@pytest.fixture
def filled(run: Run) -> Run:
    assert run("add", "-", stdin=json.dumps(ARTICLES), library=MILVUS).code == 0
    return run


def test_serve(filled: Run, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_serve, "load_reader", lambda name, runtime: reader)
    served: list[object] = []

    def serve(app: FastAPI, host: str, port: int, warm_up: object) -> None:
        with TestClient(app, base_url="http://localhost") as client:
            assert client.get("/v1/ready").json() == {"status": "ready"}
            answer = client.post("/v1/ask", json={"question": QUESTION}).json()
            served.append((answer["answer"], answer["citations"][0]["article"]))
            added = client.post("/v1/articles", json={"id": "new", "text": "Nobody came."}).json()["results"]
            served.append([one["outcome"] for one in added])
            served.append(client.delete("/v1/articles/ferry").status_code)
            served.append([one["id"] for one in client.get("/v1/articles").json()["articles"]])
            served.append("\npullquote_articles 2.0\n" in client.get("/metrics").text)
            served.append(client.put("/v1/collections/press").json())
            served.append("Castle FC" in client.get("/", params={"q": QUESTION}).text)

    monkeypatch.setattr(server_run, "run", serve)
    ran = filled("serve", library=MILVUS)
    assert (ran.code, ran.out) == (0, "")
    made = {"name": "press", "made": True}
    assert served == [("Castle FC", "chess"), ["added"], 204, ["chess", "new"], True, made, True]
    assert "press" in filled("collections", library=MILVUS).out


def test_watch(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "articles"
    folder.mkdir()
    (folder / "a.txt").write_text("The treaty was signed in 1648.")

    def changes(_: Path) -> Iterator[set[Path]]:
        yield set()
        (folder / "a.txt").write_text("The treaty was signed in 1649.")
        (folder / "b.txt").write_text("Nobody came.")
        yield {folder / "a.txt", folder / "b.txt"}
        (folder / "b.txt").unlink()
        yield {folder / "b.txt"}

    monkeypatch.setattr(cli_watch, "_changes", changes)
    ran = run("watch", "articles", library=MILVUS)
    assert ran.code == 0
    assert [line.partition(" ")[2] for line in ran.out.splitlines()] == ["1 added", "1 added, 1 replaced", "1 removed"]
    [line] = run("list", "--json", library=MILVUS).lines
    assert run("show", line["id"], "--json", library=MILVUS).lines[0]["text"] == "The treaty was signed in 1649."


def test_eval(filled: Run, tmp_path: Path) -> None:
    gold = [{"question": QUESTION, "answers": ["Castle FC"]}, {"question": "Who came third?", "answers": []}]
    (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, gold)))
    ran = filled("eval", "gold.jsonl", "--json", library=MILVUS)
    assert (ran.code, ran.err) == (0, "")
    values = {name: score["value"] for name, score in ran.lines[0]["metrics"].items()}
    assert (values["em"], values["best_em"], values["recall@10"]) == (0.5, 1.0, 1.0)


def test_feed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetcher = Fetcher(Limits(bytes=1 << 20, seconds=20), GUARD, lambda seconds: None)
    monkeypatch.setattr("index.fetch.Fetcher", lambda: fetcher)
    with serving() as site:
        item = f"<title>Bridge</title><link>/bridge</link><description>{BRIDGE}</description>"
        address = site.has("/feed", f"<rss version='2.0'><channel><item>{item}</item></channel></rss>", "text/xml")
        assert run("feed", "add", address, library=MILVUS).out == "1 kept, 0 unchanged\n"
        polled = run("feed", "poll", "--allow-network", library=MILVUS)
    assert (polled.code, polled.err) == (0, "")
    with open_at(tmp_path / MILVUS) as library:
        assert [article.text for article, _ in library.articles()] == [BRIDGE]
        assert [feed.address for feed in feeds(library)] == [address]
    assert run("feed", "remove", address, library=MILVUS).out == "removed 1\n"


@pytest.mark.usefixtures("filled")
def test_mcp(tmp_path: Path) -> None:
    command = ["-m", "tests.mcp_child", "--library", str(tmp_path / MILVUS), "mcp", "--reader", "knowing"]
    process = StdioServerParameters(command=sys.executable, args=command, cwd=ROOT)

    async def talking() -> tuple[Any, Any]:
        async with Client(process) as client:
            asked = await client.call_tool("ask", {"question": QUESTION})
            read = await client.call_tool("get_article", {"id": "chess"})
            return asked.structured_content, read.structured_content

    answer, article = asyncio.run(talking())
    assert (answer["answer"], article["text"]) == ("Castle FC", CHESS)


def test_doctor(filled: Run, tmp_path: Path) -> None:
    well = filled("doctor", library=MILVUS)
    assert (well.code, well.out) == (0, "2 articles and 2 passages are as they should be\n")
    with open_at(tmp_path / MILVUS) as library:
        assert isinstance(library, MilvusLibrary)
        [row] = [row for row in library.store.article_rows() if row.id == "ferry"]
        library._milvus.delete(library.store._records, row.piece_keys)
    for options in ([], ["--repair"]):
        ran = filled("doctor", *options, library=MILVUS)
        assert ran.code == 65
        assert [line.strip() for line in ran.out.splitlines()] == [
            "damaged  1 articles are not what was stored",
            "add them again",
            "ferry",
            "1 articles and 1 passages are as they should be",
        ]
    assert filled("add", "-", stdin=json.dumps(ARTICLES), library=MILVUS).code == 0
    assert filled("doctor", library=MILVUS).code == 0
