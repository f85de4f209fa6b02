"""Spans to an `Answer`: merge, cite, judge. `load` makes the one callable that server and evaluation are given."""

import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter

from index.article import Article, make_article, storable
from index.errors import InvalidInput
from index.library import Library
from index.passage import Passage, sentences
from index.search import Hit
from index.store import Filter
from qa.confidence import Calibration
from qa.link import text_fragment
from qa.reader import Reader, Span

DEFAULT_HITS = 10
_MAX_ALTERNATIVES = 5

_PUNCTUATION = str.maketrans("", "", string.punctuation + "“”‘’«»–—…")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `k` is the number of passages to read; `threshold` is the confidence in [0, 1] below which no
    answer is given, the calibration's own where it is None."""

    text: str
    k: int = DEFAULT_HITS
    filter: Filter = Filter()
    threshold: float | None = None


class NoAnswer(StrEnum):
    """Why there is no answer."""

    NOTHING_RETRIEVED = "nothing retrieved"
    NOTHING_ANSWERS = "nothing in the passages answers"
    BELOW_THRESHOLD = "below the threshold"


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote with its place: `article.text[start:end]`, in the sentence (or sentences) that hold it."""

    article: Article
    start: int
    end: int
    sentence_start: int
    sentence_end: int

    @property
    def quote(self) -> str:
        return self.article.text[self.start : self.end]

    @property
    def sentence(self) -> str:
        return self.article.text[self.sentence_start : self.sentence_end]

    @property
    def link(self) -> str | None:
        """The article's URL with a text fragment, so that a browser goes to the quote; None without a URL."""
        return text_fragment(self.article, self.start, self.end) if self.article.url else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible answer with every place that gives it, best first. `score` is that of its best span."""

    confidence: float
    score: float
    citations: tuple[Citation, ...]

    @property
    def text(self) -> str:
        return self.citations[0].quote


@dataclass(frozen=True, slots=True)
class Answer:
    """Either `best` is the answer, or it is None and `reason` says why.

    `alternatives` are the other candidates, best first; where the answer was withheld, the first of them is it.
    `confidence` is the best candidate's, given or withheld: the estimated probability that it is right.
    `milliseconds` are by stage.
    """

    question: str
    best: Candidate | None
    reason: NoAnswer | None
    confidence: float
    alternatives: tuple[Candidate, ...]
    hits: tuple[Hit, ...]
    milliseconds: dict[str, float]

    @property
    def text(self) -> str | None:
        return self.best.text if self.best else None


Ask = Callable[[Question], Answer]
"""The one seam: all that asks questions is given one of these."""


def load(library: Library, reader: Reader, calibration: Calibration) -> Ask:
    """The way of a question, over one library with one reader."""

    def ask(question: Question) -> Answer:
        text = storable(question.text)
        if question.threshold is not None and not 0 <= question.threshold <= 1:
            raise InvalidInput(f"the threshold is {question.threshold}; it must be between 0 and 1")
        began = perf_counter()
        hits = library.search(text, question.k, question.filter)
        searched = perf_counter()
        spans = [span for found in reader.read(text, [hit.passage for hit in hits]) for span in found]
        read = perf_counter()
        candidates = merge(spans, calibration)
        threshold = calibration.threshold if question.threshold is None else question.threshold
        reason = why_none(hits, candidates, threshold)
        milliseconds = {
            "search": (searched - began) * 1000,
            "read": (read - searched) * 1000,
            "total": (perf_counter() - began) * 1000,
        }
        return Answer(
            text,
            candidates[0] if candidates and reason is None else None,
            reason,
            candidates[0].confidence if candidates else 0.0,
            tuple(candidates[reason is None :][:_MAX_ALTERNATIVES]),
            tuple(hits),
            milliseconds,
        )

    return ask


def warm_up(library: Library, reader: Reader) -> None:
    """Load models and indexes now rather than at the first question."""
    article = make_article("Nothing was asked.")
    library.search("What was asked?", 1)
    reader.read("What was asked?", [Passage(article, 0, len(article.text))])


def why_none(hits: Sequence[Hit], candidates: Sequence[Candidate], threshold: float) -> NoAnswer | None:
    """The reason not to answer with the first candidate, if any."""
    if not hits:
        return NoAnswer.NOTHING_RETRIEVED
    if not candidates or candidates[0].score <= 0:
        return NoAnswer.NOTHING_ANSWERS
    return NoAnswer.BELOW_THRESHOLD if candidates[0].confidence < threshold else None


def merge(spans: Iterable[Span], calibration: Calibration) -> list[Candidate]:
    """Candidates, best first: spans that say the same are one, each place cited once; of spans that overlap in an
    article the best stands for all."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (-span.score, span.article.id, span.start, span.end)):
        if not any(_overlap(span, other) for other in kept):
            kept.append(span)
    groups: dict[str, list[Span]] = {}
    for span in kept:
        groups.setdefault(said(span.text), []).append(span)
    return [
        Candidate(calibration.confidence(group[0].score), group[0].score, tuple(map(cite, group)))
        for group in groups.values()
    ]


def said(text: str) -> str:
    """What two quotes that say the same share: the words without case, punctuation and leading article."""
    words = text.casefold().translate(_PUNCTUATION).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words) or text


def cite(span: Span) -> Citation:
    """The span with the sentence around it; with all its sentences where it crosses a boundary."""
    offset = span.passage.start
    around = [
        (offset + start, offset + end)
        for start, end in sentences(span.passage.text)
        if offset + start < span.end and span.start < offset + end
    ]
    return Citation(span.article, span.start, span.end, around[0][0], around[-1][1])


def _overlap(one: Span, other: Span) -> bool:
    return one.article.id == other.article.id and one.start < other.end and other.start < one.end
