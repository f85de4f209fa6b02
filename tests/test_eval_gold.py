"""Gold questions: SQuAD and JSONL."""

import json
from pathlib import Path

import pytest

from eval.gold import GoldQuestion, read_gold
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
        GoldQuestion("Which two are ports?", ("Bergen", "Oslo"), "Sea_ports", 24),
        GoldQuestion("What is one?", ("is one",), "Sea_ports", 40),
        GoldQuestion("What is none?", (), None, None),
        GoldQuestion("Where?", ("Rome",), "Rome", 0),
    ]
    assert [gold.answerable for gold in read_gold(squad_file)] == [True, True, False, True]


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
    assert read_gold(file) == [GoldQuestion("What?", (), None, None)]


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
        '{"question": "Who?", "answers": [], "article": null, "start": null, "answerable": false, "tags": []}',
        '{"question": "What\u2028now?"}\r',
        '{"question": "How many?", "answers": ["5"], "article": 7}',
    )
    assert questions == [
        GoldQuestion("Where?", ("Oslo", "in Oslo"), "a", 5, ("where", "agrees")),
        GoldQuestion("Who?", ()),
        GoldQuestion("What\u2028now?", ()),
        GoldQuestion("How many?", ("5",), "7", None),
    ]


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
        ('{"question": "q", "answers": null}', 'its "answers" is no list of strings'),
        (
            '{"question": "q", "answers": ["a"], "answerable": false}',
            '"answerable" and "answers" contradict each other',
        ),
        ('{"question": "q", "answers": [], "answerable": true}', '"answerable" and "answers" contradict each other'),
        ('{"question": "q", "answers": ["a"], "start": 5}', 'its "start" is no place in an "article"'),
        ('{"question": "q", "answers": ["a"], "article": "x", "start": -1}', 'its "start" is no place'),
        ('{"question": "q", "answers": ["a"], "article": "x", "start": "5"}', 'its "start" is no place'),
        ('{"question": "q", "answers": ["a"], "article": "x", "start": true}', 'its "start" is no place'),
        ('{"question": "q", "answers": ["a"], "article": "x", "start": 1.0}', 'its "start" is no place'),
        ('{"question": "q", "answers": [], "article": "x", "start": 5}', 'its "start" is no place'),
        ('{"question": "q", "tags": 5}', 'its "tags" is no list'),
        ('{"question": "q", "tags": "who"}', 'its "tags" is no list'),
    ],
)
def test_jsonl_error_names_the_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"gold\.jsonl, line 3: {message}"):
        gold_of(tmp_path, '{"question": "fine?"}', "", line, '{"question": "fine?"}')


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
