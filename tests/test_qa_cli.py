"""The command line, in process, with a toy embedder and a toy reader."""

import gc
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import Ran, Run
from rich.progress import Progress

from index import base
from index.embed import Embedder, Runtime
from index.formats import read_file
from index.library import DATABASE, Library, Outcome
from index.lock import write_lock
from index.passage import Passage
from qa import answer as answering
from qa import cli_add, cli_options, confidence
from qa.confidence import Calibration
from qa.reader import Reader, Span

CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")

BRIDGE = "Bridge shut\n\nThe bridge at Saltgate was shut on Monday. Engineers had found cracks in the deck.\n"
CHESS = (
    "---\nid: chess\ntitle: Chess cup\nsource: Sporting Coast\npublished: 2023-07-28\nurl: https://c.example/1\n---\n\n"
)
CHESS += "Castle FC won the chess cup. And beat Harbour FC in the final.\n"
FERRY = {"id": "ferry", "text": "The ferry hit the breakwater in fog.", "source": "Post", "published": "2024-01-02"}


class ToyReader:
    """Finds the few answers it knows, wherever they stand."""

    scores: ClassVar = {"Castle FC": 3.0, "on Monday": 2.0, "in fog": 1.0, "evil": 4.0}

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        return [
            [
                Span(passage, passage.start + match.start(), passage.start + match.end(), score)
                for known, score in self.scores.items()
                for match in re.finditer(known, passage.text)
            ]
            for passage in passages
        ]


@pytest.fixture
def reader() -> ToyReader:
    return ToyReader()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with three articles in three formats."""
    folder = tmp_path / "articles"
    (folder / "deeper").mkdir(parents=True)
    (folder / "bridge.txt").write_text(BRIDGE)
    (folder / "chess.md").write_text(CHESS)
    (folder / "deeper" / "ferry.jsonl").write_text(json.dumps(FERRY) + "\n")
    return folder


@pytest.fixture
def filled(run: Run, files: Path) -> Run:
    """The command line with the three articles added."""
    assert run("add", str(files)).out == "3 added, 0 replaced, 0 unchanged\n"
    return run


# add


def test_add_a_folder(filled: Run) -> None:
    assert [article["title"] or article["id"] for article in filled("list", "--json").lines] == [
        "Bridge shut",
        "Chess cup",
        "ferry",
    ]


def test_add_files(run: Run, files: Path) -> None:
    ran = run("add", str(files / "deeper" / "ferry.jsonl"), str(files / "bridge.txt"))
    assert (ran.code, ran.out, ran.err) == (0, "2 added, 0 replaced, 0 unchanged\n", "")


def test_add_the_same_again(filled: Run, files: Path) -> None:
    ran = filled("add", str(files))
    assert (ran.code, ran.out, ran.err) == (0, "0 added, 0 replaced, 3 unchanged\n", "")


def test_add_an_edited_file(filled: Run, files: Path) -> None:
    (files / "bridge.txt").write_text(BRIDGE.replace("Monday", "Friday"))
    ran = filled("add", str(files))
    assert (ran.code, ran.out) == (0, "0 added, 1 replaced, 2 unchanged\n")
    texts = [filled("show", article["id"], "--json").lines[0]["text"] for article in filled("list", "--json").lines]
    assert [text for text in texts if "Saltgate" in text] == [BRIDGE.replace("Monday", "Friday")]


@pytest.mark.parametrize(
    ("given", "arguments", "text"),
    [
        (json.dumps(FERRY), (), FERRY["text"]),
        (CHESS, ("--format", "markdown"), "Castle FC won the chess cup. And beat Harbour FC in the final."),
        ("Just a line.", (), "Just a line."),
        (json.dumps(FERRY), ("--format", "text"), json.dumps(FERRY)),
    ],
)
def test_add_standard_input(run: Run, given: str, arguments: tuple[str, ...], text: str) -> None:
    ran = run("add", "-", *arguments, stdin=given)
    assert (ran.code, ran.out) == (0, "1 added, 0 replaced, 0 unchanged\n")
    [article] = run("list", "--json").lines
    assert run("show", article["id"], "--json").lines[0]["text"] == text


def test_add_tables_by_columns_that_are_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,summary\nBridge,The bridge was shut.\n")
    failed = run("add", str(tmp_path))
    assert (failed.code, failed.out) == (1, "0 added, 0 replaced, 0 unchanged\n")
    assert failed.err.endswith(
        "a.csv: none of its columns looks like the text of articles; say which to take, as in --columns text=COLUMN."
        " It has: 'name', 'summary'\n"
    )
    assert run("add", str(tmp_path), "--columns", "text=summary,title=name").out.startswith("1 added")
    assert [article["title"] for article in run("list", "--json").lines] == ["Bridge"]


def test_format_is_for_files_that_are_named(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "news" / "a.dat"
    file.parent.mkdir()
    file.write_text("# Bridge\n\nIt was shut.")
    assert run("add", str(file.parent), "--format", "markdown").err == "skipped 1 files of no known format: 1 × .dat\n"
    assert run("add", str(file), "--format", "markdown").out.startswith("1 added")
    assert [article["title"] for article in run("list", "--json").lines] == ["Bridge"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--format", "word"), "there is no format 'word'; there are: archive, docx, epub, feed, html, lines, mail,"),
        (("--columns", "body=text"), "'body=text' names no column; write FIELD=COLUMN with one of the fields text, id"),
    ],
)
def test_add_with_what_makes_no_sense(run: Run, files: Path, arguments: tuple[str, ...], reason: str) -> None:
    ran = run("add", str(files), *arguments)
    assert (ran.code, ran.out) == (64, "")
    assert ran.err.startswith(f"error: {reason}")


def test_progress_is_told_by_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "A."}\n' * 100_000)
    (tmp_path / "b.json").write_text('[{"text": "A."}, 7, {"text": "B."}]')
    progress = Progress()
    account = cli_add._Account(progress)
    account.expect(1_000)
    for file, size in (("a.jsonl", 600), ("b.json", 300)):
        done = [progress.tasks[0].completed]
        for article in account.take(read_file(tmp_path / file, reached=account.reach), size):
            account.acknowledge(article, Outcome.ADDED)
            done.append(progress.tasks[0].completed)
        steps = [after - before for before, after in itertools.pairwise(done)]
        assert max(steps) <= 200  # not all at once
    assert progress.tasks[0].completed == pytest.approx(900)


def test_add_what_cannot_be_read_with_what_can(run: Run, files: Path) -> None:
    (files / "binary.txt").write_bytes(b"\x00\x01\x02\xff" * 100)
    (files / "broken.json").write_text("{")
    (files / "empty.txt").touch()
    (files / "lines.jsonl").write_text('{"text": "A line."}\n{"title": "no text"}\n')
    ran = run("add", str(files), "none.txt")
    assert (ran.code, ran.out) == (1, "4 added, 0 replaced, 0 unchanged\n")
    said = [line.replace(f"{files}/", "") for line in ran.err.splitlines()]
    assert said == [
        "not read: none.txt: there is no such file or folder",
        "not read: binary.txt: it is a binary file",
        "not read: broken.json: it is no valid JSON: Expecting property name enclosed in double quotes: line 1 column 2"
        " (char 1)",
        "not read: empty.txt: it is empty",
        'not read: lines.jsonl, line 2: it has no "text", or one that is no string',
    ]


def test_add_reports_twenty_failures_and_counts_the_rest(run: Run) -> None:
    ran = run("add", *(f"none{number}.txt" for number in range(25)))
    assert (ran.code, ran.out) == (1, "0 added, 0 replaced, 0 unchanged\n")
    assert len([line for line in ran.err.splitlines() if line.startswith("not read: none")]) == 20
    assert ran.err.splitlines()[-1] == "… and 5 more that could not be read"


def test_add_counts_what_it_skips_by_ending(run: Run, files: Path) -> None:
    for name in ("a.PNG", "b.png", "README", ".hidden.txt"):
        (files / name).write_text("x")
    ran = run("add", str(files))
    assert (ran.code, ran.out) == (0, "3 added, 0 replaced, 0 unchanged\n")
    assert ran.err == "skipped 3 files of no known format: 2 × .png, 1 × no ending\n"


def test_add_a_dangling_link_in_a_folder(run: Run, files: Path) -> None:
    (files / "gone.txt").symlink_to(files / "nowhere.txt")
    ran = run("add", str(files))
    assert (ran.code, ran.out) == (1, "3 added, 0 replaced, 0 unchanged\n")
    assert re.search(r"^not read: .*gone\.txt: ", ran.err, re.MULTILINE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_add_keeps_what_was_acknowledged(
    run: Run, files: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    read_file = cli_add.read_file

    def interrupted(path: Path, *arguments: Any) -> Iterator[object]:
        if path.name == "ferry.jsonl":
            os.kill(os.getpid(), number)
        return read_file(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(base, "_BATCH_PASSAGES", 1)  # each article is a batch of its own
        patch.setattr(cli_add, "read_file", interrupted)
        ran = run("add", str(files))
    assert (ran.code, ran.out) == (128 + number, "2 added, 0 replaced, 0 unchanged\n")
    assert "Interrupted. What is counted above is stored; run the same command again" in ran.err
    assert len(run("list", "--json").lines) == 2
    assert run("search", "chess cup", "--json").lines[0]["article"] == "chess"
    assert run("add", str(files)).out == "1 added, 0 replaced, 2 unchanged\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_building_of_the_indexes(
    run: Run, files: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(Library, "settle", lambda self: os.kill(os.getpid(), number))
        ran = run("add", str(files))
    assert (ran.code, ran.out) == (128 + number, "3 added, 0 replaced, 0 unchanged\n")
    assert "Everything is stored; the first question will build the indexes" in ran.err
    assert signal.getsignal(number) is before
    assert run("search", "chess cup", "--json").lines[0]["article"] == "chess"


def test_interrupted_ask(filled: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: ToyReader, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyReader, "read", interrupted)
    assert filled("ask", "Who won?").code == 130


# list, show, remove


def test_list(filled: Run) -> None:
    ran = filled("list")
    assert ran.out.splitlines()[1:] == [
        "chess  2023-07-28  Chess cup — Sporting Coast  62 characters, 1 passages",
        "ferry  2024-01-02  untitled — Post  36 characters, 1 passages",
    ]
    assert ran.err == "3 articles, 3 passages in library\n"


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [(("--offset", "1"), ["chess", "ferry"]), (("--offset", "1", "--limit", "1"), ["chess"]), (("--offset", "9"), [])],
)
def test_list_a_part(filled: Run, arguments: tuple[str, ...], ids: list[str]) -> None:
    assert [article["id"] for article in filled("list", "--json", *arguments).lines] == ids


def test_list_more_than_a_page(run: Run) -> None:
    records = [{"id": f"a{number}", "text": f"Article {number}."} for number in range(205)]
    assert run("add", "-", stdin="\n".join(map(json.dumps, records))).out.startswith("205 added")
    assert [article["id"] for article in run("list", "--json").lines] == [record["id"] for record in records]
    assert [article["id"] for article in run("list", "--json", "--offset", "99", "--limit", "102").lines] == [
        record["id"] for record in records[99:201]
    ]


def test_show(filled: Run) -> None:
    text = "Castle FC won the chess cup. And beat Harbour FC in the final."
    assert [line.rstrip() for line in filled("show", "chess").out.splitlines()] == [
        "id         chess",
        "title      Chess cup",
        "url        https://c.example/1",
        "published  2023-07-28",
        "source     Sporting Coast",
        "language   en",
        f"sha256     {sha256(text.encode()).hexdigest()}",
        "",
        text,
    ]


def test_show_leaves_out_what_is_long_of_the_metadata(run: Run, files: Path) -> None:
    pages = {str(start): str(start // 5 + 1) for start in range(0, 900, 5)}
    (files / "paged.jsonl").write_text(json.dumps({"id": "paged", "text": "Words. " * 150, "pages": pages}) + "\n")
    run("add", str(files / "paged.jsonl"))
    shown = run("show", "paged").out.partition("sha256")[0]
    assert "'5': '2'" in shown
    assert shown.rstrip().endswith(" …")
    assert run("show", "paged", "--json").lines[0]["metadata"] == {"pages": pages}


def test_show_as_json(filled: Run) -> None:
    [article] = filled("show", "ferry", "--json").lines
    assert (article["id"], article["text"], article["published"]) == ("ferry", FERRY["text"], "2024-01-02")


def test_remove(filled: Run) -> None:
    ran = filled("remove", "chess", "ferry")
    assert (ran.code, ran.out, ran.err) == (0, "removed 2\n", "")
    assert [article["title"] for article in filled("list", "--json").lines] == ["Bridge shut"]
    assert filled("ask", "Who won the chess cup?", "--json").lines[0]["answer"] == "on Monday"


def test_remove_only_says_so(filled: Run) -> None:
    ran = filled("remove", "--dry-run", "chess", "ferry")
    assert (ran.code, ran.out) == (0, "would remove chess: Chess cup\nwould remove ferry: untitled\n")
    assert len(filled("list", "--json").lines) == 3


@pytest.mark.parametrize("arguments", [("remove", "chess", "none"), ("remove", "--dry-run", "none"), ("show", "none")])
def test_unknown_id(filled: Run, arguments: tuple[str, ...]) -> None:
    ran = filled(*arguments)
    assert (ran.code, ran.out, ran.err) == (
        66,
        "",
        "error: there is no article 'none' in the library; see: pullquote list\n",
    )
    assert len(filled("list", "--json").lines) == 3


# ask and search


def test_ask(filled: Run) -> None:
    ran = filled("ask", "Who won the chess cup?", "--hits", "1")
    assert (ran.code, ran.err) == (0, "")
    assert [line.rstrip() for line in ran.out.splitlines()] == [
        "Who won the chess cup?",
        "  “Castle FC”  95% sure",
        "    Castle FC won the chess cup.",
        "    — Chess cup, Sporting Coast, 2023-07-28  chess [0:9]",
        "      https://c.example/1#:~:text=Castle%20FC",
        "",
    ]


def test_lines_are_whole_where_no_terminal_shows_them(run: Run, files: Path) -> None:
    sentence = f"Castle FC won {'the chess cup and ' * 20}a ham."
    cup = {"id": "cup", "title": "Chess " * 30, "text": sentence, "url": "https://c.example/" + "1" * 90}
    (files / "cup.jsonl").write_text(json.dumps(cup) + "\n")
    run("add", str(files / "cup.jsonl"))
    lines = run("ask", "Who won the chess cup?").out.splitlines()
    assert f"    {sentence}" in lines
    assert f"      {cup['url']}#:~:text=Castle%20FC" in lines


def test_ask_and_search_name_the_page(run: Run, files: Path) -> None:
    chess = {"id": "cup", "title": "Chess cup", "text": "Castle FC won the chess cup.", "pages": {"0": "iv", "10": "v"}}
    (files / "cup.jsonl").write_text(json.dumps(chess) + "\n")
    run("add", str(files / "cup.jsonl"))
    assert "    — Chess cup, page iv  cup [0:9]" in run("ask", "Who won the chess cup?").out
    assert run("search", "chess cup").out.startswith("1. Chess cup, page iv  score ")


def test_ask_shows_what_else_was_considered(filled: Run) -> None:
    lines = [line.rstrip() for line in filled("ask", "Who won the chess cup?").out.splitlines()]
    assert lines[5:] == [
        "  Also considered",
        "    “on Monday”  88% sure — Bridge shut",
        "    “in fog”  73% sure — ferry",
        "",
    ]


def test_ask_says_why_there_is_no_answer_and_what_came_closest(filled: Run) -> None:
    ran = filled("ask", "Who won?", "--threshold", "0.99", "--article", "chess")
    assert (ran.code, [line.rstrip() for line in ran.out.splitlines()]) == (
        0,
        [
            "Who won?",
            "  No answer: the best candidate is too unsure to be given.",
            "  Closest",
            "    “Castle FC”  95% sure — Chess cup",
            "",
        ],
    )


def test_ask_of_nothing_retrieved(filled: Run) -> None:
    ran = filled("ask", "Who won?", "--source", "Nobody")
    assert ran.out.splitlines()[1] == "  No answer: nothing in the library matches the question and filters."


def test_ask_as_json(filled: Run) -> None:
    [answer] = filled("ask", "Who won the chess cup?", "--json").lines
    assert (answer["answer"], answer["reason"], answer["confidence"]) == ("Castle FC", None, 0.9526)
    [citation] = answer["citations"]
    assert (citation["article"], citation["start"], citation["end"], citation["quote"]) == ("chess", 0, 9, "Castle FC")
    assert answer["hits"][0]["article"] == "chess"


def test_ask_several_questions(filled: Run) -> None:
    ran = filled("ask", "-", "--json", stdin="Who won the chess cup?\n\n  Who lost?  \r\nWhat\u2028of it?")
    assert [answer["question"] for answer in ran.lines] == ["Who won the chess cup?", "Who lost?", "What\u2028of it?"]
    assert [answer["answer"] for answer in ran.lines] == ["Castle FC"] * 3


def test_ask_no_questions(filled: Run) -> None:
    assert filled("ask", "-", stdin="\n \n") == Ran(0, "", "")


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("--article", "ferry"), "in fog"),
        (("--article", "ferry", "--article", "chess"), "Castle FC"),
        (("--source", "Post"), "in fog"),
        (("--since", "2024-01-02"), "in fog"),
        (("--until", "2023-07-28"), "Castle FC"),
        (("--since", "2023-07-29", "--until", "2023-12-31"), None),
        (("--language", "en"), "Castle FC"),
        (("--language", "de"), None),
    ],
)
def test_ask_with_filters(filled: Run, arguments: tuple[str, ...], answer: str | None) -> None:
    assert filled("ask", "Who won?", "--json", *arguments).lines[0]["answer"] == answer


def test_a_language_is_a_code(filled: Run) -> None:
    ran = filled("ask", "Who won?", "--language", "German")
    assert (ran.code, ran.err) == (64, "error: language: 'German' is no code of ISO 639; write it like en\n")


# duplicates


@pytest.fixture
def copied(filled: Run) -> Run:
    """The command line with a copy of one of the articles added."""
    record = {"id": "copy", "source": "Other Post", "text": CHESS_TEXT.upper()}
    assert filled("add", "-", stdin=json.dumps(record)).out == "1 added, 0 replaced, 0 unchanged\n"
    return filled


CHESS_TEXT = "Castle FC won the chess cup. And beat Harbour FC in the final."


def test_duplicates(copied: Run) -> None:
    assert copied("duplicates") == Ran(
        0,
        "chess  Chess cup, Sporting Coast, 2023-07-28\n  copy  copy, Other Post\n",
        "1 copies of 1 articles in library\n",
    )
    assert copied("duplicates", "--json").lines == [{"articles": ["chess", "copy"]}]
    assert copied("duplicates", "--json", "--refresh").lines == [{"articles": ["chess", "copy"]}]


def test_no_duplicates(filled: Run) -> None:
    assert filled("duplicates", "--json") == Ran(0, "", "")


def test_duplicates_of_no_library(run: Run) -> None:
    ran = run("duplicates", library="nowhere")
    assert (ran.code, ran.out) == (66, "")


def test_a_copy_is_shown_as_one(copied: Run) -> None:
    [listed] = [article for article in copied("list", "--json").lines if article["id"] == "copy"]
    assert (listed["duplicate_of"], listed["language"]) == ("chess", "en")
    assert "62 characters, 1 passages, a copy of chess" in copied("list").out
    assert "duplicate of  chess" in copied("show", "copy").out


# languages


def test_add_says_what_the_models_do_not_know(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        "Die Brücke über den Fluss wurde am Montag gesperrt.",
        "Le pont sur la rivière a été fermé lundi.",
        "Nothing.",
    ]
    records = "\n".join(json.dumps({"id": str(number), "text": text}) for number, text in enumerate(texts))
    monkeypatch.setattr(cli_add, "DEFAULT_EMBEDDER", "toy")
    ran = run("add", "-", stdin=records)
    assert ran.err == (
        "2 articles are in languages that the models of this library do not know: 1 × de, 1 × fr; see docs/MODELS.md\n"
    )
    assert run("add", "-", stdin=records).err == ""


def test_add_says_nothing_of_languages_where_the_model_is_another(run: Run) -> None:
    assert run("add", "-", stdin="Die Brücke über den Fluss wurde am Montag gesperrt.").err == ""


@pytest.fixture
def eight(run: Run) -> Run:
    """The command line with eight articles added, each with a place; P1 is what the reader knows best."""
    records = [{"id": f"a{n}", "text": f"{'ferry ' * (8 - n)}sailed in fog to P{n}."} for n in range(8)]
    assert run("add", "-", stdin="\n".join(map(json.dumps, records))).out.startswith("8 added")
    return run


def test_ask_reads_no_more_than_it_needs_unless_told_to(eight: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confidence, "load_calibration", lambda folder: Calibration(stop=0.7))  # "in fog" has 0.73
    [answer] = eight("ask", "Where did the ferry sail?", "--json").lines
    assert (answer["answer"], answer["unread"], answer["complete"], len(answer["citations"])) == ("in fog", 5, True, 3)
    [whole] = eight("ask", "Where did the ferry sail?", "--json", "--exhaustive").lines
    assert (whole["answer"], whole["unread"], whole["complete"], len(whole["citations"])) == ("in fog", 0, True, 8)


def test_ask_within_a_budget(eight: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1_000))
    monkeypatch.setattr(answering, "perf_counter", lambda: next(seconds))  # each look at the clock is a second later
    [answer] = eight("ask", "Where did the ferry sail?", "--json", "--budget-ms", "1").lines
    assert (answer["answer"], answer["unread"], answer["complete"], len(answer["citations"])) == ("in fog", 5, False, 3)
    [whole] = eight("ask", "Where did the ferry sail?", "--json", "--budget-ms", "1e6").lines
    assert (whole["unread"], whole["complete"], len(whole["citations"])) == (0, True, 8)


@pytest.mark.parametrize(("budget", "code"), [("0", 2), ("-1", 2), ("soon", 2), ("inf", 64)])
def test_bad_budget(filled: Run, budget: str, code: int) -> None:
    ran = filled("ask", "Who won?", f"--budget-ms={budget}")
    assert (ran.code, ran.out, "budget" in ran.err) == (code, "", True)


def test_search(filled: Run) -> None:
    ran = filled("search", "chess cup", "-k", "1", "--json")
    assert [(hit["article"], hit["start"], hit["end"]) for hit in ran.lines] == [("chess", 0, 62)]
    lines = [line.rstrip() for line in filled("search", "chess cup", "-k", "1").out.splitlines()]
    assert lines[0].startswith("1. Chess cup, Sporting Coast, 2023-07-28  score 0.99, cosine 0.62, BM25")
    assert "   Castle FC won the chess cup. And beat Harbour FC in the final." in lines
    assert "   chess [0:62]" in lines


def test_search_finds_nothing(filled: Run) -> None:
    assert filled("search", "chess", "--source", "Nobody") == Ran(0, "No passages.\n", "")


# verify


def test_verify_what_was_answered(filled: Run) -> None:
    answer = filled("ask", "Who won the chess cup?", "-k", "1", "--json").out
    assert filled("verify", stdin=answer) == Ran(0, "valid   “Castle FC”  chess [0:9]\n", "")
    assert filled("verify", "-", stdin=answer).code == 0


def test_verify_a_file_of_several_answers_as_json(filled: Run, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(filled("ask", "-", "--json", stdin="Who won?\nWhen?\n").out)
    ran = filled("verify", str(file), "--json")
    assert ran.code == 0
    assert {line["verification"]["validity"] for line in ran.lines} == {"valid"}
    assert [line["quote"] for line in ran.lines] == ["Castle FC", "on Monday", "in fog"] * 2


def test_verify_stale_and_unknown(filled: Run, files: Path) -> None:
    answer = filled("ask", "Who won the chess cup?", "--json").out
    (files / "chess.md").write_text(CHESS.replace("Castle", "So it was: Castle"))
    filled("add", str(files))
    filled("remove", "ferry")
    ran = filled("verify", stdin=answer)
    assert ran.code == 1
    assert ran.out.splitlines()[0].startswith("stale   “Castle FC”  chess [0:9]: the article's text has changed since;")
    assert ran.out.replace("\n", " ").count("at 11") == 1
    checked = [line["verification"] for line in filled("verify", "--json", stdin=answer).lines]
    assert [(one["validity"], one["places"]) for one in checked] == [("stale", [11]), ("valid", [45]), ("unknown", [])]


def citation(**changes: object) -> str:
    return json.dumps({"article": "chess", "start": 0, "end": 9, "quote": "Castle FC", **changes})


@pytest.mark.parametrize(
    ("changes", "validity"),
    [
        ({}, "valid"),
        ({"quote": "Castle fc"}, "stale"),
        ({"start": 1}, "stale"),
        ({"start": -62}, "stale"),
        ({"start": 10**30, "end": 10**31}, "stale"),
        ({"start": 53, "end": 10**9, "quote": "he final."}, "stale"),
        ({"start": 10**6, "end": 10**6 + 9, "quote": ""}, "stale"),
        ({"end": 0, "quote": ""}, "stale"),
        ({"article": "none"}, "unknown"),
        ({"article": "\ud800"}, "unknown"),
        ({"quote": "\ud800"}, "stale"),
        ({"text_sha256": "0" * 64}, "stale"),
    ],
)
def test_verify_one_citation(filled: Run, changes: dict[str, object], validity: str) -> None:
    ran = filled("verify", "--json", stdin=citation(**changes))
    assert (ran.code, [line["verification"]["validity"] for line in ran.lines]) == (
        int(validity != "valid"),
        [validity],
    )


def test_verify_says_so_in_words_for_odd_citations_too(filled: Run) -> None:
    ran = filled("verify", stdin=citation(quote="\ud800\x1b[31m", article="\ud800\x1b[31m"))
    assert (ran.code, CONTROL.findall(ran.out)) == (1, [])


def test_verify_answers_with_line_separators_in_their_quotes(filled: Run) -> None:
    filled("add", "-", stdin=json.dumps({"id": "odd", "text": "An evil\u2028word."}))
    cited = json.dumps({"article": "odd", "start": 3, "end": 12, "quote": "evil\u2028word"}, ensure_ascii=False)
    assert filled("verify", stdin=f"{cited}\n{cited}\n").code == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "there are no citations in the input"),
        ("{}", "there are no citations in the input"),
        ("nonsense", "the input is no JSON: "),
        ("[" * 100_000, "the input is no JSON: "),
        ("[" * 10_000 + "]" * 10_000, "the input is no JSON: "),
        ("[" * 900 + "]" * 900, "there are no citations in the input"),
        (citation(start="0"), "a citation has article and quote as strings, start and end as whole numbers"),
        (citation(end=True), "a citation has article and quote as strings"),
        (citation(start=0.5), "a citation has article and quote as strings"),
        (citation(quote=None), "a citation has article and quote as strings"),
        (citation(text_sha256=5), "a citation has article and quote as strings"),
    ],
)
def test_verify_of_something_else(filled: Run, given: str, message: str) -> None:
    ran = filled("verify", stdin=given)
    assert (ran.code, ran.out) == (64, "")
    assert ran.err.startswith(f"error: {message}")


def test_verify_of_bytes_that_are_no_text(filled: Run, tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x80")
    assert filled("verify", "bytes.json").err == "error: bytes.json: it is no UTF-8 text\n"
    assert filled("verify", "none.json").err == "error: none.json: No such file or directory\n"
    assert filled("verify", stdin=b"\xff\xfe\x80") == Ran(64, "", "error: -: it is no UTF-8 text\n")


# which library


def test_library_after_the_command_comes_first_then_before_it_then_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("before", "after", "environment", "data/pullquote/library"):
        assert run("add", "-", library=name, stdin=f"The {name} one.").code == 0

    def text(*arguments: str) -> str:
        [hit] = run(*arguments, library=None).lines
        return hit["text"]

    search = ("search", "one", "--json")
    assert text(*search) == "The data/pullquote/library one."
    monkeypatch.setenv("PULLQUOTE_LIBRARY", "environment")
    assert text(*search) == "The environment one."
    assert text("--library", "before", *search) == "The before one."
    assert text("-l", "before", *search, "-l", "after") == "The after one."
    assert text(*search, "--library", "after") == "The after one."


def test_add_makes_the_library_and_what_leads_to_it(run: Run, tmp_path: Path) -> None:
    assert run("add", "-", library="deep/down/library", stdin="Text.").code == 0
    assert (tmp_path / "deep" / "down" / "library" / DATABASE).is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "Who?"),
        ("search", "Who?"),
        ("list",),
        ("show", "x"),
        ("remove", "x"),
        ("verify",),
        ("eval", "gold.jsonl"),
        ("calibrate", "gold.jsonl"),
    ],
)
def test_missing_library(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "gold.jsonl").write_text('{"question": "Who?", "answers": []}')
    ran = run(*arguments, stdin=citation(), library="none")
    assert (ran.code, ran.out) == (66, "")
    assert ran.err == "error: there is no library at none; make one with: pullquote --library none add FILES\n"
    assert not (tmp_path / "none").exists()


def test_corrupt_library(run: Run, tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / DATABASE).write_bytes(b"no database " * 1000)
    for arguments in (("list",), ("ask", "Who?"), ("add", "-")):
        ran = run(*arguments, stdin="Text.")
        assert (ran.code, ran.out) == (65, "")
        assert ran.err.startswith(f"error: library/{DATABASE} cannot be read as a library")


def test_library_another_process_is_writing_to(filled: Run, tmp_path: Path) -> None:
    with write_lock(tmp_path / "library"):
        added, removed = filled("add", "-", stdin="Text."), filled("remove", "chess")
        assert filled("ask", "Who won?", "--json").lines[0]["answer"] == "Castle FC"
    assert (added.code, removed.code) == (75, 75)
    assert added.err == f"error: library is being written to by process {os.getpid()}; try again when it is done\n"


@pytest.mark.parametrize(("library", "reason"), [("file", "File exists"), ("file/library", "Not a directory")])
def test_file_where_the_library_should_be(run: Run, tmp_path: Path, library: str, reason: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    added = run("add", "-", library=library, stdin="Text.")
    assert (added.code, added.err) == (73, f"error: no library can be made at {library}: {reason}\n")
    assert run("list", library=library).code == 66


def test_library_whose_name_looks_like_markup(run: Run) -> None:
    assert run("add", "-", library="a [/b] [red]c", stdin="Text.").code == 0
    ran = run("list", library="a [/b] [red]c")
    assert (ran.code, ran.err) == (0, "1 articles, 1 passages in a [/b] [red]c\n")


# models


def test_library_remembers_its_embedder(
    filled: Run, monkeypatch: pytest.MonkeyPatch, embedder: Embedder, other_embedder: Embedder
) -> None:
    asked: list[str] = []

    def load(name: str, runtime: Runtime | None) -> Embedder:
        asked.append(name)
        return other_embedder if name == "other" else embedder

    monkeypatch.setattr(cli_options, "load_embedder", load)
    assert filled("search", "chess").code == 0
    ran = filled("search", "chess", "--embedder", "other")
    assert asked == ["toy", "other"]
    assert (ran.code, ran.out) == (78, "")
    assert ran.err.startswith("error: library was built with the embedder toy (toy-0123456789ab), not with other toy")
    gc.collect()  # what was opened in vain is closed, or pytest reports it here


@pytest.mark.parametrize("option", ["--embedder", "--reader"])
def test_wrong_model_folder(filled: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str) -> None:
    monkeypatch.setattr(cli_options, f"load_{option[2:]}", ORIGINAL[option])
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("./none", "./none is no model folder; give a folder with config.json and *.safetensors"),
        ("folder", "folder is not a model we can load: it has no config.json"),
    ):
        ran = filled("ask", "Who won?", option, name)
        assert (ran.code, ran.out, ran.err) == (78, "", f"error: {message}\n")


ORIGINAL = {"--embedder": cli_options.load_embedder, "--reader": cli_options.load_reader}


@pytest.mark.parametrize(
    ("arguments", "runtime"),
    [((), None), (("--runtime", "onnx"), Runtime.ONNX), (("--runtime", "torch"), Runtime.TORCH)],
)
def test_runtime_is_that_of_embedder_and_reader(
    filled: Run,
    monkeypatch: pytest.MonkeyPatch,
    embedder: Embedder,
    reader: Reader,
    arguments: tuple[str, ...],
    runtime: Runtime | None,
) -> None:
    loaded: list[tuple[str, Runtime | None]] = []

    def load_embedder(name: str, runtime: Runtime | None) -> Embedder:
        loaded.append((name, runtime))
        return embedder

    def load_reader(name: str, runtime: Runtime | None) -> Reader:
        loaded.append((name, runtime))
        return reader

    monkeypatch.setattr(cli_options, "load_embedder", load_embedder)
    monkeypatch.setattr(cli_options, "load_reader", load_reader)
    assert filled("ask", "Who won?", "--json", *arguments).lines[0]["answer"] == "Castle FC"
    assert loaded == [("pullquote-minilm", runtime), ("toy", runtime)]


def test_unknown_runtime(filled: Run) -> None:
    assert filled("ask", "Who won?", "--runtime", "steam").code == 2


# input that is not right


@pytest.mark.parametrize("command", ["ask", "search"])
@pytest.mark.parametrize("k", ["0", "-1", "1000000000"])
def test_k_out_of_range(filled: Run, command: str, k: str) -> None:
    ran = filled(command, "Who won?", "-k", k)
    assert (ran.code, ran.out, ran.err) == (64, "", f"error: k is {k}; it must be between 1 and 1,000\n")


@pytest.mark.parametrize("command", ["ask", "search"])
@pytest.mark.parametrize("question", ["", " \n"])
def test_empty_question(filled: Run, command: str, question: str) -> None:
    ran = filled(command, question)
    assert (ran.code, ran.out) == (64, "")
    assert ran.err.startswith("error: the question is empty; ask something")


@pytest.mark.parametrize("command", ["ask", "search"])
@pytest.mark.parametrize("option", ["since", "until"])
def test_bad_date(filled: Run, command: str, option: str) -> None:
    ran = filled(command, "Who won?", f"--{option}", "last week")
    assert (ran.code, ran.out, ran.err) == (
        64,
        "",
        f"error: {option}: 'last week' is no date; write it like 2023-07-28\n",
    )


@pytest.mark.parametrize(("threshold", "code"), [("1.5", 2), ("-0.1", 2), ("high", 2), ("nan", 2)])
def test_bad_threshold(filled: Run, threshold: str, code: int) -> None:
    ran = filled("ask", "Who won?", f"--threshold={threshold}")
    assert (ran.code, "threshold" in ran.err) == (code, True)


@pytest.mark.parametrize("arguments", [("ask",), ("ask", "--json"), ("search",), ("search", "--json")])
def test_argument_that_is_no_text(filled: Run, arguments: tuple[str, ...]) -> None:
    # how Python hands over a byte that is not UTF-8
    ran = filled(*arguments, "Who won \udcff?", "--article", "chess", "--article", "\udcff")
    assert (ran.code, "Castle FC" in ran.out) == (0, True)


def test_id_that_is_no_text(filled: Run) -> None:
    assert filled("show", "\udcff").code == 66
    assert filled("remove", "\udcff").code == 66


def test_questions_that_are_no_text(filled: Run) -> None:
    ran = filled("ask", "-", "--json", stdin=b"Who won?\nWer gewann in K\xf6ln?\n")
    assert ran.code == 64
    assert ran.err.startswith("error: ")


def test_unknown_command_and_option(run: Run) -> None:
    assert run("nonsense").code == 2
    assert run("list", "--nonsense").code == 2


def test_library_alone_is_no_command(run: Run) -> None:
    ran = run()
    assert ran.code == 2
    assert "Usage" in ran.out + ran.err


def test_help_and_version(run: Run) -> None:
    assert run("--version", library=None) == Ran(0, "pullquote 0.1.0\n", "")
    for arguments in (("--help",), ("-h",), ("ask", "--help"), ("add", "-h")):
        ran = run(*arguments, library=None)
        assert (ran.code, ran.err) == (0, "")
        assert re.search(r"Usage: .*pullquote", ran.out)
    nothing = run(library=None)
    assert re.search(r"Usage: .*pullquote", nothing.out + nothing.err)


def test_version_is_that_of_the_project(run: Run) -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert run("--version") == Ran(0, f"pullquote {project['version']}\n", "")


# what a terminal is sent

ESCAPE = "\x1b]0;owned\x07\x1b[31m\x9b31m"


@pytest.fixture
def hostile(run: Run, tmp_path: Path) -> Run:
    """A library whose only article has escapes wherever it can have text."""
    record = {
        "id": f"id{ESCAPE}",
        "title": f"title{ESCAPE}",
        "source": f"source{ESCAPE}",
        "url": f"https://c.example/{ESCAPE}",
        "published": f"2023{ESCAPE}",
        "authors": [f"author{ESCAPE}"],
        f"more{ESCAPE}": f"value{ESCAPE}",
        "text": f"An evil{ESCAPE}\r\nword. {ESCAPE}And evil again.",
    }
    assert run("add", "-", stdin=json.dumps(record)).code == 0
    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("show", f"id{ESCAPE}"),
        ("search", "evil"),
        ("ask", f"Who is evil{ESCAPE}?"),
        ("ask", "Who is evil?", "--threshold", "1"),
        ("remove", "--dry-run", f"id{ESCAPE}"),
        ("show", f"none{ESCAPE}"),
        ("ask", "Who?", "--since", f"today{ESCAPE}"),
        ("ask", "Who?", "--library", f"none{ESCAPE}"),
    ],
)
def test_no_escape_of_an_article_reaches_the_terminal(hostile: Run, arguments: tuple[str, ...]) -> None:
    ran = hostile(*arguments)
    assert CONTROL.findall(ran.out + ran.err) == []
    assert "owned" in ran.out + ran.err


def test_no_escape_of_a_citation_reaches_the_terminal(hostile: Run) -> None:
    answer = hostile("ask", "Who is evil?", "--json").out
    ran = hostile("verify", stdin=answer)
    assert (ran.code, CONTROL.findall(ran.out + ran.err)) == (0, [])


def test_no_escape_of_a_file_s_name_reaches_the_terminal(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / f"empty{ESCAPE}.txt").touch()
    (folder / f"skipped.{ESCAPE}").touch()
    ran = run("add", str(folder))
    assert (ran.code, CONTROL.findall(ran.out + ran.err)) == (1, [])
    assert "not read" in ran.err
    assert "skipped 1 files" in ran.err


def test_markup_of_an_article_is_text(run: Run) -> None:
    record = {"id": "[bold]x[/]", "title": "[red]t[/red] :smile: [/b]", "text": "An evil [link=x]word[/link]."}
    run("add", "-", stdin=json.dumps(record))
    assert "[bold]x[/]              [red]t[/red] :smile: [/b]" in run("list").out
    assert "An evil [link=x]word[/link]." in run("ask", "Who?").out
    assert run("remove", "--dry-run", "[bold]x[/]").out == "would remove [bold]x[/]: [red]t[/red] :smile: [/b]\n"


@pytest.mark.parametrize("arguments", [("ask", "Who won?"), ("ask", "Who won?", "--json"), ("list",)])
def test_output_that_cannot_say_everything(
    filled: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert filled(*arguments).code == 0
    sys.stdout.flush()
    assert b"Castle FC" in written.getvalue() or b"Chess cup" in written.getvalue()


@pytest.mark.parametrize(
    "count", [1, 2_000]
)  # less than a pipe's buffer, which fails only when it is flushed, and more
def test_reader_of_the_output_has_left(run: Run, tmp_path: Path, count: int) -> None:
    records = [{"id": f"a{number}", "text": f"Article {number}."} for number in range(count)]
    assert run("add", "-", stdin="\n".join(map(json.dumps, records))).code == 0
    reading, writing = os.pipe()
    os.close(reading)
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", "from qa.cli import main; main()", "--library", "library", "list", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path, env=environment, check=False)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, b"")  # 1 is typer's doing


# what it leaves alone


def test_reading_commands_change_nothing(filled: Run, tmp_path: Path) -> None:
    filled("search", "chess")  # saves the indexes for the next time

    def state() -> dict[str, bytes]:
        files = (path for path in (tmp_path / "library").rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files if "-wal" not in path.name and "-shm" not in path.name}

    before = state()
    for arguments in (("list",), ("ask", "Who won?"), ("search", "chess"), ("show", "chess")):
        assert filled(*arguments).code == 0
    assert state() == before
    with Library(tmp_path / "library") as library:
        assert library.counts() == (3, 3)
