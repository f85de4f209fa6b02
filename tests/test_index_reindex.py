"""Reindexing: other passages and vectors for the same articles, while the library serves, and wherever it is killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from conftest import DIMENSIONS, OpenLibrary, ToyEmbedder
from test_index_schema import everything

from index import base
from index import reindex as reindexing
from index.article import Article, make_article
from index.doctor import check
from index.embed import Embedder, Vectors
from index.errors import LibraryBusy, LibraryCorrupt, LibraryNotFound, ModelMismatch
from index.files import side_directories
from index.library import DATABASE, Library
from index.lock import write_lock
from index.passage import Splitter
from index.reindex import reindex
from index.store import Store


class NewEmbedder(ToyEmbedder):
    """Other vectors of other dimensions; notes what it embeds."""

    def __init__(self) -> None:
        super().__init__("new toy", "new-0123456789ab")
        self.embedded: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.embedded += texts
        halves = super().encode(texts)[:, : DIMENSIONS // 2]
        return halves / np.linalg.norm(halves, axis=1, keepdims=True)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_index_reindex
from index import reindex
from index.store import Store

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def swapping(articles):
    for number, article in enumerate(articles):
        if number == 20:
            die()
        yield article

def killed(point, library):
    original = Store.recut
    if point == "embedding":
        advance = lambda done, total: done < 20 or die()
    else:
        advance = lambda done, total: None
    if point == "swapping":
        Store.recut = lambda self, batch, settings: original(self, swapping(batch), settings)
    elif point == "swapped":
        Store.recut = lambda self, batch, settings: die(original(self, batch, settings))
    elif point != "embedding":
        setattr(reindex, point, die)
    reindex.reindex(library, test_index_reindex.NewEmbedder(), advance)
    os._exit(0)

for point in sys.argv[3:]:
    child = os.fork() or killed(point, Path(sys.argv[2].format(point=point)))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
"""Kills processes that reindex, at the points that are named; prints how they ended."""

POINTS = {
    "embedding": "old",
    "_patient_lock": "old",
    "_all": "old",
    "swapping": "old",
    "swapped": "new",
    "remove_all": "new",
}


def article(number: int, text: str = "was shut") -> Article:
    sentences = f"The bridge number {number} {text}. " + "Engineers had found cracks in its deck. " * 10
    return make_article(sentences, id=f"a{number:02}", title=f"Bridge {number}", origin=f"/news/{number}.txt")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "library"
    with Library(path, ToyEmbedder(), create=True) as library:
        library.add([article(number) for number in range(40)])
        library.remove(["a05"])
        library.refresh()
    return path


@pytest.fixture
def path(built: Path, library_path: Path) -> Path:
    """A library of 39 articles with saved indexes, closed."""
    return Path(copytree(built, library_path))


@pytest.fixture
def new() -> NewEmbedder:
    return NewEmbedder()


def state(path: Path) -> list[Any]:
    """Articles, the text of their passages and their vectors, in the order of the articles; no keys."""
    with closing(Store(path / DATABASE)) as store:
        articles = [(one, one.origin) for one, _ in store.articles(0, 1_000)]
        passages = store.passages(store.snapshot()[1].tolist())
        _, vectors = store.vectors(passages)
        rows = [(p.article.id, p.start, p.end, v.tolist()) for p, v in zip(passages.values(), vectors, strict=True)]
        return [articles, sorted(rows), store.setting("embedder"), store.setting("embedder_name")]


def fresh(path: Path, articles: Sequence[Article], embedder: Embedder) -> list[Any]:
    """The state of a library that those articles are added to."""
    with Library(path, embedder, create=True) as library:
        library.add(articles)
    return state(path)


def best(path: Path, embedder: Embedder, question: str) -> str:
    with Library(path, embedder) as library:
        return library.search(question, 1)[0].passage.article.id


class TestReindex:
    def test_is_what_adding_all_to_a_new_library_gives(self, path: Path, new: NewEmbedder, tmp_path: Path) -> None:
        articles = state(path)[0]
        counts = reindex(path, new)
        assert state(path) == fresh(tmp_path / "fresh", [one for one, _ in articles], NewEmbedder())
        assert counts == (39, len(state(path)[1]))
        assert side_directories(path) == []
        assert check(path, new).findings[0].message.startswith("the saved indexes were made with other models")
        assert best(path, new, "bridge number 7") == "a07"
        assert check(path, new).findings == ()

    def test_keys_of_passages_are_not_used_again(self, path: Path, new: NewEmbedder) -> None:
        before = everything(path / DATABASE)
        reindex(path, new)
        after = everything(path / DATABASE)
        assert min(after[3]) > max(before[3])
        assert after[0] > before[0]

    def test_with_its_own_embedder_after_the_splitter_changed(
        self, tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(base, "Splitter", partial(Splitter, budget=20))
            fresh(tmp_path / "library", [article(number) for number in range(5)], embedder)
        assert [one.check for one in check(tmp_path / "library", embedder).findings] == ["splitter"]
        before = len(state(tmp_path / "library")[1])
        _, passages = reindex(tmp_path / "library", embedder)
        assert passages < before
        assert check(tmp_path / "library", embedder).findings == ()

    def test_library_serves_and_takes_articles_meanwhile(
        self, path: Path, embedder: Embedder, new: NewEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(base, "_BATCH_PASSAGES", 8)
        with Library(path, embedder) as library:

            def advance(done: int, total: int) -> None:
                assert library.search("bridge number 7", 1)[0].passage.article.id == "a07"
                if done == 15:
                    library.add([article(50), article(3, "was opened"), article(30, "was opened")])
                    library.remove(["a02", "a35"])

            reindex(path, new, advance)
            articles = [one for one, _ in library.articles()]
            assert [one.id for one in articles[-3:]] == ["a50", "a03", "a30"]
            assert "a02" not in {one.id for one in articles}
        assert state(path)[1:] == fresh(tmp_path / "fresh", articles, NewEmbedder())[1:]
        assert best(path, new, "bridge number 50") == "a50"

    def test_process_that_has_it_open_is_told(self, path: Path, embedder: Embedder, new: NewEmbedder) -> None:
        with Library(path, embedder) as library:
            assert library.search("bridge number 7", 1)[0].passage.article.id == "a07"
            reindex(path, new)
            for use in (lambda: library.search("bridge number 7"), lambda: library.add([article(50)])):
                with pytest.raises(ModelMismatch, match="was built with the embedder new toy"):
                    use()
            assert library.article("a07") == article(7)

    def test_process_that_has_it_open_with_the_same_embedder_goes_on(self, path: Path, embedder: Embedder) -> None:
        with Library(path, embedder) as library:
            before = library.search("bridge number 7", 3)
            reindex(path, embedder)
            after = library.search("bridge number 7", 3)
        assert [(hit.passage, hit.score) for hit in after] == [(hit.passage, hit.score) for hit in before]

    def test_progress(self, path: Path, new: NewEmbedder) -> None:
        steps: list[tuple[int, int]] = []
        reindex(path, new, lambda done, total: steps.append((done, total)))
        assert steps == [(done, 39) for done in [*range(40), 39]]

    def test_two_articles_of_one_file(self, open_library: OpenLibrary, new: NewEmbedder, library_path: Path) -> None:
        with open_library() as library:
            library.add(
                [make_article("One text.", id="a", origin="/a.txt"), make_article("Two.", id="b", origin="/b.txt")]
            )
            library.add([make_article("One text.", id="a", origin="/b.txt")])  # seen again, under another name
        reindex(library_path, new)
        assert [(one.id, origin) for one, origin in state(library_path)[0]] == [("a", "/b.txt"), ("b", "/b.txt")]

    def test_empty_library(self, open_library: OpenLibrary, library_path: Path, new: NewEmbedder) -> None:
        open_library().close()
        assert reindex(library_path, new) == (0, 0)
        assert state(library_path) == [[], [], "new-0123456789ab", "new toy"]

    def test_no_library(self, tmp_path: Path, new: NewEmbedder) -> None:
        with pytest.raises(LibraryNotFound):
            reindex(tmp_path / "nothing", new)
        assert not (tmp_path / "nothing").exists()

    def test_damaged_article(self, path: Path, new: NewEmbedder) -> None:
        with closing(Store(path / DATABASE)) as store, store.write() as db:
            db.execute("UPDATE article SET text = 'Other.' WHERE id = 'a07'")
        with pytest.raises(LibraryCorrupt, match=r"'a07' .* see: pullquote doctor"):
            reindex(path, new)


class TestInterrupted:
    @pytest.fixture(autouse=True)
    def small_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(base, "_BATCH_PASSAGES", 8)

    def interrupted(self, path: Path, embedder: Embedder, after: int) -> None:
        def advance(done: int, total: int) -> None:
            if done == after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            reindex(path, embedder, advance)

    def test_goes_on_where_it_stopped(self, path: Path, new: NewEmbedder, tmp_path: Path) -> None:
        before = state(path)
        self.interrupted(path, new, after=20)
        assert state(path) == before
        steps: list[tuple[int, int]] = []
        again = NewEmbedder()
        reindex(path, again, lambda done, total: steps.append((done, total)))
        assert steps[0] >= (20, 39)
        assert not set(new.embedded[:-40]) & set(again.embedded)
        assert state(path) == fresh(tmp_path / "fresh", [one for one, _ in before[0]], NewEmbedder())

    def test_what_has_changed_since(self, path: Path, embedder: Embedder, new: NewEmbedder, tmp_path: Path) -> None:
        self.interrupted(path, new, after=20)
        with Library(path, embedder) as library:
            library.add([article(50), article(3, "was opened")])
            library.remove(["a02", "a35"])
        reindex(path, new)
        assert state(path)[1:] == fresh(tmp_path / "fresh", [one for one, _ in state(path)[0]], NewEmbedder())[1:]

    def test_killed_anywhere(self, path: Path, new: NewEmbedder, tmp_path: Path) -> None:
        """It is the old or the new library, which can be used as it is; and the next reindex goes on."""
        old, fresh_state = state(path), fresh(tmp_path / "fresh", [one for one, _ in state(path)[0]], NewEmbedder())
        for point in POINTS:
            copytree(path, tmp_path / point)
        arguments = [str(Path(__file__).parent), str(tmp_path / "{point}"), *POINTS]
        ran = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, timeout=60)
        assert ran.stdout.split() == [str(-signal.SIGKILL)] * len(POINTS)
        for point, expected in POINTS.items():
            library = tmp_path / point
            assert state(library) == (old if expected == "old" else fresh_state), point
            assert best(library, ToyEmbedder() if expected == "old" else new, "bridge number 7") == "a07"
            assert [one.check for one in check(library).findings] == ["reindex"]
            again = NewEmbedder()
            reindex(library, again)
            assert state(library) == fresh_state
            assert len(again.embedded) < len(fresh_state[1])
            assert side_directories(library) == []


class TestBesideOthers:
    @pytest.fixture(autouse=True)
    def no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reindexing, "_TRIES", 3)

    def test_one_that_does_not_cease_to_write(
        self, path: Path, new: NewEmbedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = state(path)
        waited: list[float] = []
        monkeypatch.setattr(reindexing.time, "sleep", waited.append)
        with write_lock(path), pytest.raises(LibraryBusy, match="is being written to by process"):
            reindex(path, new)
        assert waited == [1.0, 1.0]
        assert state(path) == before
        again = NewEmbedder()
        reindex(path, again)
        assert again.embedded == []

    def test_one_that_ceases(self, path: Path, new: NewEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
        lock = write_lock(path)
        lock.__enter__()
        monkeypatch.setattr(reindexing.time, "sleep", lambda seconds: lock.__exit__(None, None, None))
        assert reindex(path, new)[0] == 39

    def test_another_reindex(self, path: Path, new: NewEmbedder) -> None:
        refused: list[int] = []

        def advance(done: int, total: int) -> None:
            if done == 20:
                with pytest.raises(LibraryBusy, match=r"reindex-\w+ is being written to by process"):
                    reindex(path, NewEmbedder())
                refused.append(done)

        assert reindex(path, new, advance)[0] == 39
        assert refused == [20]

    def test_many_articles_that_came_at_the_last_moment_are_not_embedded_under_the_lock(
        self, path: Path, embedder: Embedder, new: NewEmbedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reindexing, "_FEW", 2)
        real, held = reindexing._patient_lock, []

        @contextmanager
        def late(library: Path) -> Iterator[None]:
            if not held:
                with Library(path, embedder) as opened:
                    opened.add([article(number) for number in range(50, 53)])
            with real(library):
                before = len(new.embedded)
                yield
                held.append(len(new.embedded) - before)

        monkeypatch.setattr(reindexing, "_patient_lock", late)
        assert reindex(path, new)[0] == 42
        assert held == [0, 0]


def test_origin_of_an_article_is_kept(path: Path, new: NewEmbedder) -> None:
    reindex(path, new)
    with closing(Store(path / DATABASE)) as store:
        found = store.article("a07")
    assert found == replace(article(7), origin=None)
    assert found is not None
    assert found.origin == "/news/7.txt"
