"""Articles by the thousand into a library on a Milvus server, by processes of Ray's that are killed and begun again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import Ran, Run
from pyarrow import parquet
from test_library_contract import Server

import index
from index import milvus_doctor
from index.article import make_article
from index.embed import Embedder, Vectors, load_embedder
from index.library import Library
from index.milvus import MilvusLibrary
from index.milvus_address import milvus_address
from index.milvus_doctor import check_milvus
from index.milvus_rows import ArticleRow, moment_of, version_of
from index.milvus_store import MilvusStore
from index.store import Indexed
from qa.reader import Reader, load_reader

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs what pullquote[ray] installs: make ray")

ROOT = Path(__file__).parent.parent
ARTICLES = 24
"""Of each shard; several batches for each of two workers."""

SHARDS = 4
REPEATED = "in every shard"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("milvus") / "server")
    yield one
    one.kill()


def records(shard: int) -> list[dict[str, str]]:
    own = [
        {
            "id": f"{shard}-{number}",
            "title": f"Ferry {number}",
            "text": f"The ferry {number} hit pier {shard}. It sank.",
        }
        for number in range(ARTICLES)
    ]
    return [*own, {"id": REPEATED, "title": "Again", "text": f"This is what shard {shard} says."}]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three of JSON Lines, one with a line that is none, and one of Parquet."""
    folder = tmp_path_factory.mktemp("shards")
    paths = [folder / f"{shard}.jsonl" for shard in range(SHARDS - 1)]
    for shard, path in enumerate(paths):
        path.write_text("".join(json.dumps(record) + "\n" for record in records(shard)))
    with paths[1].open("a") as file:
        file.write("{broken\n")
    parquet.write_table(pa.Table.from_pylist(records(SHARDS - 1)), folder / "last.parquet")
    return [*paths, folder / "last.parquet"]


@dataclass(frozen=True)
class Content:
    """Of a library: the hash and the passages of each article by its id, their vectors by id, and its counts."""

    articles: dict[str, tuple[str, list[tuple[int, int]]]]
    vectors: dict[str, Vectors]
    counts: tuple[int, int]


def content(library: Library | MilvusLibrary) -> Content:
    found = {id: item for id in sorted(library.checksums()) if (item := library.indexed(id))}
    return Content(
        {id: (item.article.sha256, [(one.start, one.end) for one in item.passages]) for id, item in found.items()},
        {id: item.vectors for id, item in found.items()},
        library.counts(),
    )


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """What one process makes of the shards, one after the other, without a kill."""
    with Library(tmp_path_factory.mktemp("expected"), load_embedder(), create=True) as library:
        library.add(make_article(**record) for shard in range(SHARDS) for record in records(shard))
        return content(library)


def opened(place: str, embedder: Embedder | None = None) -> MilvusLibrary:
    address = milvus_address(Path(place))
    assert address is not None
    return MilvusLibrary(address, embedder, create=True)


def bulk(place: str, shards: Sequence[Path]) -> Ran:
    command = ["-l", place, "bulk", "--workers", "2", *map(str, shards)]
    ran = subprocess.run(
        [sys.executable, "-c", "from qa.cli import main; main()", *command], capture_output=True, text=True, check=False
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def killed_in_the_middle(place: str, shards: Sequence[Path]) -> int:
    """How many articles the job had said were there."""
    command = [sys.executable, "-m", "tests.bulk_child", place, *map(str, shards)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as job:
        assert job.stdout is not None
        done = int(job.stdout.readline())
        for process in session(job.pid):
            os.kill(process, signal.SIGKILL)
    return done


def session(leader: int) -> list[int]:
    """The job and all that Ray has started for it: workers that outlive the job go on for a while."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(entry.name))
    return found


def write_in_part(place: str, began: int) -> ArticleRow:
    """As a process does that has written an article's passages, from this nanosecond on, and not yet the row that names
    them, which is returned."""
    with opened(place) as library:
        item = library.indexed("0-0") or library.indexed("1-0") or library.indexed("2-0") or library.indexed("3-0")
        assert item is not None
        store: Any = library.store
        store._version = lambda: f"{began:016x}{0:08x}"
        return store._written(Indexed(replace(item.article, id="unnamed"), item.passages, item.vectors))


def stored(store: MilvusStore) -> tuple[int, int, int]:
    """The numbers of pieces, articles and passages, whoever names them: each article here has one piece."""
    pieces, articles = (store._milvus.count(store._records, f'kind == "{kind}"') for kind in ("piece", "article"))
    return pieces, articles, store._milvus.count(store.passage_rows, "")


@needs_ray
def test_killed_and_begun_again_it_ends_as_without_a_kill(
    server: Server, shards: list[Path], expected: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"milvus://127.0.0.1:{server.port}/killed"
    total = len(expected.articles)
    told = killed_in_the_middle(place, shards)
    with opened(place) as library:
        articles, _ = library.counts()
    assert 0 < told <= articles < total
    abandoned = write_in_part(place, time.time_ns() - 3_600 * 10**9)
    under_way, young = (write_in_part(place, time.time_ns()) for _ in range(2))
    began = time.time_ns()
    ran = bulk(place, shards)
    assert ran.code == 1
    assert f"not read: {shards[1]}, line {ARTICLES + 2}: it is no valid JSON" in ran.err
    assert "3 have the id of a later one, which was taken" in ran.err
    added, replaced, unchanged = (int(part.split()[0]) for part in ran.out.split(", "))
    assert (added + unchanged, replaced) == (total, 0)
    assert unchanged >= told
    with opened(place) as library:
        found = content(library)
        left = {version_of(key) for key in library.store.unnamed(time.time_ns())}
        assert {under_way.version, young.version} <= left
        assert abandoned.version not in left
        assert all(moment_of(version) < began for version in left)  # nothing of the second job's
        library.store._milvus.upsert(library.store._records, [under_way.record()], 1_000)
        assert library.indexed("unnamed") is not None
        library.remove(["unnamed"])
        monkeypatch.setattr(milvus_doctor, "UNFINISHED_SECONDS", 0)  # as an hour later
        assert check_milvus(library, mend=True).findings == ()
        assert stored(library.store) == (len(expected.articles), *expected.counts)
    assert (found.articles, found.counts) == (expected.articles, expected.counts)
    for id, vectors in expected.vectors.items():
        np.testing.assert_allclose(found.vectors[id], vectors, atol=1e-6)
    assert found.articles[REPEATED][0] == make_article(f"This is what shard {SHARDS - 1} says.").sha256


@needs_ray
def test_again_nothing_changes_but_what_has_changed(server: Server, tmp_path: Path) -> None:
    place = f"milvus://127.0.0.1:{server.port}/again"
    shard = tmp_path / "0.jsonl"
    changed = [{**record, "text": f"{record['text']} No more."} for record in records(0)[:2]]
    for given, said in (
        (records(0), "25 added, 0 replaced, 0 unchanged"),
        (records(0) + changed, "0 added, 2 replaced, 23 unchanged"),
    ):
        shard.write_text("".join(json.dumps(record) + "\n" for record in given))
        ran = bulk(place, [shard])
        assert (ran.code, ran.out.strip()) == (0, said), ran.err
    with opened(place) as library:
        assert library.article("0-1").text == changed[1]["text"]
        assert library.counts() == (25, 25)
        assert library.store.unnamed(time.time_ns()) == []


@needs_ray
def test_what_others_are_writing_is_left_alone() -> None:
    from index.bulk import _abandoned

    left, under_way, finished = (f"{version:024x}" for version in range(3))
    before = [f"p{left}000000", f"{left}000000", f"p{under_way}000000", f"p{finished}000000"]
    after = [f"p{left}000000", f"{left}000000", f"p{under_way}000000", f"{under_way}000000"]
    assert _abandoned(before, after) == after[:2]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return load_reader()


class TestRefusals:
    """In words, before anything is started."""

    @needs_ray
    @pytest.mark.parametrize("library", ["here", "here.milvus"])
    def test_library_that_one_process_writes(self, run: Run, tmp_path: Path, library: str) -> None:
        ran = run("bulk", ".", library=library)
        assert ran.code == 64
        assert f"only one process at a time writes to {library}" in " ".join(ran.err.split())
        assert not (tmp_path / library).exists()

    @needs_ray
    @pytest.mark.parametrize("cluster", ["head", "127.0.0.1:1", "127.0.0.1:123456"])
    def test_cluster_that_is_not_there(self, run: Run, cluster: str) -> None:
        ran = run("bulk", ".", "--cluster", cluster, library="milvus://127.0.0.1:1/never_asked")
        assert ran.code == 64
        assert f"there is no cluster of Ray's at {cluster}" in ran.err

    def test_without_ray(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "index.bulk", raising=False)
        monkeypatch.delattr(index, "bulk", raising=False)
        monkeypatch.setitem(sys.modules, "ray", None)
        ran = run("bulk", ".", library="here")
        assert ran.code == 64
        assert "bulk needs ray; install it with: pip install 'pullquote[ray]'" in ran.err
