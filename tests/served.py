"""A server as a process of its own: started, looked at from outside, ended."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults import Impossible

ROOT = Path(__file__).parent.parent

PULLQUOTE = (sys.executable, "-c", "from qa.cli import main; main()")
"""The command line."""

_WAIT_SECONDS = 60
"""After this a server has failed to start, or to end."""

_TICK_SECONDS = 0.02

_KIB_PER_MIB = 1024

Command = Callable[[Path, int], list[str]]
"""What serves a library at a port."""


def real(library: Path, port: int) -> list[str]:
    """`pullquote serve`, with its models."""
    return [*PULLQUOTE, "--library", str(library), "serve", "--port", str(port)]


def toy(*changes: str) -> Command:
    """The same server with toy models, and with changes out of `tests.toy_server`."""
    return lambda library, port: [sys.executable, "-m", "tests.toy_server", str(library), str(port), *changes]


class Served:
    """A server at 127.0.0.1:`port`; the file `log` has what it prints, and nothing of those before it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def memory(self) -> float:
        """Resident now, in MiB."""
        return self._status("VmRSS") / _KIB_PER_MIB

    @property
    def peak_memory(self) -> float:
        """The most that was ever resident, in MiB."""
        return self._status("VmHWM") / _KIB_PER_MIB

    @property
    def threads(self) -> int:
        return self._status("Threads")

    @property
    def files(self) -> int:
        """Open ones, connections among them."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def cpu_seconds(self) -> float:
        """Used so far by all of its threads and by the processes it has started, if they have not left it."""
        children = Path(f"/proc/{self.pid}/task").glob("*/children")
        return _cpu_seconds(self.pid) + sum(
            _cpu_seconds(int(pid)) for one in children for pid in one.read_text().split()
        )

    @property
    def tracebacks(self) -> int:
        """In what it printed."""
        return self.log.read_text(errors="replace").count("Traceback (most recent call last)")

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON. Raises OSError where nothing listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_WAIT_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def wait_until_ready(self) -> float:
        """Seconds waited. Raises RuntimeError where it does not come to that."""
        return self._wait(lambda: self.get("/v1/ready")[0] == 200)

    def wait_until_listening(self) -> float:
        """As `wait_until_ready`; the models may still be loading."""
        return self._wait(lambda: self.get("/v1/health")[0] == 200)

    def tell_to_end(self) -> None:
        """By SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait_for_end(self) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        return self.process.wait(_WAIT_SECONDS)

    def _wait(self, come: Callable[[], bool]) -> float:
        began = time.monotonic()
        while time.monotonic() < began + _WAIT_SECONDS:
            if self.process.poll() is not None:
                break
            try:
                if come():
                    return time.monotonic() - began
            except OSError:
                pass  # nothing listens yet
            time.sleep(_TICK_SECONDS)
        raise RuntimeError(f"the server did not start: {self.log.read_text(errors='replace')[-2_000:]}")

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@contextmanager
def serving(
    command: Command, library: Path, log: Path, cores: Sequence[int] = (), port: int | None = None
) -> Iterator[Served]:
    """A server that is listening, on those cores or on all; ended when `with` is left, whatever happened. Raises
    Impossible."""
    if sys.platform != "linux":
        raise Impossible("processes can be looked at like this on Linux only")
    port = free_port() if port is None else port
    with log.open("wb") as output:
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores or own)  # which the child inherits
        try:
            process = subprocess.Popen(
                command(library, port), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        finally:
            os.sched_setaffinity(0, own)
    served = Served(process, port, log)
    try:
        served.wait_until_listening()
        yield served
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """One of this machine that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _cpu_seconds(pid: int) -> float:
    """Its own and that of the ended processes it has waited for; none where it is over."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
