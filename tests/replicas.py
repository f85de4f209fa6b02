"""Two servers behind HAProxy over one library in Milvus Lite's server: do they answer alike, and is anything lost when
one is killed, or both are started anew in turn?

python -m tests.replicas [--seconds N] [--times N] [--service FILE]
"""

import argparse
import asyncio
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from tests.figures import Figure, counted, exactly, table
from tests.load_asking import looped
from tests.served import PULLQUOTE, ROOT, Served, free_port, serving
from tests.traffic import BROKEN, Client, Reply, quantile, request

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"

_CONFIGURATION = ROOT / "docs" / "deploy" / "haproxy.cfg"
_CLIENTS = 4
_TRIES = 5
"""How often a client sends a question that was not answered, or was refused for now."""

_AGAIN_SECONDS = 0.3
_SEEN_SECONDS = 1.5
"""After this HAProxy has noticed that a server is ready: it looks twice a second."""

_OK = 200
_WAIT_SECONDS = 30

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that runs; `ports` are those of the two replicas, `port` that of the balancer."""

    library: Path
    scratch: Path
    questions: Sequence[str]
    ports: tuple[int, int]
    port: int

    @contextmanager
    def replica(self, number: int) -> Iterator[Served]:
        """One that is ready and known to be."""
        port = self.ports[number]
        command = [*PULLQUOTE, "--library", str(self.library), "serve", "--port", str(port)]
        with serving(lambda *_: command, self.library, self.scratch / f"replica-{number}.log", port=port) as served:
            served.wait_until_ready()
            time.sleep(_SEEN_SECONDS)
            yield served


@contextmanager
def site(questions: Sequence[str]) -> Iterator[Site]:
    """A library of the seeds in a server of Milvus Lite, and a balancer without replicas as yet."""
    with TemporaryDirectory(prefix="pullquote-replicas-") as directory, ExitStack() as running:
        scratch, milvus, balancer = Path(directory), free_port(), free_port()
        ports = free_port(), free_port()
        where = ["--data-dir", str(scratch / "milvus"), "--host", "127.0.0.1", "--port", str(milvus)]
        running.enter_context(_process([sys.executable, "-u", "-m", "milvus_lite", "server", *where], "listening"))
        library = Path(f"milvus://127.0.0.1:{milvus}/press")
        command = [*PULLQUOTE, "--library", str(library), "add", str(ROOT / "seeds" / "articles")]
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
        named = dict(zip(("BIND", "ONE", "TWO"), (balancer, *ports), strict=True))
        environment = {f"PULLQUOTE_{name}": f"127.0.0.1:{port}" for name, port in named.items()}
        running.enter_context(_process([HAPROXY, "-db", "-f", str(_CONFIGURATION)], environment=environment))
        yield Site(library, scratch, questions, ports, balancer)


def alike(where: Site) -> list[Figure]:
    """Both replicas are asked the same questions."""
    with where.replica(0), where.replica(1):
        pairs = [tuple(_answer(port, question) for port in where.ports) for question in where.questions]
    unanswered = sum(status != _OK for pair in pairs for status, _ in pair)
    differing = [question for question, (one, other) in zip(where.questions, pairs, strict=True) if one != other]
    return [
        exactly("not answered", unanswered, 0),
        exactly(f"of {len(where.questions)} questions answered differently", len(differing), 0),
        *(Figure("differs", question) for question in differing),
    ]


def throughput(where: Site, seconds: float, service: Path | None = None) -> list[Figure]:
    """One replica and two, on the same cores; and how long one replica takes for a question alone. All seconds of that
    are written to `service`."""
    with where.replica(0):
        alone = _asked(where, seconds, clients=1)
        figures = [*_told("one replica, 1 client", alone, seconds), *_rate("one replica", where, seconds)]
        with where.replica(1):
            figures += _rate("two replicas", where, seconds)
    if service:
        service.write_text(json.dumps([reply.seconds for reply in alone if reply.status == _OK]))
    return figures


def kill(where: Site, seconds: float) -> list[Figure]:
    """A replica is killed in the middle; a client sends again what was not answered."""
    with where.replica(0) as first, where.replica(1):
        replies, tries = asyncio.run(
            _through(where, seconds, [(seconds / 2, lambda: first.process.send_signal(signal.SIGKILL))])
        )
    return [
        Figure("questions", len(replies)),
        Figure("sent again", tries),
        exactly("never answered", sum(reply.status != _OK for reply in replies), 0),
    ]


def rolling(where: Site, times: int) -> list[Figure]:
    """Under a load that goes on all the while, each replica in turn is told to end and started anew until it is ready.
    Clients send nothing again."""
    with ExitStack() as running:
        replicas = [running.enter_context(where.replica(number)) for number in (0, 1)]

        def turn() -> list[int]:
            codes = []
            for number in (0, 1) * times:
                replicas[number].tell_to_end()
                codes.append(replicas[number].wait_for_end())
                replicas[number] = running.enter_context(where.replica(number))
            return codes

        replies, codes = asyncio.run(_meanwhile(where, turn))
    return [
        Figure("replicas ended and started anew", len(codes)),
        exactly("ended with another code than 0", sum(code != 0 for code in codes), 0),
        Figure("questions", len(replies)),
        exactly("not answered at the first try", sum(reply.status != _OK for reply in replies), 0),
        counted("statuses", Counter(str(reply.status) for reply in replies)),
    ]


def _rate(name: str, where: Site, seconds: float) -> list[Figure]:
    return _told(f"{name}, {_CLIENTS} clients", _asked(where, seconds, _CLIENTS), seconds)


def _asked(where: Site, seconds: float, clients: int) -> list[Reply]:
    return asyncio.run(looped(where.port, _asking(where.questions), clients, seconds))


def _told(name: str, replies: Sequence[Reply], seconds: float) -> list[Figure]:
    took = [reply.seconds for reply in replies]
    return [
        Figure(f"{name}: questions a second", len(replies) / seconds),
        Figure("p50, ms", 1000 * quantile(took, 0.5)),
        Figure("p99, ms", 1000 * quantile(took, 0.99)),
        exactly("not answered", sum(reply.status != _OK for reply in replies), 0),
    ]


async def _through(where: Site, seconds: float, events: Sequence[tuple[float, Any]]) -> tuple[list[Reply], int]:
    """What each question came to in the end, and how many were sent again, while things happen."""
    client, make = Client(where.port), _asking(where.questions)
    end, again = time.perf_counter() + seconds, 0

    async def one() -> list[Reply]:
        nonlocal again
        last = []
        while time.perf_counter() < end:
            content = make()
            reply = await client.send(content)
            for _ in range(_TRIES):
                if reply.status not in (BROKEN, 429, 502, 503, 504):
                    break
                again += 1
                await asyncio.sleep(_AGAIN_SECONDS)
                reply = await client.send(content)
            last.append(reply)
        return last

    async def happen() -> list[Reply]:
        for after, event in events:
            await asyncio.sleep(after)
            event()
        return []

    found = await asyncio.gather(happen(), *(one() for _ in range(_CLIENTS)))
    return [reply for replies in found for reply in replies], again


async def _meanwhile(where: Site, act: Callable[[], T]) -> tuple[list[Reply], T]:
    """What is answered from a second before something is done until it is done, and what that returned."""
    client, make = Client(where.port), _asking(where.questions)
    over = asyncio.Event()

    async def one() -> list[Reply]:
        replies = []
        while not over.is_set():
            replies.append(await client.send(make()))
        return replies

    asking = [asyncio.create_task(one()) for _ in range(_CLIENTS)]
    await asyncio.sleep(1)
    done = await asyncio.to_thread(act)
    over.set()
    replies = [reply for replies in await asyncio.gather(*asking) for reply in replies]
    client.close()
    return replies, done


def _asking(questions: Sequence[str]) -> Any:
    bodies = cycle([request("POST", "/v1/ask", {"question": question}) for question in questions])
    return lambda: next(bodies)


def _answer(port: int, question: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON, but for the time it took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WAIT_SECONDS)
    try:
        connection.request("POST", "/v1/ask", json.dumps({"question": question}), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        return response.status, {name: value for name, value in answer.items() if name != "milliseconds"}
    finally:
        connection.close()


@contextmanager
def _process(command: list[str], said: str = "", environment: dict[str, str] | None = None) -> Iterator[None]:
    """Runs meanwhile; it has begun when it says so."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE if said else None, text=True, env={**os.environ, **(environment or {})}
    )
    try:
        while said and process.stdout and said not in (line := process.stdout.readline()):
            if not line:
                raise RuntimeError(f"{command[0]} did not start")
        yield
    finally:
        process.terminate()
        process.wait(_WAIT_SECONDS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.replicas", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of load, where it goes on for a time")
    parser.add_argument("--times", type=int, default=3, help="how often both are started anew")
    parser.add_argument("--service", type=Path, help="write the seconds of questions asked alone, for eval.bench_scale")
    given = parser.parse_args()
    if not os.access(HAPROXY, os.X_OK):
        sys.exit("skipped: this needs haproxy, and: pip install 'pullquote[milvus]'")
    lines = (ROOT / "seeds" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    missed = 0
    with site([json.loads(line)["question"] for line in lines]) as where:
        for title, figures in (
            ("Answers of two replicas", alike(where)),
            ("Throughput", throughput(where, given.seconds, given.service)),
            ("A replica is killed", kill(where, given.seconds)),
            ("Rolling restart", rolling(where, given.times)),
        ):
            print(table(title, figures) + "\n", flush=True)
            missed += sum(not figure.met for figure in figures)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
