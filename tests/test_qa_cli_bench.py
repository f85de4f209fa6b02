"""`pullquote bench` as a user gives it, on a toy library; its figures are not for tests."""

import json
import os
import re
import signal
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest
from conftest import Run

from index.embed import Embedder
from index.passage import Passage
from qa import cli_bench
from qa.reader import Span

ARTICLES = [
    {"id": "cup", "text": "Castle FC won the cup. Harbour FC lost it."},
    {"id": "bridge", "text": "The bridge was shut.", "title": "Bridge shut"},
]


class NotingReader:
    """Finds nothing; keeps what it was asked, and is interrupted by Ctrl-C when it reads for the `interrupted`th
    time."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.interrupted = 0

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        self.questions.append(question)
        if len(self.questions) == self.interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        return [[] for _ in passages]


@pytest.fixture
def reader() -> NotingReader:
    return NotingReader()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def filled(run: Run, scratch: Path, monkeypatch: pytest.MonkeyPatch, embedder: Embedder) -> Run:
    """The command line, with a library of two articles."""
    monkeypatch.setattr(cli_bench, "load_embedder", lambda name, runtime: embedder)
    assert run("add", "-", stdin="\n".join(map(json.dumps, ARTICLES))).code == 0
    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_bench_as_json(filled: Run) -> None:
    ran = filled("bench", "--seconds", "0.5", "--json")
    assert (ran.code, ran.err) == (0, "")
    [told] = ran.lines
    assert told["versions"]["pullquote"] == metadata.version("pullquote")
    assert told["machine"]["cores"] >= 1
    assert (told["articles"], told["passages"], told["hits"]) == (2, 2, 10)
    assert (told["asking"]["questions"], told["asking"]["passages_read"]) == (2, 2)
    assert list(told["asking"]["milliseconds"]) == ["search", "read", "total", "encode"]
    assert list(told["asking"]["milliseconds"]["total"]) == ["p50", "p95", "p99"]
    assert [one["askers"] for one in told["together"]] == [1, 2, 4, 8]
    assert (told["indexing"]["articles"], told["indexing"]["passages"]) == (2, 2)
    assert told["matrix_share"] == told["asking"]["gflops"] / told["matrix_gflops"]


def test_bench_asks_beginnings_of_passages(filled: Run, reader: NotingReader) -> None:
    assert filled("bench", "--seconds", "0").code == 0
    _, *asked = reader.questions  # before these the models are loaded
    assert set(asked) == {"Castle FC won the cup. Harbour FC lost it.", "The bridge was shut."}


def test_bench_asks_gold_questions(filled: Run, reader: NotingReader, tmp_path: Path) -> None:
    gold = [{"question": f"Who won {number}?", "answers": []} for number in range(9)]
    (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, gold)))
    assert filled("bench", "gold.jsonl", "--questions", "3", "--seconds", "0.5").code == 0
    asked = set(reader.questions[1:])
    assert len(asked) == 3
    assert asked <= {one["question"] for one in gold}


def test_bench_retrieves_as_many_as_wanted(filled: Run) -> None:
    [told] = filled("bench", "-k", "1", "--seconds", "0", "--json").lines
    assert (told["hits"], told["asking"]["passages_read"]) == (1, 1)


def test_bench_for_people(filled: Run) -> None:
    ran = filled("bench", "--seconds", "0")
    assert (ran.code, ran.err) == (0, "")
    lines = [" ".join(re.sub(r"[\d,.]*\d", "N", line).split()) for line in ran.out.splitlines()]
    assert lines[1:] == [
        "N articles, N passages",
        "",
        "milliseconds of N questions pN pN pN",
        "search N N N",
        "of it the question's vector N N N",
        "read N N N",
        "total N N N",
        "N of at most N passages read, until the rest could not change the answer",
        "",
        "asking at once questions/s pN ms pN ms",
        *["N N N N"] * 4,
        "one question is answered at a time, as in pullquote serve; HTTP is not in it",
        "",
        "adding a second",
        "articles N N",
        "passages N N",
        "tokens N N",
        "",
        "matrix products GFLOPS",
        "this machine, in fpN N",
        "the reader, as it reads N N%",
        "a reader in N bits may reach over N%",
    ]


def test_bench_of_a_reader_whose_sizes_are_unknown(filled: Run, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["OddForQuestionAnswering"], "dim": 768}')
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).touch()
    [told] = filled("bench", "--reader", "other", "--seconds", "0", "--json").lines
    assert (told["asking"]["gflops"], told["matrix_share"]) == (None, None)
    assert "unknown: its config.json names no sizes" in filled("bench", "--reader", "other", "--seconds", "0").out


def test_bench_leaves_the_library_and_nothing_else(filled: Run, scratch: Path, tmp_path: Path) -> None:
    before = files(tmp_path / "library")
    assert filled("bench", "--seconds", "0").code == 0
    assert files(tmp_path / "library") == before
    assert files(scratch) == {}


@pytest.mark.parametrize("read", [2, 5])
def test_bench_ends_quietly_when_interrupted(read: int, filled: Run, reader: NotingReader, scratch: Path) -> None:
    """While questions are asked one after the other, and at once in another thread."""
    reader.interrupted = read
    ran = filled("bench", "--seconds", "0")
    assert (ran.code, ran.out, ran.err) == (130, "", "")
    assert len(reader.questions) == read
    assert files(scratch) == {}


@pytest.mark.parametrize("gold", [[], ["gold.jsonl"]])
def test_bench_of_an_empty_library(gold: list[str], run: Run, reader: NotingReader, tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_text('{"question": "Who won?", "answers": []}')
    run("add", "-", stdin="")
    ran = run("bench", *gold)
    assert (ran.code, ran.out) == (64, "")
    assert ran.err == "error: library has no articles to ask about; add some with: pullquote add FILES\n"
    assert reader.questions == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--library", "none"], 66, "error: there is no library at none"),
        (["gold.jsonl"], 64, "error: gold.jsonl: "),
        (["-k", "0"], 64, "error: k is 0; it must be between 1 and 1,000"),
        (["--seconds", "nan"], 2, "Usage: "),
        (["--seconds", "inf"], 2, "Usage: "),
        (["--reader", "none"], 78, "error: none is no model folder"),
    ],
)
def test_bench_of_what_cannot_be_measured(arguments: list[str], code: int, message: str, filled: Run) -> None:
    ran = filled("bench", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(message)
