"""New passages and vectors for a whole library, with any embedder, while the old ones go on to serve.

They are made in a library of their own, within the directory of the first, and take the place of the old in one
transaction. What is in there already need not be made again, so that whoever was interrupted goes on.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import count, groupby
from pathlib import Path

import numpy as np

from index.article import Article
from index.embed import Embedder, Vectors
from index.errors import LibraryBusy
from index.files import database, remove_all, side_directory
from index.library import DATABASE, Library
from index.lock import write_lock
from index.passage import Passage, Splitter
from index.store import Indexed, Store

_FEW = 100
"""Articles that are left to be done while nobody may write: a minute or so."""

_ROWS = 1_000
"""Passages read at once: 1.5 MB of vectors."""

_TRIES = 120
_TRY_SECONDS = 1.0
"""How often, and after how long again, the lock is asked for when the work of hours is done but for the last step."""

Advance = Callable[[int, int], None]
"""Takes how many articles are done and how many there are."""


def _silent(*_: object) -> None: ...


def reindex(library: Path, embedder: Embedder, advance: Advance = _silent) -> tuple[int, int]:
    """Cut and embed all articles anew and let that replace what there was; returns the numbers of articles and
    passages. The library serves, and takes additions, until the last moment.

    Raises LibraryNotFound, LibraryBusy where another process does not cease to write, ModelNotFound, DiskFull.
    """
    splitter = Splitter(embedder.token_spans, embedder.fingerprint)
    models = {"embedder": embedder.fingerprint, "embedder_name": embedder.name, "splitter": splitter.fingerprint}
    beside = side_directory(library, sha256(splitter.fingerprint.encode()).hexdigest()[:16])
    with (
        closing(Store(database(library))) as main,
        Library(beside, embedder, create=True) as side,
        closing(Store(beside / DATABASE)) as stored,
    ):
        swapped = False
        while not swapped:
            _catch_up(main, side, stored, advance)
            with _patient_lock(library):
                if swapped := len(behind(main, stored)) <= _FEW:
                    _catch_up(main, side, stored, advance)
                    main.recut(_all(stored), models)
                    main.forget_removals(main.generation)
        counts = main.counts()
    remove_all([beside])
    return counts


def behind(main: Store, stored: Store) -> list[str]:
    """The ids of the articles that are not in the other store, or not as they are in the main one."""
    held = stored.article_checksums()
    return [id for id, checksum in main.article_checksums().items() if held.get(id) != checksum]


def outdated(main: Store, stored: Store) -> list[str]:
    """The ids of the articles that are in the other store and not, or not any more so, in the main one."""
    return behind(stored, main)


def _catch_up(main: Store, side: Library, stored: Store, advance: Advance) -> None:
    side.remove(outdated(main, stored))
    ids = behind(main, stored)
    total = max(main.counts()[0], len(ids))
    done = count(total - len(ids) + 1)
    advance(total - len(ids), total)
    side.add(_articles(main, ids), lambda article, outcome: advance(next(done), total))


def _articles(main: Store, ids: Iterable[str]) -> Iterator[Article]:
    """Those that are still there. Without their origin: of two articles that were read from one file in turn, the
    library has kept both."""
    for id in ids:
        if (article := main.article(id)) is not None:
            yield replace(article, origin=None)


def _all(stored: Store) -> Iterator[Indexed]:
    """Every article with its passages, whose keys follow one another."""
    for _, group in groupby(_passages(stored), key=lambda pair: pair[0].article.id):
        passages, vectors = zip(*group, strict=True)
        yield Indexed(passages[0].article, passages, np.array(vectors))


def _passages(stored: Store) -> Iterator[tuple[Passage, Vectors]]:
    _, keys = stored.snapshot()
    for start in range(0, len(keys), _ROWS):
        passages = stored.passages(keys[start : start + _ROWS].tolist())
        _, vectors = stored.vectors(passages)
        yield from zip(passages.values(), vectors, strict=True)


@contextmanager
def _patient_lock(library: Path) -> Iterator[None]:
    with ExitStack() as stack:
        for left in reversed(range(_TRIES)):
            try:
                stack.enter_context(write_lock(library))
                break
            except LibraryBusy:
                if not left:
                    raise
                time.sleep(_TRY_SECONDS)
        yield
