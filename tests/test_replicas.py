"""What `make replicas` counts, with a server that does little in place of its replicas."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest

from tests.figures import Figure
from tests.replicas import alike, rolling, throughput

_NEVER_SECONDS = 60
"""Nobody waits so long for the next question unless none comes."""


@dataclass
class Stand:
    """Stands for a `Site`: all its ports are one server's, which answers everything with a status. Replicas start in no
    time, and what is noted is whether anything is asked meanwhile."""

    status: int = 200
    questions: Sequence[str] = ("Who?",)
    log: list[str] = field(default_factory=list)
    come: Event = field(default_factory=Event)

    @contextmanager
    def running(self) -> Iterator[Any]:
        stand = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                stand.come.set()
                self.send_response(stand.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            thread = Thread(target=server.serve_forever)
            thread.start()
            self.port = server.server_port
            self.ports = (self.port, self.port)
            yield self
            server.shutdown()
            thread.join()

    @contextmanager
    def replica(self, number: int) -> Iterator[Any]:
        self.log.append(f"start {number}")
        if len(self.log) > 2:  # both were there
            self.come.clear()
            self.log.append("asked" if self.come.wait(_NEVER_SECONDS) else "not asked")
        yield SimpleNamespace(tell_to_end=lambda: self.log.append(f"end {number}"), wait_for_end=lambda: 0)


def values(found: Sequence[Figure]) -> dict[str, tuple[object, bool]]:
    return {one.name: (one.value, one.met) for one in found}


@pytest.mark.parametrize(("status", "unanswered"), [(200, 0), (503, 2)])
def test_refusals_that_are_alike_are_no_answers(status: int, unanswered: int) -> None:
    with Stand(status).running() as where:
        found = values(alike(where))
    assert found["not answered"] == (unanswered, not unanswered)
    assert found["of 1 questions answered differently"] == (0, True)


def test_the_seconds_of_questions_asked_alone_are_written(tmp_path: Path) -> None:
    with Stand().running() as where:
        found = throughput(where, 0.1, tmp_path / "service.json")
    taken = json.loads((tmp_path / "service.json").read_text())
    assert len(taken) == round(float(found[0].value) * 0.1)
    assert all(0 < seconds < _NEVER_SECONDS for seconds in taken)
    assert [figure.value for figure in found if figure.name == "not answered"] == [0, 0, 0]


def test_questions_go_on_while_a_replica_starts() -> None:
    with Stand().running() as where:
        found = values(rolling(where, 2))
    turn = ["end 0", "start 0", "asked", "end 1", "start 1", "asked"]
    assert where.log == ["start 0", "start 1", *turn, *turn]
    assert found["replicas ended and started anew"] == (4, True)
    assert found["not answered at the first try"] == (0, True)
