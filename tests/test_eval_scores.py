"""Metrics over records, worked out by hand, and their intervals."""

import math

import numpy as np
import pytest

from eval.metrics import rank_metrics
from eval.misses import Miss
from eval.record import Record
from eval.scores import METRICS, columns, drawn_rows, misses, oracles, scores

PERFECT = dict.fromkeys(("retrieval", "reading", "ranking", "abstaining"), 1.0)


def made(question: str, **values: object) -> Record:
    """A record of a right answer, but for what is named."""
    record: dict[str, object] = {
        "question": question,
        "answers": ("Oslo",),
        "article": "ports",
        "source": None,
        "tags": (),
        "given": "Oslo",
        "best": "Oslo",
        "confidence": 0.75,
        "exact_match": 1.0,
        "f1": 1.0,
        "best_exact_match": 1.0,
        "best_f1": 1.0,
        "exact_span": 1.0,
        "rank": 1,
        "hits": 10,
        "read": 3,
        "oracle": PERFECT,
        "quotes": 1,
        "misplaced": 0,
        "milliseconds": {"search": 1.0, "read": 9.0, "total": 10.0},
        "miss": None,
        "card": None,
    }
    return Record(**{**record, **values})  # type: ignore[arg-type]  # of mixed values, right by construction


WRONG = {"exact_match": 0.0, "f1": 0.5, "best_exact_match": 0.0, "best_f1": 0.5, "exact_span": 0.0}
NOTHING = {"given": None, "exact_match": 0.0, "f1": 0.0, "exact_span": 0.0, "confidence": 0.25}
NONE = {"answers": (), "article": None, "exact_span": None, "rank": None, "best_exact_match": 0.0, "best_f1": 0.0}

RECORDS = [
    made("right"),
    made("wrong", **WRONG, rank=2, miss=Miss.LOST, oracle={**PERFECT, "abstaining": 0.0}),
    made("withheld", **NOTHING, rank=7, miss=Miss.WITHHELD, milliseconds={"search": 1.0, "read": 29.0, "total": 30.0}),
    made("not found", **{**NOTHING, **WRONG, "f1": 0.0}, article="towns", rank=None, miss=Miss.NOT_RETRIEVED),
    made("rightly none", **{**NONE, "given": None, "confidence": 0.05}),
    made("wrongly some", **{**NONE, "exact_match": 0.0, "f1": 0.0}, miss=Miss.NOT_WITHHELD),
]


def test_every_metric_by_hand() -> None:
    found = {name: score.value for name, score in scores(RECORDS, resamples=0).items()}
    log = math.log2
    assert found == {
        "em": pytest.approx(2 / 6),
        "f1": pytest.approx(2.5 / 6),
        "answerable_em": 0.25,
        "answerable_f1": pytest.approx(1.5 / 4),
        "best_em": 0.5,
        "best_f1": pytest.approx(3 / 4),
        "exact_span": 0.25,
        "recall@1": 0.25,
        "recall@5": 0.5,
        "recall@10": 0.75,
        "mrr@10": pytest.approx((1 + 1 / 2 + 1 / 7) / 4),
        "ndcg@10": pytest.approx((1 + 1 / log(3) + 1 / log(8)) / 4),
        "answered": 0.5,
        "answered_em": pytest.approx(1 / 3),
        "no_answer_precision": pytest.approx(1 / 3),
        "no_answer_recall": 0.5,
        "no_answer_auroc": pytest.approx((2 * (1 + 0.5) + 2 * (1 + 0)) / 8),
        "ece": pytest.approx((3 * abs(0.75 - 1 / 3) + 2 * abs(0.25 - 1 / 2) + 0.05) / 6),
        "brier": pytest.approx((0.0625 + 2 * 0.5625 + 0.5625 + 0.0625 + 0.0025) / 6),
        "aurc": pytest.approx((3 * 2 / 3 + 2.5 / 4 + 3 / 5 + 4 / 6) / 6),
        "coverage@80%": 0.0,
        "coverage@90%": 0.0,
        "coverage@95%": 0.0,
        "passages_read": 3.0,
        "search_p50": 1.0,
        "search_p95": 1.0,
        "search_p99": 1.0,
        "read_p50": 9.0,
        "read_p95": pytest.approx(24.0),
        "read_p99": pytest.approx(28.0),
        "total_p50": 10.0,
        "total_p95": pytest.approx(25.0),
        "total_p99": pytest.approx(29.0),
    }


def test_what_cannot_be_measured_is_none() -> None:
    found = scores([made("none", **NONE, given=None)])
    assert [name for name, score in found.items() if score.value is None] == [
        *("answerable_em", "answerable_f1", "best_em", "best_f1", "exact_span"),
        *("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10"),
        *("answered_em", "no_answer_auroc"),
    ]
    assert (found["recall@1"].low, found["recall@1"].high) == (None, None)


def test_interval_is_of_articles_not_of_questions() -> None:
    """Of eight articles four are all right and four all wrong: drawn whole, a sample may have one right of eight."""
    asked = range(104)
    em = scores([made(f"q{n}", article=f"a{n % 8}", **(WRONG if n % 2 else {})) for n in asked])["em"]
    assert (em.value, em.low, em.high) == (0.5, 0.125, 0.875)
    apart = [made(f"q{number}", article=f"a{number}", **(WRONG if number % 2 else {})) for number in range(100)]
    narrow = scores(apart)["em"]
    assert narrow.value == 0.5
    assert (narrow.low, narrow.high) == (pytest.approx(0.4, abs=0.03), pytest.approx(0.6, abs=0.03))


def test_of_few_articles_questions_are_drawn() -> None:
    """Or the figures of one article would be quite sure."""
    em = scores([made(f"q{number}", **(WRONG if number % 2 else {})) for number in range(100)])["em"]
    assert (em.low, em.high) == (pytest.approx(0.4, abs=0.03), pytest.approx(0.6, abs=0.03))


def test_questions_without_an_article_are_drawn_one_by_one() -> None:
    alone = [made(f"q{number}", article=None) for number in range(7)]
    clusters = columns([made("a"), made("b"), *alone]).cluster
    assert clusters.tolist() == [0, 0, *range(1, 8)]
    for rows in drawn_rows(clusters, 50):
        assert np.count_nonzero(rows == 0) == np.count_nonzero(rows == 1)


def test_misses_sum_to_the_questions_missed() -> None:
    counted = misses(RECORDS)
    assert list(counted) == list(Miss)
    assert {label: count for label, count in counted.items() if count} == {
        Miss.NOT_RETRIEVED: 1,
        Miss.LOST: 1,
        Miss.WITHHELD: 1,
        Miss.NOT_WITHHELD: 1,
    }
    assert sum(counted.values()) == sum(record.exact_match == 0 for record in RECORDS)


def test_oracles_are_means() -> None:
    assert oracles(RECORDS) == {"retrieval": 1.0, "reading": 1.0, "ranking": 1.0, "abstaining": pytest.approx(5 / 6)}


def test_rank_metrics_by_hand() -> None:
    reciprocal, ndcg = rank_metrics([1, 3, None, 10, 11], 10)
    assert reciprocal.tolist() == pytest.approx([1, 1 / 3, 0, 0.1, 0])
    assert ndcg.tolist() == pytest.approx([1, 0.5, 0, 1 / math.log2(11), 0])


def test_metrics_say_which_way_is_better() -> None:
    worse = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert worse == {"ece", "brier", "aurc", "passages_read"} | {name for name in METRICS if METRICS[name].unit == "ms"}
