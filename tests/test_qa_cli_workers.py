"""`pullquote add --workers`: the shipped embedder in processes of its own makes the same library."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Ran

from index import base
from index.article import Article
from index.embed import load_embedder
from index.errors import LibraryNotFound
from index.library import Library

SENTENCE = "The ferry {number} hit the breakwater at Saltgate in fog. Nobody was killed.\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for number in range(9):
        (folder / f"{number}.txt").write_text(SENTENCE.format(number=number) * (number + 1))
    (folder / "none.json").write_text("{broken")
    return folder


def pullquote(library: Path, *arguments: str) -> Ran:
    command = [sys.executable, "-c", "from qa.cli import main; main()", "--library", str(library), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def test_library_is_that_of_one_process(files: Path, tmp_path: Path) -> None:
    places = [tmp_path / "several", tmp_path / "one"]
    for place, workers in zip(places, ("2", "1"), strict=True):
        ran = pullquote(place, "add", str(files), "--workers", workers)
        assert (ran.code, ran.out) == (1, "9 added, 0 replaced, 0 unchanged\n")
        assert f"not read: {files / 'none.json'}: it is no valid JSON" in ran.err
    with Library(places[0]) as several, Library(places[1]) as one:
        assert several.checksums() == one.checksums()
        assert several.settings() == one.settings()
        for id in one.checksums():
            ours, theirs = several.indexed(id), one.indexed(id)
            assert ours is not None
            assert theirs is not None
            assert ours.passages == theirs.passages
            np.testing.assert_allclose(ours.vectors, theirs.vectors, atol=1e-6)


def test_a_process_that_is_killed_costs_nothing(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_BATCH_PASSAGES", 1)
    articles = [Article(f"a{number}", SENTENCE.format(number=number)) for number in range(12)]
    told: list[str] = []

    def kill_all(article: Article, _: object) -> None:
        told.append(article.id)
        if len(told) == 1:
            for process in children():
                os.kill(process, signal.SIGKILL)

    with Library(tmp_path / "library", load_embedder(), create=True) as library:
        library.add(articles, kill_all, workers=2)
        assert told == [article.id for article in articles] == list(library.checksums())
    assert children() == []


def children() -> list[int]:
    """The workers of this process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"index.worker\0" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return found


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_no_number_of_workers(files: Path, tmp_path: Path, number: str) -> None:
    ran = pullquote(tmp_path / "library", "add", str(files), "--workers", number)
    assert ran.code == 2
    assert "Invalid value for '--workers'" in ran.err
    with pytest.raises(LibraryNotFound):
        Library(tmp_path / "library")
