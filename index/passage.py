"""Passages: slices of an article made of whole sentences, short enough to be embedded and read in one go."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import NamedTuple

import nupunkt
import sentencex

from index.article import Article
from index.language import ENGLISH

TokenSpans = Callable[[Sequence[str]], list[list[tuple[int, int]]]]
"""Texts to the half-open character spans of each text's tokens, in order."""

CHARACTERS_PER_TOKEN = 12
"""A passage has at most this many characters per token of its budget. English has 4 to 5; without the bound a
word of five million letters, which a WordPiece tokenizer takes for a single unknown token, would be one passage."""

_BLANK_LINE = re.compile(r"\n[^\S\n]*(?:\r?\n\s*)")
_BLOCK_CHARACTERS = 100_000
"""Sentences longer than this are cut before they are tokenised, which bounds memory."""

_WINDOW_CHARACTERS = 2_000
"""Looked at in one go by sentencex, which takes quadratic time; longer sentences are cut anyway."""

_WHITE = re.compile(r"[^\S\n ]")

CUTTER_BEFORE = f"nupunkt-{nupunkt.__version__}"
CUTTER = f"{CUTTER_BEFORE}+sentencex-{'.'.join(version('sentencex').split('.')[:2])}"
"""What finds the sentences, of any language; of English alone it finds the same as the one before. Patches of sentencex
mend single abbreviations, for which no library need be cut anew."""

Slice = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Passage:
    """The slice `article.text[start:end]`, in code points; begins and ends with a character that is no space."""

    article: Article
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.article.text[self.start : self.end]


class _Piece(NamedTuple):
    """A sentence, or a part of one that is over the budget."""

    start: int
    end: int
    tokens: int


def sentences(text: str, language: str | None = None) -> list[Slice]:
    """The sentences of a text as slices without surrounding white space, in order; a blank line ends a sentence. One in
    a language that is not known is taken for English."""
    other = language if language != ENGLISH else None
    found = []
    begin = 0
    for gap in [*(match.span() for match in _BLANK_LINE.finditer(text)), (len(text), len(text))]:
        paragraph = text[begin : gap[0]]
        if not paragraph.strip():
            spans: Iterable[Slice] = ()
        else:
            spans = _other_sentences(paragraph, other) if other else nupunkt.sent_spans(paragraph)
        for start, end in spans:
            if (stripped := _strip(text, begin + start, begin + end)) is not None:
                found.append(stripped)
        begin = gap[1]
    return found


def _other_sentences(paragraph: str, language: str) -> Iterator[Slice]:
    plain = _WHITE.sub(" ", paragraph)  # sentencex 1.0.32 panics at white space of several bytes
    begin = 0
    while begin < len(plain):
        window = plain[begin : begin + _WINDOW_CHARACTERS]
        spans = [(one["start_index"], one["end_index"]) for one in sentencex.get_sentence_boundaries(language, window)]
        if begin + len(window) < len(plain) and len(spans) > 1:
            spans.pop()  # it may go on
        yield from ((begin + start, begin + end) for start, end in spans)
        begin += spans[-1][1]


@dataclass(frozen=True, slots=True)
class Splitter:
    """Cuts articles into passages of at most `budget` tokens, each beginning with the last `overlap` sentences
    of the one before where they fit. `token_spans` is a tokenizer; `name` says which."""

    token_spans: TokenSpans
    name: str
    budget: int = 160
    overlap: int = 1

    @property
    def fingerprint(self) -> str:
        """Two splitters with the same fingerprint cut alike."""
        return f"{CUTTER}/{self.name}/{self.budget}+{self.overlap}"

    def split(self, article: Article) -> list[Passage]:
        """The article's passages in order; together they hold every character that is no space."""
        pieces = self._pieces(article)
        passages: list[Passage] = []
        first = end = 0
        while end < len(pieces):
            end = self._reach(pieces, first)
            for piece in self._fit(article.text, pieces[first].start, pieces[end - 1].end):
                # One that lies within its neighbour is left out: an overlap that leaves no room for a sentence more,
                # or part of a slice that had to be halved.
                if not passages or piece.end > passages[-1].end:
                    while passages and passages[-1].start >= piece.start:
                        passages.pop()
                    passages.append(Passage(article, piece.start, piece.end))
            first = max(end - self.overlap, first + 1)
        return passages

    def _reach(self, pieces: Sequence[_Piece], first: int) -> int:
        """How far (exclusive) the passage that begins with piece `first` goes."""
        end, tokens = first + 1, pieces[first].tokens
        while end < len(pieces):
            tokens += pieces[end].tokens
            if tokens > self.budget or pieces[end].end - pieces[first].start > self._max_characters:
                break
            end += 1
        return end

    def _pieces(self, article: Article) -> list[_Piece]:
        """The sentences, those over the budget cut at token boundaries."""
        text = article.text
        blocks = [
            block
            for start, end in sentences(text, article.language)
            for cut in range(start, end, _BLOCK_CHARACTERS)
            if (block := _strip(text, cut, min(cut + _BLOCK_CHARACTERS, end))) is not None
        ]
        pieces = []
        for (start, end), spans in zip(blocks, self.token_spans([text[s:e] for s, e in blocks]), strict=True):
            if len(spans) <= self.budget and end - start <= self._max_characters:
                pieces.append(_Piece(start, end, len(spans)))
            else:
                pieces.extend(self._cut(text, start, end, spans))
        return pieces

    def _cut(self, text: str, start: int, end: int, spans: Sequence[Slice]) -> list[_Piece]:
        """Cut one over-long sentence; `spans` are its tokens, relative to `start`."""
        ends = [start + token_end for _, token_end in spans]
        pieces = []
        while start < end:
            limit = min(start + self._max_characters, end)
            used = bisect_right(ends, start)
            if used + self.budget < len(ends):
                limit = min(limit, ends[used + self.budget - 1])
            if limit < end and (fitting := bisect_right(ends, limit)) > used:
                limit = ends[fitting - 1]
            pieces.extend(self._fit(text, start, limit))
            start = limit
        return pieces

    def _fit(self, text: str, start: int, end: int) -> list[_Piece]:
        """The slice itself where its own tokens are within the budget, else its halves: a part of a word may
        have more tokens than it had within the word."""
        stripped = _strip(text, start, end)
        if stripped is None:
            return []
        start, end = stripped
        tokens = len(self.token_spans([text[start:end]])[0])
        if tokens <= self.budget or end - start == 1:
            return [_Piece(start, end, tokens)]
        middle = (start + end) // 2
        return self._fit(text, start, middle) + self._fit(text, middle, end)

    @property
    def _max_characters(self) -> int:
        return self.budget * CHARACTERS_PER_TOKEN


def _strip(text: str, start: int, end: int) -> Slice | None:
    """The slice without surrounding white space, or None where nothing else is in it."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    end -= len(piece) - len(piece.rstrip())
    return (start, end) if start < end else None
