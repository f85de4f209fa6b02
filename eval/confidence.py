"""Gold questions read for `qa.calibrate`, and how good a confidence is."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from eval.gold import GoldQuestion
from eval.metrics import brier_score, calibration_error, coverage_at, exact_match, risk_coverage, risk_coverage_area
from index.library import AnyLibrary
from qa.calibrate import Judged, Reading, columns
from qa.confidence import DEFAULT_HITS, Calibration
from qa.reader import Reader

COVERAGE_AT = (0.8, 0.9, 0.95)
"""Precisions."""

RISK_AT = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Coverages."""


@dataclass(frozen=True, slots=True)
class ConfidenceReport:
    """Shares in percent. `right` is of the best candidates, given or not; `coverage` the share of questions that can be
    answered at each precision; `risk` the share wrong of the most confident part of them; `answered` what is given at
    the threshold, `answered_right` the share of that which is right, `handled` the share of all questions answered
    rightly or rightly not at all."""

    questions: int
    right: float
    calibration_error: float
    brier: float
    risk_coverage_area: float
    coverage: dict[str, float]
    risk: dict[str, float]
    answered: float
    answered_right: float | None
    handled: float


def readings(
    library: AnyLibrary, reader: Reader, questions: Iterable[GoldQuestion], k: int = DEFAULT_HITS
) -> Iterator[Reading]:
    """Every question with all that its k hits say."""
    for gold in questions:
        hits = library.search(gold.question, k)
        spans = reader.read(gold.question, [hit.passage for hit in hits])
        yield Reading(
            tuple(zip(hits, spans, strict=True)),
            gold.answerable,
            partial(right_answer, gold),
        )


def right_answer(gold: GoldQuestion, text: str) -> bool:
    """Whether a text is one of those accepted; never where nothing is."""
    return gold.answerable and exact_match(text, gold.answers) == 1


def judged_report(judged: Sequence[tuple[Judged, Calibration]]) -> ConfidenceReport:
    """Of questions with the calibration that judged them, whose threshold says what is given."""
    given = [one.confidence >= calibration.threshold for one, calibration in judged]
    return confidence_report([one for one, _ in judged], given)


def confidence_report(judged: Sequence[Judged], given: Sequence[bool]) -> ConfidenceReport:
    """Sum up at least one question; `given` says which candidates are answers at the threshold."""
    confidence, right, answerable = columns(judged)
    answered = np.array(given, dtype=np.bool_)
    curve = risk_coverage(confidence, right)
    return ConfidenceReport(
        questions=len(judged),
        right=100 * float(right.mean()),
        calibration_error=100 * calibration_error(confidence, right),
        brier=100 * brier_score(confidence, right),
        risk_coverage_area=100 * risk_coverage_area(confidence, right),
        coverage={f"{level:.0%}": 100 * coverage_at(confidence, right, level) for level in COVERAGE_AT},
        risk={f"{share:.0%}": 100 * float(curve[math.ceil(share * len(curve)) - 1]) for share in RISK_AT},
        answered=100 * float(answered.mean()),
        answered_right=100 * float(right[answered].mean()) if answered.any() else None,
        handled=100 * float(np.where(answered, right, ~answerable).mean()),
    )
