import http.client
import io
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from test_server_toys import TREATY, serving

from index.errors import LibraryCorrupt
from qa.answer import Answer, NoAnswer, Question
from server.entry import Answered, Entry
from server.log import logging_to, write, write_state

ROOT = Path(__file__).parent.parent
SECONDS = 30
"""After this a test has failed; none takes nearly as long."""

CANARY = "Canary"


class Child:
    """`tests.log_child` as a process, with a key that is good for it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._out, self._log = arriving(process.stdout), arriving(process.stderr)
        self.key = self._out.get(timeout=SECONDS).strip()
        self.port = int(self.until("listening")["url"].rpartition(":")[2])
        self.until("ready")

    def until(self, event: str, status: int | None = None) -> dict[str, Any]:
        """The next line of the log that is of this event, and of a request that ended with this status."""
        while True:
            self.lines.append(json.loads(self._log.get(timeout=SECONDS)))
            if self.lines[-1]["event"] == event and self.lines[-1].get("status") == status:
                return self.lines[-1]

    def send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> tuple[int, str]:
        """A request that has a canary in every header that may have one; the response's status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, {**self._headers(), **headers})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def begin(self, path: str, body: bytes) -> socket.socket:
        """A request whose response is not waited for."""
        headers = {**self._headers(), "Host": "localhost", "Content-Length": str(len(body))}
        connection = socket.create_connection(("127.0.0.1", self.port), SECONDS)
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)
        return connection

    def reads(self) -> None:
        """Wait until it reads for a question that tells it to wait."""
        assert self._out.get(timeout=SECONDS) == "reading\n"

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SECONDS) == 0
        self.until("ended")

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Cookie": f"pullquote_key={CANARY}",
            "User-Agent": CANARY,
            "Referer": f"http://localhost/?q={CANARY}",
            "X-Request-ID": f"{CANARY} {CANARY}",
        }


def arriving(stream: Any) -> "SimpleQueue[str]":
    """The lines of a stream as they come."""
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in stream:
            lines.put(line)

    threading.Thread(target=read, daemon=True).start()
    return lines


@contextmanager
def child(path: Path) -> Iterator[Child]:
    command, pipe = [sys.executable, "-m", "tests.log_child", str(path / "library")], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def asking(question: str) -> bytes:
    return json.dumps({"question": question}).encode()


def send_everything(server: Child) -> list[int]:
    """Requests of every kind that can end in another way, the canary wherever a client may put something."""
    ask = "/v1/ask"
    html = {"Accept": "text/html"}
    sent = [
        server.send("POST", ask, asking(f"{CANARY}?")),
        server.send("POST", ask, json.dumps({"questions": [{"question": CANARY}, {"question": " "}]}).encode()),
        server.send("GET", f"/?q={CANARY}&source={CANARY}"),
        server.send("POST", ask, asking(f"warn {CANARY}")),
        server.send("GET", f"/{CANARY}?{CANARY}={CANARY}", headers=html),
        server.send("GET", f"/v1/articles/{CANARY}"),
        server.send("DELETE", f"/v1/articles/{CANARY}"),
        server.send("POST", ask, json.dumps({CANARY: CANARY, "question": [CANARY]}).encode()),
        server.send("POST", ask, f'{{"{CANARY}"'.encode()),
        server.send("GET", f"/v1/articles?offset={CANARY}"),
        server.send(CANARY.upper(), ask),
        server.send("POST", ask, asking(CANARY), headers={"Content-Type": f"text/{CANARY}"}),
        server.send("POST", ask, asking(CANARY), headers={"Authorization": f"Bearer {CANARY}"}),
        server.send("GET", f"/?key={CANARY}", headers={"Authorization": CANARY} | html),
        server.send("POST", ask, asking(f"fail {CANARY}")),
    ]
    statuses = [status for status, _ in sent]
    with server.begin(ask, asking(f"wait {CANARY}")) as first:
        server.reads()
        with server.begin(ask, asking(f"{CANARY} waiting")):
            while "pullquote_queue_waiting 1.0" not in server.send("GET", "/metrics")[1]:
                pass
            statuses.append(server.send("POST", ask, asking(CANARY))[0])
        statuses.append(server.until("request", 499)["status"])
        server.go_on()
        statuses.append(int(first.makefile("rb").readline().split()[1]))
    with server.begin(ask, b"{") as broken:
        statuses.append(int(broken.makefile("rb").readline().split()[1]))
        broken.sendall(f"{CANARY}\r\n\r\n".encode())
        server.until("Invalid HTTP request received.")
    return statuses


def test_what_was_sent_is_not_in_the_log(tmp_path: Path) -> None:
    with child(tmp_path) as server:
        statuses = send_everything(server)
        server.end()
    assert statuses == [*[200] * 4, *[404] * 3, *[422] * 3, 405, 415, 401, 401, 500, 429, 499, 200, 422]
    for line in server.lines:
        assert CANARY.lower() not in json.dumps(line).lower()
        assert server.key not in json.dumps(line)
        assert set(line) >= {"event", "level", "timestamp"}
    requests = [line for line in server.lines if line["event"] == "request" and line["route"] != "/metrics"]
    assert [line["status"] for line in requests] == statuses
    assert [line.get("code") for line in requests if line["status"] in (429, 499, 500)] == [
        "internal_error",
        "overloaded",
        None,
    ]
    events = [line["event"] for line in server.lines]
    assert events.count("a library's message, withheld") >= 2
    assert {"unexpected error", "Invalid HTTP request received.", "ending"} <= set(events)


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    """The lines, without the times in them."""
    varying = {"timestamp", "milliseconds", "waited_milliseconds"}
    return [
        {name: value for name, value in json.loads(line).items() if name not in varying}
        for line in stream.getvalue().splitlines()
    ]


def test_the_line_of_a_request(tmp_path: Path) -> None:
    stream = io.StringIO()
    with serving(tmp_path, TREATY) as client, logging_to(stream):
        response = client.get("/v1/articles/treaty-1648", headers={"X-Request-ID": "abc"})
        missing = client.get("/v1/articles/none", headers={"X-Request-ID": "def"})
    common = {"event": "request", "level": "info", "method": "GET", "route": "/v1/articles/{id}"}
    assert logged(stream) == [
        {**common, "request_id": "abc", "status": 200, "bytes": len(response.content)},
        {**common, "request_id": "def", "status": 404, "bytes": len(missing.content), "code": "article_not_found"},
    ]
    line = json.loads(stream.getvalue().splitlines()[0])
    assert list(line)[:4] == ["event", "level", "timestamp", "request_id"]
    assert 0 <= line["waited_milliseconds"] <= line["milliseconds"]
    assert line["timestamp"].endswith("Z")


def test_all_that_is_optional_in_the_line_of_a_request() -> None:
    entry = Entry({"method": "BREW", "state": {"key_id": "0a1b2c3d"}})
    entry.codes += ["out_of_time", "invalid_input", "out_of_time"]
    entry.waits += [0.25, 0.5]
    entry.answers.append(Answered("Who?", 0.123456, None, {}))
    stream = io.StringIO()
    with logging_to(stream, questions=True):
        write(entry)
    line = json.loads(stream.getvalue())
    del line["timestamp"]
    assert line == {
        "event": "request",
        "level": "info",
        "method": "other",
        "route": "none",
        "status": 0,
        "milliseconds": 0.0,
        "waited_milliseconds": 750.0,
        "bytes": 0,
        "key": "0a1b2c3d",
        "code": "out_of_time,invalid_input",
        "asked": [{"question": "Who?", "confidence": 0.1235, "reason": None}],
    }


def test_an_error_is_told_without_its_message(tmp_path: Path) -> None:
    def ask(question: Question) -> Answer:
        raise ZeroDivisionError(question.text)

    stream = io.StringIO()
    with serving(tmp_path, ask=ask) as client, logging_to(stream):
        client.post("/v1/ask", json={"question": CANARY}, headers={"X-Request-ID": "abc"})
    error, request = logged(stream)
    assert (error["event"], error["level"], error["request_id"]) == ("unexpected error", "error", "abc")
    assert error["exception"].startswith('  File "')
    assert error["exception"].splitlines()[-2:] == ["    raise ZeroDivisionError(question.text)", "ZeroDivisionError"]
    assert (request["status"], request["code"], request["request_id"]) == (500, "internal_error", "abc")


def test_what_led_to_an_error_is_told_before_it() -> None:
    def fail() -> None:
        try:
            raise ExceptionGroup(CANARY, [ValueError(CANARY), TypeError(CANARY)])
        except ExceptionGroup:
            raise KeyError(CANARY)  # noqa: B904  # the one above is its context

    def fail_again() -> None:
        try:
            fail()
        except KeyError as error:
            again = OSError(CANARY)
            error.__cause__ = again  # a circle
            raise again from error

    stream = io.StringIO()
    with logging_to(stream):
        try:
            fail_again()
        except OSError:
            logging.getLogger("pullquote.server").exception("twice")
    [line] = logged(stream)
    assert CANARY not in line["exception"].replace("(CANARY", "")
    types = [one for one in line["exception"].splitlines() if not one.startswith(" ")]
    assert types == ["KeyError", "OSError"]


def test_a_fault_of_the_library_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_: Question) -> Answer:
        raise LibraryCorrupt("article 'a' is damaged; see: pullquote doctor")

    stream = io.StringIO()
    with serving(tmp_path, ask=ask) as client, logging_to(stream):
        client.post("/v1/ask", json={"question": CANARY}, headers={"X-Request-ID": "abc"})
    assert logged(stream)[0] == {
        "event": "library_corrupt: article 'a' is damaged; see: pullquote doctor",
        "level": "warning",
        "request_id": "abc",
    }


@pytest.mark.filterwarnings("default")
def test_messages_of_libraries_are_withheld_with_their_place() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        logging.getLogger("asyncio").error("lost: %s", CANARY)
        logging.getLogger("asyncio").info(CANARY)
        warnings.warn(CANARY, stacklevel=1)
    error, warning = logged(stream)
    assert error.pop("place").startswith(f"{__file__}:")
    assert error == {"event": "a library's message, withheld", "level": "error", "logger": "asyncio"}
    assert (warning["event"], warning["logger"]) == ("a library's message, withheld", "py.warnings")


def test_with_questions_the_log_withholds_nothing(tmp_path: Path) -> None:
    def ask(question: Question) -> Answer:
        if "fail" in question.text:
            raise RuntimeError(f"no answer to {question.text}")
        return Answer(question.text, None, NoAnswer.BELOW_THRESHOLD, 0.25, (), (), 0, True, {})

    stream = io.StringIO()
    with serving(tmp_path, ask=ask) as client, logging_to(stream, questions=True):
        client.post("/v1/ask", json={"question": "Who?"})
        client.post("/v1/ask", json={"question": "fail now"})
        logging.getLogger("asyncio").error("lost: %s", "Where?")
    asked, failed, request, lost = logged(stream)
    assert asked["asked"] == [{"question": "Who?", "confidence": 0.25, "reason": "below the threshold"}]
    assert failed["exception"].splitlines()[-1] == "RuntimeError: no answer to fail now"
    assert "asked" not in request
    assert (lost["event"], lost["logger"]) == ("lost: Where?", "asyncio")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_the_form_for_people() -> None:
    stream = Terminal()
    with logging_to(stream):
        write_state("listening", url="http://127.0.0.1:8000")
    assert "listening" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
    with logging_to(terminal := Terminal(), "json"):
        write_state("ready")
    assert logged(terminal) == [{"event": "ready", "level": "info"}]


def test_the_form_for_people_without_colours() -> None:
    stream = io.StringIO()
    with logging_to(stream, "text", questions=True):
        entry = Entry({"method": "GET"}, status=200)
        entry.answers.append(Answered("\x1b[31mWho\nelse?", 0.5, None, {}))
        write(entry)
    [line] = stream.getvalue().splitlines()
    assert line.partition(" ")[2] == (
        "[info     ] request                        method=GET route=none status=200 milliseconds=0.0 "
        "waited_milliseconds=0.0 bytes=0 "
        r"asked=[{'question': '\x1b[31mWho\nelse?', 'confidence': 0.5, 'reason': None}]"
    )


def test_nothing_is_left_behind() -> None:
    root, ours = logging.getLogger(), logging.getLogger("pullquote")
    before = (list(root.handlers), root.level, ours.level, warnings.showwarning)
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), logging_to(stream):
        raise KeyboardInterrupt
    write_state("ended")
    assert (list(root.handlers), root.level, ours.level, warnings.showwarning) == before
    assert stream.getvalue() == ""
