"""`Library`: what adding, removing, searching and verifying promise, also beside other processes and after damage."""

import gc
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ToyEmbedder

from index import base, derived
from index.article import Article, make_article
from index.embed import Embedder, Vectors
from index.errors import (
    ArticleNotFound,
    InvalidInput,
    LibraryBusy,
    LibraryCorrupt,
    LibraryNotFound,
    LibraryNotWritable,
    ModelMismatch,
)
from index.filter import Filter
from index.library import DATABASE, Library, Outcome, Validity, Verification, embedded_text
from index.passage import Passage

OpenLibrary = Callable[..., Library]
Add = Callable[..., list[tuple[str, Outcome]]]

ADDED, REPLACED, UNCHANGED = Outcome.ADDED, Outcome.REPLACED, Outcome.UNCHANGED
QUESTION = "Who won the chess cup?"
HOLDER = """
import fcntl, os, sys
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
file.truncate(0)
file.write(f"process {os.getpid()}")
file.flush()
print("held", flush=True)
sys.stdin.read()
"""


def article(id: str | None, text: str = "Some text.", origin: str | None = None) -> Article:
    return make_article(text, id=id, origin=origin)


def ids(library: Library) -> list[str]:
    return [article.id for article, _ in library.articles()]


def found(library: Library, question: str = QUESTION, k: int = 10, filter: Filter = Filter()) -> list[object]:
    """All there is to compare about a search's hits."""
    return [
        (hit.passage.article.id, hit.passage.start, hit.passage.end, hit.score, hit.dense, hit.lexical)
        for hit in library.search(question, k, filter)
    ]


def best(library: Library, question: str) -> str:
    return library.search(question)[0].passage.article.id


@pytest.fixture
def full(library: Library, articles: list[Article], add: Add) -> Library:
    """The library with the four articles in it."""
    add(library, *articles)
    return library


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two passages are a batch."""
    monkeypatch.setattr(base, "_BATCH_PASSAGES", 2)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to the derived indexes, beyond loading them."""
    done: list[str] = []
    synced = derived.synced

    def spy(old: derived.Derived | None, *rest: object) -> derived.Derived:
        done.append("updated" if old else "rebuilt")
        return synced(old, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(derived, "synced", spy)
    return done


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which temporary ones are made."""
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture
def holder(library_path: Path) -> Iterator[int]:
    """Another process that has the write lock; its id."""
    library_path.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(library_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid


class TestAdd:
    def test_added_unchanged_replaced(self, library: Library, add: Add) -> None:
        assert add(library, article("a"), article("b")) == [("a", ADDED), ("b", ADDED)]
        assert add(library, article("a"), article("b", "Other text.")) == [("a", UNCHANGED), ("b", REPLACED)]
        assert library.article("b").text == "Other text."
        assert library.counts() == (2, 2)

    def test_nothing_to_add(self, library: Library, add: Add) -> None:
        assert add(library) == []
        assert library.counts() == (0, 0)

    def test_changed_metadata_is_a_change(self, library: Library, add: Add) -> None:
        add(library, article("a"))
        assert add(library, make_article("Some text.", id="a", title="Title")) == [("a", REPLACED)]
        assert library.article("a").title == "Title"

    @pytest.mark.parametrize("value", [0.1, 1e300, 10**30, -0.0, None, [], {}, {"ü": ["😀", {"a": 1}]}, float("nan")])
    def test_metadata_that_comes_back_is_no_change(self, library: Library, add: Add, value: object) -> None:
        given = make_article("Some text.", id="a", metadata={"value": value})
        add(library, given)
        assert add(library, given) == [("a", UNCHANGED)]

    def test_what_was_only_fetched_again_is_unchanged(self, library: Library, add: Add) -> None:
        def fetched(when: str, section: str = "news") -> Article:
            return make_article("The same.", id="page", metadata={"fetched": when, "section": section})

        assert add(library, fetched("2023-07-28")) == [("page", "added")]
        assert add(library, fetched("2023-07-29")) == [("page", UNCHANGED)]
        assert add(library, fetched("2023-07-29", "sport")) == [("page", "replaced")]

    def test_edited_file_replaces_its_article(self, library: Library, add: Add) -> None:
        before = article(None, "The bridge is shut.", "/news/bridge.txt")
        after = article(None, "The bridge is open.", "/news/bridge.txt")
        add(library, before)
        assert add(library, after) == [(after.id, REPLACED)]
        assert ids(library) == [after.id]

    def test_same_text_under_two_origins_survives_the_edit_of_either(self, library: Library, add: Add) -> None:
        copies = [article(None, "The bridge is shut.", origin) for origin in ("/a.txt", "/b.txt")]
        assert [outcome for _, outcome in add(library, *copies)] == [ADDED, UNCHANGED]
        edited = article(None, "The bridge is open.", "/a.txt")
        assert dict(add(library, edited, copies[1])) == {edited.id: ADDED, copies[1].id: UNCHANGED}
        assert sorted(ids(library)) == sorted([edited.id, copies[1].id])

    def test_article_that_also_came_without_a_file_survives_the_edit_of_its_file(
        self, library: Library, add: Add
    ) -> None:
        add(library, article("a", origin="/a.txt"))
        assert dict(add(library, article("b", "Edited.", "/a.txt"), article("a")))["a"] == UNCHANGED
        assert sorted(ids(library)) == ["a", "b"]

    def test_duplicates_within_one_batch(self, library: Library, add: Add) -> None:
        given = [
            article("a"),
            article("a"),
            article("a", "Other text."),
            article("b", "x", "/f"),
            article("c", "y", "/f"),
        ]
        assert add(library, *given) == [
            ("a", ADDED),
            ("a", UNCHANGED),
            ("a", REPLACED),
            ("b", ADDED),
            ("c", REPLACED),
        ]
        assert [(article.id, article.text) for article, _ in library.articles()] == [("a", "Other text."), ("c", "y")]

    @pytest.mark.usefixtures("small_batches")
    def test_acknowledged_in_order_across_batches(self, library: Library, add: Add) -> None:
        given = [article(f"a{number}") for number in range(7)]
        assert add(library, *given) == [(f"a{number}", ADDED) for number in range(7)]
        assert ids(library) == [f"a{number}" for number in range(7)]

    @pytest.mark.usefixtures("small_batches")
    def test_acknowledged_after_the_commit(self, library: Library, open_library: OpenLibrary) -> None:
        other = open_library(embedder=None)
        seen = []
        library.add(
            [article("a"), article("b"), article("c")],
            lambda article, outcome: seen.append((article.id, ids(other), other.article(article.id) == article)),
        )
        assert seen == [("a", ["a", "b"], True), ("b", ["a", "b"], True), ("c", ["a", "b", "c"], True)]

    @pytest.mark.usefixtures("small_batches")
    def test_interrupted_input_keeps_what_was_acknowledged(self, library: Library, add: Add) -> None:
        def interrupted() -> Iterator[Article]:
            yield from (article("a"), article("b"), article("c"))
            raise KeyboardInterrupt

        acknowledged: list[str] = []
        with pytest.raises(KeyboardInterrupt):
            library.add(interrupted(), lambda article, outcome: acknowledged.append(article.id))
        assert acknowledged == ids(library) == ["a", "b"]
        assert add(library, article("b"), article("c")) == [("b", UNCHANGED), ("c", ADDED)]

    @pytest.mark.usefixtures("small_batches")
    def test_failing_acknowledgement_undoes_nothing(self, library: Library, add: Add) -> None:
        def fail(article: Article, outcome: Outcome) -> None:
            raise BrokenPipeError("nobody listens")

        with pytest.raises(BrokenPipeError, match="nobody listens"):
            library.add([article("a"), article("b"), article("c")], fail)
        assert ids(library) == ["a", "b"]
        assert add(library, article("c")) == [("c", ADDED)]

    def test_without_an_embedder(self, open_library: OpenLibrary) -> None:
        with pytest.raises(ValueError, match="opened without an embedder"):
            open_library(embedder=None).add([article("a")])

    def test_threads_of_one_process_wait_for_one_another(self, library: Library) -> None:
        with ThreadPoolExecutor(4) as threads:
            batches = [[article(f"{batch}-{number}") for number in range(5)] for batch in range(4)]
            list(threads.map(library.add, batches))
        assert sorted(ids(library)) == sorted(article.id for batch in batches for article in batch)

    def test_long_article_comes_back_in_order(self, library: Library, add: Add) -> None:
        text = " ".join(f"Sentence number {number} is about topic{number}." for number in range(500))
        add(library, article("long", text))
        hit = library.search("What is topic321?")[0]
        assert "topic321" in hit.passage.text
        assert text[hit.passage.start : hit.passage.end] == hit.passage.text


class TestRemove:
    def test_removed(self, full: Library) -> None:
        full.remove(["chess", "kettle", "chess"])
        assert ids(full) == ["bridge", "ferry"]
        assert full.counts() == (2, 2)

    def test_unknown_id_removes_none(self, full: Library) -> None:
        with pytest.raises(ArticleNotFound, match=r"there is no article 'nobody' in .*; see: pullquote list"):
            full.remove(["chess", "nobody"])
        assert ids(full) == ["bridge", "chess", "ferry", "kettle"]

    def test_without_an_embedder(self, full: Library, open_library: OpenLibrary) -> None:
        open_library(embedder=None).remove(["chess"])
        assert ids(full) == ["bridge", "ferry", "kettle"]

    def test_removed_text_never_comes_back(self, full: Library, open_library: OpenLibrary) -> None:
        assert best(full, QUESTION) == "chess"
        full.save()
        full.remove(["chess"])
        for library in (full, open_library()):
            assert {hit.passage.article.id for hit in library.search(QUESTION)} == {"bridge", "ferry", "kettle"}
            assert all(hit.lexical == 0 for hit in library.search("chess Harbour"))
        full.close()
        assert {hit.passage.article.id for hit in open_library().search(QUESTION)} == {"bridge", "ferry", "kettle"}

    @pytest.mark.parametrize("question", ["Castle FC won the chess cup. And beat Harbour FC", "Harbour chess"])
    def test_removed_passages_take_no_places(
        self, full: Library, question: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(base, "CANDIDATES", 1)
        assert [hit.passage.article.id for hit in full.search(question, 1)] == ["chess"]
        full.remove(["chess"])
        assert [hit.passage.article.id != "chess" for hit in full.search(question, 1)] == [True]

    def test_replaced_text_never_comes_back(self, full: Library, add: Add) -> None:
        assert full.search("Harbour")[0].lexical > 0
        add(full, article("chess", "Castle FC lost."))
        assert [hit.passage.text for hit in full.search("Harbour Castle") if hit.lexical] == ["Castle FC lost."]


class TestLookUp:
    def test_article(self, full: Library, articles: list[Article]) -> None:
        assert full.article("chess") == articles[1]

    @pytest.mark.parametrize("id", ["nobody", "", "../bridge", "\ud800", "bridge\0"])
    def test_unknown_article(self, full: Library, id: str) -> None:
        with pytest.raises(ArticleNotFound, match="there is no article"):
            full.article(id)

    def test_pages(self, full: Library, articles: list[Article]) -> None:
        assert full.articles(1, 2) == [(articles[1], 1), (articles[2], 1)]

    def test_embedder_name(self, library: Library, add: Add) -> None:
        assert library.embedder_name is None
        add(library, article("a"))
        assert library.embedder_name == "toy"


class TestVerify:
    TEXT = "Team Rook won. Rook smiled."

    @pytest.fixture
    def chess(self, library: Library, add: Add) -> Library:
        add(library, article("chess", self.TEXT))
        return library

    def test_valid(self, chess: Library) -> None:
        expected = Verification(Validity.VALID, "the quote stands at its place, word for word", (5,))
        assert chess.verify("chess", 5, 9, "Rook") == expected
        assert chess.verify("chess", 5, 9, "Rook", chess.article("chess").sha256) == expected

    def test_quote_is_elsewhere(self, chess: Library) -> None:
        assert chess.verify("chess", 0, 4, "Rook") == Verification(
            Validity.STALE, "the article has not this quote at this place; the quote stands in it", (5, 15)
        )

    def test_quote_is_gone(self, chess: Library) -> None:
        assert chess.verify("chess", 0, 4, "Pawn") == Verification(
            Validity.STALE, "the article has not this quote at this place; the quote is not in it", ()
        )

    def test_text_has_changed(self, chess: Library) -> None:
        assert chess.verify("chess", 5, 9, "Rook", "0" * 64) == Verification(
            Validity.STALE, "the article's text has changed since; the quote stands in it", (5, 15)
        )

    def test_unknown(self, chess: Library) -> None:
        unknown = Verification(Validity.UNKNOWN, "the article is not in the library")
        assert chess.verify("nobody", 0, 4, "Rook") == unknown
        assert chess.verify("\ud800", 0, 4, "Rook") == unknown

    @pytest.mark.parametrize(
        ("start", "end", "quote"),
        [
            (-7, -1, "smiled"),
            (20, 10**9, "smiled."),
            (20, 28, "smiled."),
            (3, 3, ""),
            (9, 5, ""),
            (5, 9, ""),
            (5, 9, "Li"),
        ],
    )
    def test_slice_that_is_not_the_quote(self, chess: Library, start: int, end: int, quote: str) -> None:
        assert chess.verify("chess", start, end, quote).validity == Validity.STALE

    def test_overlapping_places_up_to_a_hundred(self, library: Library, add: Add) -> None:
        add(library, article("a", "x" * 500))
        assert library.verify("a", 0, 1, "xx").places == tuple(range(100))


class TestSearch:
    def test_best_first(self, full: Library) -> None:
        hits = full.search(QUESTION)
        assert hits[0].passage.article.id == "chess"
        assert hits[0].lexical > 0
        assert -1 <= hits[0].dense <= 1
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert all(0 <= hit.score <= 1 for hit in hits)
        assert len(hits) == 4

    def test_the_next_best_takes_the_place_of_what_has_just_gone(
        self, full: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = full.search(QUESTION)
        gone = {hit.passage.article.id for hit in before[:2]}

        def left(library: Library, keys: Iterable[int]) -> dict[int, Passage]:
            return {key: one for key, one in passages(library, keys).items() if one.article.id not in gone}

        passages = Library.passages
        monkeypatch.setattr(Library, "passages", left)
        assert full.search(QUESTION, 2) == before[2:]
        assert full.search(QUESTION, 3) == before[2:]

    def test_empty_library(self, library: Library) -> None:
        assert library.search("Anything?") == []

    def test_emptied_library(self, full: Library) -> None:
        full.search(QUESTION)
        full.remove(ids(full))
        assert full.search(QUESTION) == []

    def test_words_of_the_title_are_found(self, library: Library, add: Add) -> None:
        titled = make_article("It was closed.", id="a", title="Saltgate bridge")
        add(library, titled, *[article(f"b{number}", "It was open.") for number in range(3)])
        assert best(library, "Saltgate bridges") == "a"
        assert embedded_text(Passage(titled, 0, 14)) == "Saltgate bridge\nIt was closed."

    def test_long_title_does_not_crowd_out_the_passage(self) -> None:
        titled = make_article("It was closed.", title="x" * 500)
        assert embedded_text(Passage(titled, 0, 14)) == "x" * 200 + "\nIt was closed."

    @pytest.mark.parametrize("k", [0, -1, 1_001, 10**9, float("nan")])
    def test_k_out_of_bounds(self, full: Library, k: int) -> None:
        with pytest.raises(InvalidInput, match=f"k is {k}; it must be between 1 and 1,000"):
            full.search(QUESTION, k)

    def test_k_within_bounds(self, full: Library) -> None:
        assert found(full, k=1) == found(full, k=1_000)[:1]
        assert len(full.search(QUESTION, 1_000)) == 4

    @pytest.mark.parametrize("question", ["", " \n\t"])
    def test_empty_question(self, full: Library, question: str) -> None:
        with pytest.raises(InvalidInput, match="the question is empty"):
            full.search(question)

    def test_question_too_long(self, full: Library) -> None:
        assert best(full, QUESTION.ljust(10_000, "?")) == "chess"
        with pytest.raises(InvalidInput, match="the question has 10,001 characters; 10,000 are the most"):
            full.search("x" * 10_001)

    @pytest.mark.parametrize(
        "question",
        [
            *[
                '"',
                "(",
                ")",
                "*",
                "AND",
                "OR NOT",
                "a-b",
                "\0",
                "😀",
                "?",
                "text:",
                "[a TO b]",
                "a^2~",
                "\\",
                "{{",
                "/x/",
            ],
            *[
                "\ud800",
                "+chess -cup",
                "\u200b",
                "é" * 5_000,
                "w " * 5_000,
                "'; DROP TABLE article; --",
                "İ",
                "chess\udce9",
            ],
        ],
    )
    def test_special_characters_are_only_characters(self, full: Library, question: str) -> None:
        assert len(full.search(question)) == 4
        assert best(full, f"{question[:9_000]} chess cup {question[:900]}") == "chess"

    def test_ties_are_in_order_of_arrival(self, library: Library, add: Add) -> None:
        order = list("qwertyuiop")
        add(library, *[article(id, "The same text.") for id in order])
        assert [hit.passage.article.id for hit in library.search("same")] == order
        assert [hit.passage.article.id for hit in library.search("unheard")] == order

    def test_filters_equal_brute_force(self, library: Library, add: Add) -> None:
        chance = random.Random(3)
        words = ["bridge", "chess", "ferry", "kettle", "storm", "museum"]
        given = [
            make_article(
                " ".join(chance.choices(words, k=5)),
                id=f"a{number}",
                source=chance.choice(["Post", "Gazette", None]),
                published=chance.choice([None, f"2023-07-{chance.randint(10, 30)}"]),
            )
            for number in range(150)
        ]
        add(library, *given)
        for _ in range(30):
            filter = Filter(
                articles=frozenset(chance.choices([a.id for a in given], k=chance.choice([0, 0, 20]))),
                sources=frozenset(chance.choice([[], [], ["Post"], ["Post", "Gazette"], ["Nobody"]])),
                since=chance.choice([None, f"2023-07-{chance.randint(10, 30)}"]),
                until=chance.choice([None, f"2023-07-{chance.randint(10, 30)}"]),
            )
            expected = {
                a.id
                for a in given
                if (not filter.articles or a.id in filter.articles)
                and (not filter.sources or a.source in filter.sources)
                and (filter.since is None or (a.published or "") >= filter.since)
                and (filter.until is None or (a.published or "9") <= filter.until)
            }
            hits = library.search(chance.choice(words), 1_000, filter)
            assert {hit.passage.article.id for hit in hits} == expected

    def test_filter_and_words_together(self, full: Library) -> None:
        hits = full.search("chess bridge", filter=Filter(sources=frozenset({"Harbour Post"})))
        assert [(hit.passage.article.id, hit.lexical > 0) for hit in hits] == [("bridge", True), ("ferry", False)]

    def test_without_an_embedder(self, full: Library, open_library: OpenLibrary) -> None:
        with pytest.raises(ValueError, match="opened without an embedder"):
            open_library(embedder=None).search(QUESTION)

    def test_threads_search_while_another_adds(self, full: Library) -> None:
        with ThreadPoolExecutor(4) as threads:
            searches = [threads.submit(best, full, QUESTION) for _ in range(20)]
            adding = threads.submit(full.add, [article(f"a{number}") for number in range(20)])
            searches += [threads.submit(best, full, QUESTION) for _ in range(20)]
        assert adding.result() is None
        assert {search.result() for search in searches} == {"chess"}


class TestSearchIn:
    """Articles that come with the question."""

    def test_best_first(self, library: Library, articles: list[Article]) -> None:
        hits = library.search_in(articles, "Nobody was killed when the ferry hit the breakwater in fog.")
        assert hits[0].passage.article.id == "ferry"
        assert hits[0].lexical > 0
        assert hits[0].score == 1.0
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert len(hits) == 4

    def test_scores_are_shares_of_the_best(self, library: Library) -> None:
        """Also of one passage alone, and where no word is shared."""
        texts = [make_article("The ferry sank."), make_article("Kettles melt.")]
        vectors = ToyEmbedder().encode(["ferry", "The ferry sank."])
        [hit] = library.search_in(texts[:1], "ferry")
        assert (hit.score, hit.dense) == (1.0, pytest.approx(float(vectors[0] @ vectors[1])))
        [hit] = library.search_in(texts[:1], "melting")
        assert (hit.score, hit.lexical) == (pytest.approx(0.4 if hit.dense > 0 else 0.0), 0.0)

    def test_nothing_is_kept(self, library: Library, articles: list[Article]) -> None:
        library.search_in(articles, "Where is the ferry?")
        assert library.counts() == (0, 0)
        assert library.search("Where is the ferry?") == []
        assert library.embedder_name is None

    def test_what_is_in_the_library_plays_no_part(self, full: Library) -> None:
        [hit] = full.search_in([make_article("The ferry sank.", id="ferry")], "Where is the ferry?")
        assert (hit.passage.text, hit.score) == ("The ferry sank.", 1.0)

    def test_all_passages_of_a_long_text_are_candidates(self, library: Library) -> None:
        sentences = [f"Sentence {number} speaks of thing {number}. " * 12 for number in range(30)]
        article = make_article("".join(sentences))
        hits = library.search_in([article], sentences[29], 1)
        assert len(hits) == 1
        assert "thing 29" in hits[0].passage.text

    def test_titles_count(self, library: Library) -> None:
        texts = [make_article("It sank.", id="a"), make_article("It sank.", id="b", title="The ferry")]
        assert [hit.passage.article.id for hit in library.search_in(texts, "ferry", 1)] == ["b"]

    def test_ties_are_in_their_order(self, library: Library) -> None:
        texts = [make_article("The ferry sank.", id=id) for id in "cab"]
        assert [hit.passage.article.id for hit in library.search_in(texts, "ferry")] == ["c", "a", "b"]

    def test_only_the_best_by_words_are_embedded(self, open_library: OpenLibrary) -> None:
        embedded: list[str] = []

        class Noting(ToyEmbedder):
            def encode(self, texts: Sequence[str]) -> Vectors:
                embedded.extend(texts)
                return super().encode(texts)

        texts = [make_article(f"The ferry number {number} sank.") for number in range(9)]
        hits = open_library(embedder=Noting()).search_in(texts, "ferry 7", 3)
        assert hits[0].passage.text == "The ferry number 7 sank."
        assert embedded[0] == "ferry 7"
        assert sorted(embedded[1:]) == sorted(hit.passage.text for hit in hits)

    def test_nothing_to_search_in(self, library: Library) -> None:
        assert library.search_in([], "Where is the ferry?") == []

    def test_two_of_one_id(self, library: Library) -> None:
        texts = [make_article("The ferry sank.", id="a"), make_article("The ferry sails.", id="a")]
        with pytest.raises(InvalidInput, match="two texts have the same id"):
            library.search_in(texts, "ferry")

    def test_bad_questions(self, library: Library, articles: list[Article]) -> None:
        with pytest.raises(InvalidInput, match="the question is empty"):
            library.search_in(articles, " ")
        with pytest.raises(InvalidInput, match="k is 0"):
            library.search_in(articles, "ferry", 0)

    def test_without_an_embedder(self, full: Library, open_library: OpenLibrary, articles: list[Article]) -> None:
        with pytest.raises(ValueError, match="without an embedder"):
            open_library(embedder=None).search_in(articles, "ferry")


class TestOpening:
    def test_missing(self, open_library: OpenLibrary, library_path: Path) -> None:
        with pytest.raises(LibraryNotFound, match=r"no library at .*library; make one with: pullquote --library"):
            open_library(create=False)
        assert not library_path.exists()

    def test_directory_without_a_database(self, open_library: OpenLibrary, library_path: Path) -> None:
        library_path.mkdir()
        with pytest.raises(LibraryNotFound, match="no library at"):
            open_library(create=False)

    def test_file_in_its_place(self, open_library: OpenLibrary, library_path: Path) -> None:
        library_path.write_text("Some notes.")
        with pytest.raises(LibraryNotFound, match="no library at"):
            open_library(create=False)
        with pytest.raises(LibraryNotWritable, match="no library can be made at"):
            open_library()

    def test_garbage_database(self, open_library: OpenLibrary, library_path: Path) -> None:
        library_path.mkdir()
        (library_path / DATABASE).write_text("Some notes. " * 500)
        with pytest.raises(LibraryCorrupt, match="cannot be read as a library"):
            open_library(create=False)

    def test_wrong_embedder(
        self, full: Library, open_library: OpenLibrary, other_embedder: Embedder, library_path: Path
    ) -> None:
        with pytest.raises(
            ModelMismatch,
            match=r"built with the embedder toy \(toy-0123456789ab\), not with other toy \(toy-ba9876543210\)",
        ):
            open_library(embedder=other_embedder)
        gc.collect()  # a temporary directory left behind would warn now, and so fail this test
        assert best(full, QUESTION) == "chess"

    def test_wrong_embedder_leaves_nothing_behind(
        self, full: Library, open_library: OpenLibrary, other_embedder: Embedder, scratch: Path
    ) -> None:
        with pytest.raises(ModelMismatch, match="was built with") as raised:
            open_library(embedder=other_embedder)
        assert list(scratch.iterdir()) == []
        del raised
        gc.collect()

    def test_two_embedders_open_an_empty_library_and_the_first_to_add_wins(
        self, library: Library, open_library: OpenLibrary, other_embedder: Embedder, add: Add
    ) -> None:
        other = open_library(embedder=other_embedder)
        add(library, article("a"))
        with pytest.raises(ModelMismatch, match="was built with the embedder toy"):
            other.add([article("b")])
        assert ids(library) == ["a"]


class TestBesideAnotherWriter:
    def test_adding_and_removing_are_refused_at_once(self, full: Library, holder: int) -> None:
        with pytest.raises(LibraryBusy, match=f"is being written to by process {holder}; try again"):
            full.add([article("a")])
        with pytest.raises(LibraryBusy, match=f"process {holder}"):
            full.remove(["chess"])
        assert ids(full) == ["bridge", "chess", "ferry", "kettle"]

    def test_searching_and_closing_go_on(self, full: Library, holder: int, library_path: Path) -> None:
        assert best(full, QUESTION) == "chess"
        full.close()
        assert not (library_path / "manifest.json").exists()

    def test_lock_ends_with_its_process(self, full: Library, library_path: Path, add: Add) -> None:
        (library_path / "lock").write_text("process 999999")  # left behind by a process that was killed
        assert add(full, article("a")) == [("a", ADDED)]

    def test_second_library_of_this_process_is_another_writer(
        self, library: Library, open_library: OpenLibrary
    ) -> None:
        other = open_library()

        def articles() -> Iterator[Article]:
            with pytest.raises(LibraryBusy, match=f"process {os.getpid()}"):
                other.remove([])
            yield article("a")

        library.add(articles())
        other.add([article("b")])
        assert ids(library) == ["a", "b"]

    def test_changes_are_seen_without_reopening(self, full: Library, open_library: OpenLibrary, add: Add) -> None:
        reader = open_library()
        assert best(reader, QUESTION) == "chess"
        add(full, article("storm", "A storm named Quill cut the power."))
        assert best(reader, "Which storm cut the power?") == "storm"
        full.remove(["storm"])
        assert "storm" not in {hit.passage.article.id for hit in reader.search("Which storm cut the power?")}
        assert found(reader) == found(full)

    def test_reader_outlives_the_files_it_has_loaded(
        self, full: Library, open_library: OpenLibrary, add: Add, syncs: list[str]
    ) -> None:
        full.search(QUESTION)
        full.save()
        reader = open_library()
        assert best(reader, QUESTION) == "chess"
        add(full, article("storm", "A storm named Quill cut the power."))
        full.search(QUESTION)
        full.save()  # removes the files that the reader has loaded
        assert best(reader, "Which storm cut the power?") == "storm"
        assert found(reader) == found(full)

    def test_outdated_reader_does_not_save_over_newer_indexes(
        self, full: Library, open_library: OpenLibrary, add: Add, library_path: Path
    ) -> None:
        reader = open_library()
        reader.search(QUESTION)
        add(full, article("storm", "A storm named Quill cut the power."))
        full.search(QUESTION)
        full.close()
        saved = (library_path / "manifest.json").read_bytes()
        reader.close()
        assert (library_path / "manifest.json").read_bytes() == saved


class TestDerivedFiles:
    @pytest.fixture
    def saved(self, full: Library, library_path: Path) -> list[object]:
        """The derived indexes are saved and the library closed; what a search finds in it."""
        hits = found(full)
        full.close()
        return hits

    @staticmethod
    def files(library_path: Path) -> list[str]:
        """The names of the derived files."""
        paths = [path for path in library_path.rglob("*") if path.is_file() and not path.name.endswith("lock")]
        return sorted(str(path.relative_to(library_path)) for path in paths if not path.name.startswith(DATABASE))

    def test_saved_on_closing_and_loaded(
        self, saved: list[object], open_library: OpenLibrary, library_path: Path, syncs: list[str]
    ) -> None:
        before = {name: (library_path / name).read_bytes() for name in self.files(library_path)}
        assert {"dense-1.faiss", "lexical-1/meta.json", "manifest.json"} <= set(before)
        for _ in range(2):
            with open_library() as library:
                assert found(library) == saved
        assert syncs == []
        assert {name: (library_path / name).read_bytes() for name in self.files(library_path)} == before

    def test_searching_alone_saves_nothing_new(
        self, saved: list[object], open_library: OpenLibrary, library_path: Path
    ) -> None:
        modified = (library_path / "manifest.json").stat().st_mtime_ns
        with open_library() as library:
            library.search(QUESTION)
        assert (library_path / "manifest.json").stat().st_mtime_ns == modified

    def test_brought_up_to_date_after_changes(
        self, saved: list[object], open_library: OpenLibrary, add: Add, syncs: list[str]
    ) -> None:
        with open_library() as library:
            add(library, article("storm", "A storm named Quill cut the power."))
            library.remove(["kettle"])
        library = open_library()
        assert best(library, "storm") == "storm"
        assert {hit.passage.article.id for hit in library.search("x")} == {"bridge", "chess", "ferry", "storm"}
        assert syncs == ["updated"]

    def test_one_generation_is_kept(
        self, saved: list[object], open_library: OpenLibrary, add: Add, library_path: Path
    ) -> None:
        for orphan in ("dense-0.faiss", "dense-0.tmp"):
            (library_path / orphan).touch()
        shutil.copytree(library_path / "lexical-1", library_path / "lexical-0")
        with open_library() as library:
            add(library, article("storm"))
            library.search(QUESTION)
        tops = sorted(path.name for path in library_path.iterdir())
        assert tops == ["dense-2.faiss", "lexical-2", "lock", "manifest.json", DATABASE]

    def test_changing_a_copy_leaves_the_saved_files_alone(
        self, saved: list[object], open_library: OpenLibrary, add: Add, syncs: list[str]
    ) -> None:
        changed = open_library()
        add(changed, article("storm"))
        changed.search(QUESTION)
        changed.remove(["storm"])
        changed.search(QUESTION)
        assert found(open_library()) == saved
        assert syncs[-1] == "updated"

    @pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "garbage"])
    def test_damaged_file_is_rebuilt(
        self, saved: list[object], open_library: OpenLibrary, library_path: Path, damage: str, tmp_path: Path
    ) -> None:
        names = self.files(library_path)
        assert len(names) > 5
        for number, name in enumerate(names):
            copy = tmp_path / f"copy{number}"
            shutil.copytree(library_path, copy)
            data = bytearray((copy / name).read_bytes())
            data[len(data) // 2] ^= 1
            if damage == "delete":
                (copy / name).unlink()
            else:
                half = data[: len(data) // 2]
                (copy / name).write_bytes({"truncate": half, "flip": data, "garbage": b"\0garbage"}[damage])
            with open_library(copy) as library:
                assert found(library) == saved, name

    @pytest.mark.parametrize(
        "change",
        [
            {"generation": 0},
            {"generation": 2},
            {"generation": "1"},
            {"generation": None},
            {"embedder": "toy-ba9876543210"},
            {"splitter": "other"},
            {"files": {}},
            {"files": []},
            {"files": 3},
            {"files": {"../../etc/passwd": "0"}},
            {"last": "1"},
            {"last": -1},
            {"last": 10**9},
            {"format": 1},
            {"unheard": 1},
        ],
        ids=str,
    )
    def test_manifest_that_is_wrong(
        self, saved: list[object], open_library: OpenLibrary, library_path: Path, change: dict[str, object]
    ) -> None:
        manifest = json.loads((library_path / "manifest.json").read_text())
        (library_path / "manifest.json").write_text(json.dumps(manifest | change))
        assert found(open_library()) == saved

    @pytest.mark.parametrize("text", ["", "null", "[]", "{}", "3", "\0", "\ud800", '{"generation": 1', "[" * 100_000])
    def test_manifest_that_is_none(
        self, saved: list[object], open_library: OpenLibrary, library_path: Path, text: str
    ) -> None:
        (library_path / "manifest.json").write_bytes(text.encode(errors="surrogatepass"))
        assert found(open_library()) == saved

    @pytest.mark.parametrize("change", [{"files": {}}, {"embedder": "other"}, {"splitter": "other"}], ids=str)
    def test_files_that_the_manifest_does_not_vouch_for_are_not_read(
        self,
        saved: list[object],
        open_library: OpenLibrary,
        library_path: Path,
        syncs: list[str],
        change: dict[str, object],
    ) -> None:
        manifest = json.loads((library_path / "manifest.json").read_text())
        (library_path / "manifest.json").write_text(json.dumps(manifest | change))
        assert found(open_library()) == saved
        assert syncs == ["rebuilt"]

    def test_swapped_generations(
        self, saved: list[object], open_library: OpenLibrary, library_path: Path, add: Add, tmp_path: Path
    ) -> None:
        shutil.copytree(library_path, tmp_path / "old")
        with open_library() as library:
            library.remove(["chess"])
            add(library, article("storm", "A storm named Quill cut the power."))
            after = found(library)
        for path in (tmp_path / "old").iterdir():  # a backup of the derived files alone, put back over the new ones
            if path.name.startswith(("dense", "lexical", "manifest")):
                (shutil.copytree if path.is_dir() else shutil.copy)(path, library_path / path.name)
        library = open_library()
        assert [hit[:3] for hit in found(library)] == [hit[:3] for hit in after]  # type: ignore[index]
        assert "chess" not in {hit.passage.article.id for hit in library.search(QUESTION)}

    def test_unsaved_work_of_a_killed_save_does_not_matter(
        self, saved: list[object], open_library: OpenLibrary, library_path: Path, add: Add
    ) -> None:
        (library_path / "dense-2.tmp").write_bytes(b"half")
        (library_path / "lexical-2").mkdir()
        (library_path / "lexical-2" / "meta.json").write_bytes(b"{")
        (library_path / "manifest.json.tmp").write_bytes(b"{")
        with open_library() as library:
            add(library, article("storm", "A storm named Quill cut the power."))
            assert best(library, "storm") == "storm"
        assert best(open_library(), "storm") == "storm"
        assert {"dense-2.tmp", "manifest.json.tmp"} & set(self.files(library_path)) == set()

    def test_failing_save_does_not_break_closing(
        self, full: Library, library_path: Path, open_library: OpenLibrary
    ) -> None:
        (library_path / "dense-1.tmp").mkdir()  # nothing can be written there, as on a full disk
        hits = found(full)
        full.close()
        assert found(open_library()) == hits

    def test_scratch_holds_one_generation_and_is_removed(
        self, scratch: Path, open_library: OpenLibrary, add: Add
    ) -> None:
        with open_library() as library:
            for number in range(4):
                add(library, article(f"a{number}"))
                library.search(QUESTION)
            assert len(list(scratch.glob("*/*/lexical"))) == 1
        assert list(scratch.iterdir()) == []


class TestReadOnlyDirectory:
    @pytest.fixture
    def read_only(self) -> Iterator[Callable[[Path], Path]]:
        """Copy a library to where this process may read it but not write; root gives up its rights for that."""
        parent = Path(tempfile.mkdtemp())
        user = os.geteuid()

        def copy(library: Path) -> Path:
            target = parent / "library"
            shutil.copytree(library, target)
            for path in [*target.rglob("*"), target]:
                path.chmod(0o555 if path.is_dir() else 0o444)
            parent.chmod(0o755)
            if user == 0:
                os.seteuid(65_534)
            return target

        yield copy
        if user == 0:
            os.seteuid(0)
        for path in [parent, *parent.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(parent)

    def test_search_goes_on(
        self, full: Library, library_path: Path, read_only: Callable[[Path], Path], open_library: OpenLibrary
    ) -> None:
        hits = found(full)
        full.close()
        with open_library(read_only(library_path), create=False) as library:
            assert found(library) == hits
            assert ids(library) == ["bridge", "chess", "ferry", "kettle"]

    def test_writing_is_refused(
        self, full: Library, library_path: Path, read_only: Callable[[Path], Path], open_library: OpenLibrary
    ) -> None:
        full.close()
        with open_library(read_only(library_path), create=False) as library:
            with pytest.raises(LibraryNotWritable, match="library cannot be written to"):
                library.add([article("a")])
            with pytest.raises(LibraryNotWritable, match="library cannot be written to"):
                library.remove(["chess"])


def test_indexes_that_are_outgrown_are_made_anew(
    open_library: OpenLibrary, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_library() as library:
        add(library, *[article(f"a{number}") for number in range(10)])
        library.settle()
        monkeypatch.setattr("index.dense.FLAT_PASSAGES", 12)
        add(library, *[article(f"b{number}") for number in range(10)])
        library.refresh()
        assert library._derived is not None
        assert library._derived.dense.outgrown
        library.settle()
        assert not library._derived.dense.outgrown
        assert sorted(library._derived.dense.keys) == library._derived.lexical.keys.tolist() == list(range(1, 21))


def test_fingerprint_is_of_the_articles_not_of_how_they_came(
    open_library: OpenLibrary, add: Add, tmp_path: Path, other_embedder: Embedder
) -> None:
    here, there = open_library(tmp_path / "here"), open_library(tmp_path / "there")
    add(here, article("a"), article("b"))
    add(there, article("b"), article("a"), article("c"))
    assert here.fingerprint() != there.fingerprint()
    there.remove(["c"])
    assert here.fingerprint() == there.fingerprint()
    other = open_library(tmp_path / "other", other_embedder)
    add(other, article("a"), article("b"))
    assert other.fingerprint() != here.fingerprint()
