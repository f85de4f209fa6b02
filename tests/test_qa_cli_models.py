"""The commands about models: calibrate as a user on a toy library, and what export refuses."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Run

from index.errors import InvalidInput
from index.library import Library
from index.lock import write_lock
from index.onnx import GRAPH
from index.passage import Passage
from qa import confidence
from qa.cli_options import read_share
from qa.confidence import FILE, Calibration, calibration_for, load_calibration, read_calibration
from qa.reader import Span, reader_folder

ARTICLE = {"id": "cup", "text": "Castle FC won the cup. Harbour FC lost it."}


class ScoringReader:
    """Finds "Castle FC", with the score that the question ends in; nothing where it ends in none."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        scores = re.findall(r"-?[\d.]+$", question)
        return [
            [
                Span(passage, passage.start + found.start(), passage.start + found.end(), float(score))
                for score in scores
                for found in re.finditer("Castle FC", passage.text)
            ]
            for passage in passages
        ]


@pytest.fixture
def reader() -> ScoringReader:
    return ScoringReader()


def gold(count: int) -> str:
    """Questions with scores from -4 to 4. Those over 2 are right, below -2 there is no answer, and in between every
    other one is right."""
    lines = []
    for number in range(count):
        score = number % 17 / 2 - 4
        right = score > 2 or (score >= -2 and number % 2 == 0)
        lines.append({"question": f"Who won? {score}", "answers": ["Castle FC" if right else "Harbour FC"]})
        if score < -2:
            lines[-1]["answers"] = []
    return "\n".join(map(json.dumps, lines))


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> Run:
    """The command line, with a library of one article and 102 gold questions about it."""
    assert run("add", "-", stdin=json.dumps(ARTICLE)).code == 0
    (tmp_path / "gold.jsonl").write_text(gold(102))
    return run


def noted(path: Path) -> Calibration | None:
    """What the library keeps."""
    with Library(path / "library") as library:
        return calibration_for(library, reader_folder()) if library.setting(FILE) else None


# calibrate


def test_calibrate_keeps_what_is_fitted_with_the_library(filled: Run, tmp_path: Path) -> None:
    [before] = filled("ask", "Who won? 1.0", "--json").lines
    ran = filled("calibrate", "gold.jsonl", "--json")
    assert (ran.code, ran.err) == (0, "")
    fitted = read_calibration(ran.lines[0]["calibration"], "the output")
    assert noted(tmp_path) == fitted
    assert fitted != Calibration()
    [after] = filled("ask", "Who won? 1.0", "--json").lines
    assert (before["confidence"], before["answer"]) == (0.7311, "Castle FC")  # the plain logistic of 1
    assert after["answer"] == ("Castle FC" if after["confidence"] >= fitted.threshold else None)
    assert 0.5 < after["confidence"] < 0.7  # about half of those around 1 are right, and all over 2


def test_calibrate_figures(filled: Run) -> None:
    [told] = filled("calibrate", "gold.jsonl", "--json").lines
    assert list(told) == ["before", "after", "calibration"]
    right = sum("Castle" in line for line in gold(102).splitlines())
    assert [told[when]["questions"] for when in ("before", "after")] == [102, 102]
    assert [told[when]["right"] for when in ("before", "after")] == [pytest.approx(100 * right / 102)] * 2
    # the plain logistic of 4 is 0.98 and of -4 is 0.02, so that what is in between is what the fit is better at
    assert told["after"]["calibration_error"] < told["before"]["calibration_error"]
    assert set(told["after"]["coverage"]) == {"80%", "90%", "95%"}


def test_calibrate_as_a_table(filled: Run, tmp_path: Path) -> None:
    ran = filled("calibrate", "gold.jsonl")
    lines = [line.rstrip() for line in ran.out.splitlines()]
    assert (ran.code, ran.err) == (0, "")
    assert lines[0].split() == ["before", "after"]
    assert re.split(r"\s{2,}", lines[1]) == ["questions with a candidate", "102", "102"]
    kept = noted(tmp_path)
    assert kept is not None
    told = " ".join(lines[lines.index("") + 1 :])
    weights = ", ".join(f"{name} {weight:+.2f}" for name, weight in kept.weights.items())
    assert told == f"withheld below {kept.threshold:.0%}; reading stops from 50% weights: {weights}"


def test_calibrate_twice_is_the_same_but_for_before(filled: Run) -> None:
    [first] = filled("calibrate", "gold.jsonl", "--json").lines
    [second] = filled("calibrate", "gold.jsonl", "--json").lines
    assert (second["after"], second["calibration"]) == (first["after"], first["calibration"])
    assert second["before"] != first["before"]  # by what the first has kept


def test_calibrate_only_shows(filled: Run, tmp_path: Path) -> None:
    ran = filled("calibrate", "gold.jsonl", "--dry-run", "--json")
    assert (ran.code, noted(tmp_path)) == (0, None)
    assert filled("ask", "Who won? 1.0", "--json").lines[0]["confidence"] == 0.7311
    assert filled("calibrate", "gold.jsonl", "--json").lines == ran.lines


def test_calibrate_to_a_file(filled: Run, tmp_path: Path) -> None:
    ran = filled("calibrate", "gold.jsonl", "--to", FILE, "--json")
    assert (ran.code, noted(tmp_path)) == (0, None)
    assert json.loads((tmp_path / FILE).read_text()) == ran.lines[0]["calibration"]
    assert load_calibration(tmp_path) == read_calibration(ran.lines[0]["calibration"], "the output")


def test_dry_run_writes_no_file(filled: Run, tmp_path: Path) -> None:
    assert filled("calibrate", "gold.jsonl", "--to", FILE, "--dry-run").code == 0
    assert not (tmp_path / FILE).exists()


def test_calibrate_to_where_no_file_can_be(filled: Run, tmp_path: Path) -> None:
    ran = filled("calibrate", "gold.jsonl", "--to", "none/calibration.json")
    assert (ran.code, ran.out) == (64, "")
    assert ran.err == "error: none/calibration.json: No such file or directory\n"


def test_calibrate_within_an_error(filled: Run, tmp_path: Path) -> None:
    assert filled("calibrate", "gold.jsonl", "--max-error", "10%").code == 0
    questions = [json.loads(line) for line in gold(102).splitlines()]
    answers = filled("ask", "-", "--json", stdin="\n".join(question["question"] for question in questions)).lines
    given = [
        "Castle FC" in question["answers"]
        for question, answer in zip(questions, answers, strict=True)
        if answer["answer"] is not None
    ]
    assert given.count(True) >= 24  # those over 2
    assert 0 < given.count(False) / len(given) <= 0.1


def test_calibrate_within_an_error_however_it_is_written(filled: Run) -> None:
    percent, share, none = (
        filled("calibrate", "gold.jsonl", "--json", "--dry-run", *more).lines[0]["calibration"]
        for more in (("--max-error", "10%"), ("--max-error", "0.1"), ())
    )
    assert percent == share
    assert (percent["weights"], percent["threshold"] > none["threshold"]) == (none["weights"], True)


@pytest.mark.parametrize("share", ["ten", "", "%", "110%", "1.1", "-1%", "nan", "inf", "10%%"])
def test_share_that_is_none(filled: Run, tmp_path: Path, share: str) -> None:
    ran = filled("calibrate", "gold.jsonl", f"--max-error={share}")
    assert (ran.code, ran.out) == (64, "")
    assert ran.err == f"error: '{share}' is no share; write it like 10% or 0.1\n"
    assert noted(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "share"),
    [("10%", 0.1), ("0.1", 0.1), ("0", 0.0), ("0%", 0.0), ("1", 1.0), ("100%", 1.0), ("12.5%", 0.125)],
)
def test_share(text: str, share: float) -> None:
    assert read_share(text) == share


def test_no_share() -> None:
    with pytest.raises(InvalidInput, match=r"'half' is no share; write it like 10% or 0\.1"):
        read_share("half")


def test_calibrate_where_no_threshold_is_within_the_error(filled: Run, tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_text(gold(102) + "\n" + json.dumps({"question": "Who won? 9", "answers": []}))
    ran = filled("calibrate", "gold.jsonl", "--max-error", "0%")
    assert (ran.code, ran.out) == (64, "")
    assert ran.err == (
        "error: no confidence keeps the errors of these questions within 0%; allow more of them: --max-error\n"
    )
    assert noted(tmp_path) is None


@pytest.mark.parametrize("count", [1, 49])
def test_calibrate_on_too_few_questions(filled: Run, tmp_path: Path, count: int) -> None:
    (tmp_path / "gold.jsonl").write_text(gold(count))
    ran = filled("calibrate", "gold.jsonl")
    assert (ran.code, ran.out) == (64, "")
    assert ran.err == f"error: {count} questions with candidates are too few to fit on; give at least 50\n"
    assert noted(tmp_path) is None


def test_calibrate_on_just_enough_questions(filled: Run, tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_text(gold(50))
    ran = filled("calibrate", "gold.jsonl", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[0]["after"]["questions"] == 50


def test_calibrate_on_a_sample(filled: Run) -> None:
    [told] = filled("calibrate", "gold.jsonl", "--sample", "80", "--json", "--dry-run").lines
    [other] = filled("calibrate", "gold.jsonl", "--sample", "80", "--seed", "1", "--json", "--dry-run").lines
    assert (told["after"]["questions"], other["after"]["questions"]) == (80, 80)
    assert told["calibration"] != other["calibration"]


def test_calibrate_on_what_is_always_right(filled: Run, tmp_path: Path) -> None:
    lines = [json.dumps({"question": f"Who won? {score}", "answers": ["Castle FC"]}) for score in range(80)]
    (tmp_path / "gold.jsonl").write_text("\n".join(lines))
    ran = filled("calibrate", "gold.jsonl")
    assert (ran.code, ran.err) == (
        64,
        "error: the best candidates are all right, or all wrong: there is nothing to fit\n",
    )


def test_calibrate_without_gold(filled: Run) -> None:
    ran = filled("calibrate", "none.jsonl")
    assert (ran.code, ran.err) == (64, "error: none.jsonl: No such file or directory\n")


def test_calibrate_a_library_that_is_being_written_to(filled: Run, tmp_path: Path) -> None:
    with write_lock(tmp_path / "library"):
        ran = filled("calibrate", "gold.jsonl")
        assert filled("calibrate", "gold.jsonl", "--dry-run").code == 0
    assert (ran.code, ran.out, noted(tmp_path)) == (75, "", None)
    assert ran.err.startswith("error: library is being written to by process ")


def test_damaged_calibration_of_the_reader(filled: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).write_text("{}")
    monkeypatch.setattr(confidence, "load_calibration", lambda folder: load_calibration(tmp_path))
    ran = filled("ask", "Who won? 1.0")
    assert (ran.code, ran.out) == (78, "")
    assert ran.err.endswith(
        "calibration.json is no calibration of ours: KeyError('weights'); run: pullquote calibrate GOLD\n"
    )


# export; that it gives the right graph is in test_index_export.py


def test_export_an_embedder_of_8_bits(run: Run) -> None:
    ran = run("export", "--int8", "all-MiniLM-L6-v2")
    assert (ran.code, ran.out) == (64, "")
    assert ran.err == (
        "error: all-MiniLM-L6-v2 is an embedder; --int8 is for readers, since vectors of two precisions do not mix\n"
    )


def test_export_what_is_no_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    ran = run("export", "folder")
    assert (ran.code, ran.out) == (78, "")
    assert ran.err == "error: folder is not a model we can load: it has no config.json\n"
    assert not (tmp_path / "folder" / GRAPH).exists()
    assert run("export").code == 2
