import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx2
import pytest
from conftest import ToyEmbedder
from test_server_toys import TREATY, Places, error, quoting

from index.article import make_article
from index.errors import InvalidInput, ModelNotFound
from index.library import Library
from qa.answer import Ask
from server import run as module
from server.app import create_app
from server.connection import Connection
from server.run import OPEN_FILES, Server, allow_open_files, run
from server.service import Service

SECONDS = 30
"""After this a test has failed; none takes nearly as long."""

ASKING = {"question": "When was it signed?"}


class Blocked:
    """Something that takes until it is told to go on."""

    def __init__(self) -> None:
        self.times = 0
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.times += 1
        self.begun.set()
        assert self.go_on.wait(SECONDS)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library(tmp_path / "library", ToyEmbedder(), create=True) as opened:
        opened.add([make_article(str(TREATY["text"]), id="treaty-1648")])
        yield opened


Visit = Callable[[httpx2.Client, threading.Event], Any]
Visited = Callable[..., Any]


@pytest.fixture
def visited(library: Library, monkeypatch: pytest.MonkeyPatch) -> Visited:
    """Serve in this thread, as signals need it, for a visitor in another one; returns what the visitor does. It is
    given a client, and an event that says that the server has begun to end."""
    ports: SimpleQueue[int] = SimpleQueue()
    servers: list[Server] = []
    ending = threading.Event()
    startup, shutdown = Server.startup, Server.shutdown

    async def noted_startup(server: Server, sockets: Any = None) -> None:
        await startup(server, sockets)
        servers.append(server)
        ports.put(server.servers[0].sockets[0].getsockname()[1])

    async def noted_shutdown(server: Server, sockets: Any = None) -> None:
        ending.set()
        await shutdown(server, sockets)

    monkeypatch.setattr(Server, "startup", noted_startup)
    monkeypatch.setattr(Server, "shutdown", noted_shutdown)

    def visit_one(visit: Visit) -> Any:
        port = ports.get(timeout=SECONDS)
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
                return visit(client, ending)
        finally:
            servers[0].should_exit = True

    def serve(visit: Visit, ask: Ask | None = None, load: Callable[[], object] = lambda: None) -> Any:
        with ThreadPoolExecutor(1) as other:
            visiting = other.submit(visit_one, visit)
            run(create_app(ask or quoting(library), library), port=0, load=load)
            return visiting.result(SECONDS)

    return serve


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_other_machines_are_not_served(library: Library, host: str) -> None:
    with pytest.raises(InvalidInput, match="anyone there could remove articles"):
        run(create_app(quoting(library), library), host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_is_served(library: Library, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    served = []
    monkeypatch.setattr(Server, "run", lambda server: served.append(server.config))
    run(create_app(quoting(library), library), host, 8123)
    [config] = served
    assert (config.host, config.port) == (host, 8123)
    assert config.app.title == "Pullquote"
    assert config.server_header is False
    assert config.http is Connection


def test_a_port_that_is_taken(library: Library) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"at port {port} of 127.0.0.1: Address already in use"):
            run(create_app(quoting(library), library), port=port)


def test_while_loading_nothing_is_answered_that_needs_the_models(visited: Visited) -> None:
    loading = Blocked()

    def visit(client: httpx2.Client, _: threading.Event) -> tuple[list[httpx2.Response], httpx2.Response]:
        assert loading.begun.wait(SECONDS)
        refused = [client.post("/v1/ask", json=ASKING) for _ in range(50)]
        refused += [client.get("/v1/ready"), client.post("/v1/articles", json={"text": "x"})]
        assert client.get("/v1/health").status_code == 200
        assert client.get("/v1/articles").json()["total"] == 1
        loading.go_on.set()
        while client.get("/v1/ready").status_code == 503:
            pass
        return refused, client.post("/v1/ask", json=ASKING)

    refused, answered = visited(visit, load=loading)
    for response in refused:
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert error(response) == {
            "code": "loading",
            "message": "the models are being loaded; send this again in a few seconds",
        }
    assert answered.json()["answer"] == TREATY["text"]
    assert loading.times == 1


def test_what_cannot_be_loaded_ends_the_server(library: Library) -> None:
    def load() -> None:
        raise ModelNotFound("no such model")

    with pytest.raises(ModelNotFound, match="no such model"):
        run(create_app(quoting(library), library), port=0, load=load)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_finishes_what_it_has_accepted(visited: Visited, library: Library, number: int) -> None:
    reading = Blocked()

    def ask(question: Any) -> Any:
        reading()
        return quoting(library)(question)

    def visit(client: httpx2.Client, ending: threading.Event) -> tuple[list[httpx2.Response], list[httpx2.Response]]:
        with ThreadPoolExecutor(2) as others:
            accepted = [others.submit(client.post, "/v1/ask", json=ASKING)]
            assert reading.begun.wait(SECONDS)
            os.kill(os.getpid(), number)
            assert ending.wait(SECONDS)
            try:
                refused = [client.get("/v1/ready"), client.post("/v1/ask", json=ASKING)]
                refused.append(httpx2.get(client.base_url.join("/v1/ready")))  # over a connection that is made only now
                assert client.get("/v1/health").status_code == 200
                assert client.get("/v1/articles/treaty-1648").json()["text"] == TREATY["text"]
            finally:
                reading.go_on.set()
            return refused, [one.result(SECONDS) for one in accepted]

    refused, answered = visited(visit, ask)
    for response in refused:
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert response.headers["connection"] == "close"
        assert error(response) == {
            "code": "ending",
            "message": "the server is about to end; send this again when it has been started anew",
        }
    assert [response.json()["answer"] for response in answered] == [TREATY["text"]]
    assert reading.times == 1


def test_it_does_not_wait_longer_than_it_may(visited: Visited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0)
    monkeypatch.setattr(module, "LINGER_SECONDS", 0)
    reading = Blocked()
    places = Places(monkeypatch)
    close = Service.close

    def late_close(service: Service) -> None:
        reading.go_on.set()
        close(service)

    monkeypatch.setattr(Service, "close", late_close)

    def visit(client: httpx2.Client, _: threading.Event) -> list[httpx2.Response]:
        with ThreadPoolExecutor(2) as others:
            accepted = [others.submit(client.post, "/v1/ask", json=ASKING) for _ in range(2)]
            assert reading.begun.wait(SECONDS)
            assert all(places.taken.acquire(timeout=SECONDS) for _ in accepted)
            os.kill(os.getpid(), signal.SIGTERM)
            return [one.result(SECONDS) for one in accepted]

    for response in visited(visit, lambda _: reading()):
        assert response.status_code == 503
        assert error(response)["code"] == "ending"
    assert reading.times == 1


def test_a_signal_while_loading_ends_it(visited: Visited) -> None:
    loading = Blocked()

    def visit(client: httpx2.Client, ending: threading.Event) -> int:
        assert loading.begun.wait(SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        assert ending.wait(SECONDS)
        loading.go_on.set()
        return loading.times

    assert visited(visit, load=loading) == 1


def test_sigterm_ends_the_server_and_not_the_process(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = []
    monkeypatch.setattr(Server, "run", lambda server: handlers.append(signal.getsignal(signal.SIGTERM)))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        run(create_app(quoting(library), library))
        assert handlers == [signal.default_int_handler]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_collections_may_have_their_files_open() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if before[1] == resource.RLIM_INFINITY else min(OPEN_FILES, before[1])
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most - 1, before[1]))
        allow_open_files()
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert allowed == (most, before[1])
