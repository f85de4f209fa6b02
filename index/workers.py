"""Processes that embed for this one. They are sent texts and answer with vectors; the model they find by its name."""

import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from signal import Signals
from threading import Lock
from typing import Self

import numpy as np

from index.embed import Embedder, Vectors
from index.errors import ModelNotFound, PullquoteError
from index.onnx import THREADS, cores

_AHEAD = 2
"""For each process: what it embeds, and what it then need not wait for."""

_NUMBER_BYTES = 4
"""Of a vector's numbers, in the order of little-endian machines."""

COMMAND = (sys.executable, "-P", "-B", "-m", "index.worker")
"""Of a worker, which is given the name of its embedder as well."""


class WorkerDied(PullquoteError):
    """A process that embeds has ended at the same texts twice."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """`begin` takes texts and returns what waits for their vectors; it is best begun with so many lots of texts `ahead`
    of the one that is waited for."""

    begin: Callable[[Sequence[str]], Callable[[], Vectors]]
    ahead: int


@contextmanager
def embedding(embedder: Embedder, workers: int) -> Iterator[Embedding]:
    """By this process where one worker is enough, else by so many others. Waiting raises ModelNotFound, WorkerDied."""
    if workers == 1:
        yield Embedding(lambda texts: partial(embedder.encode, texts), ahead=0)
    else:
        with Workers([*COMMAND, embedder.name], workers) as those:
            yield Embedding(those.begin, _AHEAD * workers)


class Workers:
    """So many processes, each on its share of the cores. One that dies is replaced, and its texts are embedded once
    more."""

    def __init__(self, command: Sequence[str], number: int) -> None:
        threads = max(1, cores() // number)
        self._workers = [_Worker(command, threads) for _ in range(number)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._waiting = ThreadPoolExecutor(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End them, whatever they are at."""
        self._waiting.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.end()
        self._waiting.shutdown()
        for worker in self._workers:
            worker.close()

    def begin(self, texts: Sequence[str]) -> Callable[[], Vectors]:
        """What is returned raises ModelNotFound, WorkerDied."""
        return self._waiting.submit(self._embed, texts).result

    def _embed(self, texts: Sequence[str]) -> Vectors:
        worker = self._idle.get()
        try:
            return worker.embed(texts)
        finally:
            self._idle.put(worker)


class _Ended(Exception):
    """The process has ended."""


class _Worker:
    """One of the processes, or the one that has taken its place."""

    def __init__(self, command: Sequence[str], threads: int) -> None:
        self._command = command
        self._environment = {**os.environ, THREADS: str(threads)}
        self._lock = Lock()
        self._wanted = True
        self._socket = socket.socket()
        self._start()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Raises ModelNotFound, WorkerDied."""
        with suppress(_Ended):
            return self._answer(texts)
        self._process.kill()
        self._process.wait()
        try:
            self._start()
            return self._answer(texts)
        except _Ended:
            code = self._process.wait()
            how = Signals(-code).name if code < 0 else f"exit code {code}"
            raise WorkerDied(
                f"a process has ended twice while it embedded the same passages ({how}); all that was counted is "
                "stored; if memory is short, use fewer --workers"
            ) from None

    def end(self) -> None:
        with self._lock:
            self._wanted = False
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """What is left of one that has ended and that nobody waits for."""
        self._socket.close()

    def _start(self) -> None:
        """Raises _Ended where it is wanted no more."""
        with self._lock:
            if not self._wanted:
                raise _Ended
            self._socket.close()
            self._socket, theirs = socket.socketpair()
            with theirs:  # in a session of its own, where Ctrl-C does not reach it
                self._process = subprocess.Popen(
                    self._command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=self._environment,
                    start_new_session=True,
                )

    def _answer(self, texts: Sequence[str]) -> Vectors:
        """Raises _Ended, ModelNotFound."""
        with suppress(ConnectionError):  # it may have said why it has ended
            self._socket.sendall(json.dumps(texts).encode() + b"\n")
        with suppress(ConnectionError), self._socket.makefile("rb") as answer:
            if line := answer.readline():
                told = json.loads(line)
                if "no_model" in told:
                    raise ModelNotFound(told["no_model"])
                size = _NUMBER_BYTES * math.prod(told["shape"])
                if len(data := answer.read(size)) == size:
                    return np.frombuffer(data, dtype="<f4").reshape(told["shape"])
        raise _Ended
