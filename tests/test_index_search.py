"""Fusion of two rankings into one."""

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.search import fuse

SCORES = st.dictionaries(st.integers(1, 30), st.floats(-1, 1, allow_subnormal=False), max_size=20)
BM25 = st.dictionaries(st.integers(1, 30), st.floats(0, 50, allow_subnormal=False), max_size=20)
WEIGHTS = st.floats(0, 1, allow_subnormal=False)


def test_worked_example() -> None:
    dense = {1: 0.75, 2: 0.5, 3: 0.25}  # scaled: 1, 1/2, 0
    lexical = {3: 8.0, 2: 6.0, 4: 2.0}  # scaled: 1, 3/4, 1/4
    assert fuse(dense, lexical, 0.5) == [(2, 0.625), (1, 0.5), (3, 0.5), (4, 0.125)]
    assert fuse(dense, lexical, 0.25) == [(3, 0.75), (2, 0.6875), (1, 0.25), (4, 0.1875)]


@pytest.mark.parametrize(
    ("dense", "lexical", "fused"),
    [
        ({}, {}, []),
        ({1: 0.75, 2: 0.25}, {}, [(1, 0.5), (2, 0.0)]),
        ({}, {1: 2.0, 2: 4.0}, [(2, 0.5), (1, 0.25)]),
        ({2: 0.5, 1: 0.5}, {}, [(1, 0.0), (2, 0.0)]),
        ({}, {2: 3.0, 1: 3.0}, [(1, 0.5), (2, 0.5)]),
        ({}, {2: 0.0, 1: 0.0}, [(1, 0.0), (2, 0.0)]),
        ({1: -0.75, 2: -0.25}, {}, [(2, 0.5), (1, 0.0)]),
    ],
)
def test_edges(dense: dict[int, float], lexical: dict[int, float], fused: list[tuple[int, float]]) -> None:
    assert fuse(dense, lexical, 0.5) == fused


def test_ties_are_by_key_however_they_come() -> None:
    assert fuse({3: 0.5, 1: 0.5, 2: 0.5}, {2: 1.0, 3: 1.0, 1: 1.0}, 0.5) == [(1, 0.5), (2, 0.5), (3, 0.5)]


@given(SCORES, BM25, WEIGHTS)
def test_scores_are_between_0_and_1_and_fall(dense: dict[int, float], lexical: dict[int, float], weight: float) -> None:
    fused = fuse(dense, lexical, weight)
    assert {key for key, _ in fused} == dense.keys() | lexical.keys()
    assert all(0 <= score <= 1 or isclose(score, 1) for _, score in fused)
    assert fused == sorted(fused, key=lambda item: (-item[1], item[0]))


@given(SCORES, BM25, WEIGHTS)
def test_better_on_both_sides_is_no_worse(dense: dict[int, float], lexical: dict[int, float], weight: float) -> None:
    fused = dict(fuse(dense, lexical, weight))
    both = dense.keys() & lexical.keys()
    for one in both:
        for other in both:
            if dense[one] >= dense[other] and lexical[one] >= lexical[other]:
                assert fused[one] >= fused[other]


@given(SCORES, BM25)
def test_weight_0_and_1_are_one_side_alone(dense: dict[int, float], lexical: dict[int, float]) -> None:
    by_words = dict(fuse(dense, lexical, 0.0))
    by_meaning = dict(fuse(dense, lexical, 1.0))
    assert all(by_words[key] == 0 for key in dense.keys() - lexical.keys())
    assert all(by_meaning[key] == 0 for key in lexical.keys() - dense.keys())
