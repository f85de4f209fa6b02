"""The server with toy models, as a process, and with faults that its tests must notice.

python -m tests.toy_server LIBRARY PORT [CHANGE ...]
"""

import math
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from index.embed import load_embedder
from index.library import Library
from index.passage import Passage
from qa.answer import load
from qa.confidence import Calibration
from qa.reader import Span
from server import connection, patience, run
from server.admission import Queue
from server.app import create_app
from tests.conftest import ToyEmbedder

_READING_SECONDS = 0.02
_LONG_READING_SECONDS = 1.0
_REFUSED = 10
_IMPATIENT_SECONDS = 1.0


class FirstWords:
    """Answers with the first two words of a passage, if it has so many, the more surely the longer they are."""

    seconds = 0.0
    """That it takes for a question."""

    def load(self) -> None:
        """Nothing is to be loaded."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        time.sleep(self.seconds)
        return [list(self._spans(passage)) for passage in passages]

    def _spans(self, passage: Passage) -> Iterator[Span]:
        if found := re.search(r"\w+ \w+", passage.text):
            yield Span(passage, passage.start + found.start(), passage.start + found.end(), len(found[0]) - 8)


def _reading_takes_time(seconds: float) -> None:
    FirstWords.seconds = seconds


def _loading_goes_on() -> None:
    """Until so many requests were refused."""
    refused = threading.Semaphore(0)
    check = Queue.check

    def counted(queue: Queue) -> None:
        refused.release()
        check(queue)

    def load_slowly(reader: FirstWords) -> None:
        for _ in range(_REFUSED):
            refused.acquire()

    Queue.check = counted  # type: ignore[method-assign, assignment]
    FirstWords.load = load_slowly  # type: ignore[method-assign, assignment]


def _tokens_are_real() -> None:
    """Those of the shipped embedder, whose model is not loaded."""
    ToyEmbedder.token_spans = load_embedder().token_spans  # type: ignore[method-assign, assignment]


def _patience_is_short() -> None:
    patience.PATIENCE_SECONDS = connection.IDLE_SECONDS = _IMPATIENT_SECONDS  # type: ignore[assignment]


def _patience_is_endless() -> None:
    patience.PATIENCE_SECONDS = connection.IDLE_SECONDS = 10**6


def _queue_is_unbounded() -> None:
    bounded = Queue.__init__
    Queue.__init__ = lambda queue, waiting: bounded(queue, 10**6)  # type: ignore[method-assign, misc, assignment]


def _places_are_kept() -> None:
    place = Queue.place

    @contextmanager
    def kept(queue: Queue) -> Iterator[None]:
        with place(queue):
            try:
                yield
            except BaseException:
                queue._free -= 1
                raise

    Queue.place = kept  # type: ignore[method-assign, assignment]


def _nothing_is_waited_for() -> None:
    run.GRACE_SECONDS = 0


def _memory_and_files_are_kept() -> None:
    kept: list[object] = []
    read = FirstWords.read

    def read_and_keep(reader: FirstWords, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        kept.append((socket.socket(), bytes(10**6)))
        return read(reader, question, passages)

    FirstWords.read = read_and_keep  # type: ignore[method-assign, assignment]


CHANGES: Mapping[str, Callable[[], None]] = {
    "slow": partial(_reading_takes_time, _READING_SECONDS),
    "very slow": partial(_reading_takes_time, _LONG_READING_SECONDS),
    "loading": _loading_goes_on,
    "real tokens": _tokens_are_real,
    "impatient": _patience_is_short,
    "patient without end": _patience_is_endless,
    "unbounded queue": _queue_is_unbounded,
    "places kept": _places_are_kept,
    "no grace": _nothing_is_waited_for,
    "memory and files kept": _memory_and_files_are_kept,
}


def main(path: Path, port: int, changes: Sequence[str]) -> None:
    for change in changes:
        CHANGES[change]()
    reader = FirstWords()
    with Library(path, ToyEmbedder(), create=True) as library:
        app = create_app(load(library, reader, Calibration(stop=math.inf)), library)
        run.run(app, port=port, load=reader.load)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
