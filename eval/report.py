"""A run as a page: figures with their intervals, charts, what went wrong, and every miss. One file, without scripts."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from eval.charts import charts
from eval.misses import Miss
from eval.record import NOTHING, Record, Run, facts, unlike
from eval.scores import METRICS, Score, misses, oracles, scores
from eval.slices import slices

if TYPE_CHECKING:
    from eval.compare import Comparison, PartChange

MAX_CARDS = 2_000
"""Misses shown one by one: more than anybody reads, and few enough for a browser."""

MAX_PARTS = 30
"""Parts of a slice shown: of tags and sources, which alone may be more, the largest."""

HEADLINES: Mapping[str, Sequence[str]] = {
    "Answers": ("em", "f1", "answerable_em", "answerable_f1"),
    "Found and given": ("recall@10", "answered", "answered_em", "no_answer_recall"),
    "Confidence": ("ece", "brier", "aurc"),
    "Time a question": ("total_p50", "total_p95", "total_p99"),
}
"""Metrics at the top of the page, by what they are about."""

MEANINGS: Mapping[Miss, str] = {
    Miss.NOT_IN_LIBRARY: "No article of the library holds the answer.",
    Miss.SPLIT: "An article holds it, but no passage holds all of it.",
    Miss.NOT_RETRIEVED: "A passage holds it, but none of those that were found.",
    Miss.NOT_READ: "It was found, but reading stopped before it.",
    Miss.LOST: "It was read, but the best candidate is from another passage.",
    Miss.WRONG_SPAN: "A passage that holds it was read, but the best candidate is another span, or there is none.",
    Miss.WITHHELD: "The best candidate is right, but was not sure enough to be given.",
    Miss.NOT_WITHHELD: "The articles hold no answer, but one was given.",
}

SIGNIFICANT = 0.05
"""Probability below which a change is set in bold."""

OUTCOMES = ("answered right", "answered wrong", "no answer given")

_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What HTML cannot hold, or shows in no way."""


@dataclass(frozen=True, slots=True)
class Missed:
    """A label with the records that have it: `count` of them, of which `shown` are."""

    label: Miss
    meaning: str
    count: int
    shown: Sequence[Record]

    @property
    def id(self) -> str:
        return self.label.value.replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Part:
    """One row of a slice: scores are means in [0, 1]."""

    name: str
    questions: int
    exact_match: float
    f1: float


@dataclass(frozen=True, slots=True)
class Slice:
    """The parts shown; `left_out` have one question only, or are smaller than MAX_PARTS others."""

    name: str
    parts: Sequence[Part]
    left_out: int


@dataclass(frozen=True, slots=True)
class ChangedSlice:
    """The parts shown, by name, and how many smaller ones are not."""

    name: str
    parts: "Sequence[tuple[str, PartChange]]"
    left_out: int


def html(run: Run, baseline: Run | None = None, comparison: "Comparison | None" = None) -> str:
    """The page of at least one record; the same text for the same runs. With a baseline it says what that was made with
    that this was not, with a comparison what changed since."""
    records, found = run.records, scores(run.records)
    labels = list(_missed(records))
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            about=list(_about(run.about)),
            baseline=baseline,
            unlike=[] if baseline is None else list(unlike(baseline.about, run.about)),
            comparison=comparison,
            changed_slices=[] if comparison is None else list(_changed_slices(comparison)),
            significant=SIGNIFICANT,
            records=records,
            right=sum(record.exact_match == 1 for record in records),
            answerable=sum(record.answerable for record in records),
            quotes=sum(record.quotes for record in records),
            misplaced=sum(record.misplaced for record in records),
            found=found,
            metrics=METRICS,
            headlines=HEADLINES,
            slowest=max(found[name].high or found[name].value or 0 for name in HEADLINES["Time a question"]),
            labels=labels,
            missed=sum(label.count for label in labels),
            most=max([1, *(label.count for label in labels)]),
            max_cards=MAX_CARDS,
            oracles=oracles(records),
            confusion=_confusion(records),
            outcomes=OUTCOMES,
            charts=charts(records),
            slices=list(_slices(records)),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_fit,
    )
    environment.filters.update(number=_number, signed=_signed, interval=_interval, share=_share)
    return environment


def _fit(value: object) -> object:
    """Whatever the page shows, as characters that it may hold."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", value)


def _number(value: float | None, unit: str, *, named: bool = True) -> str:
    """A metric's value in its unit; a share is shown in per cent."""
    if value is None:
        return NOTHING
    shown = f"{100 * value:.1f}" if unit == "%" else f"{value:,.0f}" if unit == "ms" else f"{value:.1f}"
    return f"{shown}\N{NO-BREAK SPACE}{unit}".strip() if named else shown


def _signed(value: float | None, unit: str) -> str:
    """A difference of a metric, in points where it is a share."""
    if value is None:
        return NOTHING
    return f"{100 * value if unit == '%' else value:+,.1f}".replace("-", "\N{MINUS SIGN}")


def _interval(score: Score, unit: str) -> str:
    if score.low is None or score.high is None:
        return NOTHING
    return f"{_number(score.low, unit, named=False)} to {_number(score.high, unit, named=False)}"


def _share(count: int, of: int) -> str:
    return _number(count / of if of else None, "%")


def _missed(records: Sequence[Record]) -> Iterator[Missed]:
    """In the order of an answer's way; a label that none has is among them."""
    missed = [record for record in records if record.miss is not None]
    for label, count in misses(records).items():
        shown = [record for record in missed[:MAX_CARDS] if record.miss is label]
        yield Missed(label, MEANINGS[label], count, shown)


def _confusion(records: Sequence[Record]) -> Mapping[str, Mapping[str, int]]:
    """How many there are by whether there is an answer, and what became of them."""
    counts = Counter((record.answerable, _outcome(record)) for record in records)
    return {
        name: {outcome: counts[answerable, outcome] for outcome in OUTCOMES}
        for name, answerable in (("answerable", True), ("unanswerable", False))
    }


def _outcome(record: Record) -> str:
    if record.given is None:
        return OUTCOMES[2]
    return OUTCOMES[0] if record.exact_match == 1 else OUTCOMES[1]


def _slices(records: Sequence[Record]) -> Iterator[Slice]:
    """Those of which there are parts to show."""
    for name, parts in slices(records).items():
        kept = [_part(part, inside) for part, inside in parts.items() if len(inside) > 1][:MAX_PARTS]
        if kept:
            yield Slice(name, kept, len(parts) - len(kept))


def _changed_slices(comparison: "Comparison") -> Iterator[ChangedSlice]:
    for name, parts in comparison.slices.items():
        kept = list(parts.items())[:MAX_PARTS]
        if kept:
            yield ChangedSlice(name, kept, len(parts) - len(kept))


def _part(name: str, records: Sequence[Record]) -> Part:
    exact_match, f1 = np.mean([(record.exact_match, record.f1) for record in records], axis=0)
    return Part(name, len(records), float(exact_match), float(f1))


def _about(about: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[tuple[str, str]]]]:
    """What a run was made with: by topic, names with what they are; the topic of what has none is empty."""
    alone = {name: value for name, value in about.items() if not isinstance(value, Mapping)}
    if alone:
        yield "", list(facts(alone))
    for topic, value in about.items():
        if isinstance(value, Mapping):
            yield topic.replace("_", " "), list(facts(value))
