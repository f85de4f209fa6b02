"""Search by words: what a word is, and that a question is never a query language."""

from pathlib import Path

import numpy as np
import pytest

from index.article import make_article
from index.lexical import LexicalIndex
from index.passage import Passage
from index.store import Keys

TEXTS = {
    1: "The bridges were shut on Monday.",
    2: "Castle FC won the chess cup, and chess it was.",
    4: "A café in Zürich; the Cup was chess.",
    7: "The ferry sank.",
}


def passage(text: str, title: str | None = None) -> Passage:
    return Passage(make_article(text, title=title), 0, len(text))


def keys(*values: int) -> Keys:
    return np.array(values, dtype=np.int64)


@pytest.fixture
def index(tmp_path: Path) -> LexicalIndex:
    index = LexicalIndex(tmp_path / "index")
    index.update([(key, passage(text)) for key, text in TEXTS.items()], [])
    return index


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("bridge", {1}),
        ("BRIDGE?!", {1}),
        ("cafe zurich", {4}),
        ("won: cup", {2, 4}),
        ("chess AND ferry", {2, 7, 4}),
        ("-ferry", {7}),
        ('"sank ferry"', {7}),
        ("fer*", set()),
        ("text:ferry", {7}),
        ("", set()),
        ("?! \0 😀", set()),
        ("x" * 200 + " ferry", {7}),
        ("storm", set()),
    ],
)
def test_words(index: LexicalIndex, question: str, found: set[int]) -> None:
    assert set(index.search(question, 10)) == found


def test_higher_is_better_and_k_counts(index: LexicalIndex) -> None:
    scores = index.search("chess", 10)
    assert list(scores) == [2, 4]
    assert scores[2] > scores[4] > 0
    assert index.search("chess", 1) == {2: scores[2]}
    assert index.search("chess", 0) == {}


def test_a_word_repeated_in_the_question_counts_once(index: LexicalIndex) -> None:
    assert index.search("chess Chess CHESS", 10) == index.search("chess", 10)


def test_allowed_keys_restrict_and_leave_scores_alone(index: LexicalIndex) -> None:
    scores = index.search("chess", 10)
    assert index.search("chess", 10, keys(4, 7)) == {4: pytest.approx(scores[4])}
    assert index.search("chess", 10, keys()) == {}
    assert index.search("chess", 10, keys(999)) == {}


def test_ties_are_by_key(tmp_path: Path) -> None:
    index = LexicalIndex(tmp_path / "index")
    index.update([(key, passage("The same.")) for key in (9, 2, 5)], [])
    assert list(index.search("same", 3)) == [2, 5, 9]


def test_title_is_searched_too(tmp_path: Path) -> None:
    index = LexicalIndex(tmp_path / "index")
    index.update([(1, passage("It sank.", title="Ferry disaster"))], [])
    assert set(index.search("ferries", 3)) == {1}


def test_update_adds_and_removes(index: LexicalIndex) -> None:
    index.update([(8, passage("A storm."))], [2, 999])
    assert index.keys.tolist() == [1, 4, 7, 8]
    assert set(index.search("chess storm", 10)) == {4, 8}


def test_empty(tmp_path: Path) -> None:
    index = LexicalIndex(tmp_path / "index")
    assert index.keys.tolist() == []
    assert index.search("anything", 3) == {}


def test_opened_again(index: LexicalIndex, tmp_path: Path) -> None:
    assert LexicalIndex(tmp_path / "index").search("chess", 10) == index.search("chess", 10)


def test_changing_a_copy_leaves_the_original_alone(index: LexicalIndex, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()}
    copy = index.copy(tmp_path / "copy")
    copy.update([(8, passage("A storm."))], [2])
    assert copy.keys.tolist() == [1, 4, 7, 8]
    assert index.keys.tolist() == [1, 2, 4, 7]
    assert {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()} == before


def test_question_of_many_words_is_cut(index: LexicalIndex) -> None:
    many = " ".join(f"word{number}" for number in range(255))
    assert set(index.search(f"{many} ferry", 10)) == {7}
    assert set(index.search(f"{many} word255 ferry", 10)) == set()


# what a term counts


def found_first(index: LexicalIndex, question: str) -> int:
    return next(iter(index.search(question, 1)))


def test_words_that_say_nothing_of_the_subject_do_not_count(tmp_path: Path) -> None:
    index = LexicalIndex(tmp_path / "index")
    index.update([(1, passage("What was it? It was what it was.")), (2, passage("A ferry sank off the coast."))], [])
    assert list(index.search("What was the ferry?", 10)) == [2]


def test_a_question_of_nothing_else_is_looked_up_all_the_same(tmp_path: Path) -> None:
    index = LexicalIndex(tmp_path / "index")
    index.update([(1, passage("The Who played.")), (2, passage("A ferry sank."))], [])
    assert list(index.search("Who, the?", 10)) == [1]


def test_a_word_as_it_is_written_is_better_than_one_of_its_stem(tmp_path: Path) -> None:
    index = LexicalIndex(tmp_path / "index")
    index.update([(1, passage("The organs played.")), (2, passage("The organization played."))], [])
    assert found_first(index, "organization") == 2
    assert found_first(index, "organs") == 1


def test_words_side_by_side_are_better_than_words_apart(tmp_path: Path) -> None:
    index = LexicalIndex(tmp_path / "index")
    index.update([(1, passage("A cup of chess and tea.")), (2, passage("A chess cup and some tea."))], [])
    assert found_first(index, "chess cup") == 2
    assert found_first(index, "cup of chess") == 1


# merging


def test_a_copy_of_an_index_that_was_changed_many_times_has_all_of_it(tmp_path: Path) -> None:
    index = LexicalIndex(tmp_path / "index")
    for number in range(40):
        index.update([(number + 1, passage(f"Boat {number} sank."))], [number] if number % 3 == 0 else [])
    kept = [key for key in range(1, 41) if key not in range(0, 40, 3)]
    assert index.keys.tolist() == kept
    copy = index.copy(tmp_path / "copy")
    assert copy.keys.tolist() == kept
    index.update([(41, passage("A ferry sank."))], [1])
    assert list(index.search("ferry", 5)) == [41]
    assert list(copy.search("ferry", 5)) == []
    assert 1 in copy.search("boat", 100)
