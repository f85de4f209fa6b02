"""`pullquote mcp`, as a process that an assistant starts."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ToyEmbedder
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

from index.article import make_article
from index.embed import load_embedder
from index.library import Library

ROOT = Path(__file__).parents[1]
CHILD = ["-m", "tests.mcp_child"]

SECONDS = 60
"""After this a test has failed; none takes nearly as long."""

CHESS = "Castle FC won the chess cup. And beat Harbour FC in the final."

INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
ASK = {"name": "ask", "arguments": {"question": "Who won the cup?"}}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "library"
    with Library(path, ToyEmbedder(), create=True) as opened:
        opened.add([make_article(CHESS, id="chess", title="Chess cup", source="Post", published="2023-07-28")])
        opened.search("Is everything saved?")
    return path


class Assistant:
    """The other end of the process's pipes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._messages = 0

    def send(self, method: str, params: dict[str, Any]) -> None:
        self._messages += 1
        self.write(json.dumps({"jsonrpc": "2.0", "id": self._messages, "method": method, "params": params}) + "\n")

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        received: dict[str, Any] = json.loads(self.process.stdout.readline())
        return received

    def end(self) -> tuple[int, str, str]:
        """Ends the input; the exit code, and what else was written to standard output and standard error."""
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, err


@contextmanager
def started(library: Path, reader: str = "knowing") -> Iterator[Assistant]:
    command = [sys.executable, *CHILD, "--library", str(library), "mcp", "--reader", reader]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as process:
        try:
            yield Assistant(process)
        finally:
            process.kill()


def talk(command: list[str], say: Callable[[Client], Awaitable[Any]], mode: str = "auto") -> Any:
    process = StdioServerParameters(command=sys.executable, args=command, cwd=ROOT)

    async def talking() -> Any:
        async with Client(process, mode=mode) as client:
            return await say(client)

    return asyncio.run(talking())


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_assistant_asks_searches_and_reads(library: Path, mode: str) -> None:
    async def say(client: Client) -> tuple[list[str], list[CallToolResult]]:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        calls = [
            client.call_tool("ask", ASK["arguments"]),
            client.call_tool("search", {"question": "chess"}),
            client.call_tool("get_article", {"id": "chess", "start": 0, "end": 9}),
            client.call_tool("get_article", {"id": "draughts"}),
            client.call_tool("ask", {"question": "x" * 10_001}),
        ]
        return tools, await asyncio.gather(*calls)

    tools, results = talk([*CHILD, "--library", str(library), "mcp", "--reader", "knowing"], say, mode)
    assert tools == ["ask", "search", "get_article"]
    assert [result.is_error for result in results] == [False, False, False, True, True]
    answer, hits, part, *failures = (result.structured_content or result.content[0].text for result in results)
    assert answer["answer"] == "Castle FC"
    assert [hit["text"] for hit in hits["hits"]] == [CHESS]
    assert part["text"] == "Castle FC"
    assert failures == [
        "there is no article 'draughts' in the library; see: pullquote list",
        "question: String should have at most 10000 characters",
    ]
    [content] = results[0].content
    assert content.text.splitlines()[2:] == [
        "— Chess cup, Post, 2023-07-28, article chess, characters 0 to 9",
        "  in: “Castle FC won the chess cup.”",
    ]


def test_it_ends_with_its_input(library: Path) -> None:
    with started(library) as assistant:
        assistant.send("initialize", INITIALIZE)
        assert assistant.receive()["result"]["serverInfo"]["name"] == "pullquote"
        assert assistant.end() == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_the_input_is_open(library: Path, number: int) -> None:
    with started(library) as assistant:
        assistant.send("initialize", INITIALIZE)
        assistant.receive()
        assistant.process.send_signal(number)
        assert assistant.process.wait(SECONDS) == 0
        assert assistant.end() == (0, "", "")


def test_it_begins_before_the_models_are_loaded(library: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with started(library, f"waiting:{pipe}") as assistant:
        assistant.send("initialize", INITIALIZE)
        assistant.send("tools/call", ASK)
        assert assistant.receive()["id"] == 1
        pipe.write_bytes(b"loaded")
        assert assistant.receive()["result"]["structuredContent"]["answer"] == "Castle FC"
        assert assistant.end() == (0, "", "")


def test_nothing_but_the_protocol_is_on_standard_output(library: Path) -> None:
    with started(library, "printing") as assistant:
        assistant.send("initialize", INITIALIZE)
        assistant.write("hello\n\n[]\n")
        assistant.send("tools/call", ASK)
        assert [assistant.receive()["id"] for _ in range(2)] == [1, 2]
        code, out, err = assistant.end()
    assert (code, out) == (0, "")
    assert "reading Who won the cup?\n" in err


def test_what_the_assistant_does_not_wait_for(library: Path) -> None:
    with started(library) as assistant:
        assert assistant.process.stdout is not None
        assistant.send("initialize", INITIALIZE)
        assistant.receive()
        assistant.process.stdout.close()
        assistant.send("tools/call", ASK)
        assert assistant.process.wait(SECONDS) == 0
        assert assistant.process.stderr is not None
        assert assistant.process.stderr.read() == ""


def test_models_that_cannot_be_loaded_end_it(library: Path) -> None:
    with started(library, "missing") as assistant:
        assert assistant.process.wait(SECONDS) == 78
        assert assistant.end() == (78, "", "error: there is no such reader\n")


def test_what_goes_wrong_is_told_in_fixed_words_and_logged_without_the_question(library: Path) -> None:
    with started(library, "failing") as assistant:
        assistant.send("initialize", INITIALIZE)
        assistant.send("tools/call", ASK)
        assert assistant.receive()["id"] == 1
        result = assistant.receive()["result"]
        code, out, err = assistant.end()
    told = "something went wrong on our side; the server's log says what"
    assert result == {"content": [{"type": "text", "text": told}], "isError": True}
    assert (code, out) == (0, "")
    line = json.loads(err)
    assert (line["event"], line["level"]) == ("unexpected error", "error")
    assert line["exception"].endswith("RuntimeError")
    assert "Who won" not in err


def test_no_library(tmp_path: Path) -> None:
    with started(tmp_path / "none") as assistant:
        code, out, err = assistant.end()
    assert (code, out) == (66, "")
    assert err.startswith(f"error: there is no library at {tmp_path / 'none'}")
    assert not (tmp_path / "none").exists()


def test_it_changes_nothing_and_closes_the_library(library: Path) -> None:
    def state() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in library.iterdir() if path.is_file()}

    before = state()
    with started(library) as assistant:
        assistant.send("initialize", INITIALIZE)
        assistant.send("tools/call", ASK)
        assert [assistant.receive()["id"] for _ in range(2)] == [1, 2]
        assert assistant.end()[0] == 0
    assert state() == before


def test_with_the_real_models(tmp_path: Path) -> None:
    path = tmp_path / "library"
    text = "The passenger ferry Grey Heron hit the breakwater in fog on Sunday. It was carrying 186 passengers."
    with Library(path, load_embedder(), create=True) as library:
        library.add([make_article(text, id="ferry", title="Ferry hits breakwater")])
    question = {"question": "How many passengers was the ferry Grey Heron carrying?", "threshold": 0.0}
    command = ["-W", "error", "-c", "from qa.cli import main; main()", "--library", str(path), "mcp"]
    result = talk(command, lambda client: client.call_tool("ask", question))
    assert result.structured_content["answer"] == "186"
    assert result.content[0].text.startswith("“186”\n")


def test_no_other_command_waits_for_the_protocol() -> None:
    code = "import sys, qa.cli; print({'mcp', 'mcp_types', 'opentelemetry'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout == "set()\n"
