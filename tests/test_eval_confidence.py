"""Gold questions read for a fit, and figures of a confidence worked out by hand."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

import pytest

from eval.confidence import ConfidenceReport, confidence_report, readings
from eval.gold import GoldQuestion
from index.article import Article
from index.library import Library
from index.passage import Passage
from qa.calibrate import Judged
from qa.reader import Span


class ToyReader:
    """Finds "Castle FC" and "The bridge" wherever they stand."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        self.asked.append((question, len(passages)))
        return [
            [
                Span(passage, passage.start + found.start(), passage.start + found.end(), 2.0)
                for found in re.finditer("Castle FC|The bridge", passage.text)
            ]
            for passage in passages
        ]


def test_readings_have_all_that_the_hits_say(library: Library, articles: list[Article]) -> None:
    library.add(articles)
    reader = ToyReader()
    gold = [GoldQuestion("Who won the chess cup?", ("castle FC",)), GoldQuestion("Who came third?", ())]
    first, second = readings(library, reader, gold, k=4)
    assert reader.asked == [("Who won the chess cup?", 4), ("Who came third?", 4)]
    assert [hit for hit, _ in first.read] == library.search("Who won the chess cup?", 4)
    assert {hit.passage.article.id: [span.text for span in spans] for hit, spans in first.read} == {
        "bridge": ["The bridge"],
        "chess": ["Castle FC"],
        "ferry": [],
        "kettle": [],
    }
    assert (first.answerable, second.answerable) == (True, False)


@pytest.mark.parametrize(
    ("answers", "text", "right"),
    [
        (("Oslo",), "Oslo", True),
        (("Oslo",), "the oslo.", True),  # as exact match has it
        (("Oslo", "Rome"), "Rome", True),
        (("Oslo",), "Oslo harbour", False),
        ((), "Oslo", False),
        ((), "the", False),  # nothing is left of it, but something was answered
    ],
)
def test_what_is_right(
    library: Library, articles: list[Article], answers: tuple[str, ...], text: str, right: bool
) -> None:
    library.add(articles)
    [reading] = readings(library, ToyReader(), [GoldQuestion("Where?", answers)])
    assert reading.right(text) is right


JUDGED = [
    Judged(0.9, True, True),
    Judged(0.8, True, True),
    Judged(0.6, False, True),
    Judged(0.5, False, False),
    Judged(0.2, False, False),
]


def test_report_by_hand() -> None:
    assert confidence_report(JUDGED, [True, True, True, False, False]) == ConfidenceReport(
        questions=5,
        right=40.0,
        calibration_error=pytest.approx(100 * (0.1 + 0.2 + 0.6 + 0.5 + 0.2) / 5),
        brier=pytest.approx(100 * (0.01 + 0.04 + 0.36 + 0.25 + 0.04) / 5),
        risk_coverage_area=pytest.approx(100 * (0 + 0 + 1 / 3 + 2 / 4 + 3 / 5) / 5),
        coverage={"80%": 40.0, "90%": 40.0, "95%": 40.0},
        risk={
            "20%": 0.0,
            "40%": 0.0,
            "60%": pytest.approx(100 / 3),
            "80%": pytest.approx(50.0),
            "100%": pytest.approx(60.0),
        },
        answered=60.0,
        answered_right=pytest.approx(100 * 2 / 3),
        handled=80.0,  # all but the third
    )


@pytest.mark.parametrize(("given", "handled"), [(True, 40.0), (False, 40.0)])
def test_everything_or_nothing_answered(given: bool, handled: float) -> None:
    report = confidence_report(JUDGED, [given] * 5)
    assert (report.answered, report.answered_right, report.handled) == (
        100.0 * given,
        40.0 if given else None,
        handled,
    )


def test_coverage_falls_with_precision() -> None:
    judged = [Judged(1 - number / 100, number not in (5, 12, 13, 14), True) for number in range(20)]
    report = confidence_report(judged, [True] * 20)
    assert report.coverage == {"80%": 100.0, "90%": 60.0, "95%": 25.0}


def test_report_is_valid_json() -> None:
    report = asdict(confidence_report(JUDGED, [False] * 5))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
