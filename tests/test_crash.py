"""Rows A1 and E of the reliability matrix: what a kill leaves, and that the checks see each fault there can be."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import pytest
import test_server_admission
from conftest import ToyEmbedder

from index.library import DATABASE, Library
from server.admission import Queue
from tests.crash import campaign, check_kept, kill, plan, start, table, write_traced
from tests.crash_child import POINTS, Journal, Task, session
from tests.faults import PLANTED, in_memory
from tests.invariants import Findings, Ledger, check
from tests.traces import acknowledged_unsynced, unsynced_files


@pytest.fixture(autouse=True)
def memory(tmp_path: Path) -> Iterator[Path]:  # tmp_path before, since pytest makes its place where the first one is
    with in_memory() as directory:
        yield directory


@pytest.fixture
def path(memory: Path) -> Path:
    return memory / "library"


def written(path: Path) -> Ledger:
    """Write to a library in this process; what it should hold then."""
    journal, ledger = path.with_name("journal"), Ledger()
    random = Random(3)
    with Journal(journal) as open_journal:
        for _ in range(2):
            session(path, ToyEmbedder(), open_journal, random)
    ledger.read(journal.read_bytes())
    return ledger


def checked(path: Path, ledger: Ledger) -> Findings:
    return check(path, ledger, ToyEmbedder())


class TestKills:
    def test_nothing_is_lost_at_any_point(self, tmp_path: Path) -> None:
        points = [None, *POINTS, None, None]
        rounds = list(campaign(points, seed=7, keep=tmp_path / "kept"))
        assert [(round.point, what) for round in rounds for what in round.findings.violations] == []
        assert {(round.findings.lost, round.findings.orphans) for round in rounds} == {(0, 0)}
        assert sum(round.acknowledged for round in rounds) > len(points)
        assert table(rounds).splitlines()[-1].split()[:2] == ["all", str(len(points))]

    def test_every_fifth_kill_is_at_a_named_point(self) -> None:
        points = plan(200)
        assert [points.count(point) for point in (None, *POINTS)] == [160, 5, 5, 5, 5, 4, 4, 4, 4, 4]

    def test_what_failed_is_kept_and_can_be_looked_at_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("tests.invariants._filters", lambda library, held: ["I1: planted"])
            [round] = campaign(["after the commit, before its acknowledgement"], seed=7, keep=tmp_path)
        assert round.findings.violations == ["I1: planted"]
        kept = tmp_path / "seed-7-kill-0"
        assert check_kept(kept).violations == []
        with Library(kept / "library", ToyEmbedder()) as library:
            article = library.articles()[0][0]
            library.remove([article.id])
        assert [what[:7] for what in check_kept(kept).violations] == [f"I1: {article.id}"]


class TestPlantedFaults:
    """Without the fault the same check finds nothing; with it, it does."""

    def test_none(self, path: Path) -> None:
        ledger = written(path)
        assert ledger.acknowledged > 20
        assert checked(path, ledger).violations == []

    def test_acknowledged_before_the_commit(self, path: Path) -> None:
        journal, ledger = path.with_name("journal"), Ledger()
        point = "before the commit"
        task = Task(str(path), str(journal), 7, point=point, skip=4, planted="acknowledged before the commit")
        kill(start(task, until=point))
        ledger.read(journal.read_bytes())
        found = checked(path, ledger)
        assert found.lost > 0
        assert sum(what.startswith("I1: ") for what in found.violations) == found.lost

    def test_no_fsync(self, path: Path) -> None:
        journal = path.with_name("journal")
        calls = write_traced(Task(str(path), str(journal), 7, sessions=1, planted="no fsync"))
        assert f"acknowledged before {DATABASE}-wal was synced" in acknowledged_unsynced(calls, path, journal)
        assert "manifest.json" in unsynced_files(calls, path)

    def test_shifted_offset(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        PLANTED["shifted offset"](monkeypatch.setattr)
        found = checked(path, written(path)).violations
        assert any(what.startswith("I3: the passages of") for what in found)

    def test_filter_ignored(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        PLANTED["filter ignored"](monkeypatch.setattr)
        found = checked(path, written(path)).violations
        assert "I1: the articles of Harbour Post are not those that a filter finds" in found

    def test_removed_passages_kept(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        PLANTED["removed passages kept"](monkeypatch.setattr)
        found = checked(path, written(path)).violations
        assert any(what.startswith("I5: the dense index differs") for what in found)
        assert any(what.startswith("I5: the lexical index differs") for what in found)

    def test_unbounded_queue(self, monkeypatch: pytest.MonkeyPatch) -> None:
        test_server_admission.test_places_in_the_queue()
        bounded = Queue.__init__
        monkeypatch.setattr(Queue, "__init__", lambda queue, waiting: bounded(queue, 1_000_000))
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            test_server_admission.test_places_in_the_queue()

    def test_lost_article(self, path: Path) -> None:
        ledger = written(path)
        with Library(path) as library:
            id = library.articles()[0][0].id
            library.remove([id])
        found = checked(path, ledger)
        assert found.lost == 1
        assert found.violations[0].startswith(f"I1: {id} is of version 0, not of ")

    def test_orphaned_passages(self, path: Path) -> None:
        ledger = written(path)
        db = apsw.Connection(str(path / DATABASE))
        db.execute("DELETE FROM article WHERE key = (SELECT min(key) FROM article)")  # foreign keys are off by default
        db.close()
        found = checked(path, ledger)
        assert found.orphans > 0
        assert f"I4: {found.orphans} orphans" in found.violations
