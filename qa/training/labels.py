"""Labelled questions: what a reader learns from, and where their answers stand."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from index.article import Article
from index.passage import sentences

_WORD = re.compile(r"[^\W_]+")
_NO_WORDS = frozenset({"a", "an", "the"})
"""SQuAD's normalisation drops these."""


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """The first of `answers` begins at code point `place` of the article. Without answers, `place` lies in a paragraph
    that does not answer, though it may look so."""

    question: str
    article: Article
    place: int
    answers: tuple[str, ...] = ()

    @property
    def answerable(self) -> bool:
        return bool(self.answers)


def words(text: str) -> frozenset[str]:
    """The text's words, lower case, without the English articles."""
    return frozenset(_WORD.findall(text.lower())) - _NO_WORDS


def nearest_answer(question: str, article: Article, answers: Sequence[str]) -> LabelledQuestion | None:
    """A distant label: the first accepted answer that occurs as whole words, where its sentence shares most words with
    the question; the earliest of equals. None where no answer occurs."""
    for answer in answers:
        places = [match.start() for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", article.text)]
        if places:
            asked = words(question)
            slices = sentences(article.text)
            shared = {
                place: max((len(asked & words(article.text[s:e])) for s, e in slices if s <= place < e), default=0)
                for place in places
            }
            place = max(places, key=lambda place: (shared[place], -place))
            return LabelledQuestion(
                question, article, place, (answer, *(other for other in answers if other != answer))
            )
    return None


def nearest_sentence(question: str, article: Article) -> LabelledQuestion:
    """An unanswerable question, placed at the sentence that shares most words with it; the earliest of equals."""
    asked = words(question)
    start, _ = max(
        sentences(article.text), key=lambda place: (len(asked & words(article.text[place[0] : place[1]])), -place[0])
    )
    return LabelledQuestion(question, article, start)


def hold_out(
    questions: Sequence[LabelledQuestion], share: float, seed: int
) -> tuple[list[LabelledQuestion], list[LabelledQuestion]]:
    """The questions to train with, and those of the `share` of articles, in [0, 1], that are kept out; at least one
    article of each unless the share is 0 or there is a single one."""
    articles = sorted({question.article.id for question in questions})
    count = min(max(round(share * len(articles)), 1), len(articles) - 1) if share and articles else 0
    kept = set(random.Random(seed).sample(articles, count))
    training = [question for question in questions if question.article.id not in kept]
    return training, [question for question in questions if question.article.id in kept]
