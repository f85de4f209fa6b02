"""How the pairs are made by which the finding of copies is measured."""

import random

import pytest

from eval import bench_duplicates
from eval.bench_duplicates import _beginning, _edited, _unlike
from index.article import make_article
from index.passage import sentences

TEXT = " ".join(f"Sentence {number} is about the bridge." for number in range(10))
STRANGE = ["Nobody came to the ferry today."]


@pytest.mark.parametrize(("share", "kept"), [(0.0, 10), (0.1, 9), (0.6, 4), (1.0, 0)])
def test_so_many_sentences_are_changed(share: float, kept: int) -> None:
    edited = _edited(TEXT, share, STRANGE, random.Random(0))
    own = {TEXT[start:end] for start, end in sentences(TEXT)}
    assert sum(edited[start:end] in own for start, end in sentences(edited)) == kept


def test_some_are_replaced_and_some_have_other_words() -> None:
    edited = _edited(TEXT, 1.0, STRANGE, random.Random(0))
    found = [edited[start:end] for start, end in sentences(edited)]
    assert 0 < found.count(STRANGE[0]) < 10
    assert sum("bridge" in sentence or "Sentence" in sentence for sentence in found) == 10 - found.count(STRANGE[0])


def test_a_beginning_ends_with_a_sentence() -> None:
    assert _beginning(TEXT, 0.5) == TEXT[: TEXT.index(" Sentence 5")]
    assert _beginning(TEXT, 0.01) == "Sentence 0 is about the bridge."


def test_those_that_are_copies_already_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    other = " ".join(f"A ferry called at port {number} once more." for number in range(10))
    articles = [
        make_article(text, id=id) for id, text in (("a", TEXT), ("b", TEXT.upper()), ("c", other), ("d", "No."))
    ]
    chosen = {article.id for article in _unlike(articles, random.Random(0))}
    assert chosen in ({"a", "c"}, {"b", "c"})
    monkeypatch.setattr(bench_duplicates, "PAIRS", 1)
    assert len(_unlike(articles, random.Random(0))) == 1
