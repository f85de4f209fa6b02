"""`Library`: a library in a directory. With its base the face of this package."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from index import derived
from index.base import CANDIDATES, DENSE_WEIGHT_SETTING, AnyLibrary, Candidates
from index.batch import Acknowledge, Outcome, embedded_text
from index.embed import Embedder, Vectors
from index.errors import DiskFull, LibraryBusy, LibraryNotFound, LibraryNotWritable
from index.filter import Filter
from index.lock import write_lock
from index.scratch import Scratch
from index.search import MAX_HITS, MAX_QUESTION_CHARACTERS, check_question
from index.store import Store
from index.verification import Validity, Verification

__all__ = [
    "CANDIDATES",
    "DATABASE",
    "DENSE_WEIGHT_SETTING",
    "MAX_HITS",
    "MAX_QUESTION_CHARACTERS",
    "Acknowledge",
    "AnyLibrary",
    "Library",
    "Outcome",
    "Validity",
    "Verification",
    "check_question",
    "embedded_text",
]

DATABASE = "pullquote.db"


class Library(AnyLibrary):
    """A library in a directory: SQLite, and beside it the two indexes that are made from it.

    Any number of processes may search; one at a time may add or remove.
    """

    anew = "make all vectors anew with: pullquote reindex"
    _store: Store

    def __init__(self, path: Path, embedder: Embedder | None = None, *, create: bool = False) -> None:
        """Open the library, or with `create` make one where there is none.

        Raises LibraryNotFound, LibraryCorrupt, ModelMismatch where it was built with another embedder.
        """
        if create:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LibraryNotWritable(f"no library can be made at {path}: {error.strerror}") from None
        elif not (path / DATABASE).is_file():
            raise LibraryNotFound(f"there is no library at {path}; make one with: pullquote --library {path} add FILES")
        self.path = path
        super().__init__(str(path), Store(path / DATABASE, create=create), embedder)
        self._derived: derived.Derived | None = None
        self._scratch = Scratch()
        self._index_lock = threading.RLock()

    def close(self) -> None:
        """Save the derived indexes if they have changed, and let go of everything."""
        self.save()
        self._derived = None  # ends the merging of segments, whose directory goes
        self._store.close()
        self._scratch.close()

    def duplicates(self, *, afresh: bool = False) -> list[list[str]]:
        """The ids of articles that are copies of one another, each group and all groups in the order they came in, once
        all are compared; `afresh` compares all anew, at 10 ms each. Raises LibraryBusy."""
        if afresh:
            with self._writing():
                self._store.forget_copies()
        self._compare()
        return self._store.duplicates()

    def settle(self) -> None:
        """Build and save the indexes if the saved ones are behind, so that the next process need not: for the end of
        an addition. At a million passages it takes minutes. So it does to compare the articles of a library that is
        from before articles were."""
        with suppress(LibraryBusy, LibraryNotWritable):
            self._compare()
        if derived.saved_are_behind(self.path, self._store):
            self.refresh()
            if self._derived is not None and self._derived.dense.outgrown:
                self.refresh(afresh=True)
            self.save()

    def refresh(self, *, afresh: bool = False) -> None:
        """Bring the indexes in memory up to the present articles, as a search does first; `afresh` builds them anew,
        of the type that suits their size today."""
        embedder, _ = self._models()
        with self._index_lock:
            self._refresh(embedder.encode(["?"]).shape[1], afresh)

    def save(self) -> None:
        """Save the derived indexes for the next process, unless it would catch up as fast, another process is
        writing, or the directory is read-only: they are only ever a shortcut."""
        with self._index_lock:
            if self._derived is None or not derived.worth_saving(self._derived.unsaved, len(self._derived.dense)):
                return
            try:
                with write_lock(self.path):
                    if self._derived.generation != self._store.generation:
                        return  # whoever has changed the articles since has the newer indexes to save
                    self._derived = derived.save(self._derived, self.path, *self._fingerprints())
                    self._store.forget_removals()
            except (LibraryBusy, LibraryNotWritable, OSError):
                return

    def _compare(self) -> None:
        while not self._store.compared:
            with self._writing():
                self._store.compare()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Threads of this process wait for one another; other processes are turned away."""
        with self._write_lock, write_lock(self.path):
            yield

    def _ranked(self, question: str, vector: Vectors, depth: int, filter: Filter) -> Candidates:
        allowed = None if filter.empty else self._store.select(filter)
        with self._index_lock:
            indexes = self._refresh(len(vector))
            lexical = indexes.lexical.search(question, depth, allowed)
            return indexes.dense.search(vector, depth, allowed), lexical

    def _refresh(self, dimensions: int, afresh: bool = False) -> derived.Derived:
        """The indexes at the store's present generation. The caller holds the index lock."""
        if self._derived is None and not afresh:
            self._derived = derived.load(self.path, *self._fingerprints())
        if self._derived is not None and self._derived.generation < self._store.forgotten:
            self._derived = None  # it may have words yet of what was removed from everything else
        if self._derived is None or afresh or self._derived.generation != self._store.generation:
            embedder, _ = self._models()
            self._check_embedder(embedder)  # another process may have reindexed the library
            old, self._derived = None if afresh else self._derived, None  # half changed they are of no use
            scratch = self._scratch.path
            try:
                try:
                    self._derived = derived.synced(old, self._store, dimensions, scratch)
                except FileNotFoundError:
                    newer = derived.load(self.path, *self._fingerprints())
                    self._derived = derived.synced(newer, self._store, dimensions, scratch)
            except OSError as error:
                raise DiskFull(
                    f"the index cannot be built in {scratch}: {error}; make room there, or set TMPDIR to another place"
                ) from None
        return self._derived

    def _fingerprints(self) -> tuple[str, str]:
        embedder, splitter = self._models()
        return embedder.fingerprint, splitter.fingerprint
