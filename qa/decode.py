"""Span decoding: the logits of one window to its best answers. Pure NumPy, the same for every way a model is run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MAX_ANSWER_TOKENS = 30
"""Longest answer considered, as in BERT's own SQuAD evaluation."""

_CONSIDERED = 50
"""Best token pairs looked at in a window before those that overlap a better one are dropped."""

_FIRST_SPACELESS_SCRIPT = "\u0e00"
"""From Thai onwards are the scripts that put no spaces between words: there, a word's edge cannot be seen."""

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Tokens `first` to `last`, both included; `score` is a difference of logits, comparable between windows."""

    first: int
    last: int
    score: float


def best_spans(
    start: Logits, end: Logits, starts: NDArray[np.bool_], ends: NDArray[np.bool_], null: int, count: int
) -> list[TokenSpan]:
    """The `count` best answers of a window that do not overlap, best first.

    `start` and `end` are the window's logits, shape (tokens,); `starts` and `ends` say which tokens an answer may
    begin and end with; `null` is the token that both ends point at where there is no answer. An answer's score is
    start + end - (start[null] + end[null]): how much rather the model would answer than abstain (Devlin et al.
    2018, arXiv 1810.04805, section 4.3). It is not normalised within the window: scores of different windows and
    articles can be compared.
    """
    scores = np.where(starts, start, -np.inf)[:, None] + np.where(ends, end, -np.inf)
    scores[~_band(len(start))] = -np.inf
    considered = min(_CONSIDERED, scores.size)
    worst = np.partition(scores, -considered, axis=None)[-considered]
    top = np.flatnonzero((scores >= worst) & (scores > -np.inf))
    top = top[np.lexsort((top, -scores.flat[top]))][:considered]  # best first, ties by position
    chosen: list[TokenSpan] = []
    for first, last in zip(*np.unravel_index(top, scores.shape), strict=True):
        if len(chosen) == count:
            break
        if all(last < other.first or first > other.last for other in chosen):
            chosen.append(TokenSpan(int(first), int(last), float(scores[first, last] - start[null] - end[null])))
    return chosen


@lru_cache(maxsize=64)
def _band(tokens: int) -> NDArray[np.bool_]:
    """Which (first, last) pairs are in order and no longer than an answer may be, shape (tokens, tokens)."""
    length = np.arange(tokens)[None, :] - np.arange(tokens)[:, None]
    return (length >= 0) & (length < MAX_ANSWER_TOKENS)


def word_edges(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tokens begin a word and which end one, so that no quote is torn out of a word; empty tokens do neither."""
    starts = [start < end and not _within_word(text, start) for start, end in offsets]
    ends = [start < end and not _within_word(text, end) for start, end in offsets]
    return np.array(starts, dtype=np.bool_), np.array(ends, dtype=np.bool_)


def _within_word(text: str, position: int) -> bool:
    """Whether a word, or a number like 1,500.25 or 07:42, goes on across this position."""
    if not 0 < position < len(text):
        return False
    if _in_word(text[position - 1]) and _in_word(text[position]):
        return True
    mark = position if text[position] in _WITHIN_NUMBERS else position - 1
    return text[mark] in _WITHIN_NUMBERS and text[max(mark - 1, 0)].isdigit() and text[mark + 1 : mark + 2].isdigit()


_WITHIN_NUMBERS = ",.:"
"""Between two digits they part no words: the 1 of 1,500 is another number."""


def _in_word(character: str) -> bool:
    return character < _FIRST_SPACELESS_SCRIPT and character.isalnum()


_OPENING = {"(": ")", "[": "]", "{": "}", "“": "”", "‘": "’", "«": "»"}
_CLOSING = {closing: opening for opening, closing in _OPENING.items()}
_ABBREVIATION = re.compile(r"(?:^|[^\w.])(?:[^\W\d_]{1,3}\.){2,}$")
"""`p.m.`, `U.S.`, `Ph.D.`: the last stop belongs to it."""

_STRAY = " \t\r\n\f\v\u00a0,;:!?…-–—"


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The slice without stray spaces and punctuation at its ends: `Oslo).` becomes `Oslo`, `p.m.` and `(Oslo)` stay.

    A slice of nothing else is returned empty.
    """
    while start < end:
        first, last, quote = text[start], text[end - 1], text[start:end]
        if (first in _STRAY + "." and not _signs(text, start)) or _unbalanced(quote, first):
            start += 1
        elif last in _STRAY or _unbalanced(quote, last) or (last == "." and not _ABBREVIATION.search(quote)):
            end -= 1
        else:
            break
    return start, end


def _signs(text: str, position: int) -> bool:
    """Whether a number begins here with its sign or decimal point: without it the quote would say another number."""
    return (
        text[position] in "-–."
        and text[position + 1 : position + 2].isdigit()
        and not text[max(position - 1, 0) : position].isalnum()
    )


def _unbalanced(quote: str, edge: str) -> bool:
    """Whether the bracket or quotation mark at an edge lacks its partner within the quote."""
    if edge == '"':
        return quote.count('"') % 2 == 1
    if edge in _OPENING:
        return quote.count(edge) > quote.count(_OPENING[edge])
    if edge in _CLOSING:
        return quote.count(edge) > quote.count(_CLOSING[edge])
    return False
