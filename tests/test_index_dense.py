"""Search by inner product, with the store's keys as ids: all compared, or by an inverted file."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pytest

from index import dense
from index.dense import DenseIndex, number_of_lists, training_sample
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


# inverted files


@pytest.fixture(scope="module")
def many() -> Vectors:
    """Four thousand unit vectors around forty centres; number i has key i + 1."""
    chance = np.random.default_rng(6)
    centres = chance.normal(size=(40, 32))
    vectors = centres[np.arange(4_000) % 40] + 0.5 * chance.normal(size=(4_000, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def inverted(many: Vectors, monkeypatch: pytest.MonkeyPatch) -> DenseIndex:
    monkeypatch.setattr(dense, "FLAT_PASSAGES", 1_000)
    index = DenseIndex.trained(many[: training_sample(len(many))], len(many))
    index.add(np.arange(len(many)) + 1, many)
    return index


def nearest(vectors: Vectors, question: Vectors, k: int, allowed: Keys | None = None) -> list[int]:
    keys = np.arange(len(vectors)) + 1 if allowed is None else allowed
    return [int(key) for key in keys[np.argsort(-(vectors[keys - 1] @ question), kind="stable")[:k]]]


def test_inverted_file_compares_some_and_finds_most(inverted: DenseIndex, many: Vectors) -> None:
    index = inverted._index
    assert (type(index), index.nlist, index.nprobe) == (faiss.IndexIVFScalarQuantizer, number_of_lists(4_000), 16)
    found = [len(set(inverted.search(many[i], 10)) & set(nearest(many, many[i], 10))) for i in range(0, 4_000, 100)]
    assert sum(found) / (10 * len(found)) > 0.9


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 1.0])
def test_filtered_search_of_an_inverted_file_is_exact(inverted: DenseIndex, many: Vectors, share: float) -> None:
    allowed = np.sort(np.random.default_rng(7).permutation(4_000)[: int(share * 4_000)]) + 1
    for number in (3, 1_234, 3_999):
        scores = inverted.search(many[number], 10, allowed)
        expected = nearest(many, many[number], 10, allowed)
        # in fp16 two that are next to equal may change places
        np.testing.assert_allclose(
            [many[key - 1] @ many[number] for key in scores],
            [many[key - 1] @ many[number] for key in expected],
            atol=1e-3,
        )
        np.testing.assert_allclose(list(scores.values()), [many[key - 1] @ many[number] for key in scores], atol=1e-3)
        assert set(scores) <= set(allowed.tolist())


def test_inverted_file_takes_and_gives_up(inverted: DenseIndex, many: Vectors, tmp_path: Path) -> None:
    inverted.remove(keys(5, 6, 7, 99_999))
    inverted.add(keys(8_000), many[:1])
    inverted.save(tmp_path / "x.faiss")
    loaded = DenseIndex.load(tmp_path / "x.faiss")
    for index in (inverted, loaded):
        assert set(index.keys.tolist()) == set(range(1, 4_001)) - {5, 6, 7} | {8_000}
        assert len(index) == 3_998
        assert list(index.search(many[0], 2)) == [1, 8_000]
    assert loaded.search(many[9], 20) == inverted.search(many[9], 20)


def test_small_index_is_flat(many: Vectors) -> None:
    assert training_sample(dense.FLAT_PASSAGES) == 1
    index = DenseIndex.trained(many[:1], 50)
    index.add(np.arange(50), many[:50])
    assert (isinstance(index._index, faiss.IndexIDMap2), index.outgrown) == (True, False)


def test_outgrown(inverted: DenseIndex, many: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not inverted.outgrown
    flat = DenseIndex(32)
    flat.add(np.arange(4_000), many)
    assert flat.outgrown
    for round in range(1, 64):
        inverted.add(np.arange(4_000) + 4_000 * round + 1, many)
    assert inverted.outgrown


@pytest.mark.parametrize(("passages", "lists"), [(1, 4), (250_001, 2_048), (1_000_000, 4_096), (10_000_000, 8_192)])
def test_number_of_lists(passages: int, lists: int) -> None:
    assert number_of_lists(passages) == lists
