"""SQuAD's metrics, by hand and against torchmetrics; metrics of confidences, by hand and by their properties."""

from itertools import product
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.text.squad import squad

from eval.metrics import (
    auroc,
    brier_score,
    calibration_error,
    coverage_at,
    exact_match,
    f1,
    normalize,
    risk_coverage,
    risk_coverage_area,
)


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The Grey Heron", "grey heron"),
        ("a  U.S.\tship!", "us ship"),
        ("an anthem, the theatre", "anthem theatre"),
        ("Hwasong-17", "hwasong17"),
        ("“Oslo”", "“oslo”"),  # SQuAD's punctuation is ASCII's
        ("İ", "i\u0307"),
        ("the", ""),
        ("", ""),
    ],
)
def test_normalize(text: str, normalized: str) -> None:
    assert normalize(text) == normalized


@pytest.mark.parametrize(
    ("answer", "accepted", "score"),
    [
        ("Oslo", ["Oslo"], 1.0),
        ("the oslo.", ["Oslo"], 1.0),
        ("Oslo", ["Rome", "Oslo"], 1.0),
        ("Oslo, Norway", ["Oslo"], 0.0),
        ("", ["Oslo"], 0.0),
        ("", [], 1.0),
        ("Oslo", [], 0.0),
        ("The", [], 1.0),  # nothing is left of it
    ],
)
def test_exact_match(answer: str, accepted: list[str], score: float) -> None:
    assert exact_match(answer, accepted) == score


@pytest.mark.parametrize(
    ("answer", "accepted", "score"),
    [
        ("Oslo", ["Oslo"], 1.0),
        ("Oslo Norway", ["Oslo"], 2 / 3),  # precision 1/2, recall 1
        ("port of Oslo", ["Oslo in Norway"], 1 / 3),  # one of three, one of three
        ("red red blue", ["red blue blue"], 2 / 3),  # red once, blue once
        ("Oslo", ["Rome", "Oslo Norway"], 2 / 3),  # the best of the accepted
        ("Oslo", ["Rome"], 0.0),
        ("", ["Oslo"], 0.0),
        ("", [], 1.0),
        ("the", ["a"], 1.0),
        ("Oslo", [], 0.0),
    ],
)
def test_f1(answer: str, accepted: list[str], score: float) -> None:
    assert f1(answer, accepted) == pytest.approx(score)


def official(answer: str, accepted: list[str]) -> tuple[float, float]:
    """Exact match and F1 in [0, 1] by torchmetrics."""
    scores = squad(
        {"prediction_text": answer, "id": "1"},
        {"answers": {"answer_start": [0] * len(accepted), "text": accepted}, "id": "1"},
    )
    return scores["exact_match"].item() / 100, scores["f1"].item() / 100


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("the 70th anniversary of the end", ["70th anniversary", "70th", "anniversary of the war's end"]),
        ("$84.6 million", ["84.6 million dollars", "$84.6 million"]),
        ("a an the", ["the"]),
        ("", ["x"]),
        ("x", ["the"]),
        ("4–3", ["4-3"]),
        ("İstanbul", ["istanbul", "i̇stanbul"]),
    ],
)
def test_both_equal_the_official_ones(answer: str, accepted: list[str]) -> None:
    assert (exact_match(answer, accepted), f1(answer, accepted)) == pytest.approx(official(answer, accepted))


# Few words, so that they meet; and characters that lower(), split() and punctuation treat each in their own way.
words = st.sampled_from(["the", "A", "an", "Oslo", "oslo", "Norway's", "U.S.", "theatre", "-", "70th"])
phrases = st.lists(words, max_size=5).map(" ".join) | st.text(st.sampled_from("aA .,tThHeE-İß\u2003\n’"), max_size=8)


@given(answer=phrases, accepted=st.lists(phrases, min_size=1, max_size=3))
@settings(max_examples=200)
def test_both_equal_the_official_ones_on_anything(answer: str, accepted: list[str]) -> None:
    assert (exact_match(answer, accepted), f1(answer, accepted)) == pytest.approx(official(answer, accepted))


# of confidences

Judgements = tuple[np.ndarray, np.ndarray]


def judged(*pairs: tuple[float, bool]) -> Judgements:
    """Confidences, and whether each was right."""
    confidence, right = zip(*pairs, strict=True)
    return np.array(confidence), np.array(right, dtype=np.bool_)


HALF_RIGHT = judged((1.0, True), (0.9, False), (0.25, False), (0.35, False))
# most confident first: right, wrong, right, right, wrong
MIXED = judged((0.7, True), (0.9, True), (0.2, False), (0.8, False), (0.6, True))


def test_calibration_error_by_hand() -> None:
    # 0.95 sure on average and half of them right, two of four; the others each in a bin of their own
    assert calibration_error(*HALF_RIGHT) == pytest.approx(0.45 * 2 / 4 + 0.25 / 4 + 0.35 / 4)


def test_calibration_error_in_one_bin_is_the_distance_of_the_means() -> None:
    assert calibration_error(*MIXED, bins=1) == pytest.approx(abs(0.64 - 0.6))
    assert calibration_error(*MIXED, bins=2) == pytest.approx(0.2 * 1 / 5 + 0.0 * 4 / 5)  # 0.75 sure, 3 of 4 right


@pytest.mark.parametrize(
    ("pairs", "error"),
    [
        (((1.0, True), (0.0, False)), 0.0),
        (((1.0, False),), 1.0),
        (((0.0, True),), 1.0),
        (((0.1, False), (0.1, True)), 0.4),
        (((0.3, True), (0.39, False)), 0.155),  # one bin, half of it right
        (((0.29, True), (0.3, False)), 0.505),  # two bins
    ],
)
def test_calibration_error_of_a_few(pairs: tuple[tuple[float, bool], ...], error: float) -> None:
    assert calibration_error(*judged(*pairs)) == pytest.approx(error)


@given(counts=st.dictionaries(st.integers(0, 20), st.integers(1, 5), min_size=1))
def test_calibration_error_of_the_perfectly_calibrated_is_nothing(counts: dict[int, int]) -> None:
    # of 20 questions with a confidence of n / 20, n are right
    pairs = [(share / 20, place < share) for share, times in counts.items() for place in [*range(20)] * times]
    assert calibration_error(*judged(*pairs), bins=20) == pytest.approx(0, abs=1e-12)


def test_brier_score_by_hand() -> None:
    assert brier_score(*HALF_RIGHT) == pytest.approx((0 + 0.81 + 0.0625 + 0.1225) / 4)
    assert brier_score(*judged((1.0, True), (0.0, False))) == 0.0
    assert brier_score(*judged((0.5, True), (0.5, False))) == 0.25


def test_risk_and_coverage_by_hand() -> None:
    assert risk_coverage(*MIXED).tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 4, 2 / 5])
    assert risk_coverage_area(*MIXED) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4 + 2 / 5) / 5)
    assert risk_coverage_area(*judged((0.9, True), (0.8, True))) == 0.0
    assert risk_coverage_area(*judged((0.9, False), (0.8, False))) == 1.0


def test_of_equally_confident_ones_the_order_is_of_no_effect() -> None:
    last = (0.4, True)
    for tied in ([(0.5, True), (0.5, False)], [(0.5, False), (0.5, True)]):
        assert risk_coverage(*judged(*tied, last)).tolist() == pytest.approx([1 / 2, 1 / 2, 1 / 3])


@pytest.mark.parametrize(
    ("precision", "coverage"),
    [(1.0, 0.2), (0.8, 0.2), (0.76, 0.2), (0.75, 0.8), (0.7, 0.8), (0.61, 0.8), (0.6, 1.0), (0.0, 1.0)],
)
def test_coverage_by_hand(precision: float, coverage: float) -> None:
    assert coverage_at(*MIXED, precision) == coverage


def test_no_threshold_lets_through_a_part_of_equally_confident_ones() -> None:
    tied = [(0.9, True)] * 10 + [(0.5, number % 2 == 0) for number in range(10)]
    assert coverage_at(*judged(*tied), 0.8) == 0.5


def test_coverage_where_nothing_is_precise_enough() -> None:
    assert coverage_at(*judged((0.9, False), (0.8, True)), 0.8) == 0.0


def test_auroc_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.7, 0.1])
    assert auroc(scores, np.array([True, False, True, False, False])) == pytest.approx(4.5 / 6)
    assert auroc(scores, np.array([True, True, True, True, False])) == 1.0
    assert auroc(scores, np.array([False, False, False, False, True])) == 0.0
    assert auroc(np.zeros(4), np.array([True, False, True, False])) == 0.5


@pytest.mark.parametrize("positive", [True, False])
def test_auroc_of_one_sort(positive: bool) -> None:
    assert isnan(auroc(np.array([0.1, 0.2]), np.array([positive, positive])))


# Few values, so that there are ties.
judgements = st.lists(
    st.tuples(st.integers(0, 10).map(lambda tenth: tenth / 10), st.booleans()), min_size=1, max_size=30
).map(lambda pairs: judged(*pairs))


@given(judgements)
def test_auroc_is_that_of_all_pairs(given: Judgements) -> None:
    score, positive = given
    pairs = [(above > below) + (above == below) / 2 for above, below in product(score[positive], score[~positive])]
    if pairs:
        assert auroc(score, positive) == pytest.approx(np.mean(pairs))


@given(judgements)
def test_confidence_metrics_are_shares(given: Judgements) -> None:
    for metric in (calibration_error, brier_score, risk_coverage_area):
        assert 0 <= metric(*given) <= 1


@given(judgements)
def test_calibration_error_is_at_most_that_of_every_question_alone(given: Judgements) -> None:
    confidence, right = given
    assert calibration_error(*given) <= np.abs(confidence - right).mean() + 1e-12
    assert calibration_error(*given) >= abs(confidence.mean() - right.mean()) - 1e-12


@given(judgements, st.floats(0, 1), st.floats(0, 1))
def test_more_precision_never_covers_more(given: Judgements, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= coverage_at(*given, high) <= coverage_at(*given, low) <= 1


@given(judgements, st.sampled_from([0.5, 0.75, 0.8, 0.9, 0.95, 1.0]))
def test_what_is_covered_is_as_precise_as_was_asked(given: Judgements, precision: float) -> None:
    confidence, right = given
    covered = round(coverage_at(confidence, right, precision) * len(right))
    in_order = [right[confidence == one].mean() for one in sorted(confidence, reverse=True)]
    ends = [n for n in range(1, len(right) + 1) if (confidence >= sorted(confidence, reverse=True)[n - 1]).sum() == n]
    precise = [n for n in ends if np.mean(in_order[:n]) >= precision - 1e-12]
    assert covered == max(precise, default=0)


@given(judgements)
def test_risk_of_everything_is_the_share_that_is_wrong(given: Judgements) -> None:
    assert risk_coverage(*given)[-1] == pytest.approx(1 - given[1].mean())
    assert len(risk_coverage(*given)) == len(given[1])
