"""Fitting the confidence: the regression against known weights and SciPy, thresholds and stops by hand."""

from math import inf, isinf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from index.article import make_article
from index.errors import InvalidInput
from index.passage import Passage
from index.search import Hit
from qa import calibrate
from qa.answer import Read
from qa.calibrate import (
    FOLDS,
    MIN_READINGS,
    Judged,
    Reading,
    best_retrieval,
    best_stop,
    best_threshold,
    cross_fit,
    fit,
    judge,
    logistic_regression,
    threshold_within,
)
from qa.confidence import FEATURES, Calibration
from qa.reader import Span

RIGHT, WRONG = "Oslo", "Rome"


def read(*found: tuple[str, float] | None) -> tuple[Read, ...]:
    """A hit for each, whose passage has one span, of these words with this score, or none."""
    hits: list[Read] = []
    for number, one in enumerate(found):
        text, score = one or ("Nothing", 0.0)
        passage = Passage(make_article(f"{text}.", id=str(number)), 0, len(text) + 1)
        hits.append((Hit(passage, 0.5, 0.25, 1.0), [Span(passage, 0, len(text), score)] if one else []))
    return tuple(hits)


def reading(*found: tuple[str, float] | None, answerable: bool = True) -> Reading:
    return Reading(read(*found), answerable, lambda text: answerable and text == RIGHT)


def scored(count: int, seed: int = 0) -> list[Reading]:
    """Questions whose best candidate is right with the probability that the logistic of 1.5 score - 1 gives."""
    random = np.random.default_rng(seed)
    scores = random.normal(1, 2, count)
    right = random.random(count) < 1 / (1 + np.exp(1 - 1.5 * scores))
    return [reading((RIGHT if is_right else WRONG, score)) for score, is_right in zip(scores, right, strict=True)]


def misled(count: int, lead: float) -> list[Reading]:
    """Questions to which the reader has a wrong answer ahead by so much, in a passage found half as well."""
    return [reading_of((RIGHT, 1.0, 1.0), (WRONG, 1.0 + lead, 0.5)) for _ in range(count)]


def reading_of(*found: tuple[str, float, float]) -> Reading:
    """Of texts with the reader's and the fused scores."""
    read: list[Read] = []
    for number, (text, score, fused) in enumerate(found):
        passage = Passage(make_article(f"{text}.", id=str(number)), 0, len(text) + 1)
        read.append((Hit(passage, fused, 0.25, 1.0), [Span(passage, 0, len(text), score)]))
    return Reading(tuple(read), True, lambda text: text == RIGHT)


def test_retrieval_adds_no_more_than_it_takes_to_have_most_right() -> None:
    assert best_retrieval(misled(100, 4.0)) == 10.0  # 7.5 would make up for 3.75 alone
    assert best_retrieval(misled(100, -1.0)) == 0.0
    assert best_retrieval(misled(100, 4.0) + misled(1, 9.0)) == 20.0
    assert best_retrieval(misled(400, 4.0) + misled(1, 9.0)) == 10.0  # one in 401 is no reason
    assert best_retrieval(misled(100, 99.0)) == 0.0


def test_fit_keeps_what_retrieval_adds_and_judges_by_it() -> None:
    readings = misled(60, 4.0) + [reading_of((WRONG, 1.0, 1.0)) for _ in range(20)]
    fitted = fit(readings)
    assert fitted.retrieval == 10.0
    assert sum(one.right for one in judge(readings, fitted)) == 60


# the regression


def drawn(weights: list[float], intercept: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of several scales, and labels drawn from a logistic of them."""
    random = np.random.default_rng(seed)
    features = random.normal([0.5, -3.0, 0.01], [1.0, 5.0, 0.02], (count, 3))[:, : len(weights)]
    labels = random.random(count) < 1 / (1 + np.exp(-(features @ np.array(weights) + intercept)))
    return features, labels.astype(float)


def test_regression_recovers_the_weights_that_labels_were_drawn_with() -> None:
    weights, intercept = logistic_regression(*drawn([1.5, -0.4, 30.0], 0.7, 50_000))
    assert weights == pytest.approx([1.5, -0.4, 30.0], rel=0.05)
    assert intercept == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("count", [50, 300])
def test_regression_finds_the_minimum_that_scipy_does(count: int) -> None:
    features, labels = drawn([1.0, -0.2, 20.0], -0.5, count)
    weights, intercept = logistic_regression(features, labels)

    mean, scale = features.mean(axis=0), features.std(axis=0)
    standardised = (features - mean) / scale
    positive, negative = labels.sum(), (1 - labels).sum()
    targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))  # Platt 1999

    def loss(solution: np.ndarray) -> float:
        logits = standardised @ solution[:-1] + solution[-1]
        entropy = np.logaddexp(0, logits) - targets * logits
        return float(entropy.sum() + 0.5 * (solution[:-1] ** 2).sum())

    found = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-6}).x
    assert weights == pytest.approx(found[:-1] / scale, rel=1e-4)
    assert intercept == pytest.approx(found[-1] - (found[:-1] / scale) @ mean, rel=1e-4)


def test_regression_on_classes_that_can_be_parted_is_finite() -> None:
    features = np.linspace(-1, 1, 40)[:, None]
    weights, intercept = logistic_regression(features, (features[:, 0] > 0).astype(float))
    assert 1 < weights[0] < 100
    assert intercept == pytest.approx(0, abs=1e-9)


def test_feature_that_never_changes_has_no_weight() -> None:
    features, labels = drawn([1.0], 0.0, 200)
    weights, intercept = logistic_regression(np.column_stack([features, np.full(200, 7.0)]), labels)
    alone, same = logistic_regression(features, labels)
    assert weights == pytest.approx([alone[0], 0.0])
    assert intercept == pytest.approx(same)


def test_regression_does_not_depend_on_the_units_of_features() -> None:
    features, labels = drawn([1.0, -0.2], 0.3, 100)
    weights, intercept = logistic_regression(features, labels)
    scaled, same = logistic_regression(features * [1000, 0.001], labels)
    assert scaled * [1000, 0.001] == pytest.approx(weights)
    assert same == pytest.approx(intercept)


def test_regression_leaves_its_arguments_alone() -> None:
    features, labels = drawn([1.0], 0.0, 60)
    before = features.copy(), labels.copy()
    logistic_regression(features, labels)
    assert (features == before[0]).all()
    assert (labels == before[1]).all()


# thresholds


def judged(*rows: tuple[float, bool, bool]) -> list[Judged]:
    """Confidence, right, answerable."""
    return [Judged(*row) for row in rows]


FIVE = judged((0.9, True, True), (0.6, True, True), (0.5, False, False), (0.4, False, True), (0.2, False, False))


@pytest.mark.parametrize(
    ("questions", "threshold"),
    [
        (FIVE, 0.51),  # two right, two rightly withheld, and nothing helps the fourth
        (judged((0.9, True, True), (0.4, True, True)), 0.0),  # the least of those that are equally good
        (judged((0.9, False, False), (0.4, False, False)), 0.91),
        (judged((0.9, True, True), (0.9, False, False), (0.8, True, True)), 0.0),
        (judged((0.9, True, True), (0.8, False, False), (0.8, False, False)), 0.81),
        (judged((0.9, False, True), (0.8, True, True)), 0.0),  # a wrong answer costs no more than none does
    ],
)
def test_best_threshold(questions: list[Judged], threshold: float) -> None:
    assert best_threshold(questions) == threshold


confidences = st.integers(0, 100).map(lambda percent: percent / 100)
questions = st.lists(
    st.tuples(confidences, st.booleans(), st.booleans()).map(lambda row: Judged(row[0], row[1] and row[2], row[2])),
    min_size=1,
    max_size=20,
)


@given(questions)
def test_no_threshold_handles_more_questions_rightly(questions: list[Judged]) -> None:
    def handled(threshold: float) -> int:
        return sum(one.right if one.confidence >= threshold else not one.answerable for one in questions)

    best = handled(best_threshold(questions))
    assert best == max(handled(percent / 100) for percent in range(101))


@pytest.mark.parametrize(
    ("max_error", "threshold"),
    [
        (0.0, 0.51),
        (0.33, 0.51),
        (0.34, 0.41),  # one of three wrong
        (0.5, 0.21),
        (0.59, 0.21),
        (0.6, 0.0),
        (1.0, 0.0),
    ],
)
def test_threshold_within(max_error: float, threshold: float) -> None:
    assert threshold_within(FIVE, max_error) == threshold


@pytest.mark.parametrize(("wrong", "of"), [(1, 20), (1, 10), (3, 10), (2, 5), (7, 20), (9, 20)])
def test_a_share_of_errors_exactly_as_large_as_allowed_is_within(wrong: int, of: int) -> None:
    questions = judged(*((0.9, number >= wrong, True) for number in range(of)))
    assert threshold_within(questions, wrong / of) == 0.0


@pytest.mark.parametrize(
    "questions", [judged((0.9, False, True), (0.5, True, True)), judged((1.0, False, False), (0.2, False, True))]
)
def test_no_threshold_is_within(questions: list[Judged]) -> None:
    assert threshold_within(questions, 0.1) == inf


@given(questions, st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]))
def test_answers_from_the_threshold_on_are_within_and_none_lower_is(questions: list[Judged], max_error: float) -> None:
    def error(threshold: float) -> float:
        given = [one.right for one in questions if one.confidence >= threshold]
        return given.count(False) / len(given) if given else inf

    within = [percent / 100 for percent in range(101) if error(percent / 100) <= max_error]
    assert threshold_within(questions, max_error) == (within[0] if within else inf)


# judging and stopping


def test_judge_looks_at_the_best_candidate() -> None:
    found = judge(
        [
            reading((WRONG, 1.0), (RIGHT, 2.0)),
            reading((RIGHT, 1.0), (WRONG, 2.0)),
            reading((RIGHT, 0.0), answerable=False),
            reading(None, None),  # no candidate, nothing to judge
            reading(),
        ],
        Calibration(),
    )
    assert found == [
        Judged(pytest.approx(0.880797), True, True),
        Judged(pytest.approx(0.880797), False, True),
        Judged(0.5, False, False),
    ]


LATE = ((WRONG, 0.8), None, None, (RIGHT, 3.0), None, None, None)
"""Sure by 0.69 in the first group, by 0.95 in the second."""


def test_progress_is_after_each_group() -> None:
    steps = calibrate._progress(reading(*LATE), Calibration())
    assert steps == [(0.0, False), (pytest.approx(0.69, abs=0.01), False), *[(pytest.approx(0.95, abs=0.01), True)] * 2]
    assert calibrate._progress(reading(None, None, None, None), Calibration()) == [(0.0, False)]


SOON = reading((RIGHT, 3.0), None, None, None)


@pytest.mark.parametrize(
    ("late", "soon", "stop"),
    [
        (0, 10, 0.5),
        (1, 100, 0.7),  # one in a hundred is too many: no stop below its 0.69
        (1, 199, 0.5),  # one in two hundred is not
        (2, 198, 0.7),
        (2, 398, 0.5),
    ],
)
def test_best_stop_loses_half_a_percent_at_most(late: int, soon: int, stop: float) -> None:
    assert best_stop([reading(*LATE)] * late + [SOON] * soon, Calibration()) == stop


def test_stop_is_never_where_every_one_loses_too_much() -> None:
    sure_and_wrong = reading((WRONG, 5.0), None, None, (RIGHT, 6.0))  # 0.993
    assert isinf(best_stop([sure_and_wrong, SOON], Calibration()))


def test_what_was_wrong_before_is_no_loss() -> None:
    saved = reading((RIGHT, 0.8), None, None, (WRONG, 3.0))  # reading on would have spoilt it
    never = reading((WRONG, 0.8), None, None, (WRONG, 3.0))
    assert best_stop([saved, never] * 5, Calibration()) == 0.5


# the fit


def test_fit_finds_the_weights_of_the_score() -> None:
    fitted = fit(scored(2_000))
    assert set(fitted.weights) == set(FEATURES)
    assert fitted.weights["lag"] == fitted.weights["lead"]
    # of a single candidate the score is the margin too, so that the two share what was drawn for one
    for score in (1.0, 2.0):
        [found] = judge([reading((RIGHT, score))], fitted)
        assert found.confidence == pytest.approx(1 / (1 + np.exp(1 - 1.5 * score)), abs=0.05)
    assert fitted.stop == 0.5  # there is nothing in the hits behind the first


def test_fit_is_the_same_each_time() -> None:
    assert fit(scored(100)) == fit(scored(100))


def test_threshold_of_the_fit_is_the_best_or_within_the_error_allowed() -> None:
    readings = scored(300)
    found = judge(readings, fit(readings))
    assert fit(readings).threshold == best_threshold(found)
    strict = fit(readings, 0.05)
    assert strict.threshold == threshold_within(found, 0.05)
    given = [one.right for one in judge(readings, strict) if one.confidence >= strict.threshold]
    assert given.count(False) / len(given) <= 0.05
    assert (strict.weights, strict.intercept) == (fit(readings).weights, fit(readings).intercept)


def test_too_few_questions() -> None:
    assert MIN_READINGS == 50
    assert fit(scored(50)).weights["score"] > 0
    with pytest.raises(InvalidInput, match="49 questions with candidates are too few to fit on; give at least 50"):
        fit(scored(49))
    with pytest.raises(InvalidInput, match="40 questions with candidates are too few"):
        fit([*scored(40), *[reading(None)] * 20])


def test_no_confidence_keeps_to_the_errors_allowed() -> None:
    # the surest are wrong, and every fourth of the others is right
    questions = [reading((RIGHT if number % 4 == 1 else WRONG, number / 10)) for number in range(60)]
    with pytest.raises(InvalidInput, match=r"no confidence keeps the errors of these .* within 10%; .*--max-error"):
        fit(questions, 0.1)
    assert len(cross_fit(questions, 0.1)) == 60  # what a fold cannot keep to, it answers nothing of


@pytest.mark.parametrize("text", [RIGHT, WRONG])
def test_nothing_to_tell_apart(text: str) -> None:
    with pytest.raises(InvalidInput, match="the best candidates are all right, or all wrong: there is nothing to fit"):
        fit([reading((text, float(score))) for score in range(60)])


# judged by others


def test_each_question_is_judged_by_a_fit_that_never_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[float, set[int]] = {}

    def remembering(readings: list[Reading], *_: object, **__: object) -> Calibration:
        threshold = len(seen) / 10
        seen[threshold] = {int(one.read[0][1][0].score) for one in readings}
        return Calibration(threshold=threshold)

    monkeypatch.setattr(calibrate, "_fitted", remembering)
    numbers = list(range(13))
    found = cross_fit([reading((RIGHT, float(number))) for number in numbers])
    by_confidence = {Calibration().confidence(one.evidence): number for number in numbers for one in ranked(number)}
    judged_by = {by_confidence[one.confidence]: calibration.threshold for one, calibration in found}
    assert sorted(judged_by) == numbers
    assert len(seen) == FOLDS
    for number, threshold in judged_by.items():
        assert seen[threshold] == {other for other in numbers if other % FOLDS != number % FOLDS}


def ranked(number: int) -> list:  # type: ignore[type-arg]
    return calibrate.rank(read((RIGHT, float(number))), Calibration())


def test_no_question_has_a_say_in_its_own_confidence() -> None:
    readings = scored(80)
    before = cross_fit(readings)
    other = WRONG if judge([readings[0]], Calibration())[0].right else RIGHT
    score = readings[0].read[0][1][0].score
    after = cross_fit([reading((other, score)), *readings[1:]])
    assert after[0][0].confidence == before[0][0].confidence
    assert after[0][0].right != before[0][0].right
    assert all(one.confidence != same.confidence for (one, _), (same, _) in zip(after[16:], before[16:], strict=True))


def test_figures_of_cross_fitting_are_of_every_question_that_has_a_candidate() -> None:
    readings = [*scored(80), *[reading(None)] * 5]
    assert len(cross_fit(readings)) == 80
    assert sum(one.right for one, _ in cross_fit(readings)) == sum(one.right for one in judge(readings, Calibration()))


def test_every_fit_keeps_to_the_error_allowed() -> None:
    thresholds = {calibration.threshold for _, calibration in cross_fit(scored(200), 0.05)}
    assert min(thresholds) > max(calibration.threshold for _, calibration in cross_fit(scored(200), 0.5))
