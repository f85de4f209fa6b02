"""What people say of an answer: that it is right or wrong, where a better one stands, or that there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from index.article import storable
from index.errors import InvalidInput

MAX_COMMENT_CHARACTERS = 2_000


class Verdict(StrEnum):
    """The quote answers the question; it does not; it is the one that should have been given; the articles do not
    answer the question."""

    RIGHT = "right"
    WRONG = "wrong"
    BETTER = "better"
    UNANSWERABLE = "unanswerable"


@dataclass(frozen=True, slots=True)
class Place:
    """A quote and where it stood when it was judged: half-open, in code points of the text with this SHA-256. The
    article may be removed, or another, since."""

    article: str
    start: int
    end: int
    quote: str
    text_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """One verdict on one question. Make one with `make_feedback`. `created` is ISO 8601, an instant in UTC. Only
    UNANSWERABLE may be without a place; with one, it is what was wrongly given."""

    created: str
    question: str
    verdict: Verdict
    place: Place | None = None
    comment: str | None = None


def make_feedback(
    question: str, verdict: Verdict, place: Place | None = None, comment: str | None = None, created: str | None = None
) -> Feedback:
    """Feedback of now, unless `created` says when. Whether the place is one, the library sees.

    Raises InvalidInput where a verdict needs a place and has none, or the comment is too long.
    """
    if place is None and verdict is not Verdict.UNANSWERABLE:
        raise InvalidInput(
            f"it is not said what is {verdict}; name the article and the quote, or say that it is unanswerable"
        )
    if place is not None and not place.quote.strip():
        raise InvalidInput(f"the quote that is {verdict} is empty; give its words")
    comment = storable(comment or "").strip() or None
    if comment and len(comment) > MAX_COMMENT_CHARACTERS:
        raise InvalidInput(f"the comment has {len(comment):,} characters; {MAX_COMMENT_CHARACTERS:,} are the most")
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Feedback(created or now, storable(question).strip(), verdict, place, comment)


def feedback_row(feedback: Feedback) -> tuple[str | int | None, ...]:
    """Its values in the order of the database's columns."""
    place = feedback.place
    where = (place.article, place.start, place.end, place.quote, place.text_sha256) if place else (None,) * 5
    return (feedback.created, feedback.question, feedback.verdict.value, *where, feedback.comment)


def feedback_of(row: Sequence[Any]) -> Feedback:
    """What `feedback_row` was given."""
    created, question, verdict, article, start, end, quote, text_sha256, comment = row
    place = None if article is None else Place(article, start, end, quote, text_sha256)
    return Feedback(created, question, Verdict(verdict), place, comment)
