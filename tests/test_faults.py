"""Rows A2 to A7 of the reliability matrix: power cuts, errors of the disk, a full one, a read-only one, two writers,
damaged files. What the machine does not allow is skipped with the reason."""

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from conftest import ToyEmbedder

from index.errors import DiskFull, LibraryBusy, LibraryCorrupt, LibraryNotWritable, ModelMismatch
from index.library import DATABASE, Library, Outcome
from tests.crash import FAULTS, disk_errors, kill, start, write_traced
from tests.crash_child import COMMON, Journal, Task, add, make, session, words
from tests.faults import PLANTED, PowerLoss, full, in_memory, mounted, read_only
from tests.invariants import Ledger, check
from tests.traces import acknowledged_unsynced, renamed_unsynced, unsynced_files

_DAMAGES = 100
FIRST = [make(number, 1) for number in range(12)]
WORDS = [words(article)[-1] for article in FIRST]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:  # tmp_path before, since pytest makes its place where the first one is
    with in_memory() as directory:
        yield directory


@pytest.fixture
def filled(path: Path) -> Path:
    """A library of the first articles, its indexes saved."""
    with opened(path) as library:
        library.add(FIRST)
        library.search(COMMON)
    return path


def opened(path: Path) -> Library:
    return Library(path, ToyEmbedder(), create=True)


def results(library: Library) -> list[object]:
    """All that a reader can be told."""
    hits = [hit for word in WORDS for hit in library.search(word, 1)]
    found = [(hit.passage.article.id, hit.passage.start, hit.passage.end, hit.passage.text) for hit in hits]
    return [library.counts(), library.articles(0, 100), found, [library.article(article.id) for article in FIRST]]


def violations(path: Path, journal: bytes) -> list[str]:
    ledger = Ledger()
    ledger.read(journal)
    return [*check(path, ledger, ToyEmbedder()).violations]


class TestPowerCut:
    @pytest.fixture
    def path(self, memory: Path) -> Path:
        return memory / "library"

    @pytest.fixture
    def journal(self, memory: Path) -> Path:
        return memory / "journal"

    def test_order_of_calls(self, path: Path, journal: Path) -> None:
        calls = write_traced(Task(str(path), str(journal), 7, sessions=2))
        assert sum("done" in call.text for call in calls) > 20
        assert sum(call.text == str(path / "manifest.json") for call in calls) > 2
        assert acknowledged_unsynced(calls, path, journal) == []
        assert renamed_unsynced(calls, path) == []
        assert unsynced_files(calls, path) == []

    @staticmethod
    def cut(path: Path, journal: Path, chance: float) -> list[tuple[Path, bytes]]:
        """Copies of the library as power cuts would leave it, each with what the journal said then."""
        copies: list[tuple[Path, bytes]] = []
        random = Random(1)

        def maybe() -> None:
            if random.random() < chance:
                copies.append((path.with_name(f"cut{len(copies)}"), journal.read_bytes()))
                power.cut(path, copies[-1][0], random)

        with PowerLoss(maybe) as power, Journal(journal) as open_journal:
            for _ in range(2):
                session(path, ToyEmbedder(), open_journal, Random(7))
        return copies

    def test_what_was_synced_is_enough(self, path: Path, journal: Path) -> None:
        copies = self.cut(path, journal, chance=0.05)
        assert len(copies) > 20
        assert [what for copy, acknowledged in copies for what in violations(copy, acknowledged)] == []

    def test_unless_nothing_is_synced(self, path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            PLANTED["no fsync"](patched.setattr)
            copies = self.cut(path, journal, chance=0.02)
        assert sum(bool(violations(copy, acknowledged)) for copy, acknowledged in copies) > len(copies) / 2


@pytest.mark.usefixtures("memory")
def test_disk_errors_lose_nothing() -> None:
    sites = list(disk_errors(seed=1, most=2))
    assert [(site.fault, what) for site in sites for what in site.findings.violations] == []
    assert sum(site.findings.lost for site in sites) == 0
    assert len(sites) == 2 * len(FAULTS)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Eight megabytes."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m", "tmpfs") as disk:
        yield disk


class TestFullDisk:
    @pytest.mark.parametrize("free", [0, 50_000, 200_000])
    def test_nothing_is_lost_and_adding_goes_on_once_there_is_room(self, disk: Path, journal: Path, free: int) -> None:
        with opened(disk / "library") as library, Journal(journal) as acknowledged:
            add(library, FIRST, acknowledged)
            library.search(COMMON)
            with full(disk, free), ExitStack() as stack:
                stack.enter_context(pytest.raises(DiskFull, match="is full; make room and try again"))
                for version in range(2, 100):
                    add(library, [make(number, version) for number in range(12)], acknowledged)
            with full(disk):
                before = library.articles(0, 100), library.search(COMMON)
                library.save()
                with Library(library.path, ToyEmbedder()) as reader:
                    assert (reader.articles(0, 100), reader.search(COMMON)) == before
            add(library, [make(23, 1)], acknowledged)
        assert violations(library.path, journal.read_bytes()) == []

    def test_opening(self, disk: Path) -> None:
        """Where SQLite has no room for its own files a reader is told so."""
        with opened(disk / "library") as library:
            library.add(FIRST)
            expected = results(library)
        with full(disk), suppress(DiskFull), Library(library.path, ToyEmbedder()) as library:
            assert results(library) == expected
        with Library(library.path, ToyEmbedder()) as library:
            assert results(library) == expected


class TestReadOnly:
    def test_reading_goes_on_and_writing_is_refused(self, filled: Path, tmp_path: Path) -> None:
        with Library(filled, ToyEmbedder()) as library:
            expected = results(library)
        with read_only(filled, tmp_path / "read-only") as path, Library(path, ToyEmbedder()) as library:
            assert results(library) == expected
            with pytest.raises(LibraryNotWritable, match="read-only cannot be written to"):
                library.add([make(1, 2)])
            with pytest.raises(LibraryNotWritable, match="read-only cannot be written to"):
                library.remove(["a01"])

    @pytest.fixture
    def unmerged(self, filled: Path, tmp_path: Path) -> Path:
        """What a process leaves that was killed when it had added an article."""
        with Library(filled, ToyEmbedder()) as library:
            library.add([make(20, 1)])
            shutil.copytree(filled, tmp_path / "unmerged")
        return tmp_path / "unmerged"

    def test_unmerged_changes_are_seen(self, unmerged: Path, tmp_path: Path) -> None:
        with read_only(unmerged, tmp_path / "read-only") as path, Library(path, ToyEmbedder()) as library:
            assert library.article("a20") == make(20, 1)

    def test_unmerged_changes_without_their_index_are_not_ignored(self, unmerged: Path, tmp_path: Path) -> None:
        (unmerged / f"{DATABASE}-shm").unlink()
        with read_only(unmerged, tmp_path / "read-only") as path:
            with pytest.raises(LibraryNotWritable, match="has unmerged changes; open it once with the right to write"):
                Library(path)
            Library(unmerged).close()
            with Library(path) as library:
                assert library.article("a20") == make(20, 1)


class TestTwoWriters:
    def test_second_process_is_told_who_is_writing(self, filled: Path, journal: Path) -> None:
        point = "after the commit, before its acknowledgement"
        holder = start(Task(str(filled), str(journal), 7, point=point), until=point)
        try:
            with Library(filled, ToyEmbedder()) as library:
                began = time.monotonic()
                with pytest.raises(LibraryBusy, match=f"is being written to by process {holder.pid}; try again"):
                    library.add([make(1, 2)])
                assert time.monotonic() - began < 2
                assert library.search(COMMON) != []
        finally:
            kill(holder)
        with Library(filled, ToyEmbedder()) as library:
            library.add([make(1, 2)])

    def test_threads_add_the_same_and_other_articles(self, path: Path, journal: Path) -> None:
        with opened(path) as library, ThreadPoolExecutor(8) as threads, Journal(journal) as acknowledged:
            outcomes: list[Outcome] = []

            def work(thread: int) -> None:
                for article in Random(thread).sample(FIRST, len(FIRST)):
                    library.add([article], lambda _, outcome: outcomes.append(outcome))
                    library.search(COMMON)
                add(library, [make(12 + thread, 1)], acknowledged)

            list(threads.map(work, range(8)))
            assert (outcomes.count(Outcome.ADDED), outcomes.count(Outcome.UNCHANGED)) == (12, 7 * 12)
            add(library, FIRST, acknowledged)
        assert violations(path, journal.read_bytes()) == []


class TestDamagedFiles:
    @pytest.fixture
    def path(self, memory: Path) -> Path:
        return memory / "library"

    def test_derived_files_are_made_again(self, filled: Path) -> None:
        with Library(filled, ToyEmbedder()) as library:
            expected = results(library)
        for number in range(_DAMAGES):
            random = Random(number)
            copy = filled.with_name("copy")
            shutil.copytree(filled, copy)
            files = sorted(path for path in copy.glob("*-*/**/*") if path.is_file() and path.suffix != ".lock")
            damage(random.choice([*files, *copy.glob("dense-*"), copy / "manifest.json"]), random)
            with Library(copy, ToyEmbedder()) as library:
                assert results(library) == expected
            manifest = json.loads((copy / "manifest.json").read_bytes())
            assert {name: sha256((copy / name).read_bytes()).hexdigest() for name in manifest["files"]} == manifest[
                "files"
            ]
            shutil.rmtree(copy)

    def test_database_tells_the_truth_or_is_refused(self, filled: Path) -> None:
        """Rows have checksums; SQLite's trees above them have none, so that damage there may hide rows."""
        with Library(filled, ToyEmbedder()) as library:
            expected = facts(library)
        refused = hidden = 0
        for number in range(_DAMAGES):
            random = Random(number)
            copy = filled.with_name("copy")
            shutil.copytree(filled, copy)
            damage(copy / DATABASE, random)
            if random.random() < 0.5:
                (copy / "manifest.json").unlink()
            try:
                with Library(copy, ToyEmbedder()) as library:
                    told = facts(library)
                    assert told <= expected, number
                    hidden += told < expected
            except (LibraryCorrupt, ModelMismatch):  # the second where the embedder's name is damaged
                refused += 1
            shutil.rmtree(copy)
        assert refused > _DAMAGES / 5
        assert hidden <= _DAMAGES / 50

    @pytest.mark.parametrize(
        "column", [b"authors TEXT NOT", b"vector BLOB NOT", b'"end" INTEGER NOT', b"value TEXT NOT"]
    )
    def test_database_with_a_column_of_another_name_is_refused(self, filled: Path, column: bytes) -> None:
        data = (filled / DATABASE).read_bytes()
        assert data.count(column) == 1
        (filled / DATABASE).write_bytes(data.replace(column, bytes([*column[:1], column[1] ^ 1, *column[2:]])))
        (filled / "manifest.json").unlink()
        with (
            pytest.raises(LibraryCorrupt, match="cannot be read as a library"),
            Library(filled, ToyEmbedder()) as library,
        ):
            facts(library)


def facts(library: Library) -> set[tuple[object, ...]]:
    """All that a reader can be told of the articles."""
    passages = [hit.passage for word in WORDS for hit in library.search(word, 1)]
    told = {(passage.article.id, passage.start, passage.end, passage.text) for passage in passages}
    return told | {
        (article.id, article.sha256, article.title, article.source) for article, _ in library.articles(0, 100)
    }


def damage(path: Path, random: Random) -> None:
    """Flip a bit, three times in four, or cut the file off."""
    data = bytearray(path.read_bytes())
    place = random.randrange(len(data))
    if random.random() < 0.75:
        data[place] ^= 1 << random.randrange(8)
    else:
        del data[place:]
    path.write_bytes(data)
