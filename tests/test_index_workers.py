"""Passages embedded by other processes: the same library, whatever these processes do."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import OpenLibrary, ToyEmbedder

from index import base, workers
from index.article import Article, make_article
from index.errors import ModelNotFound
from index.library import Library, Outcome
from index.onnx import THREADS
from index.workers import COMMAND, WorkerDied, Workers

TOY = (sys.executable, "-B", str(Path(__file__).with_name("toy_worker.py")))


@pytest.fixture(autouse=True)
def two_passages_a_batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(workers, "COMMAND", TOY)
    monkeypatch.setattr(base, "_BATCH_PASSAGES", 2)


@pytest.fixture
def library(open_library: OpenLibrary, tmp_path: Path) -> Library:
    """The name of its embedder is that of a file which tells of a danger met."""
    return open_library(embedder=ToyEmbedder(str(tmp_path / "met")))


def texts(*said: str) -> list[Article]:
    return [make_article(f"{one}. Nobody asks.", id=f"a{number}") for number, one in enumerate(said)]


MANY = texts(*(f"Number {number} has {'many words ' * number}" for number in range(40)))


def contents(library: Library) -> list[object]:
    found = [library.indexed(article.id) for article, _ in library.articles()]
    return [(one.article, one.passages, one.vectors.tolist()) for one in found if one]


def acknowledged(library: Library, articles: list[Article], workers: int) -> list[tuple[str, Outcome]]:
    told: list[tuple[str, Outcome]] = []
    library.add(articles, lambda article, outcome: told.append((article.id, outcome)), workers)
    return told


@pytest.mark.parametrize("number", [2, 5])
def test_library_is_the_same_as_without_workers(
    library: Library, open_library: OpenLibrary, tmp_path: Path, number: int
) -> None:
    plain = open_library(tmp_path / "plain")
    assert acknowledged(library, MANY, number) == acknowledged(plain, MANY, 1)
    assert contents(library) == contents(plain)
    assert [hit.passage for hit in library.search("Number 7")] == [hit.passage for hit in plain.search("Number 7")]


def test_an_article_that_is_under_way_is_waited_for(library: Library) -> None:
    again = [*MANY[:3], make_article("Number 0 is another.", id="a0"), MANY[1]]
    told = dict.fromkeys(["a0", "a1", "a2"], Outcome.ADDED)
    assert acknowledged(library, again, 2) == [
        *told.items(),
        ("a1", Outcome.UNCHANGED),
        ("a0", Outcome.REPLACED),
    ]
    assert library.article("a0").text == "Number 0 is another."


def test_interrupted_keeps_what_was_acknowledged(library: Library) -> None:
    def interrupted() -> Iterator[Article]:
        yield from MANY[:12]
        raise KeyboardInterrupt

    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        library.add(interrupted(), lambda article, _: told.append(article.id), 2)
    assert told == [article.id for article, _ in library.articles()]
    assert told == [f"a{number}" for number in range(len(told))]


def test_texts_of_one_that_dies_are_embedded_once_more(library: Library, tmp_path: Path) -> None:
    articles = texts("Harmless", "It is dangerous", "Harmless too")
    assert acknowledged(library, articles, 2) == [(f"a{number}", Outcome.ADDED) for number in range(3)]
    assert (tmp_path / "met").exists()


def test_texts_that_are_deadly_lose_nothing_else(library: Library) -> None:
    articles = texts(*["Harmless"] * 8, "It is deadly", *["Harmless"] * 8)
    told: list[str] = []
    with pytest.raises(WorkerDied, match=r"ended twice while it embedded the same passages \(SIGABRT\)"):
        library.add(articles, lambda article, _: told.append(article.id), 2)
    assert told == [f"a{number}" for number in range(8)] == [article.id for article, _ in library.articles()]
    without = [article for article in articles if article.id != "a8"]
    assert acknowledged(library, without, 2)[-1] == ("a16", Outcome.ADDED)


def test_workers_end_with_their_work(tmp_path: Path) -> None:
    with Workers([*TOY, str(tmp_path / "met")], 3) as those:
        processes = [worker._process for worker in those._workers]
        np.testing.assert_array_equal(those.begin(["some words"])(), ToyEmbedder().encode(["some words"]))
        assert [process.poll() for process in processes] == [None] * 3
    assert [process.returncode for process in processes] == [-signal.SIGKILL] * 3


def test_each_has_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = f"json.dumps({{'no_model': os.environ['{THREADS}']}})"
    show = f"import json, os, socket; socket.socket(fileno=0).sendall({answer}.encode() + bytes([10]))"
    for cores, number, share in ((8, 3, 2), (2, 2, 1), (2, 4, 1)):
        monkeypatch.setattr(workers, "cores", lambda cores=cores: cores)
        with Workers([sys.executable, "-c", show], number) as those, pytest.raises(ModelNotFound, match=f"^{share}$"):
            those.begin(["x"])()


def test_model_that_is_not_there_is_told() -> None:
    with Workers([*COMMAND, "nowhere/at/all"], 2) as those, pytest.raises(ModelNotFound, match="nowhere/at/all"):
        those.begin(["x"])()


def test_one_whose_parent_is_gone_ends(tmp_path: Path) -> None:
    with Workers([*TOY, str(tmp_path / "met")], 2) as those:
        worker = those._workers[0]
        worker._socket.close()
        assert worker._process.wait() == 0
