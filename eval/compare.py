"""Two runs of the same questions: what changed, and whether that is more than chance."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.record import Record
from eval.scores import METRICS, MIN_CLUSTERS, Columns, columns, drawn_rows, intervals, known
from eval.slices import slices

GATE = ("em", "f1", "best_f1", "recall@10", "aurc")
"""Metrics that must not become worse: what is answered, what could be, what is found, and how well confidence parts
right from wrong."""

_SIGNIFICANCE = 0.05
_ROUNDS = 1_000
"""Of each test."""

_ROUNDING = 1e-12
"""Differences are no smaller for being summed in another order."""


@dataclass(frozen=True, slots=True)
class Change:
    """A metric in both runs, None where there is nothing to measure. `low` and `high` are the 95 % interval of the
    difference, `p` the probability of one as large if the runs were alike."""

    before: float | None
    after: float | None
    low: float | None
    high: float | None
    p: float | None

    @property
    def difference(self) -> float | None:
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class PartChange:
    """Of the questions in one part of a slice: exact match and F1 of what was given."""

    questions: int
    em: Change
    f1: Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """`changes` by the metric's name; `slices` by what the questions are parted and by part, those with more than one
    question. Of `questions` that both runs asked, in `wins` the F1 of what was given rose, in `losses` it fell.
    `left_out` were asked in one run only, or with other answers accepted. With too few `clusters` none can be worse."""

    changes: Mapping[str, Change]
    slices: Mapping[str, Mapping[str, PartChange]]
    clusters: int
    questions: int
    left_out: int
    wins: int
    losses: int

    @property
    def ties(self) -> int:
        return self.questions - self.wins - self.losses

    @property
    def tells(self) -> bool:
        """Whether there are enough of them for a test to find anything."""
        return self.clusters >= MIN_CLUSTERS

    @property
    def worse(self) -> tuple[str, ...]:
        """Metrics of the gate that are worse, and significantly so (with Bonferroni's correction)."""
        return tuple(name for name in GATE if _is_worse(name, self.changes[name]))


def _is_worse(name: str, change: Change) -> bool:
    if change.difference is None or change.p is None:
        return False
    lost = change.difference < 0 if METRICS[name].higher_is_better else change.difference > 0
    return lost and change.p < _SIGNIFICANCE / len(GATE)


def compare(before: Sequence[Record], after: Sequence[Record], rounds: int = _ROUNDS) -> Comparison | None:
    """None where the runs have no question in common.

    The interval is the paired bootstrap's over articles; p is a paired permutation test's, in which the two runs'
    records of an article are swapped or not (Noreen 1989; Dror et al. 2018, section 3.3). Where there are fewer than
    MIN_CLUSTERS articles questions take their place.
    """
    earlier = dict(_numbered(before))
    pairs = [(earlier[key], record) for key, record in _numbered(after) if key in earlier]
    if not pairs:
        return None
    old, new = columns([one for one, _ in pairs]), columns([one for _, one in pairs])
    values = np.array([_values(old), _values(new)])
    observed = values[1] - values[0]
    bootstrap = [_values(new.take(rows)) - _values(old.take(rows)) for rows in drawn_rows(new.cluster, rounds)]
    swapped = np.array([_values(one) - _values(other) for other, one in _swapped(old, new, rounds)])
    as_large = np.abs(swapped) >= np.abs(observed) - _ROUNDING
    p = (as_large.sum(axis=0) + 1) / (rounds + 1)  # what was observed is one of the possible (Phipson and Smyth 2010)
    p[np.isnan(observed)] = np.nan
    changed = np.sign([one.f1 - other.f1 for other, one in pairs])
    return Comparison(
        changes={
            name: Change(*map(known, (*both, *edges, of_chance)))
            for name, both, edges, of_chance in zip(METRICS, values.T, intervals(np.array(bootstrap)), p, strict=True)
        },
        slices=_slices(pairs, new.cluster, rounds),
        clusters=int(new.cluster.max()) + 1,
        questions=len(pairs),
        left_out=_asked(before, after) - len(pairs),
        wins=int((changed > 0).sum()),
        losses=int((changed < 0).sum()),
    )


def _numbered(records: Iterable[Record]) -> Iterator[tuple[tuple[object, int], Record]]:
    """With a key of each: a question that was asked several times is so many."""
    asked: Counter[object] = Counter()
    for record in records:
        asked[record.key] += 1
        yield (record.key, asked[record.key]), record


def _asked(before: Sequence[Record], after: Sequence[Record]) -> int:
    """How many questions there are in both, with whatever answers accepted."""
    one, other = (Counter(record.key[:2] for record in run) for run in (before, after))
    return (one | other).total()


def _slices(
    pairs: Sequence[tuple[Record, Record]], cluster: NDArray[np.int64], rounds: int
) -> dict[str, dict[str, PartChange]]:
    rows = {id(after): row for row, (_, after) in enumerate(pairs)}
    scores = np.array([[(one.exact_match, one.f1) for one in pair] for pair in pairs])  # (questions, run, metric)
    return {
        name: {
            part: _part(scores[places], cluster[places], rounds)
            for part, inside in parts.items()
            if len(places := [rows[id(one)] for one in inside]) > 1
        }
        for name, parts in slices(after for _, after in pairs).items()
    }


def _part(scores: NDArray[np.float64], cluster: NDArray[np.int64], rounds: int) -> PartChange:
    """The change of two means, tested as `compare` does, by sums of each cluster. One alone says nothing of others."""
    numbers, cluster = np.unique(cluster, return_inverse=True)
    count, gained, sizes = len(numbers), np.zeros((len(numbers), 2)), np.bincount(cluster)
    np.add.at(gained, cluster, scores[:, 1] - scores[:, 0])
    chance = np.random.default_rng(0)
    drawn = chance.multinomial(count, np.full(count, 1 / count), rounds)
    means = (drawn @ gained) / (drawn @ sizes)[:, None]
    swapped = np.abs(chance.choice([-1.0, 1.0], (rounds, count)) @ gained)
    p = ((swapped >= np.abs(gained.sum(axis=0)) - _ROUNDING).sum(axis=0) + 1) / (rounds + 1)
    em, f1 = (
        Change(*map(known, (*both, *edges, of_chance)))
        for both, edges, of_chance in zip(
            scores.mean(axis=0).T, intervals(means if count > 1 else np.full((1, 2), np.nan)), p, strict=True
        )
    )
    return PartChange(len(scores), em, f1)


def _values(table: Columns) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.array([metric.value(table) for metric in METRICS.values()])


def _swapped(old: Columns, new: Columns, times: int) -> Iterator[tuple[Columns, Columns]]:
    """Both with the records of some articles exchanged, each with even chance."""
    chance = np.random.default_rng(0)
    both, count = old.followed_by(new), len(new.cluster)
    for _ in range(times):
        swap = chance.random(int(new.cluster.max()) + 1) < 0.5
        first = np.arange(count) + count * swap[new.cluster]
        yield both.take(first), both.take((first + count) % (2 * count))
