"""What may be asked; and fusion: two rankings of passages, by meaning and by words, made into one list of hits."""

from collections.abc import Mapping
from dataclasses import dataclass

from index.errors import InvalidInput
from index.passage import Passage

MAX_HITS = 1_000
MAX_QUESTION_CHARACTERS = 10_000

DENSE_WEIGHT = 0.4
"""Share of the dense score in the fused one; see the README's Decisions for the measurement behind it."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that may hold the answer. `score` is the fused score in [0, 1]; `dense` is the cosine of question
    and passage; `lexical` their BM25 score, 0 where no word is shared or others were better."""

    passage: Passage
    score: float
    dense: float
    lexical: float


def fuse(
    dense: Mapping[int, float], lexical: Mapping[int, float], weight: float = DENSE_WEIGHT
) -> list[tuple[int, float]]:
    """Convex combination of two scores after scaling each to [0, 1] over the candidates: (key, score) pairs, best
    first, ties by key.

    BM25 has a true zero, so it is divided by its maximum; cosines are scaled between their extremes. A key that
    is missing from one side gets 0 there. After Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid
    Retrieval", 2022 (arXiv 2210.11934), section 3.
    """
    low = min(dense.values(), default=0.0)
    width = max(dense.values(), default=0.0) - low or 1.0
    top = max(lexical.values(), default=0.0) or 1.0
    fused = {key: weight * (score - low) / width for key, score in dense.items()}
    for key, score in lexical.items():
        fused[key] = fused.get(key, 0.0) + (1 - weight) * score / top
    return sorted(fused.items(), key=lambda item: (-item[1], item[0]))


def check_k(k: int) -> None:
    """Raises InvalidInput."""
    if not 1 <= k <= MAX_HITS:
        raise InvalidInput(f"k is {k}; it must be between 1 and {MAX_HITS:,}")


def check_question(question: str) -> None:
    """Raises InvalidInput where there is nothing to ask, or more than any question needs."""
    if not question.strip():
        raise InvalidInput("the question is empty; ask something, like: When was the treaty signed?")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise InvalidInput(
            f"the question has {len(question):,} characters; {MAX_QUESTION_CHARACTERS:,} are the most it may have"
        )
