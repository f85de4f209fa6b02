"""Backups: made while others write, whole or not there, and their way back into a library."""

import errno
import hashlib
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import apsw
import pytest
from conftest import OpenLibrary, ToyEmbedder
from test_index_schema import everything, make_old

from index import backup as backups
from index.article import Article, make_article
from index.backup import Restored, backup, mendable, restore
from index.doctor import check
from index.errors import (
    DiskFull,
    InvalidInput,
    LibraryBusy,
    LibraryCorrupt,
    LibraryNotFound,
    LibraryNotWritable,
    PullquoteError,
)
from index.library import DATABASE, Library
from index.lock import write_lock

KILLED = """
import os, signal, sys
from pathlib import Path
from index import backup

def killed(point, job):
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)
    if point == "copying":
        backup._STEP_PAGES = 3
        job(die)
    setattr(backup, point, die)
    job(lambda *_: None)
    os._exit(0)

what, first, second, *points = sys.argv[1:]
for point in points:
    one, other = Path(first.format(point=point)), Path(second.format(point=point))
    def job(advance):
        if what == "backup":
            backup.backup(one, other, force=True, advance=advance)
        else:
            backup.restore(one, other, force=True, advance=advance)
    child = os.fork() or killed(point, job)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
"""Kills processes that write a backup, or restore one, at the points that are named; prints how they ended."""


def article(number: int) -> Article:
    return make_article(f"The bridge number {number} was shut. " * 30, id=f"a{number}", origin=f"/news/{number}.txt")


def filled(path: Path, numbers: range) -> Path:
    with Library(path, ToyEmbedder(), create=True) as library:
        library.add([article(number) for number in numbers])
        library.refresh()
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("built")
    filled(directory / "one", range(20))
    filled(directory / "other", range(30, 35))
    return directory


@pytest.fixture
def one(built: Path, tmp_path: Path) -> Path:
    """A library of twenty articles, closed."""
    return Path(copytree(built / "one", tmp_path / "one"))


@pytest.fixture
def other(built: Path, tmp_path: Path) -> Path:
    """A library of five others, closed."""
    return Path(copytree(built / "other", tmp_path / "other"))


@pytest.fixture
def saved(one: Path, tmp_path: Path) -> Path:
    """A backup of the first."""
    return backup(one, tmp_path / "saved.db").path


def ids(library: Path) -> list[str]:
    with Library(library) as opened:
        return [found.id for found, _ in opened.articles(0, 1_000)]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class TestBackup:
    def test_holds_everything(self, one: Path, tmp_path: Path) -> None:
        written = backup(one, tmp_path / "saved.db")
        data = written.path.read_bytes()
        assert written.path == tmp_path / "saved.db"
        assert (written.articles, written.passages) == (20, len(everything(one / DATABASE)[3]))
        assert (written.bytes, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert names(tmp_path) == ["one", "saved.db"]
        with closing(apsw.Connection(str(written.path))) as db:
            assert db.pragma("journal_mode") == "delete"  # so that it can be read where nothing can be written
        assert everything(written.path) == everything(one / DATABASE)

    def test_is_of_one_moment_while_others_write(
        self, one: Path, open_library: OpenLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backups, "_STEP_PAGES", 3)
        steps: list[tuple[int, int]] = []
        with open_library(one) as library:
            library.add([article(98)])  # is in the write-ahead log alone
            before = everything(one / DATABASE)

            def advance(done: int, total: int) -> None:
                steps.append((done, total))
                library.add([article(100 + len(steps))])

            written = backup(one, tmp_path / "saved.db", advance=advance)
            assert library.counts()[0] == 21 + len(steps)
        assert len(steps) > 5
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1] == written.bytes // 4_096
        assert everything(written.path) == before

    def test_neither_waits_for_the_lock_nor_keeps_it(self, one: Path, tmp_path: Path) -> None:
        with write_lock(one):
            assert backup(one, tmp_path / "saved.db").articles == 20

    def test_is_not_overwritten(self, one: Path, other: Path, saved: Path) -> None:
        before = saved.read_bytes()
        with pytest.raises(InvalidInput, match=r"saved.db is there already; .* or replace it with --force"):
            backup(other, saved)
        assert saved.read_bytes() == before
        assert backup(other, saved, force=True).articles == 5
        assert [row[0].id for row in everything(saved)[1]] == [f"a{number}" for number in range(30, 35)]

    @pytest.mark.parametrize("force", [False, True])
    def test_is_never_the_library_itself(self, one: Path, force: bool) -> None:
        before = everything(one / DATABASE)
        with pytest.raises(InvalidInput, match="is the library itself; name another file"):
            backup(one, one / DATABASE, force=force)
        assert everything(one / DATABASE) == before

    def test_directory(self, one: Path, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="is a directory; name a file in it"):
            backup(one, tmp_path, force=True)

    def test_directory_that_is_not_there(self, one: Path, tmp_path: Path) -> None:
        with pytest.raises(LibraryNotWritable, match=r"saved.db cannot be written"):
            backup(one, tmp_path / "nowhere" / "saved.db")

    def test_no_library(self, tmp_path: Path) -> None:
        with pytest.raises(LibraryNotFound):
            backup(tmp_path, tmp_path / "saved.db")

    @pytest.mark.parametrize("table", ["article SET text = 'Other.'", "passage SET start = start + 1"])
    def test_of_a_damaged_library_is_not_made(self, one: Path, tmp_path: Path, table: str) -> None:
        with closing(apsw.Connection(str(one / DATABASE))) as db:
            db.execute(f"UPDATE {table} WHERE key = 2")
        with pytest.raises(
            LibraryCorrupt, match=r"the library is damaged, and a backup would be: .* see: pullquote doc"
        ):
            backup(one, tmp_path / "saved.db")
        assert names(tmp_path) == ["one"]

    def test_of_what_is_no_library(self, one: Path, tmp_path: Path) -> None:
        (one / DATABASE).write_bytes(b"This is a letter. " * 1_000)
        with pytest.raises(
            LibraryCorrupt, match=r"one/pullquote.db cannot be read as a library: .*see: pullquote doctor"
        ):
            backup(one, tmp_path / "saved.db")
        assert names(tmp_path) == ["one"]

    def test_interrupted_leaves_nothing(self, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            backup(one, tmp_path / "saved.db", advance=interrupt)
        assert names(tmp_path) == ["one"]

    def test_killed_leaves_no_half_file_under_its_name(self, one: Path, tmp_path: Path) -> None:
        """Nor one that is whole and not checked; what is left does not disturb the next."""
        before = everything(one / DATABASE)
        points = ["copying", "examine", "file_digest", "_put"]
        command = [sys.executable, "-c", KILLED, "backup", str(one), str(tmp_path / "{point}.db"), *points]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert ran.stdout.split() == [str(-signal.SIGKILL)] * len(points)
        for point in points:
            assert (tmp_path / f"{point}.db.tmp").exists()
            assert not (tmp_path / f"{point}.db").exists()
            assert everything(backup(one, tmp_path / f"{point}.db").path) == before
            assert not (tmp_path / f"{point}.db.tmp").exists()


class TestRestore:
    @pytest.mark.parametrize("made", [False, True])
    def test_into_a_new_or_an_empty_directory(self, one: Path, saved: Path, tmp_path: Path, made: bool) -> None:
        library = tmp_path / "deep" / "new"
        if made:
            library.mkdir(parents=True)
        assert restore(saved, library) == Restored(20, len(everything(saved)[3]), None)
        assert everything(library / DATABASE) == everything(one / DATABASE)
        assert check(library).findings == ()
        assert saved.exists()

    def test_answers_and_takes_articles(self, saved: Path, open_library: OpenLibrary, tmp_path: Path) -> None:
        restore(saved, tmp_path / "new")
        with open_library(tmp_path / "new") as library:
            library.add([article(50)])
            assert library.search("bridge number 50", 1)[0].passage.article.id == "a50"
        assert len(ids(tmp_path / "new")) == 21

    def test_refused_where_there_are_articles(self, other: Path, saved: Path) -> None:
        before = everything(other / DATABASE)
        with pytest.raises(
            InvalidInput, match=r"there are articles in .*; restore into another directory with --library"
        ):
            restore(saved, other)
        assert everything(other / DATABASE) == before

    def test_library_without_articles(self, saved: Path, open_library: OpenLibrary, tmp_path: Path) -> None:
        open_library(tmp_path / "new").close()
        kept = restore(saved, tmp_path / "new").kept
        assert kept == tmp_path / "new" / f"{DATABASE}.before-restore"
        assert len(ids(tmp_path / "new")) == 20

    def test_forced_keeps_what_was_there(self, other: Path, saved: Path, open_library: OpenLibrary) -> None:
        before = everything(other / DATABASE)
        kept = restore(saved, other, force=True).kept
        assert kept == other / f"{DATABASE}.before-restore"
        assert everything(other / DATABASE) == everything(saved)
        assert everything(Path(copyfile(kept, other / "copy.db"))) == before
        assert not list(other.glob("dense-*"))  # of the articles that were there
        with open_library(other) as library:
            assert library.search("bridge number 7", 1)[0].passage.article.id == "a7"

    def test_what_was_kept_can_be_restored_and_nothing_is_lost(self, other: Path, saved: Path) -> None:
        first = restore(saved, other, force=True).kept
        assert first is not None
        second = restore(first, other, force=True).kept
        assert second == other / f"{DATABASE}.before-restore-2"
        assert [len(everything(path)[1]) for path in (other / DATABASE, first, second)] == [5, 5, 20]

    def test_refused_while_the_library_is_open(
        self, other: Path, saved: Path, open_library: OpenLibrary, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that has it open would go on with the old database, or worse, with its indexes and the new one."""
        monkeypatch.setattr(backups, "_BUSY_MILLISECONDS", 10)
        before = names(other)
        with open_library(other) as library:
            assert library.counts()[0] == 5
            with pytest.raises(LibraryBusy, match=r"pullquote.db is open in another process; end that and try again"):
                restore(saved, other, force=True)
            assert library.counts()[0] == 5
        assert names(other) == before

    def test_refused_while_another_writes(self, other: Path, saved: Path) -> None:
        with write_lock(other), pytest.raises(LibraryBusy, match="is being written to by process"):
            restore(saved, other, force=True)

    def test_in_place_of_a_damaged_database(self, other: Path, saved: Path) -> None:
        (other / DATABASE).write_bytes(b"This is a letter. " * 1_000)
        (other / f"{DATABASE}-wal").write_bytes(b"its log")
        with pytest.raises(InvalidInput, match="there are articles in"):
            restore(saved, other)
        assert restore(saved, other, force=True).kept == other / f"{DATABASE}.before-restore"
        assert (other / f"{DATABASE}.before-restore").read_bytes().startswith(b"This is a letter")
        assert not (other / f"{DATABASE}-wal").exists()
        assert everything(other / DATABASE) == everything(saved)

    def test_log_of_a_database_that_is_gone_does_not_come_back(
        self, saved: Path, open_library: OpenLibrary, tmp_path: Path
    ) -> None:
        """SQLite takes whatever log has the right name, and writes its pages into the database."""
        with open_library(tmp_path / "gone") as library:
            library.add([article(number) for number in range(60, 70)])
            log = (tmp_path / "gone" / f"{DATABASE}-wal").read_bytes()
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / f"{DATABASE}-wal").write_bytes(log)
        restore(saved, tmp_path / "new")
        assert everything(tmp_path / "new" / DATABASE) == everything(saved)

    def test_earlier_version(self, one: Path, saved: Path, tmp_path: Path) -> None:
        expected = everything(saved)
        make_old(saved)
        assert restore(saved, tmp_path / "new").articles == 20
        with closing(apsw.Connection(str(tmp_path / "new" / DATABASE))) as db:
            assert db.pragma("user_version") == 1
        assert everything(tmp_path / "new" / DATABASE) == expected

    def test_damaged_backup(self, saved: Path, other: Path) -> None:
        before = names(other)
        data = bytearray(saved.read_bytes())
        data[-2_000:] = bytes(2_000)
        saved.write_bytes(data)
        with pytest.raises(LibraryCorrupt, match=r"saved.db is damaged: .*; restore another backup, or"):
            restore(saved, other, force=True)
        assert names(other) == before

    @pytest.mark.parametrize("data", [b"", b"This is a letter. " * 1_000])
    def test_no_backup(self, tmp_path: Path, data: bytes, other: Path) -> None:
        (tmp_path / "saved.db").write_bytes(data)
        with pytest.raises(LibraryCorrupt, match=r"saved.db (is damaged|cannot be read as a library)"):
            restore(tmp_path / "saved.db", other, force=True)
        assert len(ids(other)) == 5

    def test_no_file(self, tmp_path: Path, other: Path) -> None:
        with pytest.raises(InvalidInput, match="there is no file"):
            restore(tmp_path / "saved.db", other)

    def test_library_itself(self, one: Path) -> None:
        with pytest.raises(InvalidInput, match="is the library itself; give a backup of it"):
            restore(one / DATABASE, one, force=True)

    def test_database_of_another_library(self, one: Path, other: Path, open_library: OpenLibrary) -> None:
        """In use, with a log beside it: nothing says that a backup must come from `backup`."""
        with open_library(one) as library:
            library.add([article(50)])
            restore(one / DATABASE, other, force=True)
            assert everything(other / DATABASE) == everything(one / DATABASE)

    def test_killed_leaves_the_old_or_the_new(self, other: Path, saved: Path, tmp_path: Path) -> None:
        before = everything(other / DATABASE)
        points = ["copying", "examine", "_set_aside", "derived_files", "_put", "sync_to_disk"]
        for point in points:
            (tmp_path / point).mkdir()
            for name in names(other):
                if (other / name).is_file():
                    copyfile(other / name, tmp_path / point / name)
        command = [sys.executable, "-c", KILLED, "restore", str(saved), str(tmp_path / "{point}"), *points]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert ran.stdout.split() == [str(-signal.SIGKILL)] * len(points)
        for point in points:
            library = tmp_path / point
            assert everything(library / DATABASE) == before
            assert restore(saved, library, force=True).kept == library / f"{DATABASE}.before-restore"
            assert everything(library / DATABASE) == everything(saved)
            assert [finding.check for finding in check(library).findings] == ["kept"]


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (apsw.FullError("full"), DiskFull, "the disk of a.db, or of the temporary files, is full; make room"),
        (OSError(errno.ENOSPC, "No space"), DiskFull, "is full; make room"),
        (OSError(errno.EACCES, "Permission denied"), LibraryNotWritable, "a.db cannot be written: Permission denied"),
        (apsw.BusyError("locked"), LibraryBusy, "a.db is open in another process"),
        (apsw.CorruptError("malformed"), LibraryCorrupt, "b.db cannot be read as a library: malformed"),
        (apsw.CantOpenError("unable"), LibraryNotWritable, "a.db cannot be written: unable"),
        (apsw.IOError("disk error"), LibraryNotWritable, "a.db cannot be written: disk error"),
    ],
)
def test_errors_say_what_to_do(error: Exception, expected: type[PullquoteError], said: str) -> None:
    with pytest.raises(expected, match=said), mendable(Path("a.db"), Path("b.db")):
        raise error


def test_nothing_is_kept_open(one: Path, tmp_path: Path, saved: Path) -> None:
    """As far as SQLite's own lock tells."""
    found: list[Any] = [backup(one, tmp_path / "again.db").articles, restore(saved, tmp_path / "new").articles]
    for path in (one / DATABASE, tmp_path / "new" / DATABASE):
        with closing(apsw.Connection(str(path))) as db:
            found.append(db.pragma("journal_mode", "delete"))
    assert found == [20, 20, "delete", "delete"]
