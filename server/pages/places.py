"""Where words that somebody copied stand in an article."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from server.pages.cut import Part

MAX_PLACES = 20
"""Shown to choose from: whoever has more should give more of the words."""

_MAX_OCCURRENCES = 10_000
"""Looked at: in a text that is one letter over and over, there are as many as letters."""


def places(text: str, quote: str) -> list[Part]:
    """Where the words of the quote stand, none cut in two, the first 20 places. The white space between them may be
    another: a browser shows less of it than there is, and changes line ends.

    Takes time in proportion to the text, also where both repeat one word; a regular expression would not.
    """
    flat, wanted = " ".join(text.split()), " ".join(quote.split())
    found = list(islice(_whole(flat, wanted), MAX_PLACES)) if wanted else []
    offsets = _unflattened(text, (offset for start in found for offset in (start, start + len(wanted) - 1)))
    return [Part(offsets[start], offsets[start + len(wanted) - 1] + 1) for start in found]


def _whole(flat: str, wanted: str) -> Iterator[int]:
    """Starts of the occurrences that neither begin nor end within a word, among the first of all."""
    start = -1
    for _ in range(_MAX_OCCURRENCES):
        start = flat.find(wanted, start + 1)
        if start < 0:
            return
        if not _within_word(flat, start) and not _within_word(flat, start + len(wanted)):
            yield start


def _within_word(text: str, offset: int) -> bool:
    return 0 < offset < len(text) and text[offset - 1].isalnum() and text[offset].isalnum()


def _unflattened(text: str, offsets: Iterable[int]) -> dict[int, int]:
    """Where characters, none of them white space, of the flattened text stand in the text."""
    where: dict[int, int] = {}
    waiting = sorted(set(offsets), reverse=True)
    flat = 0
    for word in re.finditer(r"\S+", text):
        end = flat + word.end() - word.start()
        while waiting and waiting[-1] < end:
            offset = waiting.pop()
            where[offset] = word.start() + offset - flat
        if not waiting:
            break
        flat = end + 1
    return where
