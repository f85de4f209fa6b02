"""A server's life under load: rows B4 (told to end) and B5 (soak) of the reliability matrix. Times are in seconds.

What is added are the articles of the crash tests, so that the library can be checked as it is there.
"""

import asyncio
import json
import math
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from time import perf_counter
from urllib.parse import urlencode

import numpy as np

from index.article import Article
from index.embed import Embedder
from index.library import DATABASE
from server.run import GRACE_SECONDS
from tests.crash_child import ARTICLES, article_id, make
from tests.figures import Figure, at_most, counted, exactly
from tests.invariants import Ledger, check
from tests.load_asking import Rig, looped, rate, tracebacks
from tests.served import Served
from tests.traffic import BROKEN, Client, Make, Reply, counts, open_loop, quantile, request

_ASKERS = 4
_LATEST_SIGNAL_SECONDS = 1.5
"""After the first requests: time for some to be answered and some to wait."""

_MOST_ENDING_SECONDS = GRACE_SECONDS + 5
"""What is accepted has its grace; saving and closing comes after it."""

_CUT_OFF_SECONDS = 1.5
"""A refusal at the door comes at once; one that comes so late is of a request that was accepted and given up."""

_MIB_PER_BYTE = 1 / 1024**2
_SECONDS_PER_HOUR = 3_600

_LOAD = 0.7
_SAMPLES = 360
_WARM_UP = 1 / 4
"""Of the time of a soak: every thread has been used then, and every cache is full."""

_MOST_MEMORY_MIB_PER_HOUR = 1.0
_MOST_WAL_MIB = 64.0
_FLAT = 2.0
"""So many threads and files more an hour: connections come and go."""

_MOST_DRIFT = 1.5


@dataclass(slots=True)
class Writer:
    """Adds, replaces and removes articles at random, and knows what a library may hold then."""

    random: Random
    ledger: Ledger = field(default_factory=Ledger)
    _versions: Iterator[int] = field(default_factory=lambda: count(1))

    async def write(self, client: Client) -> Reply:
        """One request, and a note of what came of it."""
        present = [id for id, versions in self.ledger.possible.items() if 0 not in versions]
        if present and self.random.random() < 0.3:
            return await self._send(client, self.random.choice(present), None)
        number = self.random.randrange(ARTICLES)
        return await self._send(client, article_id(number), make(number, next(self._versions)))

    async def _send(self, client: Client, id: str, article: Article | None) -> Reply:
        version = 0 if article is None else article.metadata["version"]
        self._note(begin=id, version=version)
        content = request("DELETE", f"/v1/articles/{id}") if article is None else _addition(article)
        reply = await client.send(content)
        if reply.status in (200, 204):
            self._note(done=id, version=version)
        return reply

    def _note(self, **entry: object) -> None:
        self.ledger.read(json.dumps(entry).encode() + b"\n")


def _addition(article: Article) -> bytes:
    fields = ("text", "id", "title", "source", "metadata")
    given = {name: getattr(article, name) for name in fields}
    return request("POST", "/v1/articles", given)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a server ended: its exit code, the seconds it took, the status of /v1/ready right after the signal, and of
    all requests those that were sent before it."""

    code: int
    seconds: float
    ready: int
    before: Sequence[Reply]
    after: Sequence[Reply]
    told: float

    @property
    def dropped(self) -> int:
        """Requests that were sent before the signal and have no response that they could have had without it, nor were
        they refused at the door."""
        return sum(
            reply.status not in (200, 204, 429, 503)
            or (reply.status == 503 and reply.done - self.told > _CUT_OFF_SECONDS)
            for reply in self.before
        )


def sigterm(rig: Rig, times: int, embedder: Embedder) -> list[Figure]:
    """B4: a server that is asked and written to is told to end, so often, on one library."""
    writer = Writer(Random(1))
    library = rig.scratch / "written"
    rig = replace(rig, library=library)
    endings: list[Ending] = []
    violations: list[str] = []
    lost = printed = 0
    for _ in range(times):
        with rig.ready() as served:
            endings.append(asyncio.run(_ended(rig, served, writer)))
            printed += served.tracebacks
        found = check(library, writer.ledger, embedder)
        violations += found.violations
        lost += found.lost
        writer.ledger.settle(found.versions)
    accepted = [reply for ending in endings for reply in ending.before]
    return [
        Figure("times told to end", times),
        counted("sent before it", counts(accepted)),
        exactly("of these dropped", sum(ending.dropped for ending in endings), 0),
        counted("sent after it", counts(reply for ending in endings for reply in ending.after)),
        exactly("/v1/ready not 503 right after it", sum(ending.ready != 503 for ending in endings), 0),
        exactly("exit codes other than 0", sum(ending.code != 0 for ending in endings), 0),
        at_most("s until the process had ended, longest", max(e.seconds for e in endings), _MOST_ENDING_SECONDS),
        Figure("articles added, replaced or removed, acknowledged", writer.ledger.acknowledged),
        exactly("of these lost", lost, 0),
        exactly("violations of I1 to I6", "; ".join(violations) or "none", "none"),
        exactly("tracebacks in the server's log", printed, 0),
    ]


async def _ended(rig: Rig, served: Served, writer: Writer) -> Ending:
    client, make, ending = Client(served.port), rig.asking(), asyncio.Event()
    replies: list[Reply] = []

    async def work(send: Callable[[], Awaitable[Reply]]) -> None:
        reply = await send()
        while not (ending.is_set() and reply.status in (503, BROKEN)):
            replies.append(reply)
            reply = await send()
        replies.append(reply)

    senders = [lambda: client.send(make())] * _ASKERS + [lambda: writer.write(client)]
    working = [asyncio.create_task(work(send)) for send in senders]
    await asyncio.sleep(writer.random.uniform(0.1, _LATEST_SIGNAL_SECONDS))
    told = perf_counter()
    served.tell_to_end()
    ending.set()
    ready = await Client(served.port).send(request("GET", "/v1/ready"))
    await asyncio.gather(*working)
    code = await asyncio.to_thread(served.wait_for_end)
    seconds = perf_counter() - told
    client.close()
    before, after = ([one for one in replies if (one.sent < told) is early] for early in (True, False))
    return Ending(code, seconds, ready.status, before, after, told)


@dataclass(frozen=True, slots=True)
class Sample:
    """A server and its library at a time; `wal` is the size of the database's log. Both sizes are in MiB."""

    at: float
    memory: float
    files: int
    threads: int
    wal: float


def soak(rig: Rig, seconds: float) -> list[Figure]:
    """B5: for so long everything that is done to a server, at 0.7 of the questions it can answer."""
    rig = replace(rig, library=Path(shutil.copytree(rig.library, rig.scratch / "soaked")))
    with rig.ready() as served:
        return [*asyncio.run(_soaked(rig, served, seconds)), tracebacks(served)]


def _operations(rig: Rig, random: Random) -> Mapping[str, tuple[float, Make]]:
    """What is done, and its share of all requests."""
    versions = count(1)
    numbers = partial(random.randrange, ARTICLES)
    pages = ("/", "/articles", "/add", f"/?{urlencode({'q': rig.questions[0]})}", "/articles?q=harbour")
    unanswerable = {"question": rig.questions[0], "verdict": "unanswerable"}
    return {
        "ask": (0.70, rig.asking()),
        "search": (0.10, lambda: request("POST", "/v1/search", {"question": random.choice(rig.questions)})),
        "add or replace": (0.06, lambda: _addition(make(numbers(), next(versions)))),
        "remove": (0.04, lambda: request("DELETE", f"/v1/articles/{article_id(numbers())}")),
        "list": (0.04, lambda: request("GET", f"/v1/articles?limit={random.randint(1, 100)}")),
        "feedback": (0.02, lambda: request("POST", "/v1/feedback", unanswerable)),
        "pages": (0.04, lambda: request("GET", random.choice(pages))),
    }


async def _soaked(rig: Rig, served: Served, seconds: float) -> list[Figure]:
    most = rate(await looped(served.port, rig.asking(), _ASKERS, min(10.0, seconds)))
    client, random = Client(served.port), Random(1)
    operations = _operations(rig, random)
    began = perf_counter()
    sampling = asyncio.create_task(_samples(rig, served, seconds))
    replies = await asyncio.gather(
        *(
            open_loop(client, send, share * _LOAD * most, seconds, random.random())
            for share, send in operations.values()
        )
    )
    client.close()
    samples, asked, warm = await sampling, replies[0], began + _WARM_UP * seconds
    early = [one.seconds for one in asked if warm <= one.due < warm + _WARM_UP * seconds]
    late = [one.seconds for one in asked if one.due >= began + (1 - _WARM_UP) * seconds]
    late_samples = [sample for sample in samples if sample.at >= warm]
    every = [reply for some in replies for reply in some]
    return [
        Figure("requests a second", len(every) / seconds),
        *(counted(name, counts(some)) for name, some in zip(operations, replies, strict=True)),
        exactly("5xx or broken off", sum(one.status >= 500 or one.status == BROKEN for one in every), 0),
        *_grows(late_samples, "memory", "MiB of memory", _MOST_MEMORY_MIB_PER_HOUR),
        *_grows(late_samples, "files", "open files", _FLAT),
        *_grows(late_samples, "threads", "threads", _FLAT),
        Figure("memory at the end, MiB", samples[-1].memory),
        at_most("the database's log at its longest, MiB", max(sample.wal for sample in samples), _MOST_WAL_MIB),
        Figure("ask, p50 ms after warm-up", 1000 * quantile(early, 0.5)),
        at_most("ask, p50 at the end / after warm-up", quantile(late, 0.5) / quantile(early, 0.5), _MOST_DRIFT),
    ]


async def _samples(rig: Rig, served: Served, seconds: float) -> list[Sample]:
    end, log = perf_counter() + seconds, rig.library / f"{DATABASE}-wal"
    samples = []
    while perf_counter() < end:
        wal = log.stat().st_size * _MIB_PER_BYTE if log.exists() else 0.0
        samples.append(Sample(perf_counter(), served.memory, served.files, served.threads, wal))
        await asyncio.sleep(seconds / _SAMPLES)
    return samples


def growth(samples: Sequence[Sample], name: str) -> tuple[float, float]:
    """How much more of it there is an hour, by least squares, and two standard errors of that."""
    values = np.array([getattr(sample, name) for sample in samples], dtype=float)
    hours = np.array([sample.at for sample in samples]) / _SECONDS_PER_HOUR
    hours -= hours.mean()
    slope = hours @ values / (hours @ hours)
    deviations = values - values.mean() - slope * hours
    return float(slope), 2 * math.sqrt(deviations @ deviations / (len(samples) - 2) / (hours @ hours))


def _grows(samples: Sequence[Sample], name: str, title: str, limit: float) -> list[Figure]:
    """Wanted is that it does not certainly grow by more than the limit: samples go up and down."""
    slope, error = growth(samples, name)
    return [Figure(f"{title} an hour", slope), at_most(f"{title} an hour, surely", slope - error, limit)]
