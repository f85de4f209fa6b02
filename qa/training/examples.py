"""Examples to train with: windows of text around answers, and windows that look as if they answered but do not."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from index.article import Article
from index.lexical import LexicalIndex
from index.passage import Passage, Slice, sentences
from qa.tokens import WINDOW_TOKENS
from qa.training.alter import altered
from qa.training.labels import LabelledQuestion, words

_WHOLE_SHARE = 0.3
"""Of the windows, those that are the whole paragraph. The others are smaller, for the variety: passages of a library
are not paragraphs."""

_SMALLEST, _LARGEST = 48, 150
"""Tokens of text in a window that is not the whole paragraph."""

_SHORT_CHARACTERS = 300
"""A paragraph shorter than this is one passage with the next: news have paragraphs of one sentence."""

_LONG_CHARACTERS = 2_000
"""A passage is not continued beyond this: it would not fit into a window."""

_UNANSWERABLE_SHARE = 0.3
"""Of all examples. With fewer the reader always answers, with more it learns to abstain (measured on SQuAD 2.0)."""

_LEAST_MINED = 0.1
"""Mined examples for each answerable question where people made enough unanswerable ones: those are of one sort."""

_FOUND = 8
_AMONG_BEST = 3
"""A passage is drawn from the best this many, of those found, that do not hold the answer: every pass has others."""

_TRIES = 5


class Kind(StrEnum):
    """Where an example comes from; all but the first have no answer."""

    ANSWERED = "answered"
    UNANSWERED = "unanswerable by its author"
    RETRIEVED = "best passage of the collection"
    ALTERED = "altered question"
    SIMILAR = "similar passage of the article"
    WITHOUT_SENTENCE = "paragraph without the answer's sentence"
    RANDOM = "random passage"


MIXTURE = {
    Kind.RETRIEVED: 0.22,
    Kind.ALTERED: 0.55,
    Kind.SIMILAR: 0.10,
    Kind.WITHOUT_SENTENCE: 0.08,
    Kind.RANDOM: 0.05,
}
"""How often which kind is tried first. Half of the questions have nothing to alter, so that there come to be a third
of altered and a third of retrieved ones. These are what readers are taken in by: passages that speak of the same thing,
and questions that the paragraph nearly answers."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the reader is shown. `answer` is a slice of `text`, None where it has none."""

    kind: Kind
    question: str
    text: str
    answer: Slice | None = None


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """A passage with its sentences, as slices of the article."""

    passage: Passage
    sentences: tuple[Slice, ...]


CountTokens = Callable[[Sequence[str]], list[int]]


class Windows:
    """Makes windows of questions, each from its own random numbers: the same for the same seed, pass and question,
    whatever was made before."""

    def __init__(
        self, questions: Sequence[LabelledQuestion], count_tokens: CountTokens, seed: int, scratch: Path
    ) -> None:
        """`scratch` is an empty directory for an index of all the articles, needed as long as this is."""
        self._questions = questions
        self._count_tokens = count_tokens
        self._seed = seed
        self._paragraphs: list[_Paragraph] = []
        self._of_article: dict[tuple[str, str], range] = {}
        for question in questions:
            key = _key(question.article)
            if key not in self._of_article:
                first = len(self._paragraphs)
                self._paragraphs.extend(paragraphs(question.article))
                self._of_article[key] = range(first, len(self._paragraphs))
        self._index = LexicalIndex(scratch)
        self._index.update(((key, item.passage) for key, item in enumerate(self._paragraphs)), [])
        self._mined = _mined_per_question(questions)
        self._tokens: dict[int, list[int]] = {}

    def __len__(self) -> int:
        """The number of questions."""
        return len(self._questions)

    def passage(self, number: int) -> Passage:
        """The passage of about a paragraph that question `number` was asked of."""
        return self._paragraphs[self._own(self._questions[number])].passage

    def of(self, number: int, epoch: int) -> list[Window]:
        """The windows of question `number` in a pass over all of them: its own, and perhaps a mined one."""
        rng = random.Random(f"{self._seed}/{epoch}/{number}")
        question = self._questions[number]
        own = self._own(question)
        if not question.answerable:
            anchor = self._nearest(own, question.question)
            return [Window(Kind.UNANSWERED, question.question, self._cut(own, anchor, question.question, rng)[0])]
        windows = [window] if (window := self._answered(question, own, rng)) else []
        if rng.random() < self._mined:
            windows.extend(self._mine(question, own, rng))
        return windows

    def mined(self, number: int) -> Window | None:
        """A window that does not answer question `number`; None where there is none, or the question has no answer."""
        question = self._questions[number]
        rng = random.Random(f"{self._seed}/mined/{number}")
        found = self._mine(question, self._own(question), rng) if question.answerable else []
        return found[0] if found else None

    def _mine(self, question: LabelledQuestion, own: int, rng: random.Random) -> list[Window]:
        for kind in sorted(MIXTURE, key=lambda kind: rng.random() ** (1 / MIXTURE[kind]), reverse=True):
            if (window := self._of_kind(kind, question, own, rng)) is not None:
                return [window]
        return []

    def _of_kind(self, kind: Kind, question: LabelledQuestion, own: int, rng: random.Random) -> Window | None:
        if kind is Kind.ALTERED:
            return self._altered(question, own, rng)
        if kind is Kind.WITHOUT_SENTENCE:
            return self._without_sentence(question, own, rng)
        among = self._of_article[_key(question.article)] if kind is Kind.SIMILAR else None
        if kind is Kind.RANDOM:
            found = [rng.randrange(len(self._paragraphs)) for _ in range(_TRIES)]
        else:
            allowed = None if among is None else np.array(among, dtype=np.int64)
            found = list(self._index.search(question.question, _FOUND, allowed))
        fitting = [key for key in found if key != own and not _holds(self._paragraphs[key].passage.text, question)]
        if not fitting:
            return None
        key = rng.choice(fitting[:_AMONG_BEST])
        text, _ = self._cut(key, self._nearest(key, question.question), question.question, rng)
        return None if _holds(text, question) else Window(kind, question.question, text)

    def _answered(self, question: LabelledQuestion, own: int, rng: random.Random) -> Window | None:
        anchor = self._holding(own, question)
        if anchor is None:
            return None
        text, begin = self._cut(own, anchor, question.question, rng)
        start = question.place - begin
        return Window(Kind.ANSWERED, question.question, text, (start, start + len(question.answers[0])))

    def _altered(self, question: LabelledQuestion, own: int, rng: random.Random) -> Window | None:
        anchor = self._holding(own, question)
        near = self._paragraphs[own].passage.text
        other = altered(question.question, question.answers[0], near, question.article.text, rng)
        if anchor is None or other is None:
            return None
        return Window(Kind.ALTERED, other, self._cut(own, anchor, other, rng)[0])

    def _without_sentence(self, question: LabelledQuestion, own: int, rng: random.Random) -> Window | None:
        anchor = self._holding(own, question)
        if anchor is None:
            return None
        text, begin = self._cut(own, anchor, question.question, rng)
        slices = self._paragraphs[own].sentences
        before = text[: slices[anchor.start][0] - begin].strip()
        behind = text[slices[anchor.stop - 1][1] - begin :].strip()
        left = f"{before} {behind}".strip()
        return None if not left or _holds(left, question) else Window(Kind.WITHOUT_SENTENCE, question.question, left)

    def _own(self, question: LabelledQuestion) -> int:
        """The paragraph the question's place lies in."""
        keys = self._of_article[_key(question.article)]
        return next((key for key in keys if question.place < self._paragraphs[key].passage.end), keys[-1])

    def _holding(self, own: int, question: LabelledQuestion) -> range | None:
        """The sentences of its paragraph that the answer lies in; None where it leads out of the paragraph."""
        passage = self._paragraphs[own].passage
        start, end = question.place, question.place + len(question.answers[0])
        if start < passage.start or end > passage.end:
            return None
        touched = [number for number, (s, e) in enumerate(self._paragraphs[own].sentences) if s < end and start < e]
        return range(touched[0], touched[-1] + 1) if touched else None

    def _nearest(self, key: int, question: str) -> range:
        """The sentence of a paragraph that shares most words with the question."""
        paragraph, asked = self._paragraphs[key], words(question)
        text = paragraph.passage.article.text
        shared = [len(asked & words(text[start:end])) for start, end in paragraph.sentences]
        best = shared.index(max(shared))
        return range(best, best + 1)

    def _cut(self, key: int, anchor: range, question: str, rng: random.Random) -> tuple[str, int]:
        """Whole sentences around those of the anchor, which lie anywhere within; and where the text begins in the
        article."""
        paragraph = self._paragraphs[key]
        text = paragraph.passage.article.text
        if key not in self._tokens:
            self._tokens[key] = self._count_tokens([text[start:end] for start, end in paragraph.sentences])
        room = WINDOW_TOKENS - self._count_tokens([question])[0] - 3  # 3: [CLS] and two [SEP]
        budget = room if rng.random() < _WHOLE_SHARE else min(rng.randint(_SMALLEST, _LARGEST), room)
        chosen = around(anchor, self._tokens[key], budget, rng.random())
        begin, end = paragraph.sentences[chosen.start][0], paragraph.sentences[chosen.stop - 1][1]
        return text[begin:end], begin


def paragraphs(article: Article) -> list[_Paragraph]:
    """The article cut at blank lines, into passages of at least _SHORT_CHARACTERS where it goes on for so long."""
    groups: list[list[Slice]] = []
    for start, end in sentences(article.text):
        if groups:
            begin, last = groups[-1][0][0], groups[-1][-1][1]
            parted = re.search(r"\n\s*\n", article.text[last:start]) and last - begin >= _SHORT_CHARACTERS
        if not groups or parted or end - begin > _LONG_CHARACTERS:
            groups.append([])
        groups[-1].append((start, end))
    return [_Paragraph(Passage(article, group[0][0], group[-1][1]), tuple(group)) for group in groups]


def around(anchor: range, tokens: Sequence[int], budget: int, share_before: float) -> range:
    """The anchor's sentences with others beside them, `budget` tokens in all unless the anchor alone has more; about
    `share_before`, in [0, 1], of what is added comes before."""
    first, last = anchor.start, anchor.stop
    room = budget - sum(tokens[first:last])
    spare = room - round(room * share_before)
    while first > 0 and room - tokens[first - 1] >= spare:
        first -= 1
        room -= tokens[first]
    while last < len(tokens) and tokens[last] <= room:
        room -= tokens[last]
        last += 1
    while first > 0 and tokens[first - 1] <= room:
        first -= 1
        room -= tokens[first]
    return range(first, last)


def _holds(text: str, question: LabelledQuestion) -> bool:
    """Whether the words of an accepted answer all occur in the text, in whatever order. One without words, such as a
    percent sign, always does: nothing can be said of it."""
    there = words(text)
    return any(words(answer) <= there for answer in question.answers)


def _key(article: Article) -> tuple[str, str]:
    return article.id, article.text  # SQuAD 1.1 and 2.0 have other texts under the same titles


def _mined_per_question(questions: Sequence[LabelledQuestion]) -> float:
    """How many mined windows each answerable question gets, so that the share of all comes out."""
    answerable = sum(question.answerable for question in questions)
    if not answerable:
        return 0.0
    wanted = _UNANSWERABLE_SHARE / (1 - _UNANSWERABLE_SHARE) - (len(questions) - answerable) / answerable
    return max(wanted, _LEAST_MINED)
