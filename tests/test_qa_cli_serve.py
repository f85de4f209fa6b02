import json
from pathlib import Path

import pytest
from conftest import Run, ToyEmbedder
from fastapi import FastAPI
from fastapi.testclient import TestClient

from index.embed import DEFAULT_EMBEDDER
from qa import cli_options
from qa.reader import Reader
from server import run as module
from server.entry import Answered, Entry
from server.log import write


@pytest.fixture
def reader() -> Reader:
    class NoReader:
        read = None

    return NoReader()  # type: ignore[return-value]  # nothing is read


@pytest.fixture
def served(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line, where serving is nothing but the line of one request in the log."""

    def serve(app: FastAPI, *_: object) -> None:
        write(Entry({"method": "GET"}, answers=[Answered("Who?", 0.5, None, {})]))

    monkeypatch.setattr(module, "run", serve)
    return run


def test_the_log_is_json_without_questions(served: Run) -> None:
    done = served("serve")
    assert (done.code, done.out) == (0, "")
    line = json.loads(done.err.splitlines()[-1])
    assert line["event"] == "request"
    assert "asked" not in line


def test_questions_are_logged_where_wanted(served: Run) -> None:
    line = json.loads(served("serve", "--log-questions").err.splitlines()[-1])
    assert line["asked"] == [{"question": "Who?", "confidence": 0.5, "reason": None}]


def test_the_form_of_the_log_can_be_chosen(served: Run) -> None:
    line = served("serve", "--log-format", "text").err
    assert "[info     ] request" in line
    assert "Who?" not in line
    assert served("serve", "--log-format", "xml").code == 2


def test_collections_share_their_embedder(served: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loaded: list[str] = []

    def load(name: str, runtime: object) -> ToyEmbedder:
        loaded.append(name)
        return ToyEmbedder()

    def serve(app: FastAPI, *_: object) -> None:
        with TestClient(app, base_url="http://localhost") as client:
            for name in ("press", "sport"):
                assert client.put(f"/v1/collections/{name}").json() == {"name": name, "made": True}

    monkeypatch.setattr(cli_options, "load_embedder", load)
    monkeypatch.setattr(module, "run", serve)
    assert served("serve").code == 0
    assert loaded == [DEFAULT_EMBEDDER]
