import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, ToyEmbedder

from index.article import make_article
from index.library import Library
from index.lock import write_lock
from index.passage import Passage
from qa.cli_watch import follow
from qa.reader import Reader, Span


@pytest.fixture
def reader() -> Reader:
    class NoReader:
        def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
            return [[] for _ in passages]

    return NoReader()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "articles"
    path.mkdir()
    (path / "a.txt").write_text("The treaty was signed in 1648.")
    return path


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library(tmp_path / "library", ToyEmbedder(), create=True) as opened:
        yield opened


def texts(library: Library) -> list[str]:
    return sorted(article.text for article, _ in library.articles())


def told(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed since, without the times of day."""
    return [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in capfd.readouterr().out.splitlines()]


def test_new_changed_and_removed_files_are_followed(
    library: Library, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def changes() -> Iterator[set[Path]]:
        yield set()
        assert texts(library) == ["The treaty was signed in 1648."]
        (folder / "b.txt").write_text("Nobody came.")
        (folder / "a.txt").write_text("The treaty was signed in 1649.")
        yield {folder / "a.txt", folder / "b.txt"}
        assert texts(library) == ["Nobody came.", "The treaty was signed in 1649."]
        (folder / "a.txt").unlink()
        yield {folder / "a.txt"}
        assert texts(library) == ["Nobody came."]
        yield set()

    follow(library, folder, changes())
    assert told(capfd) == ["1 added", "1 added, 1 replaced", "1 removed"]


def test_what_happened_before_is_caught_up_with(library: Library, folder: Path, tmp_path: Path) -> None:
    library.add(
        [
            make_article("Gone since.", origin=str(folder / "gone.txt")),
            make_article("In another folder.", origin=str(tmp_path / "other" / "gone.txt")),
            make_article("Of no file."),
        ]
    )
    follow(library, folder, [set()])
    assert texts(library) == ["In another folder.", "Of no file.", "The treaty was signed in 1648."]


def test_a_name_that_is_not_utf_8(library: Library, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = folder / os.fsdecode(b"caf\xe9.txt")

    def changes() -> Iterator[set[Path]]:
        path.write_text("Nobody came.")
        yield set()
        path.write_text("Somebody came.")
        yield {path}
        assert texts(library) == ["Somebody came.", "The treaty was signed in 1648."]
        path.unlink()
        yield {path}

    follow(library, folder, changes())
    follow(library, folder, [set()])
    assert told(capfd) == ["2 added", "1 replaced", "1 removed"]


def test_a_folder_that_goes_takes_its_files_along(library: Library, folder: Path) -> None:
    def changes() -> Iterator[set[Path]]:
        yield set()
        (folder / "b").mkdir()
        (folder / "b" / "c.txt").write_text("Nobody came.")
        yield {folder / "b"}  # whoever watches may have been too late for the file in it
        assert len(texts(library)) == 2
        (folder / "b" / "c.txt").unlink()
        (folder / "b").rmdir()
        yield {folder / "b"}

    follow(library, folder, changes())
    assert texts(library) == ["The treaty was signed in 1648."]


@pytest.mark.parametrize("name", [".hidden.txt", ".git/a.txt", "a.exe", "a"])
def test_what_would_not_be_added_is_not_followed(library: Library, folder: Path, name: str) -> None:
    def changes() -> Iterator[set[Path]]:
        yield set()
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("Not an article.")
        yield {folder / name}

    follow(library, folder, changes())
    assert texts(library) == ["The treaty was signed in 1648."]


def test_a_file_that_cannot_be_read_is_told_and_the_others_are(
    library: Library, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.txt").write_text("")
    follow(library, folder, [set()])
    assert "not read" in (errors := capfd.readouterr().err)
    assert "it is empty" in errors
    assert texts(library) == ["The treaty was signed in 1648."]


def test_while_another_process_writes_it_waits(library: Library, folder: Path) -> None:
    def changes() -> Iterator[set[Path]]:
        yield set()
        (folder / "b.txt").write_text("Nobody came.")
        with write_lock(library.path):
            yield {folder / "b.txt"}
            assert len(texts(library)) == 1
        yield set()

    follow(library, folder, changes())
    assert len(texts(library)) == 2


def test_no_folder(run: Run, folder: Path) -> None:
    done = run("watch", str(folder / "a.txt"))
    assert (done.code, "is no folder" in done.err) == (64, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_real_folder_is_watched_until_it_is_told_to_end(folder: Path, tmp_path: Path, number: int) -> None:
    with watching(folder, tmp_path / "library") as process:
        assert process.stdout.readline().endswith(" 1 added\n")
        (folder / "b.txt").write_text("Nobody came.")
        assert process.stdout.readline().endswith(" 1 added\n")
        (folder / "b.txt").unlink()
        assert process.stdout.readline().endswith(" 1 removed\n")
        process.send_signal(number)
        assert process.wait(30) == 0
    with Library(tmp_path / "library") as library:
        assert texts(library) == ["The treaty was signed in 1648."]


def watching(folder: Path, library: Path) -> Any:
    command = [sys.executable, "-c", "from qa.cli import main; main()", "--library", str(library), "watch", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
