"""The part of the index's benchmark about a library that is searched by one process while another adds to it."""

import argparse
import multiprocessing
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from eval.bench_data import library_of, squad_sample
from index.article import make_article
from index.embed import load_embedder
from index.library import DATABASE, Library
from index.passage import Passage
from index.store import Indexed, Store

_BATCHES = 300
_BATCH_ARTICLES = 10
_BATCHES_A_SECOND = 10
"""A hundred articles a second, of one or two passages: several times what the embedder would let in."""

_QUESTIONS = 200


def live(options: argparse.Namespace) -> None:
    """Milliseconds of a search alone, and while thousands of articles come in; the vectors of what comes in are there
    already, so that the other process takes no more of the machine than writing does."""
    with TemporaryDirectory(prefix="pullquote-") as scratch:
        path = Path(scratch) / "library"
        small, _ = library_of(options.libraries, "squad")
        small.close()
        shutil.copytree(small.path, path)
        with Library(path, load_embedder()) as library:
            library.search("What was asked?")
            questions = [gold.question for gold in squad_sample(_QUESTIONS)]
            _tell("alone", [_milliseconds(library, question) for question in questions])
            before = library.counts()[0]
            writer = multiprocessing.get_context("spawn").Process(target=_write, args=(path,))
            writer.start()
            while library.counts()[0] == before and writer.is_alive():
                time.sleep(0.01)
            times = [_milliseconds(library, question) for question in _until_over(writer, questions)]
            _tell(f"while {library.counts()[0] - before:,} articles came in", times)


def _until_over(writer: multiprocessing.process.BaseProcess, questions: list[str]) -> Iterator[str]:
    number = 0
    while writer.is_alive():
        yield questions[number % len(questions)]
        number += 1


def _milliseconds(library: Library, question: str) -> float:
    began = perf_counter()
    library.search(question)
    return 1000 * (perf_counter() - began)


def _tell(when: str, times: list[float]) -> None:
    p50, p95 = np.percentile(times, (50, 95))
    print(f"{len(times):,} searches {when}: p50 {p50:.1f}, p95 {p95:.1f}, at most {max(times):.1f} ms", flush=True)


def _write(path: Path) -> None:
    """Paragraphs of articles that are there, as articles of their own, at an even pace."""
    store = Store(path / DATABASE)
    _, keys = store.snapshot()
    passages = list(store.passages(keys[: _BATCHES * _BATCH_ARTICLES].tolist()).items())
    _, vectors = store.vectors([key for key, _ in passages])
    began = perf_counter()
    for number in range(_BATCHES):
        first = number * _BATCH_ARTICLES
        batch = []
        for place, (key, passage) in enumerate(passages[first : first + _BATCH_ARTICLES], start=first):
            article = make_article(passage.text, id=f"live-{key}")
            batch.append(Indexed(article, [Passage(article, 0, len(article.text))], vectors[place : place + 1]))
        store.replace(batch)
        time.sleep(max(0.0, began + (number + 1) / _BATCHES_A_SECOND - perf_counter()))
    store.close()
