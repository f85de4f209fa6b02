"""The process that the crash tests kill: it adds, replaces, removes and finds articles, and keeps a journal of it."""

import itertools
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import apsw
import faiss

from index.article import Article, make_article
from index.duplicates import bands, shingles
from index.embed import Embedder, load_embedder
from index.errors import PullquoteError
from index.language import language_of
from index.library import DATABASE, Library, Outcome
from index.store import Store
from tests.conftest import ToyEmbedder
from tests.faults import PLANTED, Disk

ARTICLES = 24
"""So few that most of what is added replaces something."""

COMMON = "harbour"
"""A word in every passage."""

SOURCES = ("Harbour Post", "Sporting Coast", None)
_NAMES = ("Åse Ørn", "👩‍🚀 Mara", "İbrahim", "Ida", "ﬁnn", "e\u0301mile")
_GAPS = (" ", " ", "\n\n", "\r\n", "  ")


def word(number: int, version: int, sentence: int) -> str:
    """A word that stands once in all articles, in that sentence of that version of that article."""
    return f"q{number}v{version}s{sentence}"


def words(article: Article) -> list[str]:
    """One of each sentence, in order."""
    return re.findall(r"q\d+v\d+s\d+", article.text)


def article_id(number: int) -> str:
    """Which `make` gives to the article of that number."""
    return f"a{number:02}"


def make(number: int, version: int) -> Article:
    """Always the same article; no sentence of it is in another version or another article."""
    random = Random(f"{number} {version}")
    text = "".join(
        f"The harbour log {word(number, version, sentence)} of Saltgate names the ship of {random.choice(_NAMES)}."
        + random.choice(_GAPS)
        for sentence in range(random.choice((1, 3, 10, 40)))
    )
    return make_article(
        text,
        id=article_id(number),
        title=f"Log {number}",
        source=SOURCES[number % len(SOURCES)],
        metadata={"number": number, "version": version},
    )


def version_of(article: Article) -> int:
    """The version it was made as."""
    version = article.metadata["version"]
    assert isinstance(version, int)
    return version


class Journal:
    """Lines of JSON, each on the disk when `note` returns.

    By O_DSYNC and writev, neither of which the library uses: faults injected into its calls spare this one.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_DSYNC)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def note(self, **entry: str | int) -> None:
        os.writev(self._file, [json.dumps(entry).encode() + b"\n"])


def session(path: Path, embedder: Embedder, journal: Journal, random: Random) -> None:
    """Open the library, do some things with it, close it."""
    with Library(path, embedder, create=True) as library:
        for _ in range(random.randint(5, 30)):
            operate(library, journal, random)


def operate(library: Library, journal: Journal, random: Random) -> None:
    """One thing, chosen at random. An error that a caller can mend is noted, and reading must go on after it."""
    present = {article.id: version_of(article) for article, _ in library.articles(0, ARTICLES)}
    action = random.choices(("add", "remove", "search", "save"), (6, 2, 1, 1))[0]
    try:
        if action == "add":
            add(library, [*_chosen(random, present)], journal)
        elif action == "remove" and present:
            remove(library, random.sample(sorted(present), random.randint(1, min(3, len(present)))), journal)
        else:
            library.search(COMMON)
            if action == "save":
                library.save()
    except PullquoteError as error:
        journal.note(error=type(error).__name__, message=str(error))
        library.articles()
        library.search(COMMON)


def _chosen(random: Random, present: Mapping[str, int]) -> Iterator[Article]:
    for number in random.sample(range(ARTICLES), random.randint(1, 4)):
        again = random.random() < 0.1 and article_id(number) in present
        yield make(number, present[article_id(number)] if again else random.randrange(1, 1_000_000))


def add(library: Library, articles: Sequence[Article], journal: Journal) -> None:
    """Add articles, noting what is begun and what is done."""
    for article in articles:
        journal.note(begin=article.id, version=version_of(article))

    def acknowledge(article: Article, outcome: Outcome) -> None:
        if outcome is Outcome.UNCHANGED:
            journal.note(same=article.id, version=version_of(article))
        else:
            journal.note(done=article.id, version=version_of(article))

    library.add(articles, acknowledge)


def remove(library: Library, ids: Sequence[str], journal: Journal) -> None:
    """Remove articles, which is noted as a version 0."""
    for id in ids:
        journal.note(begin=id, version=0)
    library.remove(ids)
    for id in ids:
        journal.note(done=id, version=0)


# Named points


@dataclass(slots=True)
class Stop:
    """Called where a named point is: says so in the journal and waits to be killed, the first `skip` times not."""

    journal: Journal
    point: str
    skip: int

    def __call__(self) -> None:
        if self.skip == 0:
            self.journal.note(at=self.point)
            while True:
                signal.pause()
        self.skip -= 1


def _before_commit(stop: Stop) -> None:
    write = Store.write

    @contextmanager
    def stopping(store: Store) -> Iterator[apsw.Connection]:
        with write(store) as db:
            yield db
            stop()

    setattr(Store, "write", stopping)  # noqa: B010


def _after_commit(stop: Stop) -> None:
    replace = Store.replace

    def stopping(store: Store, batch: Any) -> None:
        replace(store, batch)
        stop()

    setattr(Store, "replace", stopping)  # noqa: B010


class _Watch(Disk):
    def __init__(self, before: Callable[[Path], None]) -> None:
        super().__init__()
        self._before = before

    def write(self, name: str, data: bytes, offset: int) -> None:
        self._before(Path(name))


def _within_commit(stop: Stop) -> None:
    _DISKS.append(_Watch(lambda path: stop() if path.name.endswith("-wal") else None))


def _within_checkpoint(stop: Stop) -> None:
    def before(path: Path) -> None:
        if path.name == DATABASE and path.with_name(f"{DATABASE}-wal").exists():
            stop()

    _DISKS.append(_Watch(before))


def _within_delete(stop: Stop) -> None:
    remove, removing = Store.remove, [False]

    def noted(store: Store, ids: Any) -> list[str]:
        removing[0] = True
        try:
            return remove(store, ids)
        finally:
            removing[0] = False

    setattr(Store, "remove", noted)  # noqa: B010
    _DISKS.append(_Watch(lambda path: stop() if removing[0] else None))


_DISKS: list[Disk] = []
"""Kept alive."""


def _within_dense_write(stop: Stop) -> None:
    write = faiss.write_index

    def half(index: faiss.Index, path: str) -> None:
        write(index, path)
        if stop.skip == 0:
            os.truncate(path, os.path.getsize(path) // 2)
        stop()

    faiss.write_index = half


def _before_rename(prefix: str) -> Callable[[Stop], None]:
    def plant(stop: Stop) -> None:
        def hook(event: str, args: tuple[Any, ...]) -> None:
            if event == "os.rename" and Path(os.fsdecode(args[1])).name.startswith(prefix):
                stop()

        sys.addaudithook(hook)

    return plant


def _within_removal(stop: Stop) -> None:
    saved = [False]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "os.rename":
            saved[0] = Path(os.fsdecode(args[1])).name == "manifest.json"
        elif event in ("os.remove", "shutil.rmtree") and saved[0]:
            stop()

    sys.addaudithook(hook)


POINTS: Mapping[str, Callable[[Stop], None]] = {
    "before the commit": _before_commit,
    "within the commit": _within_commit,
    "after the commit, before its acknowledgement": _after_commit,
    "within a delete's commit": _within_delete,
    "within a checkpoint": _within_checkpoint,
    "within the FAISS write": _within_dense_write,
    "before the dense index's rename": _before_rename("dense-"),
    "before the manifest's rename": _before_rename("manifest.json"),
    "while old generations are removed": _within_removal,
}
"""Instants at which the process can be made to stop, by the functions that see to it."""


@dataclass(frozen=True, slots=True)
class Task:
    """What this process is to do, as one argument in JSON; without a number of sessions, until it is killed."""

    library: str
    journal: str
    seed: int
    sessions: int | None = None
    point: str | None = None
    skip: int = 0
    planted: str | None = None
    real: bool = False


def work(task: Task) -> None:
    journal = Journal(Path(task.journal))
    embedder = load_embedder() if task.real else ToyEmbedder()
    embedder.encode([COMMON])  # each loads something, so that it is not loaded when the time begins
    with suppress(PullquoteError):  # where the disk is full, it is to be found out later
        language_of(COMMON, {})
    bands(shingles(COMMON))
    if task.planted is not None:
        PLANTED[task.planted](setattr)
    if task.point is not None:
        POINTS[task.point](Stop(journal, task.point, task.skip))
    journal.note(at="start")
    random = Random(task.seed)
    for _ in itertools.count() if task.sessions is None else range(task.sessions):
        try:
            session(Path(task.library), embedder, journal, random)
        except PullquoteError as error:
            journal.note(error=type(error).__name__, message=str(error))
        except Exception as error:  # a bug, which the journal is to tell
            place = traceback.extract_tb(error.__traceback__)[-1]
            journal.note(raised=repr(error), message=f"in {Path(place.filename).name}, {place.name}")


if __name__ == "__main__":
    work(Task(**json.loads(sys.argv[1])))
