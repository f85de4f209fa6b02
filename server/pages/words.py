"""What the pages say instead of numbers and codes."""

from collections.abc import Mapping
from datetime import date, datetime

from qa.answer import NoAnswer

SURENESS: Mapping[float, str] = {0.9: "almost certain", 0.6: "likely", 0.3: "possible", 0.0: "doubtful"}
"""How sure an answer is, by the least confidence that is called so. As a confidence is the share of such answers that
are right: at least nine in ten, most, a good part, few."""

REASONS: Mapping[NoAnswer, str] = {
    NoAnswer.NOTHING_RETRIEVED: "There was nothing to read: no article passes the filter.",
    NoAnswer.NOTHING_ANSWERS: "The passages that come closest were read, and none of them answers this.",
    NoAnswer.BELOW_THRESHOLD: "Something was found that may answer this, but it is not sure enough to be given.",
}

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
"""Not `calendar.month_name`, which speaks the language of the process."""


def sureness(confidence: float) -> str:
    """A confidence in words."""
    return next(words for least, words in SURENESS.items() if confidence >= least)


def percent(confidence: float) -> str:
    """A confidence in per cent. It is an estimate, so that none is shown as certain or impossible."""
    shown = round(100 * confidence)
    number = "under 1" if shown < 1 else "over 99" if shown > 99 else str(shown)
    return f"{number}\N{NO-BREAK SPACE}%"


def reason_words(reason: str) -> str:
    """Why there is no answer, where there are articles."""
    return REASONS[NoAnswer(reason)]


def date_words(published: str) -> str:
    """A date or instant as an article has it, like `28 July 2023` or `28 July 2023, 09:30 UTC`."""
    if len(published) == len("2023-07-28"):
        day = date.fromisoformat(published)
        return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
    when = datetime.fromisoformat(published)
    return f"{date_words(when.date().isoformat())}, {when:%H:%M} UTC"
