"""Confidence: a span's score to the probability that the quote is right."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from index.errors import ModelNotFound

FILE = "calibration.json"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic in the span's score: 1 / (1 + exp(-(slope * score + intercept))) (Platt 1999), fitted on held-out
    questions. Below `threshold`, a confidence, no answer is given."""

    slope: float = 1.0
    intercept: float = 0.0
    threshold: float = 0.5

    def confidence(self, score: float) -> float:
        """In [0, 1]."""
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, self.slope * score + self.intercept))))


def load_calibration(folder: Path) -> Calibration:
    """The calibration kept beside a reader's weights; the uncalibrated logistic where it has none.

    Raises ModelNotFound where the file is not one of ours.
    """
    file = folder / FILE
    if not file.exists():
        return Calibration()
    try:
        stored = json.loads(file.read_bytes())
        return Calibration(*(float(stored[name]) for name in ("slope", "intercept", "threshold")))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelNotFound(f"{file} is no calibration of ours: {error!r}") from None
