"""Confidence: features of the evidence, calibrations in files and with a library."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import OpenLibrary
from hypothesis import given
from hypothesis import strategies as st

from index.errors import LibraryBusy, ModelNotFound
from index.library import Library
from index.lock import write_lock
from qa.confidence import (
    FEATURES,
    FILE,
    Calibration,
    Evidence,
    calibration_for,
    load_calibration,
    note_calibration,
    read_calibration,
)
from qa.reader import reader_folder


def evidence(score: float = 0.0, margin: float = 0.0, places: int = 1, words: int = 1) -> Evidence:
    return Evidence(score, margin, fused=0.5, cosine=0.25, places=places, words=words)


# features and confidence


@pytest.mark.parametrize(
    ("given", "features"),
    [
        (
            evidence(score=4.0, margin=1.5, places=4, words=8),
            {"score": 4.0, "lead": 1.5, "lag": 0.0, "fused": 0.5, "cosine": 0.25, "places": 2.0, "words": 3.0},
        ),
        (
            evidence(score=-4.0, margin=-1.5),
            {"score": -4.0, "lead": 0.0, "lag": -1.5, "fused": 0.5, "cosine": 0.25, "places": 0.0, "words": 0.0},
        ),
    ],
)
def test_features(given: Evidence, features: dict[str, float]) -> None:
    assert {name: feature(given) for name, feature in FEATURES.items()} == features


@pytest.mark.parametrize(("margin", "lead", "lag"), [(10.0, 10, 0), (11.0, 10, 0), (-10.0, 0, -10), (-99.0, 0, -10)])
def test_a_lead_or_lag_of_more_than_ten_counts_as_ten(margin: float, lead: float, lag: float) -> None:
    assert (FEATURES["lead"](evidence(margin=margin)), FEATURES["lag"](evidence(margin=margin))) == (lead, lag)


def test_default_is_the_plain_logistic_of_the_score() -> None:
    assert Calibration().confidence(evidence(0)) == 0.5
    assert Calibration().confidence(evidence(2, margin=9, places=5, words=5)) == pytest.approx(0.880797)
    assert (Calibration().threshold, Calibration().stop) == (0.5, math.inf)


def test_weights_and_intercept() -> None:
    calibration = Calibration({"score": 0.5, "lag": 2.0, "places": -1.0}, intercept=-1)
    assert calibration.confidence(evidence(2)) == 0.5
    assert calibration.confidence(evidence(4)) == pytest.approx(1 / (1 + math.exp(-1)))
    assert calibration.confidence(evidence(8, margin=-2, places=2)) == pytest.approx(1 / (1 + math.exp(2)))


def test_without_weights_all_are_alike() -> None:
    assert Calibration({}, math.log(3)).confidence(evidence(7)) == pytest.approx(0.75)


@pytest.mark.parametrize(("score", "confidence"), [(1e9, 1.0), (-1e9, 0.0), (math.inf, 1.0), (-math.inf, 0.0)])
def test_extreme_scores_do_not_overflow(score: float, confidence: float) -> None:
    assert Calibration().confidence(evidence(score)) == pytest.approx(confidence)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_higher_score_is_never_less_sure(one: float, other: float) -> None:
    low, high = (Calibration({"score": 0.3}, -2).confidence(evidence(score)) for score in sorted((one, other)))
    assert 0 <= low <= high <= 1


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_with_one_weight_for_lead_and_lag_a_greater_margin_is_never_less_sure(one: float, other: float) -> None:
    both = Calibration({"lead": 0.7, "lag": 0.7})
    low, high = (both.confidence(evidence(margin=margin)) for margin in sorted((one, other)))
    assert low <= high


# files

FITTED = Calibration({"score": 0.3, "lead": 0.1, "lag": 0.1, "words": -0.25}, -2.5, 0.26, 0.85)


@pytest.mark.parametrize("calibration", [Calibration(), FITTED, Calibration({}, 0.0, 1.0, math.inf)])
def test_calibration_survives_the_journey(tmp_path: Path, calibration: Calibration) -> None:
    (tmp_path / FILE).write_text(json.dumps(calibration.json(), allow_nan=False))
    assert load_calibration(tmp_path) == calibration


def test_json_word_for_word() -> None:
    assert Calibration({"score": 0.5}, -1.0, 0.25).json() == {
        "weights": {"score": 0.5},
        "intercept": -1.0,
        "threshold": 0.25,
        "stop": None,  # JSON knows no infinity
        "retrieval": 0.0,
        "hits": 10,
    }
    assert FITTED.json()["stop"] == 0.85


def test_whole_numbers_are_numbers_too() -> None:
    stored = {"weights": {"score": 1}, "intercept": -2, "threshold": 0, "stop": 1, "questions": 900}
    assert read_calibration(stored, "x") == Calibration({"score": 1.0}, -2.0, 0.0, 1.0)


def test_load_without_a_file_is_the_default(tmp_path: Path) -> None:
    assert load_calibration(tmp_path) == Calibration({"score": 1.0}, 0.0, 0.5, math.inf)


def test_the_shipped_reader_has_a_calibration_of_its_own() -> None:
    shipped = load_calibration(reader_folder())
    assert shipped.weights["score"] > 0
    assert 0 < shipped.threshold < 1
    assert shipped != Calibration()


@pytest.mark.parametrize(
    "change",
    [
        {"weights": None},
        {"weights": ["score"]},
        {"weights": {"score": None}},
        {"weights": {"score": "high"}},
        {"weights": {"score": 1.0, "luck": 1.0}},
        {"intercept": None},
        {"intercept": "low"},
        {"threshold": None},
        {"threshold": [0.5]},
        {"stop": "never"},
        {"stop": {}},
        {"stop": math.nan},
        {"retrieval": "much"},
        {"retrieval": math.inf},
        {"hits": 0},
        {"hits": 1.5},
        {"hits": 1_001},
        {"weights": {"score": math.nan}},
        {"intercept": math.inf},
        {"threshold": 7},
        {"threshold": -0.1},
    ],
)
def test_damaged_calibration(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / FILE).write_text(json.dumps(FITTED.json() | change))
    with pytest.raises(ModelNotFound, match=r"calibration\.json is no calibration of ours: .*; run: pullquote calib"):
        load_calibration(tmp_path)


@pytest.mark.parametrize("name", ["weights", "intercept", "threshold", "stop"])
def test_calibration_that_lacks_something(tmp_path: Path, name: str) -> None:
    stored = FITTED.json()
    del stored[name]
    (tmp_path / FILE).write_text(json.dumps(stored))
    with pytest.raises(ModelNotFound, match=rf"calibration\.json is no calibration of ours: KeyError\('{name}'\)"):
        load_calibration(tmp_path)


def test_what_a_calibration_may_weigh_is_told() -> None:
    stored = FITTED.json() | {"weights": {"luck": 1}}
    with pytest.raises(ModelNotFound, match="weights are of score, lead, lag, fused, cosine, places, words"):
        read_calibration(stored, "x")


def test_calibration_of_before_there_were_weights(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"slope": 0.4, "intercept": -1, "threshold": 0.3, "questions": 900}))
    with pytest.raises(ModelNotFound, match="is no calibration of ours"):
        load_calibration(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '"weights"', "null", "\xff"])
def test_file_that_is_no_json_object(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelNotFound, match=r"calibration\.json cannot be read"):
        load_calibration(tmp_path)


# with a library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like a reader, with a calibration of its own."""
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / FILE).write_text(json.dumps(Calibration(threshold=0.125).json()))
    return folder


def test_library_without_a_calibration_takes_the_reader_s(library: Library, folder: Path) -> None:
    assert calibration_for(library, folder) == Calibration(threshold=0.125)


def test_calibration_noted_with_a_library(library: Library, folder: Path, tmp_path: Path) -> None:
    note_calibration(library, folder, FITTED)
    assert calibration_for(library, folder) == FITTED
    with Library(tmp_path / "other", create=True) as other:
        assert calibration_for(other, folder) == Calibration(threshold=0.125)


def test_noted_calibration_is_there_when_the_library_is_opened_again(
    library: Library, open_library: OpenLibrary, folder: Path
) -> None:
    note_calibration(library, folder, FITTED)
    library.close()
    assert calibration_for(open_library(create=False), folder) == FITTED


def test_the_last_one_noted_counts(library: Library, folder: Path) -> None:
    note_calibration(library, folder, replace(FITTED, threshold=0.5))
    note_calibration(library, folder, FITTED)
    assert calibration_for(library, folder) == FITTED


def test_noted_calibration_is_for_the_same_reader_alone(library: Library, folder: Path, tmp_path: Path) -> None:
    note_calibration(library, folder, FITTED)
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    assert calibration_for(library, other) == FITTED  # the same weights elsewhere
    (other / "model.safetensors").write_bytes(b"others!")
    assert calibration_for(library, other) == Calibration(threshold=0.125)
    assert calibration_for(library, folder) == FITTED


def test_library_that_is_being_written_to_notes_nothing(library: Library, folder: Path) -> None:
    with write_lock(library.path), pytest.raises(LibraryBusy, match="is being written to"):
        note_calibration(library, folder, FITTED)
    assert calibration_for(library, folder) == Calibration(threshold=0.125)
