"""Files parsed in a process apart: what ends it, what it may not do, and that all else is still read."""

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest

from index.article import Article
from index.formats import child, parsing
from index.formats.format import Format
from index.formats.parsing import Limits, read_apart
from index.formats.reading import buffered

HOSTILE = Format("hostile", binary=True, many=True)
START = """
import index.formats
index.formats.__path__.append({folder!r})
from index.formats.child import main
main()
"""
LIMITS = Limits(seconds=1, memory=1 << 28)
PAGE = b"<html><article><p>The bridge at Saltgate was shut on Monday, the council of the town said.</p></article>"


@pytest.fixture(autouse=True)
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Parsers that know the hostile format."""
    parsing.end_idle()
    start = START.format(folder=str(Path(__file__).parent))
    monkeypatch.setattr(parsing, "_COMMAND", (sys.executable, "-P", "-B", "-c", start))
    yield
    parsing.end_idle()


def read(*lines: str, limits: Limits = LIMITS) -> list[str]:
    """What is read of a hostile file of these lines: texts, and errors."""
    items = read_apart(BytesIO("\n".join(lines).encode()), "x", HOSTILE, {}, limits)
    return [item.text if isinstance(item, Article) else str(item) for item in items]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("crash", "its parser has crashed (SIGSEGV)"),
        ("eat", "parsing it takes more than 256 MiB of memory"),
        ("shout", "its parser has said what nobody understands"),
    ],
)
def test_what_ends_its_parser_costs_one_article(act: str, reason: str) -> None:
    assert read("one", act, "three", act, "five") == [
        "one",
        f"x, line 2: {reason}",
        "three",
        f"x, line 4: {reason}",
        "five",
    ]


def test_spinning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "_CLOCK", 60)  # this may be a busy machine
    assert read("one", "spin", "three") == ["one", "x, line 2: it could not be parsed in 1 seconds", "three"]


def test_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "_CLOCK", 1)
    assert read("one", "hang", "three") == ["one", "x, line 2: it could not be parsed in 1 seconds", "three"]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("raise", "x: it cannot be parsed: KeyError: '/Root'"),
        ("recur", "x: it cannot be parsed: RecursionError: maximum recursion depth exceeded"),
        ("connect 9", "x: it cannot be parsed: PermissionError: a parser must not use socket.getaddrinfo"),
        ("fork", "x: it cannot be parsed: PermissionError: a parser must not use os.fork"),
        ("write /tmp/pullquote-canary", "x: it cannot be parsed: PermissionError: a parser must not use open"),
        ("read /etc/passwd", "x: it cannot be parsed: PermissionError: a parser must not use open"),
    ],
)
def test_what_python_raises_does_not_end_the_parser(act: str, reason: str) -> None:
    [process] = read("process")
    assert read("one", act) == ["one", reason]
    assert read("process") == [process]


def test_time_is_given_again_for_what_is_read_for_the_first_time(tmp_path: Path) -> None:
    class Counter(child._Allowance):
        renewed = 0

        def renew(self) -> None:
            self.renewed += 1

    (tmp_path / "a").write_bytes(bytes(10 * 65_536))
    counter = Counter(1)
    with buffered(child._File(os.open(tmp_path / "a", os.O_RDONLY), "a", counter)) as file:
        counts = []
        for position in (0, 3 * 65_536, 0, 4 * 65_536):
            file.seek(position)
            file.read(65_536)
            counts.append(counter.renewed)
    assert counts == [1, 2, 2, 3]


def test_a_file_that_ends_its_parser_again_and_again_is_left() -> None:
    found = read("one", *["crash"] * 9, "eleven", limits=Limits(seconds=1, memory=1 << 28, ends=2))
    assert found == [
        "one",
        "x, line 2: its parser has crashed (SIGSEGV)",
        "x, line 3: its parser has crashed (SIGSEGV)",
        "x: the rest of it was left: it has ended its parser 2 times",
    ]


def test_one_parser_for_many_files() -> None:
    processes = {process for _ in range(3) for process in read("process")}
    assert len(processes) == 1
    assert processes != {str(os.getpid())}


def test_a_parser_that_has_died_without_work_is_replaced() -> None:
    [process] = read("process")
    os.kill(int(process), signal.SIGKILL)
    os.waitid(os.P_PID, int(process), os.WEXITED | os.WNOWAIT)
    assert read("one") == ["one"]


def test_reading_that_is_given_up_leaves_nothing_behind() -> None:
    items = read_apart(BytesIO(b"one\ntwo"), "x", HOSTILE, {}, LIMITS)
    assert getattr(next(items), "text", None) == "one"
    items.close()  # type: ignore[attr-defined]
    assert parsing._idle == {}
    assert read("three") == ["three"]


def test_files_read_at_the_same_time() -> None:
    one, two = (read_apart(BytesIO(b"one\ntwo"), "x", HOSTILE, {}, LIMITS) for _ in range(2))
    pairs = list(zip(one, two, strict=True))
    assert [(getattr(a, "text", a), getattr(b, "text", b)) for a, b in pairs] == [("one", "one"), ("two", "two")]
    assert len(parsing._idle) == 1


def namespaces() -> bool:
    done = subprocess.run(["unshare", "-rn", "true"], check=False) if sys.platform == "linux" else None
    return done is not None and done.returncode == 0


@pytest.mark.skipif(not namespaces(), reason="the system lets nobody leave the network")
def test_no_network_for_native_code() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        assert read(f"connect-natively {server.getsockname()[1]}") == ["-1"]
        with pytest.raises(BlockingIOError):
            server.accept()


def test_native_code_writes_nothing(tmp_path: Path) -> None:
    assert read(f"write-natively {tmp_path}/a") == ["-1"]
    assert (tmp_path / "a").read_bytes() == b""


@pytest.mark.skipif(os.getuid() == 0, reason="the administrator may have any number of processes")
def test_native_code_does_not_fork() -> None:
    assert read("fork-natively") == ["-1"]


@pytest.mark.parametrize("act", ["process", "process\\nspin"])
def test_parser_ends_after_whom_it_works_for(act: str) -> None:
    script = f"""
        import os
        from io import BytesIO
        from index.formats import child, parsing
        from index.formats.format import Format
        parsing._COMMAND = {parsing._COMMAND!r}
        file = BytesIO(b"{act}")
        items = parsing.read_apart(file, "x", Format("hostile", binary=True), {{}}, parsing.Limits(seconds=1))
        print(next(items).text, flush=True)
        os.kill(os.getpid(), 9)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with suppress(ProcessLookupError):  # it has ended already
            child = os.pidfd_open(int(process.stdout.readline()))
            assert select.select([child], [], [], 60)[0] == [child]
            os.close(child)
