"""Whether two texts are copies of one another, and by which of their bands a likely copy is found among many."""

import re
import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice

Shingles = frozenset[str]
"""The runs of three words that a text has, without case, punctuation and white space."""

LEAST_COMMON = 0.5
"""Of all the shingles of two texts, what both must have to be copies (Jaccard's coefficient). About a third of the
sentences may then be others."""

LEAST_HELD = 0.8
"""Of the shingles of a text, what an earlier one must have for it to be an excerpt. Not the other way round: what holds
earlier ones whole may be a collection, through which texts would be copies that have nothing in common."""

_LEAST_SHINGLES = 20
"""Texts of fewer, a sentence or two, must have all of them in common: one name more or less is another message."""

_WORDS_EACH = 3
_MOST_WORDS = 50_000
"""Of a longer text the beginning stands for all: 200 ms and 20 MB."""

_BANDS = 32
_ROWS = 2
"""A band is the same in two texts with the probability of their Jaccard's coefficient to this power: one of the 32 at
least, in 99.99 % of the texts with half of their shingles in common, 95 % of those with 30 %, and 0.3 % of those with
1 %, as any two articles on one subject have."""

_KEY_BYTES = 8

_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff]|[^\\W\u3040-\u30ff\u3400-\u9fff]+")
"""Of Japanese and Chinese, which do without spaces, a character."""


def shingles(text: str) -> Shingles:
    """Never none: a text of fewer words, or of none at all, is one."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = list(islice(_words(plain), _MOST_WORDS)) or plain.split()
    return frozenset(
        " ".join(words[start : start + _WORDS_EACH]) for start in range(max(1, len(words) - _WORDS_EACH + 1))
    )


def bands(found: Shingles) -> list[int]:
    """64-bit keys, signed. Texts that are copies have one in common, which is MinHash with locality-sensitive hashing
    (Broder 1997; Indyk and Motwani 1998); nearly all others have none."""
    from datasketch import MinHash  # which takes half a second, and none but additions want it

    minhash = MinHash(_BANDS * _ROWS, seed=1, scheme="affine32")  # as all that are stored
    minhash.update_batch([shingle.encode() for shingle in found])
    rows = minhash.digest().astype("<u4").reshape(_BANDS, _ROWS)
    digests = (blake2b(bytes([band]) + row.tobytes(), digest_size=_KEY_BYTES) for band, row in enumerate(rows))
    return [int.from_bytes(digest.digest(), "little", signed=True) for digest in digests]


def is_copy(later: Shingles, earlier: Shingles) -> bool:
    """Whether a text with these shingles is a copy of an earlier one, or an excerpt of it."""
    if min(len(later), len(earlier)) < _LEAST_SHINGLES:
        return later == earlier
    common = len(later & earlier)
    return common >= LEAST_COMMON * (len(later) + len(earlier) - common) or common >= LEAST_HELD * len(later)


def _words(text: str) -> Iterator[str]:
    return (match.group() for match in _WORD.finditer(text))
