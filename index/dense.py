"""Search by meaning: exact inner products over the vectors of all passages, in FAISS."""

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from index.embed import Vectors
from index.store import Keys


class DenseIndex:
    """Passage keys and their vectors. Ids are the store's keys (`IndexIDMap2`), so a removal shifts nothing."""

    def __init__(self, dimensions: int) -> None:
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimensions))

    @classmethod
    def load(cls, path: Path) -> "DenseIndex":
        """Read a file whose hash has been checked: FAISS trusts what it reads."""
        self = cls.__new__(cls)
        self._index = faiss.read_index(str(path))
        return self

    def save(self, path: Path) -> None:
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:  # FAISS's only kind; here a full disk
            raise OSError(str(error)) from error

    @property
    def keys(self) -> Keys:
        keys: Keys = faiss.vector_to_array(self._index.id_map)
        return keys

    def add(self, keys: Keys, vectors: Vectors) -> None:
        self._index.add_with_ids(vectors, keys)

    def remove(self, keys: Keys) -> None:
        self._index.remove_ids(keys)

    def search(self, vector: Vectors, k: int, allowed: Keys | None = None) -> dict[int, float]:
        """The k passages nearest to a unit vector of shape (dimensions,): key to cosine, best first, ties by key.

        With `allowed` the search is over those keys alone, and still exact.
        """
        # Threads of its own would wait, spinning, beside those of the models. Said at each search, since OpenMP keeps
        # the number for every thread apart.
        faiss.omp_set_num_threads(1)
        k = min(k, self._index.ntotal if allowed is None else len(allowed))
        if k == 0:
            return {}
        parameters = None if allowed is None else faiss.SearchParameters(sel=faiss.IDSelectorBatch(allowed))
        scores, keys = self._index.search(vector[np.newaxis], k, params=parameters)
        found = [(int(key), float(score)) for key, score in zip(keys[0], scores[0], strict=True) if key >= 0]
        return dict(sorted(found, key=lambda item: (-item[1], item[0])))

    def scores(self, vector: Vectors, keys: Sequence[int]) -> dict[int, float]:
        """The cosine of each of the keys, all of which must be in the index."""
        if not keys:
            return {}
        vectors = self._index.reconstruct_batch(np.array(keys, dtype=np.int64))
        return dict(zip(keys, (vectors @ vector).tolist(), strict=True))
