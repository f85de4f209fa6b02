"""How fast a library answers questions and takes articles on this machine.

Times are of `clock`, in seconds. Everything that is timed is done at least once, however little time there is.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeVar

import numpy as np

from eval.machine import matrix_rate
from index.article import Article
from index.embed import Embedder
from index.library import AnyLibrary, Library, embedded_text
from index.onnx import json_object
from index.passage import Passage, Splitter
from qa.answer import Ask, Question
from qa.tokens import Pairs

_ASKERS = (1, 2, 4, 8)
_MATRIX_SHARE, _ASKING_SHARE, _TOGETHER_SHARE, _INDEXING_SHARE = 0.05, 0.2, 0.5, 0.25
"""Of the time there is."""

_QUESTION_WORDS = 12
"""About as many as people's questions have."""

_QUESTION_CHARACTERS = 100
"""Where no spaces part the words, a question has at most so many."""

_ARTICLE_CHARACTERS = 20_000
"""More of an article is left out: one book must not take the time of all the others."""

_BATCH_CHARACTERS = 40_000
"""Of articles that are added together, some 60 passages: enough to sort by length, few enough to stop in time."""

_INDEXED_ARTICLES = 2_000
"""More than can be added in the time."""

_SPECIAL_TOKENS = 2
"""What an embedder puts around a text."""

_Item = TypeVar("_Item")

Clock = Callable[[], float]

Operations = Callable[[str, Sequence[Passage]], float]
"""Floating point operations to read the passages for a question; no padding counted."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of times, in milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Asking:
    """Questions asked one after the other. Of the stages, `encode` is the part of `search` that makes the question's
    vector, measured apart, and `total` is both `search` and `read`. `passages_read` is the mean. `gflops` is the rate
    of the reader's operations while it reads, None where they cannot be counted."""

    questions: int
    passages_read: float
    milliseconds: Mapping[str, Percentiles]
    gflops: float | None


@dataclass(frozen=True, slots=True)
class Together:
    """What so many askers got, each of whom waits for an answer and asks again; `milliseconds` are those of a wait."""

    askers: int
    questions: int
    questions_per_second: float
    milliseconds: Percentiles


@dataclass(frozen=True, slots=True)
class Indexing:
    """Articles added to a new library, until they could be found."""

    articles: int
    passages: int
    tokens: int
    articles_per_second: float
    passages_per_second: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Bench:
    """All that is measured. `matrix_gflops` is the machine's rate in fp32 matrix products."""

    asking: Asking
    together: tuple[Together, ...]
    indexing: Indexing
    matrix_gflops: float

    @property
    def matrix_share(self) -> float | None:
        """What the reader reaches of that rate; products of 8 bits may be faster, so it may be over 1."""
        return None if self.asking.gflops is None else self.asking.gflops / self.matrix_gflops


@dataclass(frozen=True, slots=True)
class Encoder:
    """The sizes of a model such as BERT."""

    width: int
    inner: int
    layers: int

    def operations(self, tokens: int) -> int:
        """To run it on so many tokens, each multiplication and each addition one: in every layer four products with
        square matrices and two with the inner layer's for each token, and two of that width for each pair of tokens
        (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762). All else is little beside them and left out."""
        weights = 4 * self.width**2 + 2 * self.width * self.inner
        return self.layers * (2 * weights * tokens + 4 * self.width * tokens**2)


def bench(
    library: AnyLibrary,
    ask: Ask,
    embedder: Embedder,
    operations: Operations | None,
    questions: Sequence[Question],
    seconds: float,
    tell: Callable[[str], None] = lambda text: None,
) -> Bench:
    """Measure everything in about that time. The library and its embedder are those that `ask` answers from; nothing
    is added to it. `tell` is told what is being measured."""
    tell("matrix products")
    rate = matrix_rate(_MATRIX_SHARE * seconds)
    tell("questions, one after the other")
    alone = ask_in_turn(ask, embedder, questions, _ASKING_SHARE * seconds, operations)
    together = []
    for askers in _ASKERS:
        tell(f"questions of {askers} at once")
        together.append(ask_together(ask, questions, askers, _TOGETHER_SHARE / len(_ASKERS) * seconds))
    tell("adding articles")
    return Bench(alone, tuple(together), index_copies(library, embedder, _INDEXING_SHARE * seconds), rate)


def percentiles(seconds: Sequence[float]) -> Percentiles:
    p50, p95, p99 = (float(1000 * np.percentile(seconds, at)) for at in (50, 95, 99))
    return Percentiles(p50, p95, p99)


def encoder_of(folder: Path) -> Encoder | None:
    """The model's in a folder; None where its config.json does not name the sizes as BERT's does. Raises
    ModelNotFound."""
    config = json_object(folder / "config.json")
    sizes = [config.get(name) for name in ("hidden_size", "intermediate_size", "num_hidden_layers")]
    width, inner, layers = (size if isinstance(size, int) else 0 for size in sizes)
    return Encoder(width, inner, layers) if width and inner and layers else None


def operations_of(folder: Path) -> Operations | None:
    """What counts the operations of the reader in a folder; None where its sizes are not known. Raises
    ModelNotFound."""
    encoder = encoder_of(folder)
    if encoder is None:
        return None
    pairs = Pairs(folder)

    def operations(question: str, passages: Sequence[Passage]) -> float:
        encodings = pairs.encode(question, [passage.text for passage in passages])
        windows = [window for encoding in encodings for window in (encoding, *encoding.overflowing)]
        return float(sum(encoder.operations(len(window.ids)) for window in windows))

    return operations


def questions_of(library: AnyLibrary, embedder: Embedder, count: int) -> list[str]:
    """At most so many questions out of the library itself, always the same: the beginnings of passages, which cost what
    people's questions cost."""
    splitter = _splitter(embedder)
    passages = [passage for article in some_articles(library, count) for passage in splitter.split(article)]
    return [_as_question(passage.text) for passage in drawn(passages, count)]


def some_articles(library: AnyLibrary, count: int) -> Iterator[Article]:
    """At most so many articles, drawn at random, each cut off where it is very long."""
    total, _ = library.counts()
    for place in drawn(range(total), count):
        for article, _ in library.articles(place, 1):
            yield replace(article, text=article.text.lstrip()[:_ARTICLE_CHARACTERS])


def drawn(items: Sequence[_Item], count: int) -> list[_Item]:
    """At most so many of the items in an order that is random, since the time may not be enough for all, but always the
    same."""
    return random.Random(0).sample(items, min(count, len(items)))


def ask_in_turn(
    ask: Ask,
    embedder: Embedder,
    questions: Sequence[Question],
    seconds: float,
    operations: Operations | None,
    clock: Clock = perf_counter,
) -> Asking:
    """Ask the questions one after the other, as a user does, until all are asked or the time is up."""
    times: dict[str, list[float]] = {"search": [], "read": [], "total": [], "encode": []}
    read: list[tuple[str, list[Passage]]] = []
    end = clock() + seconds
    for question in questions:
        answer = ask(question)
        for stage in ("search", "read", "total"):
            times[stage].append(answer.milliseconds[stage] / 1000)
        read.append((question.text, [hit.passage for hit in answer.hits[: len(answer.hits) - answer.unread]]))
        if clock() >= end:
            break
    for text, _ in read:  # not in between, where it would warm the search up
        began = clock()
        embedder.encode([text])
        times["encode"].append(clock() - began)
    done = None if operations is None else sum(operations(text, passages) for text, passages in read)
    return Asking(
        questions=len(read),
        passages_read=float(np.mean([len(passages) for _, passages in read])),
        milliseconds={stage: percentiles(taken) for stage, taken in times.items()},
        gflops=None if done is None else done / sum(times["read"]) / 1e9,
    )


def ask_together(
    ask: Ask, questions: Sequence[Question], askers: int, seconds: float, clock: Clock = perf_counter
) -> Together:
    """Let so many ask at once for so long, each one question after the other. As in the server a single thread answers,
    in the order the questions came."""
    answering = ThreadPoolExecutor(1)
    began = clock()

    def asker(number: int) -> list[float]:
        waits = []
        for question in islice(cycle(questions), number % len(questions), None):
            asked = clock()
            answering.submit(ask, question).result()
            waits.append(clock() - asked)
            if clock() - began >= seconds:
                break
        return waits

    with ThreadPoolExecutor(askers) as threads:
        try:
            waits = [wait for one in threads.map(asker, range(askers)) for wait in one]
        finally:
            answering.shutdown(cancel_futures=True)  # after Ctrl-C, whoever waits is turned away
    return Together(askers, len(waits), len(waits) / (clock() - began), percentiles(waits))


def index_copies(library: AnyLibrary, embedder: Embedder, seconds: float, clock: Clock = perf_counter) -> Indexing:
    """Add copies of some of the library's articles to a new one that is then removed, until the time is up."""
    added: list[Article] = []
    taken = 0.0
    with TemporaryDirectory(prefix="pullquote-") as folder, Library(Path(folder), embedder, create=True) as copy:
        for batch in _batches(some_articles(library, _INDEXED_ARTICLES)):
            began = clock()
            copy.add(batch)
            taken += clock() - began
            added += batch
            if taken >= seconds:
                break
        began = clock()
        copy.settle()
        taken += clock() - began
    passages = [passage for article in added for passage in _splitter(embedder).split(article)]
    tokens = token_count(embedder, [embedded_text(passage) for passage in passages])
    counts = len(added), len(passages), tokens
    return Indexing(*counts, *(count / taken for count in counts))


def token_count(embedder: Embedder, texts: Sequence[str]) -> int:
    """Tokens the embedder's model sees of the texts where none is cut off."""
    return sum(len(spans) + _SPECIAL_TOKENS for spans in embedder.token_spans(texts))


def _splitter(embedder: Embedder) -> Splitter:
    return Splitter(embedder.token_spans, embedder.fingerprint)


def _as_question(text: str) -> str:
    return " ".join(text.split()[:_QUESTION_WORDS])[:_QUESTION_CHARACTERS]


def _batches(articles: Iterator[Article]) -> Iterator[list[Article]]:
    batch: list[Article] = []
    for article in articles:
        batch.append(article)
        if sum(len(one.text) for one in batch) >= _BATCH_CHARACTERS:
            yield batch
            batch = []
    if batch:
        yield batch
