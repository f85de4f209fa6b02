"""What the tests of the server share: a fake ask, a client of the server in this process, and a real server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from conftest import ToyEmbedder
from fastapi.testclient import TestClient
from starlette.types import ASGIApp

from index.library import Library
from qa.answer import Answer, Ask, Candidate, Citation, Question
from qa.confidence import Evidence
from server.admission import Queue
from server.app import create_app

TREATY = {
    "id": "treaty-1648",
    "title": "The treaty",
    "url": "https://example.org/treaty",
    "published": "1998-10-24",
    "source": "Almanac",
    "authors": ["Almanac staff"],
    "text": "It was signed in 1648. Nobody had expected it 🕊.",
    "metadata": {"pages": 3},
}
RECIPE = {"id": "recipes/soup #1?", "text": "Boil the leeks for ten minutes.", "source": "Kitchen"}


def quoting(library: Library) -> Ask:
    """Answers with the whole of the best passage."""

    def ask(question: Question) -> Answer:
        hits = library.search(question.text, question.k or 10, question.filter)
        passage = hits[0].passage
        place = (passage.start, passage.end)
        evidence = Evidence(score=3.0, margin=3.0, fused=1.0, cosine=0.5, places=1, words=9)
        best = Candidate(0.9, evidence, (Citation(passage.article, *place, *place),))
        return Answer(question.text, best, None, 0.9, (), tuple(hits), 0, True, {"total": 1.0})

    return ask


@contextmanager
def serving(path: Path, *records: dict[str, Any], ask: Ask | None = None, **settings: Any) -> Iterator[TestClient]:
    """A client of a server over a new library that holds the records."""
    with Library(path / "library", ToyEmbedder(), create=True) as library:
        app = create_app(ask or quoting(library), library, **settings)
        with TestClient(app, base_url="http://localhost") as client:
            if records:
                assert client.post("/v1/articles", json=list(records)).status_code == 200
            yield client


def error(response: Any) -> dict[str, Any]:
    """What an error response says, once it is known to be of the one shape."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "details"}
    return body["error"]


class Places:
    """What becomes of the places of queues: `taken` and `given_back` are released once for each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken, self.given_back = threading.Semaphore(0), threading.Semaphore(0)
        place = Queue.place

        @contextmanager
        def noted(queue: Queue) -> Iterator[None]:
            with place(queue):
                self.taken.release()
                try:
                    yield
                finally:
                    self.given_back.release()

        monkeypatch.setattr(Queue, "place", noted)


@contextmanager
def listening(app: ASGIApp, **settings: Any) -> Iterator[int]:
    """The port at which the app is served over real connections, as long as it takes."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none", **settings))
    started = threading.Event()
    startup = server.startup

    async def noted(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = noted  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(30)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
