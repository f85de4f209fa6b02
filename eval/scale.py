"""What a library of any size takes, and how many replicas answer in time: by arithmetic and by simulation."""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heapreplace
from itertools import cycle, islice

import numpy as np

from index.errors import InvalidInput

_DAY = 86_400.0

QUANTILE = 0.99
WITHIN_SECONDS = 1.0
"""A person does not wait longer without wondering."""

_LEAST_SIMULATED, _LEAST_SECONDS = 50_000, 300.0
"""Of a run: with almost too few replicas a queue grows slowly, and there should be several bursts and their quiet."""

_BURST_EVERY, _BURST_LASTS = 60.0, 10.0
"""Seconds. In a burst three times as many questions come as between them."""

_BURST_FACTOR = 3.0

_ASKED = "/v1/ask"

Process = Callable[[float, random.Random], Iterator[float]]
"""Makes arrivals, in seconds, of so many a second."""


@dataclass(frozen=True, slots=True)
class Units:
    """What one passage and one question cost on one machine. Bytes are of a passage: of the database with its text and
    vector, of the two indexes on disk, and of what is in memory to search. `seconds_to_answer` are those of questions
    asked one after the other."""

    passages_per_second: float
    database_bytes: float
    index_bytes: float
    memory_bytes: float
    seconds_to_answer: tuple[float, ...]

    @property
    def disk_bytes(self) -> float:
        return self.database_bytes + self.index_bytes


@dataclass(frozen=True, slots=True)
class Size:
    """A library of so many passages, on machines of `memory` bytes and `disk` bytes each."""

    passages: float
    embed_days: float
    disk: float
    memory: float
    machines: int


def size_of(units: Units, passages: float, machine_memory: float, machine_disk: float) -> Size:
    """What it takes; machines are counted by memory or by disk, whichever needs more."""
    disk = passages * units.disk_bytes
    memory = passages * units.memory_bytes
    machines = max(1, int(np.ceil(max(memory / machine_memory, disk / machine_disk))))
    return Size(passages, passages / units.passages_per_second / _DAY, disk, memory, machines)


def steady(rate: float, rng: random.Random) -> Iterator[float]:
    """Arrivals, in seconds, of people who know nothing of one another: `rate` a second."""
    now = 0.0
    while True:
        now += rng.expovariate(rate)
        yield now


def bursts(rate: float, rng: random.Random) -> Iterator[float]:
    """The same number in all, but for ten seconds of every minute three times as many as in the others."""
    share = _BURST_LASTS / _BURST_EVERY
    quiet = rate / (1 - share + share * _BURST_FACTOR)
    now = 0.0
    while True:
        # By thinning: as often as in a burst, of which between bursts a part is left out.
        now += rng.expovariate(quiet * _BURST_FACTOR)
        if now % _BURST_EVERY < _BURST_LASTS or rng.random() < 1 / _BURST_FACTOR:
            yield now


def replayed(came: Sequence[float]) -> Process:
    """As questions came once, again and again, only closer together or further apart. Takes when they came, in
    seconds, the first one first and not all at once."""
    gaps = np.diff(came) * (len(came) - 1) / (came[-1] - came[0])

    def arrivals(rate: float, rng: random.Random) -> Iterator[float]:
        now = 0.0
        for gap in islice(cycle(gaps.tolist()), rng.randrange(len(gaps)), None):
            now += gap / rate
            yield now

    return arrivals


def logged(lines: Iterable[str]) -> list[float]:
    """When the questions came of which a server's log tells (`serve --log-format json`), in seconds, whatever became
    of them. Raises InvalidInput."""
    came: list[float] = []
    try:
        for told in map(json.loads, lines):
            if told["event"] == "request" and told["route"] == _ASKED:  # a request is told of when it has ended
                ended = datetime.fromisoformat(told["timestamp"]).timestamp()
                came.append(ended - told["milliseconds"] / 1000)
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidInput(f"this is no log of a server in JSON: {error}") from None
    came.sort()
    if not came or came[0] == came[-1]:
        raise InvalidInput(f"the log tells of no two questions that came by {_ASKED} at different times")
    return came


def waits(arrivals: Sequence[float], service: Sequence[float], replicas: int, rng: random.Random) -> list[float]:
    """Seconds from arrival to answer, where each question goes to the replica that is free first, and takes one of the
    `service` times, drawn at random."""
    free = [0.0] * replicas
    heapify(free)
    taken = []
    for arrived in arrivals:
        done = max(arrived, free[0]) + rng.choice(service)
        heapreplace(free, done)
        taken.append(done - arrived)
    return taken


def quantile(rate: float, service: Sequence[float], replicas: int, process: Process = steady, seed: int = 0) -> float:
    """Seconds within which 99 of 100 questions are answered, at `rate` questions a second."""
    rng = random.Random(seed)
    count = max(_LEAST_SIMULATED, int(rate * _LEAST_SECONDS))
    arrivals = list(islice(process(rate, rng), count))
    return float(np.quantile(waits(arrivals, service, replicas, rng), QUANTILE))


def replicas_for(rate: float, service: Sequence[float], process: Process = steady) -> int | None:
    """The least number with which 99 of 100 questions are answered within a second; None where no number does, since
    one of a hundred takes longer alone."""
    if float(np.quantile(service, QUANTILE)) >= WITHIN_SECONDS:
        return None
    least = int(rate * float(np.mean(service))) + 1  # with fewer the queue would grow for ever
    most = least
    while quantile(rate, service, most, process) > WITHIN_SECONDS:
        least, most = most + 1, 2 * most
    while least < most:
        middle = (least + most) // 2
        if quantile(rate, service, middle, process) > WITHIN_SECONDS:
            least = middle + 1
        else:
            most = middle
    return most
