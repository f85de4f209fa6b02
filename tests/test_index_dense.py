"""Exact search by inner product, with the store's keys as ids."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pytest

from index.dense import DenseIndex
from index.embed import Vectors
from index.store import Keys

DIMENSIONS = 8


def keys(*values: int) -> Keys:
    return np.array(values, dtype=np.int64)


@pytest.fixture
def vectors() -> Vectors:
    """Fifty unit vectors; number i has key 3 i + 10."""
    vectors = np.random.default_rng(5).normal(size=(50, DIMENSIONS)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def index(vectors: Vectors) -> DenseIndex:
    index = DenseIndex(DIMENSIONS)
    index.add(np.arange(50) * 3 + 10, vectors)
    return index


def brute_force(vectors: Vectors, question: Vectors, k: int, allowed: set[int]) -> list[int]:
    scores = vectors @ question
    return sorted((3 * i + 10 for i in range(50) if 3 * i + 10 in allowed), key=lambda key: -scores[(key - 10) // 3])[
        :k
    ]


@pytest.mark.parametrize("k", [1, 7, 50, 1_000])
@pytest.mark.parametrize("allowed", [None, (10, 13, 157, 99), (11,), ()])
def test_equals_brute_force(index: DenseIndex, vectors: Vectors, k: int, allowed: tuple[int, ...] | None) -> None:
    found = index.search(vectors[7], k, None if allowed is None else keys(*allowed))
    every = set(range(10, 160, 3))
    assert list(found) == brute_force(vectors, vectors[7], k, every if allowed is None else every & set(allowed))
    for key, score in found.items():
        assert score == pytest.approx(float(vectors[(key - 10) // 3] @ vectors[7]), abs=1e-3)  # fp16


def test_ties_are_by_key() -> None:
    index = DenseIndex(2)
    index.add(keys(5, 3, 9), np.array([[1, 0]] * 3, dtype=np.float32))
    assert index.search(np.array([1, 0], dtype=np.float32), 3) == {3: 1.0, 5: 1.0, 9: 1.0}
    assert list(index.search(np.array([1, 0], dtype=np.float32), 3)) == [3, 5, 9]


def test_empty() -> None:
    index = DenseIndex(2)
    assert index.search(np.array([1, 0], dtype=np.float32), 5) == {}
    assert index.keys.tolist() == []


def test_removal_shifts_nothing(index: DenseIndex, vectors: Vectors) -> None:
    index.remove(keys(10, 31, 13, 999))
    assert set(index.keys.tolist()) == set(range(10, 160, 3)) - {10, 13, 31}
    assert list(index.search(vectors[20], 1)) == [70]


def test_saved_and_loaded(index: DenseIndex, vectors: Vectors, tmp_path: Path) -> None:
    index.save(tmp_path / "x.faiss")
    loaded = DenseIndex.load(tmp_path / "x.faiss")
    assert loaded.search(vectors[3], 5) == index.search(vectors[3], 5)
    loaded.remove(keys(10))
    loaded.add(keys(10), vectors[:1])
    assert sorted(loaded.keys.tolist()) == sorted(index.keys.tolist())
    assert loaded.search(vectors[0], 1)[10] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("allowed", [None, keys(10, 13)])
def test_search_uses_one_thread_whatever_thread_asks(index: DenseIndex, vectors: Vectors, allowed: Keys | None) -> None:
    # OpenMP keeps the number for each thread apart, and the server searches in threads of its own
    def searched() -> tuple[list[int], int]:
        return list(index.search(vectors[0], 1, allowed)), faiss.omp_get_max_threads()

    with ThreadPoolExecutor(1) as pool:
        assert searched() == ([10], 1)
        assert pool.submit(searched).result() == ([10], 1)
