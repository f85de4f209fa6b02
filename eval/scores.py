"""Every metric of a run with its interval: what is measured, over what, and how sure that is."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.metrics import auroc, brier_score, calibration_error, coverage_at, rank_metrics, risk_coverage_area
from eval.misses import Miss
from eval.record import Record

RECALL_AT = (1, 5, 10)
COVERAGE_AT = (0.8, 0.9, 0.95)
PERCENTILES = (50, 95, 99)
STAGES = ("search", "read", "total")
RESAMPLES = 1_000
MIN_CLUSTERS = 8
"""Fewer articles say nothing of others, and can be exchanged in so few ways that no test of `eval.compare` finds
anything: 2 / 2^8 is below 0.05 / 5, 2 / 2^7 is not."""

_LEVEL = 0.95

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Records as arrays, each of shape (questions,); `rank` is infinite where no hit holds an answer, `exact_span` NaN
    where it is not known. `cluster` is what `clusters` says."""

    cluster: NDArray[np.int64]
    answerable: NDArray[np.bool_]
    given: NDArray[np.bool_]
    right: NDArray[np.bool_]
    confidence: Numbers
    exact_match: Numbers
    f1: Numbers
    best_exact_match: Numbers
    best_f1: Numbers
    exact_span: Numbers
    rank: Numbers
    reciprocal_rank: Numbers
    ndcg: Numbers
    read: Numbers
    search_ms: Numbers
    read_ms: Numbers
    total_ms: Numbers

    def take(self, rows: NDArray[Any]) -> "Columns":
        """Those rows, in that order and as often as they are named."""
        return Columns(*(getattr(self, field.name)[rows] for field in fields(self)))

    def followed_by(self, other: "Columns") -> "Columns":
        names = [field.name for field in fields(self)]
        return Columns(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))


def columns(records: Sequence[Record]) -> Columns:
    """Of at least one record."""
    ranks = [record.rank for record in records]
    reciprocal, ndcg = rank_metrics(ranks, RECALL_AT[-1])

    def numbers(value: Callable[[Record], float | None]) -> Numbers:
        return np.array([np.nan if (one := value(record)) is None else one for record in records], dtype=np.float64)

    return Columns(
        cluster=clusters([record.article for record in records]),
        answerable=np.array([record.answerable for record in records]),
        given=np.array([record.given is not None for record in records]),
        right=np.array([record.best_exact_match == 1 for record in records]),
        confidence=numbers(lambda record: record.confidence),
        exact_match=numbers(lambda record: record.exact_match),
        f1=numbers(lambda record: record.f1),
        best_exact_match=numbers(lambda record: record.best_exact_match),
        best_f1=numbers(lambda record: record.best_f1),
        exact_span=numbers(lambda record: record.exact_span),
        rank=np.array([np.inf if rank is None else rank for rank in ranks], dtype=np.float64),
        reciprocal_rank=reciprocal,
        ndcg=ndcg,
        read=numbers(lambda record: record.read),
        search_ms=numbers(lambda record: record.milliseconds["search"]),
        read_ms=numbers(lambda record: record.milliseconds["read"]),
        total_ms=numbers(lambda record: record.milliseconds["total"]),
    )


def clusters(articles: Sequence[str | None]) -> NDArray[np.int64]:
    """Numbers, for the article of each question, what is drawn or exchanged as one: the questions about an article,
    one alone where that is not known; and each alone where there are fewer than MIN_CLUSTERS."""
    keys = [article if article is not None else number for number, article in enumerate(articles)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(numbers) < MIN_CLUSTERS:
        return np.arange(len(articles))
    return np.array([numbers[key] for key in keys])


@dataclass(frozen=True, slots=True)
class Metric:
    """`value` is a number over at least one question, NaN where there is nothing to measure. A share is in [0, 1];
    other units are named."""

    label: str
    value: Callable[[Columns], float]
    unit: str = "%"
    higher_is_better: bool = True


def _mean(values: Numbers) -> float:
    return float(values.mean()) if len(values) else np.nan


def _answerable(column: str) -> Callable[[Columns], float]:
    return lambda c: _mean(getattr(c, column)[c.answerable])


def _recall(k: int) -> Callable[[Columns], float]:
    return lambda c: _mean((c.rank <= k)[c.answerable].astype(float))


def _coverage(precision: float) -> Callable[[Columns], float]:
    return lambda c: coverage_at(c.confidence, c.right, precision)


def _percentile(stage: str, at: int) -> Callable[[Columns], float]:
    return lambda c: float(np.percentile(getattr(c, f"{stage}_ms"), at))


METRICS: Mapping[str, Metric] = {
    "em": Metric("exact match", lambda c: _mean(c.exact_match)),
    "f1": Metric("F1", lambda c: _mean(c.f1)),
    "answerable_em": Metric("answerable: exact match", _answerable("exact_match")),
    "answerable_f1": Metric("answerable: F1", _answerable("f1")),
    "best_em": Metric("answerable, nothing withheld: exact match", _answerable("best_exact_match")),
    "best_f1": Metric("answerable, nothing withheld: F1", _answerable("best_f1")),
    "exact_span": Metric(
        "answerable: cited at the gold's place", lambda c: _mean(c.exact_span[~np.isnan(c.exact_span)])
    ),
    **{f"recall@{k}": Metric(f"recall@{k}", _recall(k)) for k in RECALL_AT},
    "mrr@10": Metric("mean reciprocal rank@10", _answerable("reciprocal_rank")),
    "ndcg@10": Metric("nDCG@10", _answerable("ndcg")),
    "answered": Metric("share answered", lambda c: _mean(c.given.astype(float))),
    "answered_em": Metric("exact match where answered", lambda c: _mean(c.exact_match[c.given])),
    "no_answer_precision": Metric("no answer given: rightly", lambda c: _mean((~c.answerable)[~c.given].astype(float))),
    "no_answer_recall": Metric(
        "unanswerable: no answer given", lambda c: _mean((~c.given)[~c.answerable].astype(float))
    ),
    "no_answer_auroc": Metric("answerable told by confidence: AUROC", lambda c: auroc(c.confidence, c.answerable)),
    "ece": Metric("expected calibration error", lambda c: calibration_error(c.confidence, c.right), "%", False),
    "brier": Metric("Brier score", lambda c: brier_score(c.confidence, c.right), "%", False),
    "aurc": Metric("area under risk and coverage", lambda c: risk_coverage_area(c.confidence, c.right), "%", False),
    **{
        f"coverage@{level:.0%}": Metric(f"coverage at {level:.0%} precision", _coverage(level)) for level in COVERAGE_AT
    },
    "passages_read": Metric("passages read", lambda c: _mean(c.read), "", False),
    **{
        f"{stage}_p{at}": Metric(f"{stage}, {at}th percentile", _percentile(stage, at), "ms", False)
        for stage in STAGES
        for at in PERCENTILES
    },
}
"""By name. Over all questions unless the label says otherwise."""


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's value and its interval at 95 %; all None where there is nothing to measure."""

    value: float | None
    low: float | None
    high: float | None


def scores(records: Sequence[Record], resamples: int = RESAMPLES) -> dict[str, Score]:
    """Every metric of at least one record. The interval is the percentile bootstrap's (Efron 1979) over `clusters`, an
    article drawn with all of its questions (Field and Welsh 2007)."""
    table = columns(records)
    with np.errstate(invalid="ignore"):
        values = {name: metric.value(table) for name, metric in METRICS.items()}
        drawn = [[metric.value(sample) for metric in METRICS.values()] for sample in resampled(table, resamples)]
    edges = intervals(np.array(drawn).reshape(-1, len(METRICS)))
    return {
        name: Score(known(value), known(low), known(high))
        for (name, value), (low, high) in zip(values.items(), edges, strict=True)
    }


def misses(records: Sequence[Record]) -> dict[Miss, int]:
    """How many have each label, in the order of an answer's way; they sum to the questions without an exact match."""
    counts = Counter(record.miss for record in records)
    return {label: counts[label] for label in Miss}


def oracles(records: Sequence[Record]) -> dict[str, float]:
    """Exact match, in [0, 1], had one stage been perfect, by its name. Of at least one record."""
    return {stage: float(np.mean([record.oracle[stage] for record in records])) for stage in records[0].oracle}


def intervals(drawn: Numbers) -> Iterator[tuple[float, float]]:
    """The percentiles between which 95 % of each column lies, NaN where it has no numbers; `drawn` is of shape
    (samples, metrics)."""
    outside = 100 * (1 - _LEVEL) / 2
    for column in drawn.T:
        numbers = column[~np.isnan(column)]
        low, high = np.percentile(numbers, (outside, 100 - outside)) if len(numbers) else (np.nan, np.nan)
        yield float(low), float(high)


def resampled(table: Columns, times: int) -> Iterator[Columns]:
    """The table drawn anew, article by article, so many times; the same for the same table."""
    for rows in drawn_rows(table.cluster, times):
        yield table.take(rows)


def drawn_rows(cluster: NDArray[np.int64], times: int) -> Iterator[NDArray[np.int64]]:
    """Rows of as many clusters as there are, drawn with replacement."""
    chance = np.random.default_rng(0)
    members = [np.flatnonzero(cluster == number) for number in range(int(cluster.max()) + 1)]
    for _ in range(times):
        yield np.concatenate([members[number] for number in chance.integers(0, len(members), len(members))])


def known(value: float) -> float | None:
    """None instead of NaN, which JSON does not have."""
    return None if np.isnan(value) else float(value)
