"""Fits what the confidence is: from gold questions and what was read for them to a `Calibration`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index.errors import InvalidInput
from qa.answer import Read, groups, rank
from qa.confidence import FEATURES, Calibration, Evidence

FOLDS = 5
MIN_READINGS = 50
"""Fewer questions than this say next to nothing about the weights of several features."""

_RIDGE = 1.0
"""Weight of the penalty on the squared standardised weights, in questions."""

_MAX_STOP_LOSS = 0.005
"""Share of the questions whose right answer may be lost by not reading on."""

ABOUT_AS_MANY = 0.005
"""Share of the questions by which choices are not told apart: the least of them is taken, or the nearest."""

_RETRIEVALS = tuple(2.5 * step for step in range(13))
_STOPS = tuple(step / 100 for step in range(50, 100, 5))

_NEWTON_STEPS = 50


@dataclass(frozen=True, slots=True)
class Reading:
    """A gold question with all that was read for it, in the order of the hits. `right` judges a text."""

    read: tuple[Read, ...]
    answerable: bool
    right: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Judged:
    """The best candidate of a question: how sure, whether it is right, whether anything could have been."""

    confidence: float
    right: bool
    answerable: bool


def fit(readings: Sequence[Reading], max_error: float | None = None) -> Calibration:
    """The calibration fitted on these readings.

    Its threshold is the one at which most questions are handled rightly, or with `max_error` the least at which at
    most this share of the answers given is wrong. Raises InvalidInput where there are too few questions, none or only
    such whose best candidate is right, or no threshold keeps to `max_error`.
    """
    retrieval = best_retrieval(readings)
    judged = judge(readings, Calibration(retrieval=retrieval))
    right = sum(one.right for one in judged)
    if len(judged) < MIN_READINGS:
        raise InvalidInput(
            f"{len(judged)} questions with candidates are too few to fit on; give at least {MIN_READINGS}"
        )
    if not 0 < right < len(judged):
        raise InvalidInput("the best candidates are all right, or all wrong: there is nothing to fit")
    calibration = _fitted(readings, max_error, retrieval)
    if max_error is not None and math.isinf(calibration.threshold):
        raise InvalidInput(
            f"no confidence keeps the errors of these questions within {max_error:.0%}; allow more of them: --max-error"
        )
    return calibration


def cross_fit(readings: Sequence[Reading], max_error: float | None = None) -> list[tuple[Judged, Calibration]]:
    """Each question judged by a calibration that was fitted without it, and that calibration: what to expect of
    questions that are new. Folds are taken in turn, so that the same readings are always parted alike."""
    folds = [readings[fold::FOLDS] for fold in range(FOLDS)]
    judged = []
    for number, held_out in enumerate(folds):
        others = [reading for other, fold in enumerate(folds) if other != number for reading in fold]
        calibration = _fitted(others, max_error, best_retrieval(others))
        judged += [(one, calibration) for one in judge(held_out, calibration)]
    return judged


def _fitted(readings: Sequence[Reading], max_error: float | None, retrieval: float) -> Calibration:
    """As `fit`; its threshold is infinite where none keeps to `max_error`."""
    calibration = _fit_weights(readings, retrieval)
    found = judge(readings, calibration)
    threshold = best_threshold(found) if max_error is None else threshold_within(found, max_error)
    return replace(calibration, threshold=threshold, stop=best_stop(readings, calibration))


def judge(readings: Sequence[Reading], calibration: Calibration) -> list[Judged]:
    """The best candidate of each question that has one, everything read."""
    judged = []
    for reading in readings:
        if ranked := rank(reading.read, calibration):
            text = ranked[0].spans[0].text
            judged.append(Judged(ranked[0].confidence, reading.right(text), reading.answerable))
    return judged


def best_threshold(judged: Sequence[Judged]) -> float:
    """The confidence, in steps of 0.01, below which to withhold so that most questions are handled rightly: answered
    with the right quote, or not answered where there is no answer. SQuAD 2.0's own way to choose one, but that of all
    that come within half a percent of the most the least is taken: a reader can judge an answer, not one withheld."""
    confidence, right, answerable = columns(judged)
    steps = [step / 100 for step in range(101)]
    handled = [float(np.mean(np.where(confidence >= step, right, ~answerable))) for step in steps]
    return next(step for step, share in zip(steps, handled, strict=True) if share >= max(handled) - ABOUT_AS_MANY)


def threshold_within(judged: Sequence[Judged], max_error: float) -> float:
    """The least confidence, in steps of 0.01, from which on at most `max_error` of the candidates are wrong; infinity
    where none is."""
    confidence, right, _ = columns(judged)
    for step in range(101):
        given = confidence >= step / 100
        if given.any() and (~right[given]).mean() <= max_error:
            return step / 100
    return math.inf


def best_stop(readings: Sequence[Reading], calibration: Calibration) -> float:
    """The least confidence at which reading may stop without losing the right answer to more than half a percent of the
    questions; infinity where every one loses more."""
    progress = [_progress(reading, calibration) for reading in readings]
    for stop in _STOPS:
        early = [next((right for confidence, right in steps if confidence >= stop), steps[-1][1]) for steps in progress]
        lost = sum(steps[-1][1] and not right for steps, right in zip(progress, early, strict=True))
        if lost <= _MAX_STOP_LOSS * len(readings):
            return stop
    return math.inf


def _progress(reading: Reading, calibration: Calibration) -> list[tuple[float, bool]]:
    """The confidence of the best candidate, and whether it is right, after each group that is read."""
    steps = [(0.0, False)]  # before the first, and where there is no candidate
    done = 0
    for group in groups(reading.read):
        done += len(group)
        if ranked := rank(reading.read[:done], calibration):
            steps.append((ranked[0].confidence, reading.right(ranked[0].spans[0].text)))
    return steps


def columns(judged: Sequence[Judged]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Confidence, right and answerable, each of shape (questions,)."""
    return (
        np.array([one.confidence for one in judged]),
        np.array([one.right for one in judged], dtype=np.bool_),
        np.array([one.answerable for one in judged], dtype=np.bool_),
    )


def best_retrieval(readings: Sequence[Reading]) -> float:
    """What retrieval must add for most best candidates to be right; the least of those that come within half a percent
    of the most."""
    counts = [sum(one.right for one in judge(readings, Calibration(retrieval=one))) for one in _RETRIEVALS]
    enough = max(counts) - ABOUT_AS_MANY * len(readings)
    return next(one for one, count in zip(_RETRIEVALS, counts, strict=True) if count >= enough)


def _fit_weights(readings: Sequence[Reading], retrieval: float) -> Calibration:
    best: list[Evidence] = []
    right: list[bool] = []
    for reading in readings:
        if ranked := rank(reading.read, Calibration(retrieval=retrieval)):
            best.append(ranked[0].evidence)
            right.append(reading.right(ranked[0].spans[0].text))
    names = [name for name in FEATURES if name != "lag"]  # the best candidate never lags
    features = np.array([[FEATURES[name](evidence) for name in names] for evidence in best])
    weights, intercept = logistic_regression(features, np.array(right, dtype=np.float64))
    fitted = dict(zip(names, weights.tolist(), strict=True))
    # Behind another candidate counts as much as being ahead of one.
    return Calibration({**fitted, "lag": fitted["lead"]}, intercept, retrieval=retrieval)


def logistic_regression(
    features: NDArray[np.float64], labels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Weights, shape (features,), and intercept that maximise the likelihood of the labels, 0 or 1, with a small ridge
    penalty on the standardised weights: by Newton's method (iteratively reweighted least squares).

    `features` has shape (examples, features). The labels are softened as Platt (1999) does, so that weights stay
    finite where the classes can be parted.
    """
    positive, negative = labels.sum(), (1 - labels).sum()
    targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1.0
    standardised = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    penalty = np.diag([_RIDGE] * features.shape[1] + [0.0])
    solution = np.zeros(features.shape[1] + 1)
    for _ in range(_NEWTON_STEPS):
        probabilities = 1 / (1 + np.exp(-np.clip(standardised @ solution, -30, 30)))
        gradient = standardised.T @ (probabilities - targets) + penalty @ solution
        curvature = standardised.T @ (standardised * (probabilities * (1 - probabilities))[:, None]) + penalty
        step = np.linalg.solve(curvature, gradient)
        solution -= step
        if np.abs(step).max() < 1e-8:
            break
    weights = solution[:-1] / scale
    return weights, float(solution[-1] - weights @ mean)
