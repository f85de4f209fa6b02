"""Gold questions: SQuAD and JSONL, what is wrong with a file, and what does not fit the articles."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eval.gold import GoldPlace, GoldQuestion, checked, read_gold
from index.article import Article
from index.errors import InvalidInput
from index.formats import read_file

SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "Sea_ports",
            "paragraphs": [
                {
                    "context": "Oslo is a port. 😀 So is Bergen.",
                    "qas": [
                        {
                            "id": "1",
                            "question": " Which two are ports? ",
                            "is_impossible": False,
                            "answers": [
                                {"text": "Bergen", "answer_start": 24},
                                {"text": "Oslo", "answer_start": 0},
                                {"text": "Bergen", "answer_start": 24},
                            ],
                        }
                    ],
                },
                {
                    "context": "İzmir\r\nis one too.",
                    "qas": [
                        {"id": "2", "question": "What is one?", "answers": [{"text": "is one", "answer_start": 7}]},
                        {
                            "id": "3",
                            "question": "What is none?",
                            "is_impossible": True,
                            "answers": [],
                            "plausible_answers": [{"text": "one", "answer_start": 10}],
                        },
                    ],
                },
            ],
        },
        {
            "title": "Rome",
            "paragraphs": [
                {
                    "context": "Rome is none.",
                    "qas": [{"id": "4", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 0}]}],
                }
            ],
        },
    ],
}


@pytest.fixture
def squad_file(tmp_path: Path) -> Path:
    file = tmp_path / "squad.json"
    file.write_bytes(json.dumps(SQUAD, ensure_ascii=False).encode())
    return file


def gold_of(tmp_path: Path, *lines: str) -> list[GoldQuestion]:
    file = tmp_path / "gold.jsonl"
    file.write_bytes("\n".join(lines).encode())
    return read_gold(file)


def test_squad(squad_file: Path) -> None:
    assert read_gold(squad_file) == [
        GoldQuestion(
            "Which two are ports?", ("Bergen", "Oslo"), "Sea_ports", 24, also=(GoldPlace("Sea_ports", 0, "Oslo"),)
        ),
        GoldQuestion("What is one?", ("is one",), "Sea_ports", 40),
        GoldQuestion("What is none?", (), "Sea_ports", None),
        GoldQuestion("Where?", ("Rome",), "Rome", 0),
    ]
    assert [gold.answerable for gold in read_gold(squad_file)] == [True, True, False, True]


def test_squad_question_is_found_by_its_id(squad_file: Path) -> None:
    assert [gold.where for gold in read_gold(squad_file)] == [f"{squad_file}, question {id}" for id in "1234"]


def test_place_in_the_file_can_be_stored(tmp_path: Path) -> None:
    asked = {"id": "x\ud800", "question": "What?", "answers": []}
    file = tmp_path / "gold.json"
    file.write_text(json.dumps({"data": [{"title": "x", "paragraphs": [{"context": "c", "qas": [asked]}]}]}))
    assert [gold.where for gold in read_gold(file)] == [f"{file}, question x\ufffd"]


def test_squad_question_that_says_nothing_is_told_by_its_id_or_number(tmp_path: Path) -> None:
    asked = [{"id": "x7", "question": " ", "answers": []}, {"question": "", "answers": []}]
    file = tmp_path / "gold.json"
    file.write_text(json.dumps({"data": [{"title": "x", "paragraphs": [{"context": "c", "qas": asked}]}]}))
    with pytest.raises(InvalidInput) as raised:
        read_gold(file)
    assert str(raised.value).splitlines() == [
        f'{file}, question x7: it has no "question"',
        f'{file}, question 2: it has no "question"',
    ]


def test_squad_offsets_land_on_the_answer_in_the_article_made_of_the_same_file(squad_file: Path) -> None:
    texts = {item.id: item.text for item in read_file(squad_file) if isinstance(item, Article)}
    placed = [(gold, gold.start) for gold in read_gold(squad_file) if gold.article and gold.start is not None]
    assert [texts[gold.article or ""][start : start + len(gold.answers[0])] for gold, start in placed] == [
        "Bergen",
        "is one",
        "Rome",
    ]


@pytest.mark.parametrize("answers", [{}, {"answers": []}, {"answers": [{"text": "c", "answer_start": 0}]}])
def test_squad_question_that_is_impossible_has_no_answer(tmp_path: Path, answers: dict[str, object]) -> None:
    asked = {"question": "What?", "is_impossible": True, **answers}
    file = tmp_path / "gold.json"
    file.write_text(json.dumps({"data": [{"title": "x", "paragraphs": [{"context": "c", "qas": [asked]}]}]}))
    assert read_gold(file) == [GoldQuestion("What?", (), "x", None)]


@pytest.mark.parametrize(("date", "day"), [("2026-11-29", "2026-11-29"), (20230728, None), ("soon", None)])
def test_squad_of_others_may_have_any_date(tmp_path: Path, date: object, day: str | None) -> None:
    asked = {"question": "What?", "is_impossible": True, "date": date}
    file = tmp_path / "gold.json"
    file.write_text(json.dumps({"data": [{"title": "x", "paragraphs": [{"context": "c", "qas": [asked]}]}]}))
    assert [gold.date for gold in read_gold(file)] == [day]


def test_squad_with_a_byte_order_mark(squad_file: Path) -> None:
    plain = read_gold(squad_file)
    squad_file.write_bytes(b"\xef\xbb\xbf" + squad_file.read_bytes())
    assert read_gold(squad_file) == plain


@pytest.mark.parametrize(
    "data",
    [
        [{}],
        [{"title": "x", "paragraphs": [{}]}],
        [{"title": "x", "paragraphs": [{"context": "c", "qas": [{}]}]}],
        [{"title": "x", "paragraphs": [{"context": "c", "qas": [{"question": "q"}]}]}],
        [{"title": "x", "paragraphs": [{"context": "c", "qas": [{"question": "q", "answers": [{"text": "c"}]}]}]}],
        [{"title": "x", "paragraphs": [{"context": "c", "qas": [{"question": 5, "answers": []}]}]}],
        [{"title": "x", "paragraphs": [{"context": "c", "qas": [["q"]]}]}],
        [{"title": "x", "paragraphs": 5}],
        [5],
    ],
)
def test_almost_squad(tmp_path: Path, data: object) -> None:
    file = tmp_path / "gold.json"
    file.write_text(json.dumps({"data": data}))
    with pytest.raises(InvalidInput, match=r"gold\.json: it looks like SQuAD but is not"):
        read_gold(file)


def test_squad_without_questions(tmp_path: Path) -> None:
    file = tmp_path / "gold.json"
    file.write_text('{"data": []}')
    with pytest.raises(InvalidInput, match=r"gold\.json: it holds no questions"):
        read_gold(file)


def test_jsonl(tmp_path: Path) -> None:
    questions = gold_of(
        tmp_path,
        '{"question": "Where?", "answers": ["Oslo", "in Oslo"], "article": "a", "start": 5, "answerable": true,'
        ' "tags": ["where", "agrees"]}',
        "",
        '{"question": "Who?", "answers": [], "article": null, "start": null, "answerable": false, "tags": [],'
        ' "date": ""}',
        '{"question": "What\u2028now?", "answerable": false}\r',
        '{"question": "How many?", "answers": ["5", "five", "5"], "article": 7,'
        ' "date": "Fri, 28 Jul 2023 23:30:00 -0100"}',
        '{"question": "Which?", "answers": [], "article": " Sea\\n ports ", "date": "2022/6/7"}',
    )
    assert questions == [
        GoldQuestion("Where?", ("Oslo", "in Oslo"), "a", 5, ("where", "agrees")),
        GoldQuestion("Who?", ()),
        GoldQuestion("What\u2028now?", ()),
        GoldQuestion("How many?", ("5", "five"), "7", None, date="2023-07-29"),
        GoldQuestion("Which?", (), "Sea ports", date="2022-06-07"),
    ]
    assert [gold.where for gold in questions] == [f"{tmp_path}/gold.jsonl, line {line}" for line in (1, 3, 4, 5, 6)]


def test_place_in_the_file_does_not_tell_questions_apart() -> None:
    assert GoldQuestion("Where?", ("Oslo",), where="a, line 1") == GoldQuestion("Where?", ("Oslo",), where="b, line 2")


def test_jsonl_of_one_line(tmp_path: Path) -> None:
    assert gold_of(tmp_path, '{"question": "Where?", "answers": ["Oslo"]}') == [GoldQuestion("Where?", ("Oslo",))]


def test_jsonl_takes_out_what_cannot_be_stored(tmp_path: Path) -> None:
    assert gold_of(tmp_path, r'{"question": "Wh\ud800?", "answers": ["Os\u0000lo"]}') == [
        GoldQuestion("Wh\ufffd?", ("Os\ufffdlo",))
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "it is no valid JSON"),
        ("[" * 100_000, "it is no valid JSON"),
        ("5", 'it has no "question"'),
        ("[]", 'it has no "question"'),
        ("{}", 'it has no "question"'),
        ('{"question": 5}', 'it has no "question"'),
        ('{"question": " "}', 'it has no "question"'),
        ('{"question": "q", "answers": "a"}', 'its "answers" is no list of strings'),
        ('{"question": "q", "answers": [5]}', 'its "answers" is no list of strings'),
        ('{"question": "q", "answers": [""]}', 'its "answers" is no list of strings'),
        ('{"question": "q", "answers": ["\\n"]}', 'its "answers" is no list of strings'),
        ('{"question": "q", "answer": "a"}', 'it has "answer" but no "answers", which is a list of strings'),
        ('{"question": "q", "answers": null}', 'its "answers" is no list of strings'),
        (
            '{"question": "q", "answers": ["a"], "answerable": false}',
            '"answerable" and "answers" contradict each other',
        ),
        ('{"question": "q", "answers": [], "answerable": true}', '"answerable" and "answers" contradict each other'),
        ('{"question": "q", "answerable": "no"}', 'its "answerable" is neither true nor false'),
        ('{"question": "q", "answers": ["a"], "start": 5}', 'its "start" is no place in an "article"'),
        ('{"question": "q", "answers": ["a"], "article": "x", "start": -1}', 'its "start" is no place'),
        ('{"question": "q", "answers": ["a"], "article": "x", "start": "5"}', 'its "start" is no place'),
        ('{"question": "q", "answers": ["a"], "article": "x", "start": true}', 'its "start" is no place'),
        ('{"question": "q", "answers": ["a"], "article": "x", "start": 1.0}', 'its "start" is no place'),
        ('{"question": "q", "answers": [], "article": "x", "start": 5}', 'its "start" is no place'),
        ('{"question": "q", "tags": 5}', 'its "tags" is no list'),
        ('{"question": "q", "tags": "who"}', 'its "tags" is no list'),
        ('{"question": "q", "answers": ["a"], "also": 5}', 'its "also" is no list of places, each with an "article"'),
        ('{"question": "q", "answers": ["a"], "also": [5]}', 'its "also" is no list of places'),
        (
            '{"question": "q", "answers": ["a"], "also": [{"article": "x", "start": 1, "answer": "b"}]}',
            'its "also" is no list of places',
        ),
        (
            '{"question": "q", "answers": ["a"], "also": [{"article": "x", "start": -1, "answer": "a"}]}',
            'its "also" is no list of places',
        ),
        ('{"question": "q"}', 'it has no "answers"; where the articles hold none, say so: "answers": ..$'),
        ('{"question": "q", "expected": ["a"]}', 'it has no "answers"'),
        (
            json.dumps({"question": "q" * 10_001, "answers": []}),
            "the question has 10,001 characters; 10,000 are the most",
        ),
        ('{"question": "q", "answers": [], "tags": [["who"]]}', 'its "tags" is neither a string nor a number'),
        ('{"question": "q", "article": ["a"]}', 'its "article" is neither a string nor a number'),
        ('{"question": "q", "date": "28/7/2023"}', 'its "date" is no date, like 2023-07-28'),
        ('{"question": "q", "date": 20230728}', 'its "date" is no date, like 2023-07-28'),
    ],
)
def test_jsonl_error_names_the_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"gold\.jsonl, line 3: {message}"):
        gold_of(tmp_path, '{"question": "fine?", "answers": []}', "", line, '{"question": "fine?", "answers": []}')


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_empty_file(tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidInput, match=r"gold\.jsonl: it holds no questions"):
        gold_of(tmp_path, content)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.jsonl: No such file or directory"):
        read_gold(tmp_path / "none.jsonl")


def test_no_text(tmp_path: Path) -> None:
    file = tmp_path / "gold.jsonl"
    file.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(InvalidInput, match=r"gold\.jsonl: it is no UTF-8 text"):
        read_gold(file)


def test_json_nested_too_deep(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"gold\.jsonl, line 1: it is no valid JSON"):
        gold_of(tmp_path, '{"question": ' + "[" * 10_000 + "]" * 10_000 + "}")


@pytest.mark.parametrize(("broken", "more"), [(2, []), (20, []), (21, ["and 1 more"]), (2_020, ["and 2,000 more"])])
def test_many_problems_are_told_together(tmp_path: Path, broken: int, more: list[str]) -> None:
    with pytest.raises(InvalidInput) as raised:
        gold_of(tmp_path, *['{"question": "fine?", "answers": []}', "{}"] * broken)
    lines = [f'{tmp_path}/gold.jsonl, line {2 * number}: it has no "question"' for number in range(1, broken + 1)]
    assert str(raised.value).splitlines() == lines[:20] + more


def test_json_that_is_not_squad(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"gold\.jsonl: it is JSON but not SQuAD's; other questions in JSON stand one"
    ):
        gold_of(tmp_path, "[", '{"question": "Where?", "answers": ["Oslo"]}', "]")


TEXTS = {"a": "Oslo is a port. 😀 So is Bergen. Oslo!", "b": "Rome is none."}


@pytest.mark.parametrize(
    ("answer", "start", "problem"),
    [
        ("Oslo", 0, None),
        ("Bergen", 24, None),
        ("Oslo", None, None),
        ("Bergen", 25, "'Bergen' does not stand at 25 of article 'a', but at 24"),
        ("Oslo", 1, "'Oslo' does not stand at 1 of article 'a', but at several other places"),
        ("Rome", 0, "'Rome' does not stand at 0 of article 'a', nor anywhere else"),
        ("Oslo!", 10**30, "'Oslo!' does not stand at 1000000000000000000000000000000 of article 'a', but at 32"),
    ],
)
def test_place_where_the_answer_does_not_stand_is_not_used(answer: str, start: int | None, problem: str | None) -> None:
    gold = GoldQuestion("Where?", (answer, "x"), "a", start, ("who",), "2023-07-28", where="gold.csv, line 2")
    kept, problems = checked([gold], TEXTS.get)
    assert problems == ([] if problem is None else [f"gold.csv, line 2: {problem}"])
    assert kept == [
        gold if problem is None else GoldQuestion("Where?", (answer, "x"), "a", None, ("who",), "2023-07-28")
    ]
    assert kept[0].where == "gold.csv, line 2"


def test_further_places(tmp_path: Path) -> None:
    places = [{"article": "a", "start": 0, "answer": "Oslo"}, {"article": "b", "start": 3, "answer": "x"}]
    line = {"question": "Where?", "answers": ["Oslo", "x"], "article": "a", "start": 4, "also": [*places, places[0]]}
    [gold] = gold_of(tmp_path, json.dumps(line))
    oslo, x = GoldPlace("a", 0, "Oslo"), GoldPlace("b", 3, "x")
    assert gold == GoldQuestion("Where?", ("Oslo", "x"), "a", 4, also=(oslo, x))
    assert gold.places == (GoldPlace("a", 4, "Oslo"), oslo, x)
    texts = {"a": "Oslo. Oslo?", "b": "...x"}
    kept, problems = checked([gold], texts.get)
    assert kept == [replace(gold, start=None)]
    assert kept[0].places == (oslo, x)
    assert [told.partition(": ")[2] for told in problems] == [
        "'Oslo' does not stand at 4 of article 'a', but at several other places"
    ]
    again = json.dumps({**line, "also": [{"article": "a", "start": 4, "answer": "Oslo"}]})
    [gold_again] = gold_of(tmp_path, again)
    assert gold_again.also == ()  # the first is told once
    assert checked([gold_again], {"a": "nothing here"}.get)[0][0].places == ()
    assert checked([gold], {"a": "....Oslo", "b": "..."}.get)[0][0].places == (GoldPlace("a", 4, "Oslo"),)


def test_place_in_an_unknown_article_is_kept() -> None:
    gold = [GoldQuestion("Where?", ("Oslo",), "c", 5, where="gold.csv, line 2"), GoldQuestion("Who?", (), "c")]
    assert checked(gold, TEXTS.get) == (
        gold,
        ["gold.csv, line 2: there is no article 'c' in the library", "Who?: there is no article 'c' in the library"],
    )


def test_articles_are_asked_for_once_and_all_is_told_in_order() -> None:
    asked_for: list[str] = []

    def text_of(id: str) -> str | None:
        asked_for.append(id)
        return TEXTS.get(id)

    gold = [
        GoldQuestion(f"{number}", ("Rome",), article, 0, where=f"line {number}")
        for number, article in enumerate("abcab")
    ]
    kept, problems = checked([*gold, GoldQuestion("?", ("Rome",))], text_of)
    assert asked_for == ["a", "b", "c"]
    assert [one.partition(":")[0] for one in problems] == ["line 0", "line 2", "line 3"]
    assert [one.start for one in kept] == [None, 0, 0, None, 0, None]
    assert checked([], text_of) == ([], [])
