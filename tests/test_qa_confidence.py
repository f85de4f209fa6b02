"""Calibration."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import ModelNotFound
from qa.confidence import FILE, Calibration, load_calibration


def test_default_is_the_plain_logistic() -> None:
    assert Calibration().confidence(0) == 0.5
    assert Calibration().confidence(2) == pytest.approx(0.880797)
    assert Calibration().threshold == 0.5


def test_slope_and_intercept() -> None:
    assert Calibration(slope=0.5, intercept=-1).confidence(4) == pytest.approx(1 / (1 + math.exp(-1)))
    assert Calibration(slope=0.5, intercept=-1).confidence(2) == 0.5


@pytest.mark.parametrize(("score", "confidence"), [(1e9, 1.0), (-1e9, 0.0), (math.inf, 1.0), (-math.inf, 0.0)])
def test_extreme_scores_do_not_overflow(score: float, confidence: float) -> None:
    assert Calibration().confidence(score) == pytest.approx(confidence)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_higher_score_is_never_less_sure(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= Calibration(0.3, -2).confidence(low) <= Calibration(0.3, -2).confidence(high) <= 1


def test_load_without_a_file_is_the_default(tmp_path: Path) -> None:
    assert load_calibration(tmp_path) == Calibration(1.0, 0.0, 0.5)


def test_load(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"slope": 0.4, "intercept": -1, "threshold": 0.3, "questions": 900}))
    assert load_calibration(tmp_path) == Calibration(0.4, -1.0, 0.3)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"slope": 1, "intercept": 0}', '{"slope": []}', '"slope"', "null"])
def test_load_of_something_else(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ModelNotFound, match=r"calibration\.json is no calibration of ours"):
        load_calibration(tmp_path)
