"""`pullquote feedback`, in process, with a toy embedder and a toy reader."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from conftest import Run

from index.library import DATABASE
from index.lock import write_lock
from index.passage import Passage
from qa.reader import Reader, Span

BRIDGE = {"id": "bridge", "text": "The bridge was shut on Monday. It opened on Friday. Nobody cried on Monday."}
CHESS = {"id": "chess", "text": "Castle FC won the chess cup. And beat Harbour FC in the final."}


class ToyReader:
    """Finds one answer, wherever it stands."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        found = [passage.text.find("Castle FC") for passage in passages]
        return [
            [Span(passage, passage.start + at, passage.start + at + 9, 3.0)] if at >= 0 else []
            for passage, at in zip(passages, found, strict=True)
        ]


@pytest.fixture
def reader() -> Reader:
    return ToyReader()


@pytest.fixture
def filled(run: Run) -> Run:
    """The command line with two articles added."""
    assert run("add", "-", stdin=json.dumps([BRIDGE, CHESS])).out == "2 added, 0 replaced, 0 unchanged\n"
    return run


@pytest.fixture
def answer(filled: Run) -> str:
    """What `ask --json` prints of a question that has an answer."""
    return filled("ask", "Who won the chess cup?", "--json").out


def kept(run: Run) -> list[tuple[object, ...]]:
    """Question, verdict, article, start, end, quote of all feedback."""
    places = ("article", "start", "end", "quote")
    return [
        (one["question"], one["verdict"], *((one["place"] or {}).get(name) for name in places))
        for one in run("feedback", "list", "--json").lines
    ]


WON = "Who won the chess cup?"


class TestAdd:
    @pytest.mark.parametrize("verdict", ["right", "wrong", "better", "unanswerable"])
    def test_first_citation_of_an_answer(self, filled: Run, answer: str, verdict: str) -> None:
        ran = filled("feedback", "add", verdict, stdin=answer)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out[:6] + ran.out[18:] == f"   1  {verdict:12}  {WON}  “Castle FC”  chess [0:9]\n"
        assert kept(filled) == [(WON, verdict, "chess", 0, 9, "Castle FC")]

    def test_another_quote_of_its_article(self, filled: Run, answer: str) -> None:
        assert filled("feedback", "add", "better", "--quote", "Harbour FC", stdin=answer).code == 0
        assert kept(filled) == [(WON, "better", "chess", 38, 48, "Harbour FC")]

    def test_another_article(self, filled: Run, answer: str) -> None:
        arguments = ("--article", "bridge", "--quote", "Nobody", "--comment", " 🤷 ")
        assert filled("feedback", "add", "better", *arguments, stdin=answer).code == 0
        assert kept(filled) == [(WON, "better", "bridge", 52, 58, "Nobody")]
        assert filled("feedback", "list").out.endswith("  “Nobody”  bridge [52:58]  🤷\n")

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--start", "23", "--end", "29"], ("bridge", 23, 29, "Monday")),
            (["--quote", "Friday"], ("bridge", 44, 50, "Friday")),
            (["--quote", "Monday", "--start", "68"], ("bridge", 68, 74, "Monday")),
            (["--quote", "Monday", "--start", "68", "--end", "74"], ("bridge", 68, 74, "Monday")),
        ],
    )
    def test_by_options(self, filled: Run, arguments: list[str], expected: tuple[object, ...]) -> None:
        given = ("--question", "When?", "--article", "bridge", *arguments)
        assert filled("feedback", "add", "right", *given).code == 0
        assert kept(filled) == [("When?", "right", *expected)]

    def test_no_answer(self, filled: Run) -> None:
        asked = filled("ask", "When did it rain?", "--article", "bridge", "--json").out
        assert filled("feedback", "add", "unanswerable", stdin=asked).code == 0
        assert filled("feedback", "add", "unanswerable", "--question", "Why?").code == 0
        assert kept(filled) == [
            ("When did it rain?", "unanswerable", None, None, None, None),
            ("Why?", "unanswerable", None, None, None, None),
        ]
        ran = filled("feedback", "add", "right", stdin=asked)
        assert (ran.code, ran.err) == (
            64,
            "error: it is not said what is right; name the article and the quote, or say that it is unanswerable\n",
        )

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["--quote", "Monday"], 64, "'Monday' stands in the article bridge at 23, 68; choose with --start"),
            (["--quote", "o"], 64, "'o' stands in the article bridge at 20, 24, 34, 41, 53 and more; choose"),
            (["--quote", "Sunday"], 64, "the article bridge has no 'Sunday'; give words as they stand in it"),
            (["--quote", ""], 64, "the article bridge has no ''"),
            (["--quote", "Monday", "--start", "24"], 64, "the quote stands in it at 23, 68; quote the article word"),
            (["--quote", "Monday", "--start", "23", "--end", "30"], 64, "the quote stands in it at 23, 68"),
            (["--start", "23"], 64, "it is not said which words are meant; give --quote, or --start and --end"),
            (["--start", "70", "--end", "76"], 64, "the article bridge has 75 characters, and none from 70 to 76"),
            (["--start", "9", "--end", "9"], 64, "and none from 9 to 9"),
            (["--start", "30", "--end", "31"], 64, "the quote that is wrong is empty; give its words"),
            ([], 64, "it is not said which words are meant"),
            (["--article", "tunnel", "--quote", "a"], 66, "there is no article 'tunnel' in the library"),
            (["--quote", "Friday", "--comment", "c" * 2_001], 64, "the comment has 2,001 characters"),
            (["--quote", "Friday", "--question", " "], 64, "the question is empty"),
        ],
    )
    def test_refused(self, filled: Run, arguments: list[str], code: int, message: str) -> None:
        ran = filled("feedback", "add", "wrong", "--question", "When?", "--article", "bridge", *arguments)
        assert (ran.code, ran.out) == (code, "")
        assert message in ran.err
        assert kept(filled) == []

    def test_quote_without_an_article(self, filled: Run) -> None:
        ran = filled("feedback", "add", "right", "--question", "When?", "--quote", "Friday")
        assert ran.err == "error: it is not said which article has the quote; name it with --article\n"

    @pytest.mark.parametrize(
        "stdin",
        [
            "",
            "x",
            "[]",
            "7",
            '{"question": "Who?"}',
            '{"question": 7, "citations": []}',
            '{"question": "Who?", "citations": ["x"]}',
            '{"question": "Who?", "citations": 7}',
            '{"question": "Who?", "citations": {"a": 1}}',
            '{"question": "Who?", "citations": []}\n{"question": "Why?", "citations": []}',
            b"\xff",
            "[" * 100_000,
        ],
    )
    def test_no_answer_in_json(self, filled: Run, stdin: str | bytes) -> None:
        ran = filled("feedback", "add", "unanswerable", stdin=stdin)
        assert (ran.code, ran.out) == (64, "")
        assert ran.err.startswith("error: standard input is not one answer in JSON; give --question, or: pullquote ask")
        assert kept(filled) == []

    def test_citation_of_odd_fields(self, filled: Run) -> None:
        ran = filled("feedback", "add", "right", stdin='{"question": "Who?", "citations": [{"article": 7}]}')
        assert (ran.code, ran.err) == (
            64,
            "error: a citation has article and quote as strings, start and end as whole numbers\n",
        )

    def test_answer_of_an_article_that_has_changed(self, filled: Run, answer: str) -> None:
        assert filled("add", "-", stdin=json.dumps({**CHESS, "text": "Castle FC won."})).code == 0
        ran = filled("feedback", "add", "right", stdin=answer)
        assert (ran.code, ran.err) == (
            64,
            "error: the article's text has changed since; the quote stands in it at 0; "
            "quote the article word for word, with its place\n",
        )

    def test_while_another_process_writes(self, filled: Run, tmp_path: Path) -> None:
        with write_lock(tmp_path / "library"):
            assert filled("feedback", "add", "unanswerable", "--question", "Who?").code == 75

    def test_no_library(self, run: Run) -> None:
        assert run("feedback", "add", "unanswerable", "--question", "Who?").code == 66

    def test_library_after_the_command(self, filled: Run) -> None:
        given = ("feedback", "add", "unanswerable", "--question", "Who?", "--library", "library")
        assert filled(*given, library="nowhere").code == 0
        assert len(kept(filled)) == 1


class TestListAndRemove:
    def test_json(self, filled: Run, answer: str) -> None:
        filled("feedback", "add", "right", "--comment", "so it is", stdin=answer)
        [one] = filled("feedback", "list", "--json").lines
        place = {name: json.loads(answer)["citations"][0][name] for name in one["place"]}
        assert one == {
            "key": 1,
            "created": one["created"],
            "question": WON,
            "verdict": "right",
            "place": place,
            "comment": "so it is",
        }
        assert set(place) == {"article", "start", "end", "quote", "text_sha256"}
        assert filled("verify", stdin=json.dumps(one)).code == 0

    def test_remove(self, filled: Run) -> None:
        for question in ("Who?", "When?", "Why?"):
            filled("feedback", "add", "unanswerable", "--question", question)
        ran = filled("feedback", "remove", "1", "4")
        assert (ran.code, ran.err) == (64, "error: there is no feedback 4; see: pullquote feedback list\n")
        assert filled("feedback", "remove", "3", "1", "3").out == "removed 2\n"
        assert [question for question, *_ in kept(filled)] == ["When?"]

    def test_control_characters_do_not_reach_the_terminal(self, filled: Run) -> None:
        ran = filled("feedback", "add", "unanswerable", "--question", "Who\x1b[31m?", "--comment", "a\nb\x07")
        assert ran.out.endswith("  Who\ufffd[31m?  a b\ufffd\n")

    def test_damaged(self, filled: Run, tmp_path: Path) -> None:
        for question in ("Who?", "When?"):
            filled("feedback", "add", "unanswerable", "--question", question)
        with closing(apsw.Connection(str(tmp_path / "library" / DATABASE))) as db:
            db.execute("UPDATE feedback SET question = 'Why?' WHERE key = 1")
        ran = filled("feedback", "export", "-")
        assert [line["question"] for line in ran.lines] == ["When?"]
        assert ran.err.startswith(
            "feedback 1 is damaged and left out; remove it with: pullquote feedback remove 1\n-: 1 question, 1 of them"
        )
        assert filled("doctor").code == 65
        assert filled("feedback", "remove", "1").code == 0
        assert filled("doctor").code == 0


class TestExport:
    @pytest.fixture
    def judged(self, filled: Run, answer: str) -> Run:
        """Two questions with an answer, one without, two of which only a wrong answer is known."""
        when = ("--question", "When?", "--article", "bridge")
        for verdict, arguments, stdin in (
            ("right", (), answer),
            ("better", (*when, "--quote", "Friday"), ""),
            ("unanswerable", ("--question", "Who paid?"), ""),
            ("wrong", ("--question", "Why?", "--article", "chess", "--quote", "Harbour"), ""),
            ("wrong", ("--question", "How?", "--article", "chess", "--quote", "Harbour"), ""),
        ):
            assert filled("feedback", "add", verdict, *arguments, stdin=stdin).code == 0
        return filled

    def test_lines_on_standard_output(self, judged: Run) -> None:
        ran = judged("feedback", "export", "-")
        assert [(one["question"], one["answers"]) for one in ran.lines] == [
            (WON, ["Castle FC"]),
            ("When?", ["Friday"]),
            ("Who paid?", []),
        ]
        assert (ran.code, ran.err) == (
            0,
            "2 questions are known only to have a wrong answer; left out\n"
            "-: 3 questions, 1 of them without an answer\n",
        )

    @pytest.mark.parametrize(
        ("arguments", "is_squad"),
        [
            (["gold.json"], True),
            (["gold.jsonl"], False),
            (["gold.JSON"], True),
            (["gold", "--format", "squad"], True),
            (["gold.json", "--format", "jsonl"], False),
        ],
    )
    def test_files(self, judged: Run, tmp_path: Path, arguments: list[str], is_squad: bool) -> None:
        assert judged("feedback", "export", *arguments).out == ""
        text = (tmp_path / arguments[0]).read_text(encoding="utf-8")
        assert text.startswith('{"version": "v2.0"' if is_squad else '{"question": ')

    @pytest.mark.parametrize("name", ["gold.json", "gold.jsonl"])
    def test_can_be_evaluated(self, judged: Run, name: str) -> None:
        assert judged("feedback", "export", name).code == 0
        ran = judged("eval", name, "--json")
        assert ran.code == 0
        assert [(one["questions"], one["answerable"]) for one in ran.lines] == [(3, 2)]

    def test_article_that_is_gone(self, judged: Run) -> None:
        assert judged("remove", "chess").code == 0
        ran = judged("feedback", "export", "-")
        assert [one["question"] for one in ran.lines] == ["When?", "Who paid?"]
        assert "1 answer no longer stands in the article; left out\n" in ran.err

    def test_nothing_known(self, filled: Run, tmp_path: Path) -> None:
        given = ("--question", "Why?", "--article", "chess", "--quote", "Harbour")
        assert filled("feedback", "add", "wrong", *given).code == 0
        ran = filled("feedback", "export", "gold.json")
        assert (ran.code, ran.err) == (
            64,
            "1 question is known only to have a wrong answer; left out\n"
            "error: no question has an answer that is known; say which are with: pullquote feedback add\n",
        )
        assert not (tmp_path / "gold.json").exists()

    def test_where_nothing_can_be_written(self, judged: Run) -> None:
        ran = judged("feedback", "export", "no/gold.json")
        assert ran.code == 64
        assert ran.err.endswith("error: no/gold.json: No such file or directory\n")

    def test_format_that_is_not_known(self, judged: Run) -> None:
        ran = judged("feedback", "export", "gold.csv")
        assert (ran.code, ran.err) == (
            64,
            "error: gold.csv does not say what it is to be; name it .json or .jsonl, or give --format\n",
        )
