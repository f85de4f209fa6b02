"""What `pullquote train` takes from files of gold questions that are not SQuAD's."""

import json
from pathlib import Path

from index.article import make_article
from index.library import Library
from qa.cli_train import read_files


def test_csv_takes_its_articles_from_the_library(tmp_path: Path, library: Library) -> None:
    library.add([make_article("The ferry came from Norhaven. It sells kettles in Norhaven.", id="ferry")])
    gold = tmp_path / "gold.csv"
    gold.write_text(
        "question,answer,article,start\n"
        "Where did it come from?,Norhaven,ferry,20\n"
        "Where does it sell kettles?,the port|Norhaven,ferry,\n"
        "Who sells kettles?,,ferry,\n"
        "Where?,Norhaven,,\n"
    )
    questions, (file,) = read_files([gold], library.path)
    assert [(one.question, one.place, one.answers) for one in questions] == [
        ("Where did it come from?", 20, ("Norhaven",)),
        ("Where does it sell kettles?", 50, ("Norhaven", "the port")),
        ("Who sells kettles?", 30, ()),
    ]
    assert (file.name, file.questions, file.left_out) == ("gold.csv", 3, 1)


def test_realtime_qa_names_no_article_to_learn_from(tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    lines = [
        {"question": "Where?", "date": "2022/06/17", "answers": ["Norhaven"], "answer_in": ["ferry"]},
        {"question_sentence": "Who?", "question_date": "2022/06/17", "choices": ["Ada", "Bob"], "answer": ["1"]},
    ]
    gold.write_text("\n".join(map(json.dumps, lines)))
    questions, (file,) = read_files([gold], tmp_path / "nowhere")
    assert (questions, file.questions, file.left_out) == ([], 0, 2)
