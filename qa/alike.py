"""Whether two libraries answer the same questions alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qa.answer import Answer, Ask, Question

Advance = Callable[[int, int], None]
"""Takes how many questions are asked and how many there are."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One question's answers from two libraries."""

    one: Answer
    other: Answer

    @property
    def alike(self) -> bool:
        """Whether both quote the same place, or neither any."""
        return quoted(self.one) == quoted(self.other)


def quoted(answer: Answer) -> tuple[str, int, int] | None:
    """Article id and slice of the quote, if there is one."""
    if answer.best is None:
        return None
    citation = answer.best.citations[0]
    return citation.article.id, citation.start, citation.end


def ask_both(one: Ask, other: Ask, questions: Sequence[str], advance: Advance = lambda done, total: None) -> list[Pair]:
    pairs = []
    for done, question in enumerate(questions):
        advance(done, len(questions))
        pairs.append(Pair(one(Question(question)), other(Question(question))))
    return pairs
