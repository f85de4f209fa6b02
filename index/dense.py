"""Search by meaning: inner products over the vectors of all passages, in FAISS."""

import math
from pathlib import Path

import faiss
import numpy as np

from index.embed import Vectors
from index.onnx import cores
from index.store import Keys

FLAT_PASSAGES = 250_000
"""Up to so many every vector is compared, in 10 ms on one core; beyond, those of the nearest lists alone. The README's
Decisions have the measurement."""

_PROBED_SHARE = 1 / 16
"""Of the lists."""

_MOST_LISTS = 8_192
_TRAINING_PER_LIST = 64
_TRAINING_ROUNDS = 8
_OUTGROWN = 8
"""So many times the passages it was made for, and an index wants to be made anew."""


class DenseIndex:
    """Passage keys and their vectors in fp16, under the store's keys, so that a removal shifts nothing. Its type is
    chosen once, for the number of passages it is made for: all compared, or an inverted file (IVF)."""

    def __init__(self, dimensions: int) -> None:
        self._index = faiss.IndexIDMap2(_flat(dimensions))

    @classmethod
    def load(cls, path: Path) -> "DenseIndex":
        """Read a file whose hash has been checked: FAISS trusts what it reads."""
        self = cls.__new__(cls)
        self._index = faiss.read_index(str(path))
        return self

    @classmethod
    def trained(cls, sample: Vectors, passages: int) -> "DenseIndex":
        """An empty index for about so many passages, of which `sample`, shape (vectors, dimensions), is one."""
        dimensions = sample.shape[1]
        self = cls(dimensions)
        if passages > FLAT_PASSAGES:
            lists = number_of_lists(passages)
            kind = faiss.ScalarQuantizer.QT_fp16
            coarse = faiss.IndexFlatIP(dimensions)
            index = faiss.IndexIVFScalarQuantizer(coarse, dimensions, lists, kind, faiss.METRIC_INNER_PRODUCT, False)
            index.cp.niter, index.cp.spherical = _TRAINING_ROUNDS, True
            index.cp.min_points_per_centroid = 1
            index.nprobe = max(1, round(lists * _PROBED_SHARE))
            faiss.omp_set_num_threads(cores())
            index.train(sample)
            self._index = index
        return self

    def save(self, path: Path) -> None:
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:  # FAISS's only kind; here a full disk
            raise OSError(str(error)) from error

    @property
    def outgrown(self) -> bool:
        """Whether another type would do better by now."""
        if isinstance(self._index, faiss.IndexIDMap2):
            return bool(self._index.ntotal > FLAT_PASSAGES)
        return bool(number_of_lists(self._index.ntotal // _OUTGROWN) > self._index.nlist)

    @property
    def keys(self) -> Keys:
        """Of all vectors, in no order."""
        if isinstance(self._index, faiss.IndexIDMap2):
            keys: Keys = faiss.vector_to_array(self._index.id_map)
            return keys
        lists, numbers = self._index.invlists, range(self._index.nlist)
        ids = [faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number)).copy() for number in numbers]
        return np.concatenate(ids)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, keys: Keys, vectors: Vectors) -> None:
        faiss.omp_set_num_threads(cores())
        self._index.add_with_ids(vectors, keys)

    def remove(self, keys: Keys) -> None:
        self._index.remove_ids(keys)

    def search(self, vector: Vectors, k: int, allowed: Keys | None = None) -> dict[int, float]:
        """The k passages nearest to a unit vector of shape (dimensions,): key to cosine, best first, ties by key.

        With `allowed` the search is over those keys alone, each of which is compared.
        """
        # Threads of its own would wait, spinning, beside those of the models. Said at each search, since OpenMP keeps
        # the number for every thread apart.
        faiss.omp_set_num_threads(1)
        k = min(k, self._index.ntotal if allowed is None else len(allowed))
        if k == 0:
            return {}
        scores, keys = self._index.search(vector[np.newaxis], k, params=self._parameters(allowed))
        found = [(int(key), float(score)) for key, score in zip(keys[0], scores[0], strict=True) if key >= 0]
        return dict(sorted(found, key=lambda item: (-item[1], item[0])))

    def _parameters(self, allowed: Keys | None) -> faiss.SearchParameters | None:
        if allowed is None:
            return None
        selector = faiss.IDSelectorBatch(allowed)
        if isinstance(self._index, faiss.IndexIDMap2):
            return faiss.SearchParameters(sel=selector)
        return faiss.SearchParametersIVF(sel=selector, nprobe=self._index.nlist)


def number_of_lists(passages: int) -> int:
    """Four times the root, as a power of two: fine enough to leave most unread. More than 8,192 take too long to
    train and to choose from."""
    return int(min(2 ** round(math.log2(4 * math.sqrt(max(passages, 1)))), _MOST_LISTS))


def training_sample(passages: int) -> int:
    """Of so many vectors an index for so many passages is trained; 1 where it needs no training."""
    return min(passages, number_of_lists(passages) * _TRAINING_PER_LIST) if passages > FLAT_PASSAGES else 1


def _flat(dimensions: int) -> faiss.Index:
    return faiss.IndexScalarQuantizer(dimensions, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
