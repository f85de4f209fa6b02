"""The records of a run in parts that may fare differently: by tag, question word, length of the answer, and source."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from eval.record import Record

Slices = Mapping[str, Mapping[str, Sequence[Record]]]
"""By what the records are parted, then by part; in an order that is the same for the same records."""

QUESTION_WORDS = ("who", "what", "when", "where", "which", "why", "how many/much", "how", "other")
ANSWER_LENGTHS = ("1", "2–3", "4–6", "7+", "no answer")
NO_SOURCE = "not known"

_QUESTION_WORD = re.compile(r"\b(how (?:many|much)|who|whom|whose|what|when|where|which|why|how)\b")
_WORD_OF = {"whom": "who", "whose": "who", "how many": "how many/much", "how much": "how many/much"}
_LENGTH_ENDS = {1: "1", 3: "2–3", 6: "4–6"}


def slices(records: Iterable[Record]) -> Slices:
    """A record is in one part of each, by tag in as many as it has tags; no part is empty. Tags and sources come the
    largest first."""
    records = list(records)
    return {
        "tag": _by_size(_parted(records, lambda record: record.tags)),
        "question word": _in_order(_parted(records, lambda record: [question_word(record.question)]), QUESTION_WORDS),
        "words of the answer": _in_order(_parted(records, lambda record: [_length(record)]), ANSWER_LENGTHS),
        "source": _by_size(_parted(records, lambda record: [record.source or NO_SOURCE])),
    }


def question_word(question: str) -> str:
    """The first of QUESTION_WORDS in an English question, wherever it stands: "In which year" is "which"."""
    found = _QUESTION_WORD.search(" ".join(question.lower().split()))
    return _WORD_OF.get(found[1], found[1]) if found else "other"


def _length(record: Record) -> str:
    """By the words of the first accepted answer."""
    if not record.answerable:
        return "no answer"
    words = len(record.answers[0].split())
    return next((name for end, name in _LENGTH_ENDS.items() if words <= end), "7+")


def _parted(records: Sequence[Record], parts: Callable[[Record], Iterable[str]]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        for part in dict.fromkeys(parts(record)):
            found.setdefault(part, []).append(record)
    return found


def _by_size(parts: Mapping[str, list[Record]]) -> dict[str, list[Record]]:
    return dict(sorted(parts.items(), key=lambda item: (-len(item[1]), item[0])))


def _in_order(parts: Mapping[str, list[Record]], names: Sequence[str]) -> dict[str, list[Record]]:
    return {name: parts[name] for name in names if name in parts}
