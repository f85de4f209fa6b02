"""The parts of a run: which questions are in which, and in what order."""

from collections.abc import Mapping, Sequence

import pytest

from eval.record import Record
from eval.slices import question_word, slices
from tests.test_eval_scores import NONE, made

RECORDS = [
    made("Who came?", tags=("hard",), source="Courier"),
    made("In which year?", answers=("in the year 1999",), tags=("easy", "hard"), source="Argus"),
    made("Why did they leave the port?", answers=("because it was closed for the winter",), source="Argus"),
    made("Who came, and when?", answers=("Anna Berg", "Berg")),
    made("Name the port.", **NONE),
]


def questions(parts: Mapping[str, Sequence[Record]]) -> dict[str, list[str]]:
    return {name: [record.question for record in inside] for name, inside in parts.items()}


def test_largest_tag_and_source_come_first_and_ties_by_name() -> None:
    found = slices(RECORDS)
    assert list(found) == ["tag", "question word", "words of the answer", "source"]
    assert list(questions(found["tag"]).items()) == [
        ("hard", ["Who came?", "In which year?"]),
        ("easy", ["In which year?"]),
    ]
    assert list(questions(found["source"]).items()) == [
        ("Argus", ["In which year?", "Why did they leave the port?"]),
        ("not known", ["Who came, and when?", "Name the port."]),
        ("Courier", ["Who came?"]),
    ]
    assert list(slices(RECORDS[::-1])["source"]) == ["Argus", "not known", "Courier"]


def test_words_and_lengths_keep_their_own_order() -> None:
    found = slices(reversed(RECORDS))
    assert list(questions(found["question word"]).items()) == [
        ("who", ["Who came, and when?", "Who came?"]),
        ("which", ["In which year?"]),
        ("why", ["Why did they leave the port?"]),
        ("other", ["Name the port."]),
    ]
    assert list(questions(found["words of the answer"]).items()) == [
        ("1", ["Who came?"]),
        ("2–3", ["Who came, and when?"]),
        ("4–6", ["In which year?"]),
        ("7+", ["Why did they leave the port?"]),
        ("no answer", ["Name the port."]),
    ]


@pytest.mark.parametrize(
    ("words", "part"), [(1, "1"), (2, "2–3"), (3, "2–3"), (4, "4–6"), (6, "4–6"), (7, "7+"), (80, "7+")]
)
def test_length_is_in_words_of_the_first_answer(words: int, part: str) -> None:
    assert list(slices([made("?", answers=("word " * words, "other"))])["words of the answer"]) == [part]


def test_tag_named_twice_counts_once() -> None:
    assert questions(slices([made("?", tags=("hard", "hard"))])["tag"]) == {"hard": ["?"]}


def test_no_records_have_no_parts() -> None:
    assert slices([]) == {"tag": {}, "question word": {}, "words of the answer": {}, "source": {}}


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("Whose boat sank?", "who"),
        ("To whom did it belong?", "who"),
        ("What's it called?", "what"),
        ("WHEN?", "when"),
        ("Until when is it shut?", "when"),
        ("And where is it?", "where"),
        ("By how\u00a0much did it rise?", "how many/much"),
        ("How  many came?", "how many/much"),
        ("How far is it?", "how"),
        ("Somewhat whatever, showing off", "other"),
        ("Qui est venu ?", "other"),
    ],
)
def test_question_word(question: str, word: str) -> None:
    assert question_word(question) == word
