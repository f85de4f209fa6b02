"""`MilvusLibrary`: a library in Milvus, which ranks passages too."""

from collections.abc import Iterator
from contextlib import contextmanager

from index.base import AnyLibrary, Candidates
from index.collection import FOLDER
from index.embed import Embedder, Vectors
from index.errors import LibraryNotFound, PullquoteError
from index.filter import Filter
from index.lexical import Terms
from index.milvus_address import MilvusAddress
from index.milvus_client import Milvus
from index.milvus_rows import QUESTION_WEIGHT, passages_filter, question_words
from index.milvus_store import MilvusStore, library_names

_LOOKED_AT = 4
"""Times as many passages as wanted are kept in view while the graph of vectors is walked (its `ef`)."""

_CHECKED_AT_ONCE = 100
"""Articles, whose texts are then in memory."""


def collections_in(address: MilvusAddress, token: str | None = None) -> list[str]:
    """The names of the collections of a library, the main one left out. Raises LibraryBusy, LibraryUnreachable."""
    if address.folder is not None and not address.folder.is_dir():
        return []
    milvus = Milvus(address, token)
    try:
        return library_names(milvus, f"{address.below}{FOLDER}__")
    finally:
        milvus.close()


class MilvusLibrary(AnyLibrary):
    """Any number of processes may search, add and remove, on a server; Milvus Lite lets in one process."""

    anew = "add the articles to a new library, with that one"
    _store: MilvusStore

    def __init__(
        self,
        address: MilvusAddress,
        embedder: Embedder | None = None,
        *,
        token: str | None = None,
        create: bool = False,
    ) -> None:
        """Open the library, or with `create` make one where there is none.

        Raises LibraryNotFound, LibraryBusy, LibraryNotWritable, LibraryUnreachable, ModelMismatch where it was built
        with another embedder.
        """
        where = address.where
        if address.folder is not None and not create and not address.folder.is_dir():
            raise LibraryNotFound(
                f"there is no library at {where}; make one with: pullquote --library {where} add FILES"
            )
        milvus = Milvus(address, token)
        self._milvus = milvus
        try:
            store = MilvusStore(milvus, address.name, where, create=create)
        except PullquoteError:
            milvus.close()
            raise
        super().__init__(where, store, embedder)
        self._terms = Terms()

    @property
    def store(self) -> MilvusStore:
        """What it is kept in, for whoever checks that."""
        return self._store

    def close(self) -> None:
        self._store.close()

    def settle(self) -> None:
        self._store.flush()

    def refresh(self) -> None:
        """Milvus is always ready."""

    def save(self) -> None:
        """Milvus saves for itself."""

    def incomplete(self) -> set[str]:
        """An article's row tells of rows that may be gone. Reads all articles."""
        rows = self._store.article_rows()
        parts = (rows[start : start + _CHECKED_AT_ONCE] for start in range(0, len(rows), _CHECKED_AT_ONCE))
        return {row.id for some in parts for row in (*self._store.damaged(some), *self._store.bare(some))}

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._write_lock:
            yield

    def _ranked(self, question: str, vector: Vectors, depth: int, filter: Filter) -> Candidates:
        if not self._store.searchable:
            return {}, {}
        words = question_words(self._terms.of_question(question))
        among = passages_filter(filter)
        dense = self._search(vector.tolist(), "vector", depth, among, {"ef": _LOOKED_AT * depth})
        lexical = self._search(words, "words", depth, among, {}) if words else {}
        # Milvus Lite says of BM25 the negative of what a server does
        scores = {key: abs(score) / QUESTION_WEIGHT for key, score in lexical.items()}
        return _best_first(dense), _best_first(scores)

    def _search(
        self, query: list[float] | str, field: str, k: int, among: str, how: dict[str, object]
    ) -> dict[int, float]:
        found = self._milvus.search(self._store.passage_rows, query, field, k, among, how)
        return {int(key, 16): score for key, score in found}


def _best_first(scores: dict[int, float]) -> dict[int, float]:
    """Ties by key."""
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))
