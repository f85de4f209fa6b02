"""`pullquote eval` as a user on a toy library: figures, labels, run files, comparisons, and bad input."""

import json
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Run

from eval.record import read_run
from index.passage import Passage
from qa.reader import Span

ARTICLES = [
    {"id": "chess", "text": "Castle FC won the chess cup. And beat Harbour FC in the final.", "source": "Coast"},
    {"id": "ferry", "text": "The ferry hit the breakwater in fog."},
]
GOLD = [
    {"question": "Who won the chess cup?", "answers": ["Castle FC"], "article": "chess", "start": 0},
    {"question": "Who lost the chess cup?", "answers": ["Harbour FC"], "article": "chess", "start": 38},
    {"question": "Who came third?", "answers": []},
]


class ToyReader:
    """Finds the few answers it knows, the first of them better."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        return [
            [
                Span(passage, passage.start + match.start(), passage.start + match.end(), score)
                for known, score in (("Castle FC", 3.0), ("in fog", 1.0))
                for match in re.finditer(known, passage.text)
            ]
            for passage in passages
        ]


@pytest.fixture
def reader() -> ToyReader:
    return ToyReader()


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> Run:
    """The command line, with a library of two articles and gold questions about them."""
    assert run("add", "-", stdin=json.dumps(ARTICLES)).code == 0
    write(tmp_path, GOLD)
    return run


def write(folder: Path, gold: Sequence[object]) -> None:
    (folder / "gold.jsonl").write_text("\n".join(map(json.dumps, gold)))


def rows(out: str) -> dict[str, str]:
    """The second column of what is printed, by the first."""
    return dict(re.findall(r"^ *(\S.*?)  +(\S+(?: %| ms)?)", out, re.MULTILINE))


def test_as_json(filled: Run) -> None:
    ran = filled("eval", "gold.jsonl", "--json")
    assert (ran.code, ran.err) == (0, "")
    [told] = ran.lines
    values = {name: score["value"] for name, score in told["metrics"].items()}
    assert (told["questions"], told["answerable"]) == (3, 2)
    assert (values["em"], values["best_em"], values["recall@10"], values["no_answer_recall"]) == (
        pytest.approx(1 / 3),
        0.5,
        1.0,
        0.0,
    )
    assert {label: count for label, count in told["misses"].items() if count} == {
        "wrong span in the right passage": 1,
        "answered though unanswerable": 1,
    }
    assert told["oracles"]["abstaining"] == pytest.approx(2 / 3)
    assert (told["quotes"], told["quotes_misplaced"], told["comparison"]) == (6, 0, None)
    assert told["about"]["gold"]["of"] == 3


def test_withheld_and_sampled(filled: Run) -> None:
    [none] = filled("eval", "gold.jsonl", "--json", "--threshold", "1").lines
    values = {name: score["value"] for name, score in none["metrics"].items()}
    assert (values["answered"], values["answered_em"], values["no_answer_recall"]) == (0.0, None, 1.0)
    assert none["misses"]["withheld though right"] == 1
    assert filled("eval", "gold.jsonl", "--json", "--sample", "2").lines[0]["questions"] == 2


def test_as_tables(filled: Run) -> None:
    ran = filled("eval", "gold.jsonl")
    assert (ran.code, ran.err) == (0, "")
    shown = rows(ran.out)
    assert (shown["exact match"], shown["recall@10"]) == ("33.3 %", "100.0 %")
    assert shown["questions missed, by what went wrong"] == "2"
    assert (shown["wrong span in the right passage"], shown["split by passages"]) == ("1", "0")
    assert shown["abstaining"] == "66.7 %"
    assert "3 questions, 2 of them answerable; 6 quotes checked, 0 not at" in ran.out


def test_run_file_says_what_made_it(filled: Run, tmp_path: Path) -> None:
    assert filled("eval", "gold.jsonl", "--out", "run.json", "-k", "3").code == 0
    run = read_run(tmp_path / "run.json")
    assert [record.question for record in run.records] == [gold["question"] for gold in GOLD]
    assert run.records[0].source == "Coast"
    assert run.about["library"]["articles"] == 2
    assert (run.about["settings"]["hits"], run.about["gold"]["file"]) == (3, "gold.jsonl")
    assert run.about["models"]["embedder"] == "toy toy-0123456789ab"
    assert re.fullmatch(r"model [0-9a-f]{16} by onnx [0-9a-f]{16}", run.about["models"]["reader"])
    assert re.fullmatch(r"[0-9a-f]{16}", run.about["library"]["fingerprint"])
    assert (run.about["settings"]["dense_weight"], run.about["settings"]["calibration"]["hits"]) == (0.4, 10)
    assert {"pullquote", "onnxruntime"} <= run.about["versions"].keys()
    assert run.about["machine"]["cores"] >= 1
    assert 50 < run.about["peak_memory_mib"] < 50_000
    assert filled("eval", "gold.jsonl", "--out", "run.json", "--runtime", "torch").code == 0
    assert read_run(tmp_path / "run.json").about["models"]["reader"].endswith(" by torch")


def test_a_file_name_that_is_no_text(filled: Run, tmp_path: Path) -> None:
    named = tmp_path / os.fsdecode(b"gold-\xff.jsonl")
    (tmp_path / "gold.jsonl").rename(named)
    assert filled("eval", named.name, "--out", "run.json").code == 0
    assert read_run(tmp_path / "run.json").about["gold"]["file"] == "gold-\N{REPLACEMENT CHARACTER}.jsonl"


def test_report_is_written(filled: Run, tmp_path: Path) -> None:
    assert filled("eval", "gold.jsonl", "--out", "run.json").code == 0
    assert filled("eval", "gold.jsonl", "--baseline", "run.json", "--report", "page.html", "-k", "3").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "Who lost the chess cup?" in page
    assert "settings, hits" in page  # what was not alike


def test_compared_with_itself_nothing_has_changed(filled: Run) -> None:
    filled("eval", "gold.jsonl", "--out", "run.json")
    ran = filled("eval", "gold.jsonl", "--baseline", "run.json")
    assert ran.code == 0
    assert "0 better answered, 0 worse, 3 alike" in ran.out
    [told] = filled("eval", "gold.jsonl", "--baseline", "run.json", "--json").lines
    assert told["comparison"]["changes"]["em"]["p"] == 1.0
    assert (told["comparison"]["worse"], told["comparison"]["tells"], told["comparison"]["unlike"]) == ([], False, {})
    assert told["comparison"]["slices"]["question word"]["who"]["questions"] == 3
    ran = filled("eval", "gold.jsonl", "--baseline", "run.json", "-k", "3")
    assert "made with something else: settings, hits: –, now 3" in ran.out
    assert "too few questions to tell a change from chance" in ran.out


def test_significantly_worse_is_exit_code_3(filled: Run, tmp_path: Path) -> None:
    write(tmp_path, [{"question": f"Who won cup number {number}?", "answers": ["Castle FC"]} for number in range(12)])
    filled("eval", "gold.jsonl", "--out", "run.json")
    ran = filled("eval", "gold.jsonl", "--baseline", "run.json", "--threshold", "1")
    assert ran.code == 3
    assert "significantly worse than the baseline: exact match, F1" in ran.out
    assert filled("eval", "gold.jsonl", "--baseline", "run.json").code == 0


def test_a_baseline_of_other_questions(filled: Run, tmp_path: Path) -> None:
    filled("eval", "gold.jsonl", "--out", "run.json")
    write(tmp_path, [{"question": "Another?", "answers": ["Castle FC"]}])
    ran = filled("eval", "gold.jsonl", "--baseline", "run.json")
    assert (ran.code, ran.err) == (
        64,
        "error: run.json has none of these questions: there is nothing to compare with\n",
    )


def test_places_that_do_not_match_are_told_and_not_used(filled: Run, tmp_path: Path) -> None:
    write(tmp_path, [GOLD[0], {**GOLD[1], "start": 5}])
    ran = filled("eval", "gold.jsonl", "--json")
    assert ran.code == 0
    assert ran.err.startswith("gold.jsonl, line 2: ")
    [told] = ran.lines
    assert told["metrics"]["exact_span"]["value"] == 1.0  # of the one whose place is known


def test_interrupted_after_some_questions(filled: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read, asked = ToyReader.read, []

    def interrupted(self: ToyReader, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        asked.append(question)
        if question == GOLD[2]["question"]:
            signal.raise_signal(signal.SIGINT)
        return read(self, question, passages)

    monkeypatch.setattr(ToyReader, "read", interrupted)
    ran = filled("eval", "gold.jsonl", "--out", "run.json")
    assert ran.code == 130
    assert ran.err == "Interrupted. The figures are of the first 2 of 3 questions.\n"
    assert len(read_run(Path("run.json")).records) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("none.jsonl",), "none.jsonl: No such file or directory"),
        (("gold.jsonl", "--baseline", "none.json"), "none.json: No such file or directory"),
        (("gold.jsonl", "--baseline", "gold.jsonl"), "gold.jsonl: it is no run of pullquote eval --out"),
        (("gold.jsonl", "--out", "none/run.json"), "none/run.json: there is no folder none"),
        (("gold.jsonl", "--report", "none/page.html"), "none/page.html: there is no folder none"),
        (("gold.jsonl", "-k", "0"), "k is 0; it must be between 1 and 1,000"),
        (("gold.jsonl", "--tune", "--baseline", "run.json"), "--tune chooses and keeps settings, nothing else; to ask"),
        (("gold.jsonl", "--tune", "-k", "3"), "--tune chooses and keeps settings, nothing else; to ask"),
        (("gold.jsonl", "--dry-run"), "--dry-run is for --tune; without it eval changes nothing anyway"),
        (("gold.jsonl", "--budget-ms", "0"), "the budget is 0.0 ms; it must be more than 0"),
    ],
)
def test_bad_input(filled: Run, arguments: tuple[str, ...], told: str) -> None:
    ran = filled("eval", *arguments)
    assert ran.code == 64
    assert ran.err.startswith(f"error: {told}")
