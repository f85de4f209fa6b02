"""Copies in a library: told when an article is added, and again when others go."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from conftest import OpenLibrary
from test_index_schema import make_old

from index import copies, store
from index.article import Article, make_article
from index.doctor import check, repair
from index.embed import Embedder
from index.finding import Kind
from index.library import DATABASE, Library
from index.salvage import snapshot


def text(subject: str) -> str:
    """Forty sentences about something, which have no words in common with those about something else."""
    return " ".join(f"{subject}{n} was {subject}ly {subject}ed by {subject}ers." for n in range(40))


def copy(subject: str, id: str, changed: int = 0, **known: str) -> Article:
    """An article about something with so many of its sentences, from the end, about the id."""
    whole = text(subject).split(". ")
    kept = whole[: len(whole) - changed] + text(id).split(". ")[:changed]
    return make_article(". ".join(kept), id=id, **known)  # type: ignore[arg-type]


def originals(library: Library) -> dict[str, str | None]:
    return {article.id: article.duplicate_of for article, _ in library.articles()}


@pytest.fixture
def three(library: Library) -> Library:
    """Two copies of one article, the second a copy of the first copy alone, and another article."""
    library.add([copy("bridge", "a"), copy("ferry", "other"), copy("bridge", "b", 10), copy("bridge", "c", 12)])
    return library


def test_a_copy_names_the_first(three: Library) -> None:
    assert originals(three) == {"a": None, "other": None, "b": "a", "c": "a"}
    assert three.article("c").duplicate_of == "a"
    assert three.duplicates() == [["a", "b", "c"]]
    passages = three.passages(three.candidates("bridge1", 10)[1])
    assert {(one.article.id, one.article.duplicate_of) for one in passages.values()} >= {("a", None), ("b", "a")}


def test_a_copy_of_a_copy_is_one_of_the_first(library: Library) -> None:
    whole = text("bridge").split(". ")
    parts = {"a": whole, "b": whole[10:] + text("x").split(". ")[:10], "c": whole[20:] + text("x").split(". ")[:20]}
    library.add(make_article(". ".join(part), id=id) for id, part in parts.items())
    with snapshot(library.path / DATABASE) as db:
        assert db.execute("SELECT article, copy_of FROM trait").fetchall() == [(1, None), (2, 1), (3, 2)]
    assert originals(library) == {"a": None, "b": "a", "c": "a"}


def test_the_same_text_in_other_dress_is_a_copy(library: Library) -> None:
    library.add([make_article("The bridge was shut.", id="a"), make_article("THE BRIDGE,\nwas shut", id="b")])
    assert library.duplicates() == [["a", "b"]]


def test_the_next_takes_the_place_of_the_first(three: Library) -> None:
    three.remove(["a"])
    assert originals(three) == {"other": None, "b": None, "c": "b"}
    three.remove(["b"])
    assert originals(three) == {"other": None, "c": None}
    assert three.duplicates() == []


def test_one_between_goes(three: Library) -> None:
    three.remove(["b"])
    assert originals(three) == {"a": None, "other": None, "c": "a"}


def test_all_at_once_go(three: Library) -> None:
    three.remove(["a", "b", "c"])
    assert originals(three) == {"other": None}
    three.add([copy("bridge", "d")])
    assert originals(three) == {"other": None, "d": None}


def test_one_that_is_replaced_comes_last(three: Library) -> None:
    three.add([copy("bridge", "a", 1)])
    assert originals(three) == {"other": None, "b": None, "c": "b", "a": "b"}
    three.add([copy("ferry", "c")])
    assert originals(three) == {"other": None, "b": None, "a": "b", "c": "other"}
    assert three.duplicates() == [["other", "c"], ["b", "a"]]


def test_one_that_is_unchanged_stays_what_it_is(three: Library) -> None:
    three.add([copy("bridge", "b", 10)])
    assert originals(three) == {"a": None, "other": None, "b": "a", "c": "a"}


def test_a_copy_does_not_count_as_another_article(three: Library) -> None:
    before = three.fingerprint()
    three.remove(["a"])
    three.add([copy("bridge", "a")])
    assert three.fingerprint() == before


def test_compared_anew(three: Library) -> None:
    three.remove(["a"])
    assert three.duplicates(afresh=True) == [["b", "c"]]
    assert three.duplicates() == [["b", "c"]]


def test_likely_copies_that_are_none_are_not(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "bands", lambda found: list(range(32)))
    library.add([copy("bridge", "a"), copy("ferry", "b"), copy("bridge", "c")])
    assert originals(library) == {"a": None, "b": None, "c": "a"}


def test_not_more_than_some_are_looked_at(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "bands", lambda found: list(range(32)))
    monkeypatch.setattr(copies, "_LIKELIEST", 1)
    library.add([copy("bridge", "a"), copy("ferry", "b"), copy("ferry", "c")])
    assert originals(library) == {"a": None, "b": None, "c": None}


class TestOldLibrary:
    @pytest.fixture
    def old(self, three: Library) -> Path:
        three.close()
        make_old(three.path / DATABASE, 3)
        return three.path

    def test_knows_no_copies_yet(self, old: Path, open_library: OpenLibrary) -> None:
        with open_library(create=False) as library:
            assert originals(library) == dict.fromkeys(["a", "other", "b", "c"])
            assert library._store.compared is False

    def test_is_compared_at_the_end_of_an_addition(self, old: Path, open_library: OpenLibrary) -> None:
        with open_library() as library:
            library.settle()
            assert library._store.compared is True
            assert originals(library) == {"a": None, "other": None, "b": "a", "c": "a"}

    def test_is_compared_bit_by_bit(
        self, old: Path, open_library: OpenLibrary, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "_COMPARED", 1)
        with open_library() as library:
            library.add([copy("ferry", "d")])
            assert originals(library) == dict.fromkeys(["a", "other", "b", "c", "d"])
            library.add([copy("ferry", "e")])
            assert originals(library) == {"a": None, "other": None, "b": "a", "c": "a", "d": None, "e": None}
            library.add([copy("bridge", "f")])
            assert originals(library)["d"] == originals(library)["e"] == "other"
            assert library.duplicates() == [["a", "b", "c", "f"], ["other", "d", "e"]]

    def test_is_compared_when_copies_are_asked_for(self, old: Path, open_library: OpenLibrary) -> None:
        with open_library(embedder=None, create=False) as library:
            assert library.duplicates() == [["a", "b", "c"]]

    def test_a_damaged_article_is_passed_over(self, old: Path, open_library: OpenLibrary) -> None:
        with closing(apsw.Connection(str(old / DATABASE))) as db:
            db.execute("UPDATE article SET text = CAST(x'ff' AS TEXT) WHERE id = 'b'")
        with open_library() as library:
            assert library.duplicates() == [["a", "c"]]


DAMAGES: Sequence[str] = [
    "UPDATE trait SET copy_of = 77 WHERE article = 4",
    "UPDATE trait SET copy_of = article WHERE article = 4",
    "UPDATE trait SET copy_of = 4 WHERE article = 1",
    "UPDATE trait SET language = 'EN' WHERE article = 1",
    "UPDATE trait SET language = CAST(x'ff' AS TEXT) WHERE article = 1",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_is_made_again(three: Library, damage: str, embedder: Embedder) -> None:
    before = [(article, article.language, article.duplicate_of) for article, _ in three.articles()]
    three.settle()
    three.close()
    with closing(apsw.Connection(str(three.path / DATABASE))) as db:
        db.execute(damage)
    [finding] = check(three.path, embedder).findings
    assert (finding.check, finding.kind) == ("copies", Kind.DERIVED)
    assert finding.message.startswith("1 articles with a language, or as copies")
    report = repair(three.path, embedder)
    assert ([one.check for one in report.mended], report.findings) == (["copies"], ())
    with Library(three.path) as library:
        assert [(article, article.language, article.duplicate_of) for article, _ in library.articles()] == before


def test_a_circle_ends(three: Library) -> None:
    with closing(apsw.Connection(str(three.path / DATABASE))) as db:
        db.execute("UPDATE trait SET copy_of = 4 WHERE article = 1")
    assert originals(three) == {"a": None, "other": None, "b": "a", "c": "a"} | {"a": "a"}
