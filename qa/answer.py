"""Spans to an `Answer`: merge, cite, judge. `load` makes the one callable that server and evaluation are given."""

import math
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import TypeVar

from index.article import Article, make_article, storable
from index.errors import InvalidInput
from index.filter import Filter
from index.library import AnyLibrary
from index.passage import Passage, sentences
from index.search import Hit
from qa.confidence import Calibration, Evidence
from qa.link import text_fragment
from qa.reader import Reader, Span

GROUP = 3
"""Passages read at once: fewer are slower each, more are read in vain once the answer is settled."""

_MAX_ALTERNATIVES = 5

_Item = TypeVar("_Item")
_Place = TypeVar("_Place", "Span", "Citation")

_PUNCTUATION = str.maketrans("", "", string.punctuation + "“”‘’«»–—…")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `k` is the number of passages to read at most, `threshold` the confidence in [0, 1] below which no
    answer is given; the calibration's own where they are None. `budget_ms` is the time it may take, after which the
    passages still unread are left; `exhaustive` reads all k even where the answer is settled before.

    With `texts` the answer comes from these articles in place of the library's, which need not hold them and keeps
    nothing of them; the filter is then of no effect."""

    text: str
    k: int | None = None
    filter: Filter = Filter()
    threshold: float | None = None
    budget_ms: float | None = None
    exhaustive: bool = False
    texts: tuple[Article, ...] = ()


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
    """One possible answer with every place that gives it, best first."""

    confidence: float
    evidence: Evidence
    citations: tuple[Citation, ...]

    @property
    def text(self) -> str:
        return self.citations[0].quote

    @property
    def sources(self) -> list[tuple[Citation, tuple[str, ...]]]:
        """Its citations but those in copies of the article of one before, each with the ids of such copies that say the
        same."""
        articles = [citation.article for citation in self.citations]
        return [
            (one, tuple(dict.fromkeys(other.id for other in articles if _is_copy(other, one.article))))
            for one in independent(self.citations)
        ]


@dataclass(frozen=True, slots=True)
class Answer:
    """Either `best` is the answer, or it is None and `reason` says why.

    `alternatives` are the other candidates, best first; where the answer was withheld, the first of them is it.
    `confidence` is the best candidate's, given or withheld: the estimated probability that it is right.
    `unread` counts the hits whose passages were not read: since the answer was settled before, or, where `complete`
    is false, since the time was up. `milliseconds` are by stage.
    """

    question: str
    best: Candidate | None
    reason: NoAnswer | None
    confidence: float
    alternatives: tuple[Candidate, ...]
    hits: tuple[Hit, ...]
    unread: int
    complete: bool
    milliseconds: dict[str, float]

    @property
    def text(self) -> str | None:
        return self.best.text if self.best else None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate before it is cited: the spans that say the same, best first."""

    confidence: float
    evidence: Evidence
    spans: tuple[Span, ...]


Ask = Callable[[Question], Answer]
"""The one seam: all that asks questions is given one of these."""

Read = tuple[Hit, Sequence[Span]]
"""A hit whose passage was read, and the passage's best spans."""


def load(library: AnyLibrary, reader: Reader, calibration: Calibration) -> Ask:
    """The way of a question, over one library with one reader."""

    def ask(question: Question) -> Answer:
        began = perf_counter()
        text = storable(question.text)
        _check(question)
        k = calibration.hits if question.k is None else question.k
        texts = question.texts
        hits = library.search_in(texts, text, k) if texts else library.search(text, k, question.filter)
        searched = perf_counter()
        deadline = math.inf if question.budget_ms is None else began + question.budget_ms / 1000
        threshold = calibration.threshold if question.threshold is None else question.threshold
        # What is not sure enough to be given settles nothing.
        stop = math.inf if question.exhaustive else max(calibration.stop, threshold)
        ranked, unread, complete = _read(reader, text, hits, calibration, stop, deadline)
        candidates = [
            Candidate(one.confidence, one.evidence, tuple(map(cite, one.spans)))
            for one in ranked[: 1 + _MAX_ALTERNATIVES]
        ]
        reason = why_none(hits, candidates, threshold)
        return Answer(
            question=text,
            best=candidates[0] if candidates and reason is None else None,
            reason=reason,
            confidence=candidates[0].confidence if candidates else 0.0,
            alternatives=tuple(candidates[reason is None :][:_MAX_ALTERNATIVES]),
            hits=tuple(hits),
            unread=unread,
            complete=complete,
            milliseconds={
                "search": (searched - began) * 1000,
                "read": (perf_counter() - searched) * 1000,
                "total": (perf_counter() - began) * 1000,
            },
        )

    return ask


def _read(
    reader: Reader, text: str, hits: Sequence[Hit], calibration: Calibration, stop: float, deadline: float
) -> tuple[list[Ranked], int, bool]:
    """Read group after group until the best candidate's confidence is at least `stop` or the next group would not be
    done by `deadline`, in seconds of `perf_counter`. The candidates, the number of hits left unread, and whether that
    is not for want of time."""
    read: list[Read] = []
    ranked: list[Ranked] = []
    complete = True
    for group in groups(hits):
        began = perf_counter()
        read.extend(zip(group, reader.read(text, [hit.passage for hit in group]), strict=True))
        if not math.isinf(stop) or len(read) == len(hits):
            ranked = rank(read, calibration)
        if ranked and ranked[0].confidence >= stop:
            break
        now = perf_counter()
        if len(read) < len(hits) and now + (now - began) > deadline:  # the next takes as long as this one
            ranked, complete = rank(read, calibration), False
            break
    return ranked, len(hits) - len(read), complete


def _check(question: Question) -> None:
    if question.threshold is not None and not 0 <= question.threshold <= 1:
        raise InvalidInput(f"the threshold is {question.threshold}; it must be between 0 and 1")
    if question.budget_ms is not None and not 0 < question.budget_ms < math.inf:
        raise InvalidInput(f"the budget is {question.budget_ms} ms; it must be more than 0")


def groups(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Hits, best first, in the groups that they are read in."""
    for start in range(0, len(items), GROUP):
        yield items[start : start + GROUP]


def warm_up_search(library: AnyLibrary) -> None:
    """Load embedder and indexes now rather than at the first question."""
    library.search("What was asked?", 1)


def warm_up_reader(reader: Reader) -> None:
    """Load the reader's model now rather than at the first question."""
    article = make_article("Nothing was asked.")
    reader.read("What was asked?", [Passage(article, 0, len(article.text))])


def why_none(hits: Sequence[Hit], candidates: Sequence[Candidate], threshold: float) -> NoAnswer | None:
    """The reason not to answer with the first candidate, if any."""
    if not hits:
        return NoAnswer.NOTHING_RETRIEVED
    if candidates and candidates[0].confidence >= threshold:
        return None
    answers = candidates and candidates[0].evidence.score > 0  # the reader would rather answer with it than not
    return NoAnswer.BELOW_THRESHOLD if answers else NoAnswer.NOTHING_ANSWERS


def rank(read: Sequence[Read], calibration: Calibration) -> list[Ranked]:
    """The different answers among the spans, best first by what reader and retrieval say of a span: spans that say the
    same are one answer; of spans that overlap in an article the best stands for all."""
    found = [(span.score + calibration.retrieval * hit.score, span, hit) for hit, spans in read for span in spans]
    kept: dict[str, list[Span]] = {}
    grouped: dict[str, list[tuple[float, Span, Hit]]] = {}
    for worth, span, hit in sorted(found, key=lambda one: (-one[0], one[1].article.id, one[1].start, one[1].end)):
        of_article = kept.setdefault(span.article.id, [])
        if not any(span.start < other.end and other.start < span.end for other in of_article):
            of_article.append(span)
            grouped.setdefault(said(span.text), []).append((worth, span, hit))
    best = [group[0][0] for group in grouped.values()]
    ranked: list[Ranked] = []
    for place, group in enumerate(grouped.values()):
        worth, span, hit = group[0]
        others = best[:1] if place else best[1:2]  # the best of them: the first, or the one behind it
        evidence = Evidence(
            score=span.score,
            margin=worth - others[0] if others else span.score,
            fused=hit.score,
            cosine=hit.dense,
            places=len(independent([span for _, span, _ in group])),
            words=max(1, len(span.text.split())),
        )
        # One that is behind another is not surer than that, whatever else speaks for it.
        confidence = min([calibration.confidence(evidence), *(one.confidence for one in ranked[-1:])])
        ranked.append(Ranked(confidence, evidence, tuple(span for _, span, _ in group)))
    return ranked


def independent(places: Sequence[_Place]) -> list[_Place]:
    """Those that are not in a copy of the article of one before: what copies say was said once."""
    first: dict[str, str] = {}
    return [
        place
        for place in places
        if first.setdefault(place.article.duplicate_of or place.article.id, place.article.id) == place.article.id
    ]


def _is_copy(one: Article, other: Article) -> bool:
    return one.id != other.id and (one.duplicate_of or one.id) == (other.duplicate_of or other.id)


def said(text: str) -> str:
    """What two quotes that say the same share: the words without case, punctuation and leading article."""
    words = text.casefold().translate(_PUNCTUATION).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words) or text


def cite(span: Span) -> Citation:
    """The span with the sentence around it; with all its sentences where it crosses a boundary."""
    offset = span.passage.start
    around = [
        (offset + start, offset + end)
        for start, end in sentences(span.passage.text, span.article.language)
        if offset + start < span.end and span.start < offset + end
    ]
    return Citation(span.article, span.start, span.end, around[0][0], around[-1][1])
