"""What became of a citation: whether its quote still stands where it was cited."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from index.article import Article


class Validity(StrEnum):
    """What became of a citation: its quote still stands at its place; the article is there but the quote is not at
    its place; the article is not in the library."""

    VALID = "valid"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verification:
    """`reason` is for people; `places` are the starts at which the quote stands in the article today."""

    validity: Validity
    reason: str
    places: tuple[int, ...] = ()


def verify(article: Article | None, start: int, end: int, quote: str, sha256: str | None = None) -> Verification:
    """Check a citation against its article as it is, None where it is not there: half-open slice, quote, and the
    SHA-256 of the text that was cited."""
    if article is None:
        return Verification(Validity.UNKNOWN, "the article is not in the library")
    same_text = sha256 in (None, article.sha256)
    if 0 <= start < end == start + len(quote) and article.text.startswith(quote, start) and same_text:
        return Verification(Validity.VALID, "the quote stands at its place, word for word", (start,))
    places = tuple(_occurrences(article.text, quote))
    if not same_text:
        reason = "the article's text has changed since; the quote "
    else:
        reason = "the article has not this quote at this place; the quote "
    return Verification(Validity.STALE, reason + ("stands in it" if places else "is not in it"), places)


def _occurrences(text: str, quote: str) -> Iterator[int]:
    """Starts of at most 100 occurrences."""
    start = -1
    for _ in range(100 if quote else 0):
        start = text.find(quote, start + 1)
        if start < 0:
            return
        yield start
