"""Labels of wrong answers: one for each, the first stage that lost the right one."""

import pytest

from eval.gold import GoldPlace, GoldQuestion
from eval.misses import Miss, best_candidate, holds, out_of_reach, passage_of, why_wrong
from index.article import make_article
from index.library import Library
from index.search import MAX_QUESTION_CHARACTERS, Hit
from tests.conftest import Add
from tests.test_eval_run import ARTICLE, FIRST, NOTHING, OTHER, SECOND, THIRD, answer, part

ROME = GoldQuestion("?", ("Rome",), "ports", 16)


@pytest.fixture
def ports(library: Library, add: Add) -> Library:
    add(library, ARTICLE, OTHER)
    return library


@pytest.mark.parametrize(
    ("words", "hits", "unread", "label"),
    [
        ("Oslo", (FIRST, NOTHING), 0, Miss.NOT_RETRIEVED),
        ("Oslo", (), 0, Miss.NOT_RETRIEVED),
        ("Oslo", (FIRST, SECOND), 1, Miss.NOT_READ),
        ("Oslo", (FIRST, SECOND), 0, Miss.LOST),
        ("none", (FIRST, SECOND), 0, Miss.WRONG_SPAN),
        ("Oslo", (part(0, 29),), 0, Miss.WRONG_SPAN),
        ("", (SECOND,), 0, Miss.WRONG_SPAN),
    ],
)
def test_label_by_what_was_found_and_read(
    ports: Library, words: str, hits: tuple[Hit, ...], unread: int, label: Miss
) -> None:
    assert why_wrong(ROME, answer(words, hits=hits, unread=unread), False, passage_of(ROME, ports), ports) is label


def test_label_of_what_was_right_but_withheld_and_of_what_has_no_answer(ports: Library) -> None:
    assert why_wrong(ROME, answer("Rome", given=False), True, None, ports) is Miss.WITHHELD
    assert why_wrong(GoldQuestion("?", ()), answer("Rome"), False, None, ports) is Miss.NOT_WITHHELD


def test_out_of_reach(ports: Library) -> None:
    assert out_of_reach(GoldQuestion("?", ("Rome",), "gone", 3), ports) is Miss.NOT_IN_LIBRARY
    assert out_of_reach(GoldQuestion("?", ("Paris",)), ports) is Miss.NOT_IN_LIBRARY
    assert out_of_reach(GoldQuestion("?", ("Paris",), "ports"), ports) is Miss.NOT_IN_LIBRARY


def test_a_passage_that_holds_the_answer(ports: Library) -> None:
    for gold in (ROME, GoldQuestion("?", ("Rome",), "ports"), GoldQuestion("?", ("Paris", "Rome"))):
        passage = passage_of(gold, ports)
        assert passage is not None
        assert holds(passage, gold)
    assert passage_of(GoldQuestion("?", ("Rome",), "nothing"), ports) is None
    assert passage_of(GoldQuestion("?", ("Rome",), "gone", 3), ports) is None
    elsewhere = (GoldPlace("nothing", 0, "Nothing"),)
    for article in ("gone", "ports"):  # its own place is not known, or not there
        passage = passage_of(GoldQuestion("?", ("Nothing",), article, also=elsewhere), ports)
        assert passage is not None
        assert passage.article.id == "nothing"
    endless = GoldQuestion("?", ("Rome " * MAX_QUESTION_CHARACTERS,))
    assert out_of_reach(endless, ports) is Miss.NOT_IN_LIBRARY  # longer than a question may be


def test_any_accepted_answer_is_looked_for(library: Library, add: Add) -> None:
    """Though a hundred passages are nearer to the question."""
    text = "\n\n".join(["What is it? It is none."] * 130 + ["A dunlin is a wader."] + ["What is it?"] * 130)
    add(library, make_article(text, id="long"))
    passage = passage_of(GoldQuestion("What is it?", ("heron", "dunlin is a wader"), "long"), library)
    assert passage is not None
    assert "wader" in passage.text


def test_an_answer_that_no_passage_holds_whole_is_split(library: Library, add: Add) -> None:
    text = " ".join(f"Sentence number {number} has some words of its own." for number in range(60))
    add(library, make_article(text, id="long"))
    words = (text[: text.index(" Sentence number 40")],)
    assert out_of_reach(GoldQuestion("?", words, "long", 0), library) is Miss.SPLIT
    assert out_of_reach(GoldQuestion("?", words, "long"), library) is Miss.SPLIT
    assert out_of_reach(GoldQuestion("?", words), library) is Miss.SPLIT


@pytest.mark.parametrize(
    ("hit", "held"),
    [
        (part(16, 29), True),
        (part(0, 20), True),  # ends with the answer
        (part(0, 19), False),  # cuts it
        (part(17, 29), False),
        (part(30, 51), False),
        (part(0, 21, OTHER), False),
    ],
)
def test_holds_by_place(hit: Hit, held: bool) -> None:
    assert holds(hit.passage, GoldQuestion("?", ("Rome", "is a port"), "ports", 16)) is held


def test_holds_at_any_of_its_places() -> None:
    gold = GoldQuestion("?", ("Rome",), "ports", 16, also=(GoldPlace("nothing", 0, "Nothing"),))
    assert [holds(hit.passage, gold) for hit in (FIRST, SECOND, THIRD, NOTHING)] == [False, True, False, True]


@pytest.mark.parametrize(
    ("answers", "held"),
    [
        (("Rome",), True),
        (("the ROME",), True),
        (("Paris", "is none."), True),
        (("Rom",), False),  # whole words
        (("port",), False),
        (("the",), False),  # nothing is left of it
        ((), False),
    ],
)
def test_holds_by_words(answers: tuple[str, ...], held: bool) -> None:
    assert holds(SECOND.passage, GoldQuestion("?", answers)) is held
    assert holds(SECOND.passage, GoldQuestion("?", answers, "ports")) is held  # an article alone is no place
    assert not holds(SECOND.passage, GoldQuestion("?", answers, "nothing"))


@pytest.mark.parametrize("given", [True, False])
def test_best_candidate_given_or_withheld(given: bool) -> None:
    best = best_candidate(answer("Oslo Rome", given=given, hits=(THIRD,)))
    assert best is not None
    assert best.text == "Oslo"
    assert best_candidate(answer("", given=False)) is None
