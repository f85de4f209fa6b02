"""A library on a Milvus server, filled by many processes at once on this machine or a cluster: files are read as Ray
Data, and each process embeds some of the articles and adds them.

An article is added as ever, so that one which is there already is left alone: a job that was killed is begun again, and
goes on. Of several articles with one id the last is added, in the order of the files.
"""

import logging
import os
import socket
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # or it tells its makers of every job
os.environ["RAY_DATA_LOG_LEVEL"] = "ERROR"  # what is going on is shown by us
import ray
from ray import data
from ray.data.aggregate import Count, Max
from ray.data.expressions import col

from index import errors
from index.article import Article
from index.batch import Outcome
from index.embed import load_embedder
from index.errors import InvalidInput, PullquoteError, UnreadableArticle
from index.formats import Item, read_file
from index.formats.message import from_line, to_line
from index.milvus import MilvusLibrary
from index.milvus_address import MilvusAddress, milvus_address
from index.milvus_rows import UNFINISHED_SECONDS, version_of
from index.onnx import cores

_BATCH_ARTICLES = 16
"""Embedded and stored together: enough to sort by length, little enough to be done again after a kill."""

_BLOCK_BYTES = 1 << 20
"""Read of a file before a worker is given it: little enough that all of them work on one file."""

_FILE_ARTICLES = 1 << 32
"""More than a file has: an article's place is this times the file's number, and its number in it."""

_CONNECTING_SECONDS = 10.0

_UNREADABLE = "unreadable"

Row = dict[str, Any]
Advance = Callable[[int, int], None]
"""Takes how many articles are done and how many there are."""


@dataclass(frozen=True, slots=True)
class Target:
    """What each process finds the library and the embedder by."""

    library: Path
    embedder: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of the articles; `superseded` had the id of a later one."""

    outcomes: Counter[Outcome]
    superseded: int
    unreadable: list[UnreadableArticle]


def server_address(library: Path) -> MilvusAddress:
    """Raises InvalidInput where the library lets in one writing process alone."""
    address = milvus_address(library)
    if address is None or address.uri is None:
        raise InvalidInput(
            f"only one process at a time writes to {library}; name a library on a Milvus server, like "
            "milvus://HOST:19530/NAME, or run: pullquote add --workers"
        )
    return address


@contextmanager
def started(workers: int, cluster: str | None) -> Iterator[int]:
    """Ray on this machine or, at its address, a cluster; gives the cores that each worker then has.

    To be entered before this process has asked Milvus anything: Ray forks what it starts here, and that may abort where
    there are threads of gRPC. Raises InvalidInput where the cluster is not there.
    """
    if cluster:
        _check(cluster)
    threads = 1 if cluster else max(1, cores() // workers)
    # here, one core more is for reading
    here: Row = {"num_cpus": workers * threads + 1, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    logging.getLogger("ray").setLevel(logging.ERROR)
    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = _BLOCK_BYTES
    warnings.filterwarnings("ignore", module="ray.data")  # it says of few articles that they keep nobody busy
    ray.init(cluster, log_to_driver=False, logging_level=logging.ERROR, **({} if cluster else here))
    try:
        yield threads
    finally:
        ray.shutdown()


def fill(
    target: Target,
    files: Sequence[Path],
    columns: Mapping[str, str],
    workers: int,
    threads: int,
    advance: Advance = lambda done, total: None,
) -> Filled:
    """Add the articles of files that every worker can read; `columns` are those of tables. Ray is started, and each
    worker has so many `threads`.

    What a job that was killed had begun to write is cleared away, once nobody can be writing it any more. Raises
    LibraryUnreachable, ModelMismatch, ModelNotFound.
    """
    if not files:
        return Filled(Counter(), 0, [])
    with _open(target) as library:
        began = time.time_ns()
        left = library.store.unnamed(began)
        named = [{"file": str(file.resolve()), "number": number} for number, file in enumerate(files)]
        shards = data.from_items(named, override_num_blocks=len(files))
        ids = _ids(shards.flat_map(partial(_places, columns)), workers)
        repeated = {row["id"]: row for row in ids.filter(expr=col("count") > 1).iter_rows()}
        last = {id: row["last"] for id, row in repeated.items()}
        rows = shards.flat_map(partial(_items, columns, last)).map_batches(
            _Adder,
            fn_constructor_args=(target,),
            batch_size=_BATCH_ARTICLES,
            compute=data.ActorPoolStrategy(size=workers),
            num_cpus=threads,
        )
        outcomes, unreadable = _account(rows.iter_rows(), ids.count(), advance)
        old = time.time_ns() - UNFINISHED_SECONDS * 10**9
        library.store.delete_unnamed(_abandoned(left, library.store.unnamed(min(began, old))))
        library.settle()
    return Filled(outcomes, sum(row["count"] - 1 for row in repeated.values()), unreadable)


def _open(target: Target) -> MilvusLibrary:
    address = server_address(target.library)
    return MilvusLibrary(address, load_embedder(target.embedder), token=target.token, create=True)


def _check(cluster: str) -> None:
    """Raises InvalidInput where nobody answers, for whom Ray would wait many minutes."""
    host, _, port = cluster.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECTING_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InvalidInput(f"there is no cluster of Ray's at {cluster} ({error}); write it like HOST:6379") from None


def _ids(places: data.Dataset, workers: int) -> data.Dataset:
    """Each id, how often it is there, and its last place."""
    grouped = places.groupby("id", num_partitions=workers)
    ids: data.Dataset = grouped.aggregate(Count(alias_name="count"), Max("place", alias_name="last")).materialize()
    return ids


def _places(columns: Mapping[str, str], shard: Row) -> Iterator[Row]:
    """The place of each article of a file."""
    for place, item in _read(columns, shard):
        if isinstance(item, Article):
            yield {"id": item.id, "place": place}


def _items(columns: Mapping[str, str], last: Mapping[str, int], shard: Row) -> Iterator[Row]:
    """The items of a file, without the articles of which there is a later one: `last` has the places of the last, where
    there are several."""
    for place, item in _read(columns, shard):
        if isinstance(item, UnreadableArticle) or last.get(item.id, place) == place:
            yield {"item": to_line(item)}


def _read(columns: Mapping[str, str], shard: Row) -> Iterator[tuple[int, Item]]:
    items = enumerate(read_file(Path(shard["file"]), columns=columns))
    return ((shard["number"] * _FILE_ARTICLES + number, item) for number, item in items)


class _Adder:
    """One of the processes, with the library open."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @cached_property
    def _library(self) -> MilvusLibrary:
        return _open(self._target)

    def __call__(self, batch: Row) -> dict[str, list[str]]:
        """What became of each item, or the error that ended it, in rows of what and about what."""
        items = [from_line(line) for line in batch["item"]]
        told = [(_UNREADABLE, item.where, item.reason) for item in items if isinstance(item, UnreadableArticle)]
        articles = [item for item in items if isinstance(item, Article)]
        try:
            self._library.add(articles, lambda article, outcome: told.append((outcome.value, article.id, "")))
        except PullquoteError as error:  # as a row, since what Ray makes of an error is no message for people
            told.append((type(error).__name__, "", str(error)))
        return {name: [row[place] for row in told] for place, name in enumerate(("what", "where", "said"))}


def _account(rows: Iterable[Row], total: int, advance: Advance) -> tuple[Counter[Outcome], list[UnreadableArticle]]:
    """Raises what ended one of the processes."""
    outcomes: Counter[Outcome] = Counter()
    unreadable = []
    for row in rows:
        if row["what"] == _UNREADABLE:
            unreadable.append(UnreadableArticle(row["where"], row["said"]))
        elif row["what"] in list(Outcome):
            outcomes[Outcome(row["what"])] += 1
            advance(outcomes.total(), total)
        else:
            raise getattr(errors, row["what"])(row["said"])
    return outcomes, sorted(unreadable, key=str)


def _abandoned(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The keys of what was left unfinished, and to which nobody has added meanwhile."""
    counted, now = (Counter(map(version_of, keys)) for keys in (before, after))
    return [key for key in after if counted[version_of(key)] == now[version_of(key)]]
