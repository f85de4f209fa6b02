"""Texts cut where a page needs it. Offsets are code points, so that this is not for the browser to do."""

from collections.abc import Sequence
from typing import NamedTuple

from qa.wire import CitationJSON, HitJSON

PART_CHARACTERS = 100_000
"""Of a long article, shown at once: some forty pages of a book."""

_SLACK_CHARACTERS = 2_000
"""How much earlier than that a part may end so as to end with a line, or else a word."""

_EXCERPT_CHARACTERS = 150
"""Shown on each side of a quote to tell its places apart."""


class Marked(NamedTuple):
    """A text in three: the quote, and what stands before and after it."""

    before: str
    quote: str
    after: str


class Part(NamedTuple):
    """A half-open slice of a text."""

    start: int
    end: int


def marked(text: str, start: int, end: int) -> Marked:
    return Marked(text[:start], text[start:end], text[end:])


def around(citation: CitationJSON, hits: Sequence[HitJSON]) -> Marked:
    """The quote in the passage it was found in, else in its sentence."""
    start, end = citation["start"], citation["end"]
    for hit in hits:
        if hit["article"] == citation["article"] and hit["start"] <= start and end <= hit["end"]:
            return marked(hit["text"], start - hit["start"], end - hit["start"])
    offset = citation["sentence_start"]
    return marked(citation["sentence"], start - offset, end - offset)


def excerpt(text: str, start: int, end: int) -> Marked:
    """The quote with a little of what is around it."""
    first = max(0, start - _EXCERPT_CHARACTERS)
    return marked(text[first : end + _EXCERPT_CHARACTERS], start - first, end - first)


def parts(text: str) -> list[Part]:
    """The text in slices of at most PART_CHARACTERS; one that is empty where the text is."""
    found, start = [], 0
    while len(text) - start > PART_CHARACTERS:
        limit = start + PART_CHARACTERS
        breaks = (text.rfind(mark, limit - _SLACK_CHARACTERS, limit) + 1 for mark in ("\n", " "))
        end = next((place for place in breaks if place), limit)
        found.append(Part(start, end))
        start = end
    return [*found, Part(start, len(text))]
