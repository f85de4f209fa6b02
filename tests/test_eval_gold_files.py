"""Gold questions from tables and from RealTime QA's files, and whatever else a file may hold."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.gold import GoldQuestion, read_gold
from index.errors import InvalidInput


def gold_of(tmp_path: Path, data: bytes, name: str = "gold.csv") -> list[GoldQuestion]:
    file = tmp_path / name
    file.write_bytes(data)
    return read_gold(file)


def places(questions: list[GoldQuestion]) -> list[str]:
    """Where they stand, without the folder."""
    return [gold.where.rpartition("/")[2] for gold in questions]


# CSV and TSV


def test_csv(tmp_path: Path) -> None:
    questions = gold_of(
        tmp_path,
        b"question,answer,article,start,tags,date,answerable\r\n"
        b"Where?,Oslo|in Oslo,a,5,how many|agrees,2022/06/17,TRUE\r\n"
        b"Who came?,,,,who unanswerable,,no\r\n"
        b",,,,,,\r\n"
        b'"What, now?","the ""end"""," b  c ",,,,\r\n',
    )
    assert questions == [
        GoldQuestion("Where?", ("Oslo", "in Oslo"), "a", 5, ("how many", "agrees"), "2022-06-17"),
        GoldQuestion("Who came?", (), tags=("who", "unanswerable")),
        GoldQuestion("What, now?", ('the "end"',), "b c"),
    ]
    assert places(questions) == ["gold.csv, line 2", "gold.csv, line 3", "gold.csv, line 5"]


def test_csv_needs_two_columns_in_any_order_and_leaves_others_out(tmp_path: Path) -> None:
    data = "\ufeffremark, Answers ,QUESTION,\nnone,İzmir,Where?,\n".encode()
    assert gold_of(tmp_path, data) == [GoldQuestion("Where?", ("İzmir",))]


def test_tsv(tmp_path: Path) -> None:
    data = b'question\tanswer\nWhere, then?\tOslo, in Norway | Norway ||\n"Two\nlines?"\tno\n'
    assert gold_of(tmp_path, data, "gold.TSV") == [
        GoldQuestion("Where, then?", ("Oslo, in Norway", "Norway")),
        GoldQuestion("Two\nlines?", ("no",)),
    ]


def test_csv_line_is_the_one_at_which_a_record_begins(tmp_path: Path) -> None:
    data = b'\n"question",answer\n"Two\r\nlines?","a\n\nb"\n\nWhere?,Oslo\r"Old\rMac?",b\nWho?,c'
    questions = gold_of(tmp_path, data)
    assert [(gold.question, gold.answers) for gold in questions] == [
        ("Two\r\nlines?", ("a\n\nb",)),
        ("Where?", ("Oslo",)),
        ("Old\rMac?", ("b",)),
        ("Who?", ("c",)),
    ]
    assert places(questions) == [f"gold.csv, line {line}" for line in (3, 8, 9, 11)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"Where?", "the number of its cells is 1, that of the columns 5"),
        (b"Where?,Oslo,in,Norway,,", "the number of its cells is 6, that of the columns 5"),
        (b"Whe\0re?,Oslo,,,", "it has a NUL byte"),
        (b'"Where"?,Oslo,,,', "it is no valid CSV: ',' expected after"),
        (b"Where?," + 200_000 * b"a" + b",,,", "it is no valid CSV: field larger than field limit"),
        (b",Oslo,,,", 'it has no "question"'),
        (b"Where?,Oslo,a,5.0,", 'its "start" is no place in an "article"'),
        (b"Where?,Oslo,a,-5,", 'its "start" is no place in an "article"'),
        (b"Where?,Oslo,a,1_0,", 'its "start" is no place in an "article"'),
        (b"Where?,Oslo,a," + 5_000 * b"1" + b",", 'its "start" is no place in an "article"'),
        (b"Where?,Oslo,,5,", 'its "start" is no place in an "article"'),
        (b"Where?,|,a,5,", 'its "start" is no place in an "article"'),
        (b"Where?,Oslo,,,maybe", 'its "answerable" is neither true nor false'),
        (b"Where?,Oslo,,,FALSE", '"answerable" and "answers" contradict each other'),
    ],
)
def test_csv_error_names_the_line(tmp_path: Path, line: bytes, message: str) -> None:
    data = b'question,answer,article,start,answerable\n"Fine\n?",,,,\n' + line + b"\nFine?,,,,\n"
    with pytest.raises(InvalidInput, match=rf"gold\.csv, line 4: {message}") as raised:
        gold_of(tmp_path, data)
    assert str(raised.value).count("\n") == 0


def test_csv_with_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"gold\.csv, line 3: it is no valid CSV: unexpected end of data"):
        gold_of(tmp_path, b'question,answer\nFine?,\nWhere?,"Oslo\nWho?,\nWhen?,\n')


def test_csv_problems_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as raised:
        gold_of(tmp_path, b'question,answer,date\n"Where"?,Oslo,\nWhere?,Oslo\nWhere?,Oslo,\nWhere?,Oslo,June\n')
    assert [line.rpartition("/")[2] for line in str(raised.value).splitlines()] == [
        "gold.csv, line 2: it is no valid CSV: ',' expected after '\"'",
        "gold.csv, line 3: the number of its cells is 2, that of the columns 3",
        'gold.csv, line 5: its "date" is no date, like 2023-07-28',
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"id,answer", 'line 1: it names no column "question"'),
        (b"question,reply", 'line 1: it names no column "answers"'),
        (b"question;answer", "line 1: it names no column \"question\"; names of columns have ',' between them"),
        (b"question,answer,answers", 'line 1: it names 2 columns "answers"'),
        (b"question,answer,tags,TAGS", 'line 1: it names 2 columns "tags"'),
        (b"\n\nid", 'line 3: it names no column "question"'),
        (b"que\0stion,answer", "line 1: it has a NUL byte"),
        (b'"question"s,answer', "line 1: it is no valid CSV"),
    ],
)
def test_csv_header(tmp_path: Path, header: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"gold\.csv, {message}") as raised:
        gold_of(tmp_path, header + b"\nWhere?,Oslo\n")
    assert str(raised.value).count("\n") == 0


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"question,answer\n", b"question,answer\n,\n\n"])
def test_csv_without_questions(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"gold\.csv: it holds no questions"):
        gold_of(tmp_path, data)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20).map(str.strip)
FILLED = TEXTS.filter(bool)
ANSWERS = st.lists(FILLED.map(lambda text: text.replace("|", "/")), unique=True, max_size=3).map(tuple)
NAMES = FILLED.map(lambda text: " ".join(text.split()))


@st.composite
def gold_questions(draw: st.DrawFn) -> GoldQuestion:
    answers, article = draw(ANSWERS), draw(st.none() | NAMES)
    start = draw(st.none() | st.integers(0, 999_999_999)) if answers and article else None
    tags = draw(st.lists(st.sampled_from(["who", "how many", "agrees"]), max_size=3))
    date = draw(st.none() | st.dates().map(lambda day: day.isoformat()))
    return GoldQuestion(draw(FILLED), answers, article, start, tuple(tags), date)


def written(questions: list[GoldQuestion], delimiter: str, end: str) -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["question", "answer", "article", "start", "tags", "date", "answerable"])
    for gold in questions:
        tags = "".join(f"{tag}|" for tag in gold.tags)
        answers = "|".join(gold.answers)
        writer.writerow([gold.question, answers, gold.article, gold.start, tags, gold.date, gold.answerable])
    return file.getvalue()


@given(st.lists(gold_questions(), min_size=1, max_size=4), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_table_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, questions: list[GoldQuestion], end: str, marked: bool
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name, delimiter in (("gold.csv", ","), ("gold.tsv", "\t")):
        data = written(questions, delimiter, end).encode("utf-8-sig" if marked else "utf-8")
        assert gold_of(folder, data, name) == questions


# RealTime QA


def test_question_whose_answer_is_in_no_article_has_none(tmp_path: Path) -> None:
    lines = [
        {"id": "20220617_0", "date": "2022/06/16", "question": "Where?", "answers": ["Oslo"], "answer_in": ["a", "b"]},
        {"date": "2022/06/17", "question": "Who?", "answers": ["Ada"], "choices": ["Ada", "Bob"], "answer_in": []},
        {"question": "When?", "answers": ["now"], "answer_in": None},
    ]
    assert gold_of(tmp_path, "\n".join(map(json.dumps, lines)).encode(), "gold.jsonl") == [
        GoldQuestion("Where?", ("Oslo",), date="2022-06-16"),
        GoldQuestion("Who?", (), date="2022-06-17"),
        GoldQuestion("When?", ("now",)),
    ]


QUIZ = {
    "question_id": "20220617_0",
    "question_date": "2022/06/17",
    "question_source": "quiz",
    "question_sentence": "Which two are ports?",
    "choices": ["Oslo", "Rome", "Bergen", ""],
    "answer": ["2"],
}


@pytest.mark.parametrize(("answer", "answers"), [(["2"], ("Bergen",)), (["0", "2"], ("Oslo", "Bergen"))])
def test_realtime_qa_names_the_right_choices_by_number(
    tmp_path: Path, answer: list[str], answers: tuple[str, ...]
) -> None:
    assert gold_of(tmp_path, json.dumps({**QUIZ, "answer": answer}).encode(), "gold.jsonl") == [
        GoldQuestion("Which two are ports?", answers, date="2022-06-17")
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"choices": None}, 'it has no "choices" with their "answer"'),
        ({"answer": None}, 'it has no "choices" with their "answer"'),
        ({"answer": "2"}, 'it has no "choices" with their "answer"'),
        ({"answer": []}, r'its "answer" is no list of numbers of its "choices", like \["0"\]'),
        ({"answer": [2]}, 'its "answer" is no list of numbers'),
        ({"answer": ["3"]}, 'its "answer" is no list of numbers'),
        ({"answer": ["4"]}, 'its "answer" is no list of numbers'),
        ({"answer": ["-1"]}, 'its "answer" is no list of numbers'),
        ({"answer": ["0", "Bergen"]}, 'its "answer" is no list of numbers'),
        ({"choices": [5, 6, 7]}, 'its "answer" is no list of numbers'),
        ({"question_sentence": None}, 'it has no "question"'),
        ({"question_date": "June"}, 'its "date" is no date'),
        ({"question": "Which?", "answer": ["2"]}, 'it has "answer" but no "answers", which is a list of strings'),
        ({"question": "Which?", "answers": ["Oslo"], "answer_in": "a"}, 'its "answer_in" is no list of articles'),
    ],
)
def test_realtime_qa_error_names_the_line(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    data = "\n".join([json.dumps(QUIZ), json.dumps({**QUIZ, **fields})]).encode()
    with pytest.raises(InvalidInput, match=rf"gold\.jsonl, line 2: {message}"):
        gold_of(tmp_path, data, "gold.jsonl")


# Whatever a file may hold

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner), max_leaves=5
)


def mostly(*values: object) -> st.SearchStrategy[object]:
    """One of the values, but sometimes anything."""
    return st.integers(0, 9).flatmap(lambda number: st.sampled_from(values) if number else JSON)


def objects(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """JSON objects with some of the fields."""
    return st.integers(0, 9).flatmap(
        lambda number: st.fixed_dictionaries(fields) if number else st.fixed_dictionaries({}, optional=fields)
    )


LINES = objects(
    question=mostly("Where?"),
    answers=mostly([], ["Oslo"], ["Oslo", "Rome"]),
    article=mostly("a", None, 7),
    start=mostly(None, None, 0, 5),
    tags=mostly([], ["who"], None),
    date=mostly("2022/06/17", "", None),
    answer_in=mostly(None, ["a"], []),
)
QUIZZES = objects(
    question_sentence=mostly("Where?"),
    choices=mostly(["Oslo", "Rome"]),
    answer=mostly(["0"], ["0", "1"], ["2"]),
    question_date=mostly("2022/06/17"),
)
ANSWERED = objects(text=mostly("Oslo"), answer_start=mostly(0, 7))
ASKED = objects(
    question=mostly(" Where? "),
    answers=st.lists(ANSWERED, max_size=2),
    is_impossible=mostly(False, True),
    id=mostly("1", 2),
)
PARAGRAPHS = objects(context=mostly("Oslo is a port."), qas=st.lists(ASKED, max_size=2))
SQUAD = objects(data=st.lists(objects(title=mostly("t"), paragraphs=st.lists(PARAGRAPHS, max_size=2)), max_size=2))
CELLS = st.sampled_from(["", "Where?", "Oslo|Rome", "5", "2022/06/17", "true", '"', '"a\nb"', "\0", "\r", "|"])
ROWS = st.lists(CELLS, min_size=5, max_size=5) | st.lists(CELLS, max_size=6)
CONTENTS = (
    st.binary()
    | st.text().map(str.encode)
    | st.lists(ROWS.map(",".join)).map(lambda rows: "\n".join(["question,answer,date,article,start", *rows]).encode())
    | SQUAD.map(lambda value: json.dumps(value).encode())
    | st.lists(LINES | QUIZZES, min_size=1, max_size=3).map(lambda some: "\n".join(map(json.dumps, some)).encode())
)


@given(CONTENTS)
def test_any_bytes_are_questions_or_a_told_problem(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    for name in ("any.json", "any.csv", "any.tsv"):
        file = tmp_path_factory.getbasetemp() / name
        file.write_bytes(data)
        try:
            questions, told = read_gold(file), ""
        except InvalidInput as error:
            questions, told = [], str(error)
        assert bool(questions) is not told.startswith(str(file))
        assert all(gold.answers and gold.article for gold in questions if gold.start is not None)
