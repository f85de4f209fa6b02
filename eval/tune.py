"""Chooses on gold questions how much meaning weighs against words, how many passages are read, and when to withhold."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.gold import GoldQuestion
from eval.metrics import given_scores
from eval.misses import holds
from eval.scores import RESAMPLES, clusters, drawn_rows, intervals
from index.errors import InvalidInput
from index.library import CANDIDATES, AnyLibrary
from index.search import Hit, fuse
from qa.answer import rank
from qa.calibrate import ABOUT_AS_MANY, FOLDS, MIN_READINGS, Judged, best_threshold
from qa.confidence import Calibration
from qa.reader import Reader, Span

WEIGHTS = tuple(step / 10 for step in range(11))
"""Of meaning."""

HITS = (3, 5, 10, 15, 20)


@dataclass(frozen=True, slots=True)
class Choice:
    """The weight of meaning in fusion, the passages to read, the confidence below which to withhold."""

    dense_weight: float
    hits: int
    threshold: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Means over questions, in [0, 1]: whether the passages read hold the answer (of answerable ones), exact match and
    F1 of what is given, nothing being right where there is no answer."""

    recall: float
    exact_match: float
    f1: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """`choice` is made on all questions. `after` is of questions that had no part in the choice: each fifth of the
    articles (of the questions, where these are about few), with what was chosen on the others; `low` and `high` are the
    95 % interval of its gain in exact match over `before`, the present settings on the same questions."""

    choice: Choice
    before: Outcome
    after: Outcome
    low: float
    high: float

    @property
    def gain(self) -> float:
        """In exact match; below 0 the choice is no better than chance made it look."""
        return self.after.exact_match - self.before.exact_match


Read = Mapping[int, Sequence[Span]]
"""The spans of each passage that may be read, by its key."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A question with what search offers for it, by passage key; `held` are those that hold an answer."""

    gold: GoldQuestion
    dense: Mapping[int, float]
    lexical: Mapping[int, float]
    held: frozenset[int]

    def ranked(self, weight: float) -> list[tuple[int, float]]:
        return fuse(self.dense, self.lexical, weight)[: max(HITS)]

    def reciprocal_rank(self, weight: float) -> float:
        return next((1 / place for place, (key, _) in enumerate(self.ranked(weight), 1) if key in self.held), 0.0)


Progress = Callable[[Sequence[GoldQuestion], str], Iterable[object]]
"""Goes by as often as there are questions, and shows it, with a word for what is done."""

_Chosen = NDArray[np.bool_]
"""Which questions take part, shape (questions,)."""


def tune(
    library: AnyLibrary, reader: Reader, calibration: Calibration, questions: Sequence[GoldQuestion], progress: Progress
) -> Tuning:
    """Reads up to some 20 passages for each question. Raises InvalidInput where there are too few questions, or none
    with an answer."""
    if len(questions) < MIN_READINGS or not any(gold.answerable for gold in questions):
        raise InvalidInput(f"to tune, give at least {MIN_READINGS} questions, of which some have an answer")
    cases = [_case(library, gold) for gold, _ in zip(questions, progress(questions, "Searching"), strict=True)]
    cluster = clusters([gold.article for gold in questions])
    parts = [cluster % FOLDS != fold for fold in range(FOLDS)]
    present = Choice(library.dense_weight, calibration.hits, calibration.threshold)
    weights = [_best_weight(cases, part, present.dense_weight) for part in parts]
    overall = _best_weight(cases, np.ones(len(cases), dtype=np.bool_), present.dense_weight)
    wanted = {present.dense_weight, overall, *weights}
    judged = _Judged({weight: {hits: [] for hits in {*HITS, present.hits}} for weight in wanted})
    for case, _ in zip(cases, progress(questions, "Reading"), strict=True):
        judged.add(case, library, reader, calibration)
    before = judged.outcomes(cases, present)
    after = np.empty_like(before)
    for part, weight in zip(parts, weights, strict=True):
        after[~part] = judged.outcomes(cases, judged.choose(weight, part))[~part]
    gained = after[:, 1] - before[:, 1]
    [(low, high)] = intervals(np.array([[gained[rows].mean()] for rows in drawn_rows(cluster, RESAMPLES)]))
    choice = judged.choose(overall, np.ones(len(cases), dtype=np.bool_))
    return Tuning(choice, _mean(before), _mean(after), low, high)


def _case(library: AnyLibrary, gold: GoldQuestion) -> _Case:
    dense, lexical = library.candidates(gold.question, CANDIDATES)
    offered = library.passages({key for weight in WEIGHTS for key, _ in fuse(dense, lexical, weight)[: max(HITS)]})
    held = frozenset(key for key, passage in offered.items() if gold.answerable and holds(passage, gold))
    return _Case(gold, dense, lexical, held)


def _best_weight(cases: Sequence[_Case], part: _Chosen, present: float) -> float:
    """By the mean reciprocal rank of answerable questions; of about as good ones the nearest to the present."""
    taken = [case for case, one in zip(cases, part, strict=True) if one and case.gold.answerable]
    means = {weight: np.mean([case.reciprocal_rank(weight) for case in taken] or [0.0]) for weight in WEIGHTS}
    good = [weight for weight, mean in means.items() if mean >= max(means.values()) - ABOUT_AS_MANY]
    return min(good, key=lambda weight: abs(weight - present))


@dataclass(frozen=True, slots=True)
class _Judged:
    """By weight and number of hits: each question's best candidate and its text."""

    found: dict[float, dict[int, list[tuple[Judged, str | None]]]]

    def add(self, case: _Case, library: AnyLibrary, reader: Reader, calibration: Calibration) -> None:
        """Read what any of the choices would, each passage once."""
        ranked = {weight: case.ranked(weight) for weight in self.found}
        passages = library.passages(dict.fromkeys(key for hits in ranked.values() for key, _ in hits))
        spans = dict(zip(passages, reader.read(case.gold.question, list(passages.values())), strict=True))
        for weight, by_hits in self.found.items():
            read = [
                (Hit(passages[key], score, case.dense[key], case.lexical.get(key, 0.0)), spans[key])
                for key, score in ranked[weight]
                if key in passages
            ]
            for hits, rows in by_hits.items():
                best = next(iter(rank(read[:hits], calibration)), None)
                text = best.spans[0].text if best else None
                right = case.gold.answerable and given_scores(text, case.gold.answers)[0] == 1
                rows.append((Judged(best.confidence if best else 0.0, right, case.gold.answerable), text))

    def choose(self, weight: float, part: _Chosen) -> Choice:
        """The fewest hits, with their best threshold, of those that handle about as many questions as any."""
        options = []
        for hits, rows in sorted(self.found[weight].items()):
            judged = [one for (one, _), taken in zip(rows, part, strict=True) if taken]
            threshold = best_threshold(judged)
            handled = np.mean([one.right if one.confidence >= threshold else not one.answerable for one in judged])
            options.append((float(handled), Choice(weight, hits, threshold)))
        most = max(handled for handled, _ in options)
        return next(choice for handled, choice in options if handled >= most - ABOUT_AS_MANY)

    def outcomes(self, cases: Sequence[_Case], choice: Choice) -> NDArray[np.float64]:
        """Shape (questions, 3), in the order of `Outcome`; recall is NaN where there is no answer."""
        rows = []
        for case, (one, text) in zip(cases, self.found[choice.dense_weight][choice.hits], strict=True):
            given = text if one.confidence >= choice.threshold else None
            keys = {key for key, _ in case.ranked(choice.dense_weight)[: choice.hits]}
            recall = float(bool(keys & case.held)) if case.gold.answerable else np.nan
            rows.append((recall, *given_scores(given, case.gold.answers)))
        return np.array(rows)


def _mean(outcomes: NDArray[np.float64]) -> Outcome:
    return Outcome(*map(float, np.nanmean(outcomes, axis=0)))
