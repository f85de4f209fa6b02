"""The commands that keep a library, as a user gives them."""

import hashlib
import json
import os
import re
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Ran, Run, ToyEmbedder

from index.embed import Embedder, Vectors
from index.errors import ModelNotFound
from index.library import DATABASE, Library
from index.lock import write_lock
from qa import cli_keep

ARTICLES = [
    {"id": f"a{number}", "text": f"The bridge number {number} was shut. Nobody was hurt.", "title": f"Bridge {number}"}
    for number in range(20)
]


class NoReader:
    """No question is asked here."""

    def read(self, question: str, passages: object) -> list[Any]:
        raise AssertionError


@pytest.fixture
def reader() -> NoReader:
    return NoReader()


@pytest.fixture
def library(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder: Embedder) -> Path:
    """A library of twenty articles, from a file."""
    known = {embedder.name: embedder, "other": ToyEmbedder("other", "other-0123456789")}

    def load(name: str, runtime: object) -> Embedder:
        if name not in known:
            raise ModelNotFound(f"{name} is no model folder")
        return known[name]

    monkeypatch.setattr(cli_keep, "load_embedder", load)
    assert run("add", "-", stdin="\n".join(map(json.dumps, ARTICLES))).code == 0
    return tmp_path / "library"


def damage(library: Path, statement: str) -> None:
    with closing(apsw.Connection(str(library / DATABASE))) as db:
        db.execute(statement)


class TestDoctor:
    def test_well(self, run: Run, library: Path) -> None:
        ran = run("doctor")
        assert (ran.code, ran.out) == (0, "20 articles and 20 passages are as they should be\n")

    def test_json(self, run: Run, library: Path) -> None:
        assert run("doctor", "--json").lines == [
            {"library": "library", "articles": 20, "passages": 20, "findings": [], "mended": [], "skipped": []}
        ]

    def test_damaged_article(self, run: Run, library: Path) -> None:
        damage(library, "UPDATE article SET text = 'Other.', origin = '/news/7.txt' WHERE id = 'a7'")
        ran = run("doctor", "--repair")
        assert ran.code == 65
        assert ran.out == (
            "damaged  articles that are not what was stored: a7 (/news/7.txt)\n"
            "         add them again from where they came from, or restore a backup with: "
            "pullquote restore FILE --force\n"
            "         a7  /news/7.txt\n"
            "19 articles and 20 passages are as they should be\n"
        )
        [report] = run("doctor", "--json").lines
        assert [(one["severity"], one["kind"], one["articles"]) for one in report["findings"]] == [
            ("error", "truth", [{"id": "a7", "origin": "/news/7.txt"}])
        ]
        assert run("add", "-", stdin=json.dumps(ARTICLES[7])).out == "1 added, 0 replaced, 0 unchanged\n"
        assert run("doctor").code == 0

    def test_damaged_passage_is_mended(self, run: Run, library: Path) -> None:
        damage(library, "UPDATE passage SET start = 1 WHERE key = 3")
        ran = run("doctor")
        assert ran.code == 1
        assert ran.out.startswith(
            "error    articles with passages that have changed: a2\n         mend it with: pullquote"
        )
        ran = run("doctor", "--repair")
        assert (ran.code, ran.out) == (
            0,
            "mended   articles with passages that have changed: a2\n"
            "20 articles and 20 passages are as they should be\n",
        )
        assert run("doctor").code == 0

    def test_without_its_embedder(self, run: Run, library: Path) -> None:
        damage(library, "UPDATE setting SET value = 'gone' WHERE name = 'embedder_name'")
        ran = run("doctor")
        assert ran.code == 0
        assert ran.err == "no embedder: gone is no model folder\n"
        assert ran.out.startswith("skipped  whether the embedder makes these vectors: there is no embedder\n")
        damage(library, "UPDATE passage SET start = 1 WHERE key = 3")
        assert run("doctor", "--repair").code == 1
        assert run("doctor", "--repair", "--embedder", "toy").code == 0

    def test_embedder_that_is_not_there(self, run: Run, library: Path) -> None:
        ran = run("doctor", "--embedder", "nothing")
        assert (ran.code, ran.err) == (78, "error: nothing is no model folder\n")

    def test_no_database_at_all(self, run: Run, library: Path) -> None:
        (library / DATABASE).write_bytes(b"This is a letter. " * 100)
        (library / f"{DATABASE}-wal").unlink(missing_ok=True)
        for options in ([], ["--repair"]):
            ran = run("doctor", "--embedder", "toy", *options)
            assert ran.code == 65
            assert "is no database: it begins with b'This is a letter' rather than b'SQLite" in ran.out
        assert run("list").err.endswith("see: pullquote doctor\n")

    def test_warnings_are_no_failure(self, run: Run, library: Path) -> None:
        (library / "dense-99.tmp").touch()
        ran = run("doctor")
        assert ran.code == 0
        assert ran.out.startswith("warning  files that nothing needs: dense-99.tmp\n")
        assert run("doctor", "--repair").out.startswith("mended   files that nothing needs")

    def test_no_library(self, run: Run) -> None:
        ran = run("doctor", library="nothing")
        assert ran.code == 66
        assert ran.err.startswith(
            "error: there is no library at nothing; make one with: pullquote --library nothing add"
        )


class TestBackup:
    def test_there_and_back(self, run: Run, library: Path, tmp_path: Path) -> None:
        ran = run("backup", "saved.db")
        digest = hashlib.sha256((tmp_path / "saved.db").read_bytes()).hexdigest()
        assert re.fullmatch(rf"saved\.db: 20 articles, 20 passages, 0\.\d MB, SHA-256 {digest}\n", ran.out)
        ran = run("restore", "saved.db", library="new")
        assert (ran.code, ran.out) == (0, "20 articles, 20 passages restored to new\n")
        assert (tmp_path / "new" / "manifest.json").exists()  # the indexes are there
        assert run("list", library="new").out == run("list").out
        assert run("doctor", library="new").code == 0

    def test_json(self, run: Run, library: Path, tmp_path: Path) -> None:
        [written] = run("backup", "saved.db", "--json").lines
        data = (tmp_path / "saved.db").read_bytes()
        assert written == {
            "path": "saved.db",
            "articles": 20,
            "passages": 20,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        [restored] = run("restore", "saved.db", "--force", "--json").lines
        assert restored == {
            "library": "library",
            "articles": 20,
            "passages": 20,
            "kept": f"library/{DATABASE}.before-restore",
            "indexes_built": True,
        }

    def test_nothing_is_overwritten_unasked(self, run: Run, library: Path) -> None:
        assert run("backup", "saved.db").code == 0
        ran = run("backup", "saved.db")
        assert ran.code == 64
        assert ran.err == "error: saved.db is there already; name another file, or replace it with --force\n"
        assert run("backup", "saved.db", "--force").code == 0
        ran = run("restore", "saved.db")
        assert ran.code == 64
        assert ran.err.startswith("error: there are articles in library; restore into another directory with --library")
        ran = run("restore", "saved.db", "--force")
        assert ran.out == (
            "20 articles, 20 passages restored to library\n"
            f"what was there is kept as library/{DATABASE}.before-restore\n"
        )

    def test_without_its_embedder(self, run: Run, library: Path, tmp_path: Path) -> None:
        damage(library, "UPDATE setting SET value = 'gone' WHERE name = 'embedder_name'")
        run("backup", "saved.db")
        ran = run("restore", "saved.db", "--json", library="new")
        assert (ran.code, ran.lines[0]["indexes_built"]) == (0, False)
        assert ran.err == "no embedder: gone is no model folder\n"
        assert not (tmp_path / "new" / "manifest.json").exists()

    def test_no_library(self, run: Run) -> None:
        assert run("backup", "saved.db", library="nothing").code == 66

    def test_no_backup(self, run: Run, tmp_path: Path) -> None:
        assert run("restore", "saved.db").code == 64
        (tmp_path / "saved.db").write_bytes(b"This is a letter. " * 100)
        assert run("restore", "saved.db").code == 65

    def test_nowhere_to_write_it(self, run: Run, library: Path) -> None:
        assert run("backup", "nowhere/saved.db").code == 73


class TestReindex:
    def test_other_embedder(self, run: Run, library: Path) -> None:
        ran = run("reindex", "--embedder", "other")
        assert (ran.code, ran.out) == (0, "20 articles in 20 passages, embedded by other\n")
        assert run("doctor").out == "20 articles and 20 passages are as they should be\n"
        with Library(library) as opened:
            assert opened.embedder_name == "other"
        assert [path.name for path in library.iterdir() if path.is_dir()] != []
        assert not list(library.glob("reindex-*"))

    def test_its_own_embedder_is_the_default(self, run: Run, library: Path) -> None:
        assert run("reindex", "--json").lines == [{"articles": 20, "passages": 20, "embedder": "toy"}]

    @pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted(self, run: Run, library: Path, by: int, monkeypatch: pytest.MonkeyPatch) -> None:
        real, calls = ToyEmbedder.encode, [0]

        def encode(self: ToyEmbedder, texts: list[str]) -> Vectors:
            calls[0] += 1
            if calls[0] == 2:
                os.kill(os.getpid(), by)
            return real(self, texts)

        monkeypatch.setattr("index.base._BATCH_PASSAGES", 4)
        with monkeypatch.context() as patched:
            patched.setattr(ToyEmbedder, "encode", encode)
            ran = run("reindex", "--embedder", "other")
        assert ran.code == 128 + by
        assert ran.err == (
            "Interrupted. What is done is kept, and the library as it was; run the same command again to go on.\n"
        )
        assert run("search", "bridge number 7").code == 0
        [finding] = run("doctor", "--json").lines[0]["findings"]
        assert finding["message"].endswith("is an unfinished reindex with other: 4 articles")
        assert run("reindex", "--embedder", "other").code == 0
        assert run("doctor").code == 0

    def test_embedder_that_is_not_there(self, run: Run, library: Path) -> None:
        assert run("reindex", "--embedder", "nothing").code == 78

    def test_no_library(self, run: Run) -> None:
        assert run("reindex", library="nothing").code == 66


class TestCompact:
    def test_sizes(self, run: Run, library: Path) -> None:
        run("remove", *[f"a{number}" for number in range(3, 20)])
        ran = run("compact")
        assert ran.code == 0
        assert re.fullmatch(r"0\.\d MB before, 0\.\d MB after\n", ran.out)
        [sizes] = run("compact", "--json").lines
        assert 0 < sizes["bytes_after"] <= sizes["bytes_before"]
        assert sizes["indexes_built"] is True
        assert run("doctor").out == "3 articles and 3 passages are as they should be\n"
        assert not any(b"bridge number 7" in path.read_bytes() for path in library.rglob("*") if path.is_file())

    def test_says_what_it_leaves(self, run: Run, library: Path) -> None:
        run("backup", "saved.db")
        run("restore", "saved.db", "--force")
        assert run("compact").err == (
            f"library/{DATABASE}.before-restore is kept, with all that is in it; remove it if nobody needs it\n"
        )

    def test_beside_a_writer(self, run: Run, library: Path) -> None:
        with write_lock(library):
            assert run("compact").code == 75

    def test_no_library(self, run: Run) -> None:
        assert run("compact", library="nothing").code == 66


@pytest.mark.parametrize("command", ["doctor", "backup", "restore", "reindex", "compact"])
def test_help_teaches(run: Run, command: str) -> None:
    ran: Ran = run(command, "--help")
    assert ran.code == 0
    text = " ".join(ran.out.split())
    assert {
        "doctor": "those that are damaged are named",
        "backup": "while others may search and write",
        "restore": "Its database is kept",
        "reindex": "run the same command again to go on",
        "compact": "its words stay in the files until",
    }[command] in text
