"""What every kind of library promises: in a directory, in Milvus Lite within this process, on its server, and on the
Milvus server that PULLQUOTE_TEST_MILVUS names (as milvus://HOST:19530), where it names one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from conftest import Add, ToyEmbedder
from pymilvus import MilvusClient

from index import base, milvus_doctor, milvus_rows, milvus_store
from index.article import Article, make_article
from index.base import AnyLibrary
from index.doctor import Report
from index.embed import Embedder
from index.errors import (
    ArticleDamaged,
    ArticleNotFound,
    InvalidInput,
    LibraryBusy,
    LibraryNotFound,
    LibraryNotWritable,
    LibraryUnreachable,
    ModelMismatch,
    PullquoteError,
)
from index.feedback import Place, Verdict, make_feedback
from index.filter import Filter
from index.finding import Finding, Kind
from index.library import Library, Outcome, Validity
from index.milvus import MilvusLibrary
from index.milvus_address import milvus_address
from index.milvus_client import Milvus
from index.milvus_doctor import check_milvus
from index.opening import collections_at
from index.store import Indexed
from tests.served import free_port

ADDED, REPLACED, UNCHANGED = Outcome.ADDED, Outcome.REPLACED, Outcome.UNCHANGED
CLUSTER = os.environ.get("PULLQUOTE_TEST_MILVUS")
MILVUS = ["lite", "server", *(["cluster"] if CLUSTER else [])]
ALL = ["directory", *MILVUS]
QUESTION = "Who won the chess cup?"
LONG = "Ä line with 😀, \"quotes\", 'quotes', \\ and {braces}. " * 4_000
"""More than three strings of Milvus hold."""

Opened = Callable[..., AnyLibrary]


class Server:
    """A Milvus Lite server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.start()

    def start(self) -> None:
        where = ["--data-dir", str(self._folder), "--host", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "milvus_lite", "server", *where], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert "listening" in self._process.stdout.readline()

    def send(self, sent: signal.Signals) -> None:
        self._process.send_signal(sent)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("milvus") / "server")
    yield one
    one.kill()


@pytest.fixture
def place(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where a library of this kind is to be, which no other test has used. Nothing is left on somebody's server."""
    name = f"test_{token_hex(8)}"
    if kind == "server":
        yield Path(f"milvus://127.0.0.1:{request.getfixturevalue('server').port}/{name}")
    elif kind == "cluster":
        yield Path(f"{CLUSTER}/{name}")
        forget(Path(f"{CLUSTER}/{name}"), name)
    else:
        yield tmp_path / ("articles.milvus" if kind == "lite" else "library")


def when_it_answers(ask: Callable[[], object]) -> None:
    """Returns once a server that was started anew is found: gRPC looks for it at intervals of its own."""
    while True:
        try:
            ask()
            return
        except LibraryUnreachable as error:
            if "Fail connecting" not in str(error):
                raise


def forget(place: Path, name: str) -> None:
    """Drop all collections whose names begin so."""
    address = milvus_address(place)
    assert address is not None
    with closing(MilvusClient(uri=address.uri)) as client:
        for collection in client.list_collections():
            if collection.startswith(name):
                client.drop_collection(collection)


def open_at(place: Path, embedder: Embedder | None, *, create: bool = False) -> AnyLibrary:
    address = milvus_address(place)
    return MilvusLibrary(address, embedder, create=create) if address else Library(place, embedder, create=create)


@pytest.fixture
def opened(place: Path, embedder: Embedder) -> Iterator[Opened]:
    """Opens the library, making it where there is none; closed when the test ends."""
    with ExitStack() as stack:

        def open_one(embedder: Embedder | None = embedder, *, where: Path = place, create: bool = True) -> AnyLibrary:
            return stack.enter_context(open_at(where, embedder, create=create))

        yield open_one


@pytest.fixture
def library(opened: Opened) -> AnyLibrary:
    return opened()


@pytest.fixture
def full(library: AnyLibrary, articles: list[Article], add: Add) -> AnyLibrary:
    """The library with the four articles in it."""
    add(library, *articles)
    return library


def ids(library: AnyLibrary) -> list[str]:
    return [article.id for article, _ in library.articles()]


def found(library: AnyLibrary, question: str = QUESTION, filter: Filter = Filter()) -> list[str]:
    return [hit.passage.article.id for hit in library.search(question, 10, filter)]


every = pytest.mark.parametrize("kind", ALL)
milvus = pytest.mark.parametrize("kind", MILVUS)


@every
class TestAdd:
    def test_added_unchanged_replaced(self, library: AnyLibrary, add: Add) -> None:
        a, b = (make_article("Some text.", id=id) for id in "ab")
        other = make_article("Other text.", id="b", title="New")
        assert add(library, a, b) == [("a", ADDED), ("b", ADDED)]
        assert add(library, a, other) == [("a", UNCHANGED), ("b", REPLACED)]
        assert library.article("b") == other
        assert library.counts() == (2, 2)
        assert sorted(found(library, "text")) == ["a", "b"]

    @pytest.mark.parametrize("id", ["a", 'it\'s "quoted" \\ {id} %', "ü😀" * 256])
    def test_comes_back_as_it_was(self, library: AnyLibrary, add: Add, id: str) -> None:
        given = make_article(
            LONG,
            id=id,
            title="T" * 100_000,
            url="https://example.org/?a='b\"",
            published="2023-07-28T09:30:00Z",
            source="Harbour \"Post\" 'Daily' \\",
            authors=("A", "B"),
            metadata={"a": [1, 0.1, None, {"ü": "x" * 70_000}]},
            origin="/news/a.txt",
        )
        add(library, given)
        read, passages = library.articles()[0]
        assert library.article(id) == given == read
        assert (read.origin, read.sha256) == (given.origin, given.sha256)
        assert library.counts() == (1, passages)
        assert found(library, "braces", Filter(frozenset({id}), frozenset({given.source or ""}))) == [id] * 10

    def test_edited_file_replaces_its_article(self, library: AnyLibrary, add: Add) -> None:
        before = make_article("The bridge is shut.", origin="/news/bridge.txt")
        after = make_article("The bridge is open.", origin="/news/bridge.txt")
        add(library, before)
        assert add(library, after) == [(after.id, REPLACED)]
        assert (ids(library), found(library, "bridge"), library.counts()) == ([after.id], [after.id], (1, 1))

    def test_same_text_under_two_origins_survives_the_edit_of_either(self, library: AnyLibrary, add: Add) -> None:
        copies = [make_article("The bridge is shut.", origin=origin) for origin in ("/a.txt", "/b.txt")]
        assert [outcome for _, outcome in add(library, *copies)] == [ADDED, UNCHANGED]
        edited = make_article("The bridge is open.", origin="/a.txt")
        assert add(library, edited) == [(edited.id, ADDED)]
        assert ids(library) == [copies[1].id, edited.id]

    def test_interrupted_keeps_what_was_acknowledged(
        self, library: AnyLibrary, add: Add, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(base, "_BATCH_PASSAGES", 2)

        def interrupted() -> Iterator[Article]:
            yield from (make_article("Some text.", id=id) for id in "abc")
            raise KeyboardInterrupt

        acknowledged: list[str] = []
        with pytest.raises(KeyboardInterrupt):
            library.add(interrupted(), lambda article, outcome: acknowledged.append(article.id))
        assert acknowledged == ids(library) == ["a", "b"]

    def test_is_there_for_others_at_once(self, full: AnyLibrary, opened: Opened) -> None:
        other = opened()
        assert ids(other) == ["bridge", "chess", "ferry", "kettle"]
        assert found(other)[0] == "chess"
        assert other.fingerprint() == full.fingerprint()


@every
class TestRemove:
    def test_removed(self, full: AnyLibrary) -> None:
        full.remove(["chess", "kettle", "chess"])
        assert ids(full) == ["bridge", "ferry"]
        assert (full.counts(), full.rough_counts(), full.article_count()) == ((2, 2), (2, 2), 2)
        assert sorted(found(full)) == ["bridge", "ferry"]
        with pytest.raises(ArticleNotFound, match="there is no article 'chess'"):
            full.article("chess")

    def test_unknown_id_removes_none(self, full: AnyLibrary) -> None:
        with pytest.raises(ArticleNotFound, match="there is no article 'nobody'"):
            full.remove(["chess", "nobody"])
        assert ids(full) == ["bridge", "chess", "ferry", "kettle"]

    def test_added_again(self, full: AnyLibrary, articles: list[Article], add: Add) -> None:
        full.remove(["bridge"])
        assert add(full, articles[0]) == [("bridge", ADDED)]
        assert ids(full) == ["chess", "ferry", "kettle", "bridge"]


@every
class TestLookUp:
    def test_pages(self, full: AnyLibrary, articles: list[Article]) -> None:
        assert full.articles(1, 2) == [(articles[1], 1), (articles[2], 1)]
        assert full.articles(4, 2) == []

    @pytest.mark.parametrize("id", ["nobody", "", "../bridge", "\ud800", "bridge\0", '" or key != "'])
    def test_unknown_article(self, full: AnyLibrary, id: str) -> None:
        with pytest.raises(ArticleNotFound, match="there is no article"):
            full.article(id)

    def test_verify(self, full: AnyLibrary) -> None:
        assert full.verify("chess", 0, 9, "Castle FC", full.article("chess").sha256).validity is Validity.VALID
        assert full.verify("chess", 1, 10, "Castle FC").places == (0,)
        assert full.verify("nobody", 0, 9, "Castle FC").validity is Validity.UNKNOWN

    def test_settings(self, library: AnyLibrary, opened: Opened) -> None:
        assert library.setting("dense_weight") is None
        library.note("dense_weight", "0.25")
        library.note("ü'\"", "ü'\"\\")
        assert (opened().dense_weight, opened().setting("ü'\"")) == (0.25, "ü'\"\\")
        library.forget("ü'\"")
        library.forget("never there")
        assert (opened().dense_weight, opened().setting("ü'\"")) == (0.25, None)


@every
class TestSearch:
    def test_empty_library(self, library: AnyLibrary) -> None:
        assert library.search(QUESTION) == []

    def test_emptied_library(self, full: AnyLibrary) -> None:
        full.remove(ids(full))
        assert (full.search(QUESTION), full.counts(), full.rough_counts()) == ([], (0, 0), (0, 0))

    def test_best_first(self, full: AnyLibrary) -> None:
        hits = full.search(QUESTION)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert hits[0].passage.article.id == "chess"
        assert {hit.passage.article.id for hit in hits if hit.lexical} == {"chess"}

    def test_scores_are_those_of_a_directory(
        self, full: AnyLibrary, articles: list[Article], embedder: Embedder, tmp_path: Path
    ) -> None:
        with Library(tmp_path / "plain", embedder, create=True) as plain:
            plain.add(articles)
            expected = [(hit.passage, hit.score, hit.dense, hit.lexical) for hit in plain.search(QUESTION)]
        assert [hit.passage for hit in full.search(QUESTION)] == [passage for passage, *_ in expected]
        assert [(hit.score, hit.dense) for hit in full.search(QUESTION)] == [
            (pytest.approx(score, abs=0.01), pytest.approx(dense, abs=1e-3)) for _, score, dense, _ in expected
        ]
        assert full.search(QUESTION)[0].lexical == pytest.approx(expected[0][3], rel=0.05)

    def test_words_of_the_title_are_found(self, library: AnyLibrary, add: Add) -> None:
        add(library, make_article("Nobody knows.", id="a", title="Zebra"), make_article("Nobody asks.", id="b"))
        assert [(hit.passage.article.id, hit.lexical > 0) for hit in library.search("zebras")] == [
            ("a", True),
            ("b", False),
        ]

    def test_words_of_a_passage_are_found_under_the_longest_title(self, library: AnyLibrary, add: Add) -> None:
        title = " ".join(f"name{number}" for number in range(9_000))
        add(library, make_article("The zebra crossed.", id="a", title=title))
        [hit] = library.search("zebra")
        assert hit.lexical > 0

    @pytest.mark.parametrize("question", ["?", "…", "the", "\ud800 \0 chess", 'a" or key != "', "x " * 4_000])
    def test_any_question(self, full: AnyLibrary, question: str) -> None:
        assert len(full.search(question)) == 4

    @pytest.mark.parametrize(
        ("filter", "expected"),
        [
            (Filter(articles=frozenset({"ferry", "nobody"})), ["ferry"]),
            (Filter(sources=frozenset({"Harbour Post"})), ["bridge", "ferry"]),
            (Filter(since="2023-07-28"), ["bridge", "chess", "ferry"]),
            (Filter(since="2023-07-28T09:00:00Z"), ["bridge", "chess", "ferry"]),
            (Filter(since="2023-07-28T10:00:00Z"), ["bridge", "ferry"]),
            (Filter(until="2023-07-28"), ["bridge", "chess"]),
            (Filter(since="2023-01-01", until="2023-12-31", sources=frozenset({"Harbour Post"})), ["bridge"]),
            (Filter(sources=frozenset({"\" or '"})), []),
            (Filter(sources=frozenset({"\udcff"}), articles=frozenset({"\udcff"})), []),
        ],
    )
    def test_filters(self, full: AnyLibrary, filter: Filter, expected: list[str]) -> None:
        assert sorted(found(full, QUESTION, filter)) == expected

    def test_filters_of_what_is_settled(self, full: AnyLibrary) -> None:
        full.settle()
        for filter in (
            Filter(articles=frozenset({"ferry", "bridge"})),
            Filter(sources=frozenset({"Harbour Post"})),
            Filter(since="2023-07-28T10:00:00Z"),
            Filter(sources=frozenset({"Harbour Post"}), languages=frozenset({"en"}), until="2024-12-31"),
        ):
            assert sorted(found(full, QUESTION, filter)) == ["bridge", "ferry"]

    def test_languages(self, library: AnyLibrary, add: Add) -> None:
        names = {"en": "The bridge was shut on Monday.", "de": "Die Brücke wurde am Montag gesperrt."}
        add(library, *(make_article(text, id=code, metadata={"language": code}) for code, text in names.items()))
        assert [article.language for article, _ in library.articles()] == ["en", "de"]
        assert found(library, "bridge", Filter(languages=frozenset({"de"}))) == ["de"]
        assert library.search("bridge")[0].passage.article.language == "en"

    def test_ties_are_in_order_of_arrival(self, library: AnyLibrary, add: Add) -> None:
        names = [f"a{number}" for number in (3, 1, 2)]
        add(library, *(make_article("Same text.", id=name) for name in names))
        assert found(library, "text") == names

    def test_threads_search_while_another_adds(self, full: AnyLibrary, add: Add) -> None:
        with ThreadPoolExecutor(4) as threads:
            searches = [threads.submit(found, full) for _ in range(12)]
            adding = [threads.submit(add, full, make_article("Chess is on.", id=f"b{number}")) for number in range(4)]
            assert {search.result()[0] for search in searches} == {"chess"}
            assert [one.result() for one in adding] == [[(f"b{number}", ADDED)] for number in range(4)]
        assert sorted(ids(full)) == ["b0", "b1", "b2", "b3", "bridge", "chess", "ferry", "kettle"]

    def test_bad_questions(self, full: AnyLibrary) -> None:
        with pytest.raises(InvalidInput, match="the question is empty"):
            full.search(" ")
        with pytest.raises(InvalidInput, match="k is 0"):
            full.search("chess", 0)


@every
class TestOpening:
    def test_missing(self, opened: Opened, place: Path) -> None:
        with pytest.raises(LibraryNotFound, match=r"there is no library at .*; make one with: pullquote"):
            opened(create=False)
        if not str(place).startswith("milvus:"):
            assert not place.exists()

    def test_wrong_embedder(self, full: AnyLibrary, opened: Opened, other_embedder: Embedder) -> None:
        with pytest.raises(ModelMismatch, match=r"was built with the embedder toy .* not with other toy"):
            opened(other_embedder)
        assert full.embedder_name == "toy"

    def test_without_an_embedder(self, full: AnyLibrary, opened: Opened) -> None:
        plain = opened(None, create=False)
        plain.remove(["chess"])
        assert ids(plain) == ["bridge", "ferry", "kettle"]
        with pytest.raises(ValueError, match="opened without an embedder"):
            plain.search(QUESTION)

    def test_closed_twice(self, full: AnyLibrary, opened: Opened) -> None:
        other = opened()
        for _ in range(2):
            other.close()
        assert ids(full) == ["bridge", "chess", "ferry", "kettle"]

    def test_libraries_below_are_their_own(self, full: AnyLibrary, opened: Opened, place: Path, add: Add) -> None:
        below = opened(where=place / "collections" / "other-one")
        assert add(below, make_article("Chess is dull.", id="chess")) == [("chess", ADDED)]
        assert (ids(below), found(below)) == (["chess"], ["chess"])
        assert full.article("chess").text.startswith("Castle FC")


@every
def test_collections_of_each_library_are_found(opened: Opened, place: Path) -> None:
    for library in (place, place / "below"):
        opened(where=library)
        assert collections_at(library) == ["main"]
    opened(where=place / "collections" / "press")
    opened(where=place / "below" / "collections" / "sport")
    assert [collections_at(library) for library in (place, place / "below")] == [["main", "press"], ["main", "sport"]]


@every
def test_feedback(full: AnyLibrary, opened: Opened) -> None:
    right = make_feedback(
        QUESTION, Verdict.RIGHT, Place("chess", 0, 9, "Castle FC"), "sure: 'ü'", "2024-01-01T00:00:00Z"
    )
    none = make_feedback("Who won?", Verdict.UNANSWERABLE)
    keys = [full.give_feedback(one) for one in (right, none)]
    kept = opened(None).feedback()
    assert list(kept) == keys
    assert [one and one.question for one in kept.values()] == [QUESTION, "Who won?"]
    assert kept[keys[0]] != right  # it has the text's hash now
    full.remove_feedback(keys[:1])
    assert list(full.feedback()) == keys[1:]
    with pytest.raises(InvalidInput, match="there is no feedback"):
        full.remove_feedback(keys)


@every
def test_indexed_is_all_there_is_of_an_article(full: AnyLibrary, embedder: Embedder, articles: list[Article]) -> None:
    item = full.indexed("bridge")
    assert item is not None
    assert (item.article, item.article.origin) == (articles[0], None)
    assert [passage.text for passage in item.passages] == [articles[0].text]
    assert item.vectors.tolist() == embedder.encode([base.embedded_text(item.passages[0])]).tolist()
    assert full.indexed("nobody") is None


class Interrupted(Exception):
    """Stands for the end of the process."""


@milvus
class TestNeverHalf:
    """An article is there whole or not at all, whatever its writing is interrupted at."""

    def writes(self, monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
        """Lets so many requests that write through, and fails at the next."""
        done = count()

        def limited(name: str) -> Callable[..., None]:
            true = getattr(Milvus, name)

            def write(self: Milvus, *arguments: object) -> None:
                if next(done) >= allowed:
                    raise Interrupted
                true(self, *arguments)

            return write

        for name in ("upsert", "delete"):
            monkeypatch.setattr(Milvus, name, limited(name))

    @pytest.mark.parametrize("allowed", [0, 1, 2, 3, 4, 6, 7])
    def test_replaced(
        self, library: AnyLibrary, add: Add, opened: Opened, allowed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, after = (make_article(text, id="a", origin=text) for text in ("Old chess. " * 9, "New chess. " * 9))
        moved = make_article("Moved.", id="b", origin=after.origin)
        add(library, before, moved)
        with monkeypatch.context() as patch:
            self.writes(patch, allowed)
            if allowed < 7:
                with pytest.raises(Interrupted):
                    add(library, after)
            else:
                assert add(library, after) == [("a", REPLACED)]
        expected = [before, moved] if allowed < 3 else [after]
        other = opened()
        assert [article for article, _ in other.articles()] == expected
        assert {hit.passage.article.text for hit in other.search("chess")} == {article.text for article in expected}
        assert add(other, after) == [("a", REPLACED if allowed < 3 else UNCHANGED)]
        assert [article for article, _ in other.articles()] == [after]

    def test_the_same_article_of_two_writers_is_the_last_ones(
        self, library: AnyLibrary, add: Add, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = opened()
        first, second = (make_article(f"{name} chess.", id="a", title=name) for name in ("First", "Second"))
        add(library, make_article("Nobody plays chess.", id="a"))
        forget = milvus_store.MilvusStore._forget

        def beaten(store: milvus_store.MilvusStore, rows: object) -> None:
            monkeypatch.setattr(milvus_store.MilvusStore, "_forget", forget)
            add(other, second)  # between the row of the first and the end of its writing
            forget(store, rows)  # type: ignore[arg-type]

        monkeypatch.setattr(milvus_store.MilvusStore, "_forget", beaten)
        add(library, first)
        for one in (library, other):
            assert [article for article, _ in one.articles()] == [second]
            assert [hit.passage.text for hit in one.search("chess")] == ["Second chess."]

    @pytest.mark.parametrize("removed", [False, True])
    def test_origin_of_an_article_that_another_replaces_or_removes_meanwhile(
        self, library: AnyLibrary, add: Add, opened: Opened, removed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = opened()
        before, moved = (make_article("Old chess.", id="a", origin=origin) for origin in ("/a", "/b"))
        add(library, before)
        upsert = Milvus.upsert

        def beaten(self: Milvus, *arguments: Any) -> None:
            monkeypatch.setattr(Milvus, "upsert", upsert)
            if removed:
                other.remove(["a"])
            else:
                add(other, make_article("New chess.", id="a"))
            upsert(self, *arguments)

        monkeypatch.setattr(Milvus, "upsert", beaten)
        assert add(library, moved) == [("a", UNCHANGED)]
        for one in (library, other):
            assert [(article, article.origin) for article, _ in one.articles()] == [(before, "/b")]
            assert [hit.passage.text for hit in one.search("chess")] == ["Old chess."]

    def test_text_that_another_adds_from_a_second_file_while_the_first_is_replaced(
        self, library: AnyLibrary, add: Add, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = opened()
        first, second = (make_article("Old chess.", origin=origin) for origin in ("/a", "/b"))
        edited = make_article("New chess.", origin="/a")
        add(library, first)
        store = milvus_store.MilvusStore
        replace, rows = store.replace, store._rows

        def replacing(one: milvus_store.MilvusStore, batch: list[Indexed]) -> None:
            monkeypatch.setattr(store, "replace", replace)
            monkeypatch.setattr(store, "_rows", late)
            replace(one, batch)

        def late(one: milvus_store.MilvusStore, keys: list[str]) -> object:
            monkeypatch.setattr(store, "_rows", rows)
            assert add(other, second) == [(second.id, UNCHANGED)]
            return rows(one, keys)

        monkeypatch.setattr(store, "replace", replacing)
        add(library, edited)
        assert [(one.id, one.origin) for one, _ in library.articles()] == [(edited.id, "/a"), (first.id, "/b")]

    def test_article_replaced_while_it_is_read(
        self, full: AnyLibrary, add: Add, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contents = milvus_store.MilvusStore._contents
        other = opened()

        def late(store: milvus_store.MilvusStore, rows: object) -> object:
            monkeypatch.setattr(milvus_store.MilvusStore, "_contents", contents)
            add(other, make_article("Chess is over.", id="chess"))
            return contents(store, rows)  # type: ignore[arg-type]

        monkeypatch.setattr(milvus_store.MilvusStore, "_contents", late)
        assert full.article("chess").text == "Chess is over."

    def test_nothing_stays_of_what_is_replaced_or_removed(self, full: AnyLibrary, add: Add) -> None:
        assert isinstance(full, MilvusLibrary)
        add(full, make_article(LONG, id="chess"))
        assert full.store.unnamed(time.time_ns()) == []
        full.remove(["chess", "ferry"])
        assert full.store.unnamed(time.time_ns()) == []

    def test_lost_piece(self, full: AnyLibrary, add: Add, articles: list[Article]) -> None:
        store = full._store
        assert isinstance(store, milvus_store.MilvusStore)
        [row] = store._rows(["a" + milvus_store.digest("chess")])
        store._milvus.delete(store._records, row.piece_keys)
        with pytest.raises(ArticleDamaged, match=r"the article 'chess' in .* is not what was stored; add it again"):
            full.article("chess")
        assert add(full, articles[1]) == [("chess", ADDED)]
        assert full.article("chess") == articles[1]

    @pytest.mark.parametrize("made", [0, 1, 4, 5])
    def test_collection_of_passages_made_in_part(
        self, library: AnyLibrary, add: Add, opened: Opened, made: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server does not load one that lacks an index."""
        create = MilvusClient.create_index
        done = count()

        def limited(client: MilvusClient, *arguments: Any, **named: Any) -> None:
            if next(done) >= made:
                raise Interrupted
            create(client, *arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(MilvusClient, "create_index", limited)
            with pytest.raises(Interrupted):
                add(library, make_article("Chess.", id="a"))
        other = opened()
        assert isinstance(other, MilvusLibrary)
        assert other.search("chess") == []
        assert add(other, make_article("Chess.", id="a")) == [("a", ADDED)]
        assert found(other, "chess") == ["a"]
        indexes = other.store._milvus._client.list_indexes(other.store.passage_rows)
        assert sorted(indexes) == ["article", "language", "published", "source", "vector", "words"]

    def test_library_made_before_there_were_indexes_of_fields(
        self,
        place: Path,
        opened: Opened,
        articles: list[Article],
        add: Add,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(milvus_rows, "_LOOKED_UP_RECORDS", ())
            patch.setattr(milvus_rows, "_LOOKED_UP_PASSAGES", ())
            with open_at(place, ToyEmbedder(), create=True) as old:
                add(old, *articles[:2])
        library = opened(create=False)
        assert isinstance(library, MilvusLibrary)
        add(library, *articles[2:])
        assert sorted(found(library, QUESTION, Filter(sources=frozenset({"Harbour Post"})))) == ["bridge", "ferry"]
        indexes = library.store._milvus._client.list_indexes
        assert sorted(indexes(library.store._records)) == ["kind", "nothing", "origin"]
        assert sorted(indexes(library.store.passage_rows)) == ["vector", "words"]


@milvus
class TestDoctor:
    @pytest.fixture
    def store(self, full: AnyLibrary) -> milvus_store.MilvusStore:
        assert isinstance(full, MilvusLibrary)
        return full.store

    def test_all_is_well(self, full: AnyLibrary) -> None:
        assert check_milvus(full) == Report((), (), (), 4, 4)

    def test_what_is_damaged(self, full: AnyLibrary, store: milvus_store.MilvusStore) -> None:
        rows = {row.id: row for row in store.article_rows()}
        store._milvus.delete(store._records, rows["chess"].piece_keys)
        changed = milvus_rows.record(rows["ferry"].piece_keys[0], "piece", '["ferry"]', rows["ferry"].version)
        store._milvus.upsert(store._records, [changed], 100)
        store._milvus.delete(store.passage_rows, rows["bridge"].passage_keys)
        report = check_milvus(full)
        assert [(one.check, one.kind, one.message) for one in report.findings] == [
            ("articles", Kind.TRUTH, "2 articles are not what was stored"),
            ("passages", Kind.TRUTH, "1 articles have lost passages"),
        ]
        assert [sorted(hurt.id for hurt in one.articles) for one in report.findings] == [["chess", "ferry"], ["bridge"]]
        assert (report.articles, report.passages) == (1, 1)

    def test_damaged_feedback(self, full: AnyLibrary, store: milvus_store.MilvusStore) -> None:
        keys = [
            full.give_feedback(make_feedback(question, Verdict.UNANSWERABLE)) for question in ("Who?", "When?", "Why?")
        ]
        changed = milvus_rows.feedback_key(keys[1])
        [row] = store._milvus.get(store._records, [changed], ["value"])
        store._milvus.upsert(
            store._records, [milvus_rows.record(changed, "feedback", row["value"].replace("When", "Where"))], 1_000
        )
        broken = milvus_rows.record(milvus_rows.feedback_key(keys[2]), "feedback", "[")
        store._milvus.upsert(store._records, [broken], 1_000)
        said = f"feedback that is not what was stored: {keys[1]}, {keys[2]}"
        remedy = "remove it with: pullquote feedback remove KEY"
        assert check_milvus(full).findings == (Finding("feedback", Kind.TRUTH, said, remedy),)
        full.remove_feedback(keys[1:])
        assert check_milvus(full).findings == ()

    def test_what_is_written_over_displaced_rows_goes_with_time(
        self, full: AnyLibrary, store: milvus_store.MilvusStore, add: Add, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts = ("It is shut.", "It is open.", "It is gone.")
        add(full, *(make_article(text, origin="/a") for text in texts))
        before = ids(full)

        def gone() -> int:
            return store._milvus.count(store._records, 'kind == "gone"')

        assert gone() == 2
        check_milvus(full, mend=True)
        assert gone() == 2  # somebody may be writing
        add(full, make_article(texts[0]))
        monkeypatch.setattr(milvus_doctor, "UNFINISHED_SECONDS", 0)
        check_milvus(full)
        assert gone() == 1
        check_milvus(full, mend=True)
        assert gone() == 0
        assert ids(full) == [*before, make_article(texts[0]).id]

    def test_what_interrupted_writing_has_left(
        self,
        full: AnyLibrary,
        store: milvus_store.MilvusStore,
        articles: list[Article],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        item = full.indexed("chess")
        assert item is not None
        store._written(item)
        assert full.counts() == (4, 4)
        assert full.rough_counts() == (4, 5)  # that of what is being written too
        assert check_milvus(full, mend=True).findings == ()  # somebody may be writing it
        monkeypatch.setattr(milvus_doctor, "UNFINISHED_SECONDS", 0)
        said = "2 rows were left by writing that was interrupted; nobody reads them"
        [finding] = check_milvus(full).findings
        assert (finding.kind, finding.message) == (Kind.WARNING, said)
        mended = check_milvus(full, mend=True)
        assert (mended.findings, [one.message for one in mended.mended]) == ((), [said])
        assert check_milvus(full) == Report((), (), (), 4, 4)
        assert store.unnamed(time.time_ns()) == []
        assert ids(full) == ["bridge", "chess", "ferry", "kettle"]


def test_what_was_acknowledged_survives_the_kill_of_the_server(tmp_path: Path, add: Add) -> None:
    server = Server(tmp_path / "server")
    place = Path(f"milvus://127.0.0.1:{server.port}/killed")
    long = make_article(LONG, id="long")
    with open_at(place, ToyEmbedder(), create=True) as library:
        add(library, long, make_article("Chess.", id="chess"))
        library.settle()
        add(library, make_article("Castle won.", id="castle"))
        library.remove(["chess"])
        server.kill()
    server.start()
    with open_at(place, ToyEmbedder()) as library:
        assert ids(library) == ["long", "castle"]
        assert library.article("long") == long
        assert found(library, "Who won, Castle?")[0] == "castle"
    server.kill()


def test_server_that_was_started_anew_is_used_again(tmp_path: Path, add: Add) -> None:
    server = Server(tmp_path / "server")
    with open_at(Path(f"milvus://127.0.0.1:{server.port}/anew"), ToyEmbedder(), create=True) as library:
        add(library, make_article("Castle won the chess cup.", id="chess"))
        server.kill()
        with pytest.raises(LibraryUnreachable, match="is the server there"):
            library.article("chess")
        server.start()
        when_it_answers(lambda: library.article("chess"))
        assert found(library) == ["chess"]
        assert add(library, make_article("Nobody won.", id="chess")) == [("chess", REPLACED)]
        assert library.counts() == (1, 1)
    server.kill()


def test_question_does_not_wait_for_a_server_that_hangs(
    tmp_path: Path, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.milvus_client._SEARCHING_SECONDS", 1.0)
    server = Server(tmp_path / "server")
    with open_at(Path(f"milvus://127.0.0.1:{server.port}/hangs"), ToyEmbedder(), create=True) as library:
        add(library, make_article("Castle won the chess cup.", id="chess"))
        assert found(library) == ["chess"]
        server.send(signal.SIGSTOP)
        with pytest.raises(LibraryUnreachable, match="is the server there"):
            library.search(QUESTION)
        with pytest.raises(LibraryUnreachable, match="is the server there"):
            library.article("chess")
        server.send(signal.SIGCONT)
        when_it_answers(lambda: library.article("chess"))
    server.kill()


def test_milvus_lite_lets_in_one_process(tmp_path: Path) -> None:
    folder = tmp_path / "server.milvus"
    server = Server(folder)
    with pytest.raises(LibraryBusy, match="is in use by another process, and Milvus Lite lets in one"):
        open_at(folder, None, create=True)
    server.kill()


def test_no_server() -> None:
    with pytest.raises(LibraryUnreachable, match=r"milvus://127.0.0.1:\d+/name: .*is the server there"):
        open_at(Path(f"milvus://127.0.0.1:{free_port()}/name"), None)


@pytest.mark.parametrize("text", ["milvus://", "milvus://host:19530", "milvus+tls://host/"])
def test_address_without_a_name(text: str) -> None:
    with pytest.raises(PullquoteError, match="names no library; write it like milvus://HOST:19530/NAME"):
        milvus_address(Path(text))


@pytest.mark.parametrize("port", ["abc", "99999", "-1", "0"])
def test_address_with_a_port_that_is_none(port: str) -> None:
    with pytest.raises(InvalidInput, match=f"milvus://host:{port}/name has no port that there is; write it like"):
        milvus_address(Path(f"milvus://host:{port}/name"))


def test_address_with_a_name_that_is_too_long() -> None:
    folder = Path("a.milvus")
    longest = folder / ("a" * 240)
    assert milvus_address(longest) is not None
    with pytest.raises(InvalidInput, match=r"the name of .* is too long for Milvus; shorten it"):
        milvus_address(longest / "collections")


@pytest.mark.parametrize(
    ("place", "reason"),
    [("a.milvus", "File exists"), ("a.milvus/b", "File exists"), ("file/a.milvus", "Not a directory")],
)
def test_folder_that_cannot_be_made(tmp_path: Path, place: str, reason: str) -> None:
    for name in ("a.milvus", "file"):
        (tmp_path / name).touch()
    with pytest.raises(LibraryNotWritable, match=rf"no library can be made at .*/{place}: {reason}"):
        open_at(tmp_path / place, None, create=True)


def test_collections_of_no_library_make_none(tmp_path: Path) -> None:
    assert collections_at(tmp_path / "none.milvus") == collections_at(tmp_path / "none") == ["main"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "uri", "folder", "name"),
    [
        ("milvus://host:19530/news", "http://host:19530", None, "news"),
        ("milvus+tls://host/news", "https://host", None, "news"),
        ("milvus://host:1/news/collections/a_b", "http://host:1", None, "news__collections__a_b"),
        ("milvus://host/2024/collections/7", "http://host", None, "_2024_6557739a__collections__7"),
        ("news.milvus", None, Path("news.milvus"), "library"),
        ("/a/news.milvus/collections/x", None, Path("/a/news.milvus"), "collections__x"),
    ],
)
def test_addresses(text: str, uri: str | None, folder: Path | None, name: str) -> None:
    address = milvus_address(Path(text))
    assert address is not None
    assert (address.where, address.uri, address.folder, address.name) == (text, uri, folder, name)


def test_names_that_milvus_does_not_take_stay_apart() -> None:
    names = [milvus_address(Path(f"milvus://host/{name}")) for name in ("a-b", "a_b", "a.b", "ä", "a b", "7", "_7")]
    assert len({address and address.name for address in names}) == 7


@pytest.mark.parametrize("text", ["library", "/srv/milvus", ".milvus", "a/.milvus/b"])
def test_directories_are_none(text: str) -> None:
    assert milvus_address(Path(text)) is None
