"""Lines in the order they are read -> paragraphs, and notes apart from them. Lengths are in points."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import quantiles

from index.formats.layout import Line

_TABLE_GAP = 2.0
"""In ems. A space as wide parts the cells of a row; those of justified text are narrower."""

_SAME_CELL = 2.0
"""Points. What begins as close to one another in two rows is in one column of a table."""

_OPEN_PITCH = 1.2
"""Lines that are this much farther apart than is usual have a paragraph's end between them."""

_MAX_PITCH = 2.5
"""In ems. Lines set double are 2.4 apart; what is wider on a page of few lines is not the usual distance."""

_INDENT = 0.7
"""In ems. Printers indent by 1 em or more."""

_SAME_SIZE = 0.06
_NOTE_SIZE = 0.92
"""Of the size of most of the text: what is as small or smaller and ends a column is a note, where marked as one."""

_BULLET = re.compile("[•◦▪▸‣●○■□✓]")
_NUMBER = re.compile(r"(?:\(?(?:\d{1,3}|[a-z]|[ivxlc]{1,5})[.)]|[-–—*·∙])\s")
"""What else an item of a list begins with, or else a line within a sentence."""

_SENTENCE_END = re.compile(r"[.!?…:;。！？][\"'”’»)\]]*$")
_NOTE_MARK = re.compile(r"(?:\d{1,3}(?!\d)|[*†‡§¶]+)[.)]?\s*(?=[^\W\d]|[“‘\"(])")
_HYPHENS = "-\u00ad\u2010"


def body_size(lines: Iterable[Line]) -> float:
    """The size of font that most of the text has."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0]


def notes_apart(lines: Sequence[Line], body: float) -> tuple[list[Line], list[Line]]:
    """The lines of the text and those of its footnotes: marked lines in small type that end a column, and so would
    stand in the middle of a sentence that goes on in the next."""
    text: list[Line] = []
    notes: list[Line] = []
    for column in _by_column(lines):
        first = len(column)
        while first and column[first - 1].size <= _NOTE_SIZE * body:
            first -= 1
        if not first:  # all of it is small: a list of books, say
            first = len(column)
        while first < len(column) and not _NOTE_MARK.match(column[first].text):
            first += 1
        text += column[:first]
        notes += column[first:]
    return text, notes


def _by_column(lines: Sequence[Line]) -> Iterator[list[Line]]:
    column: list[Line] = []
    for line in lines:
        if column and _turns(column[-1], line):
            yield column
            column = []
        column.append(line)
    if column:
        yield column


def _turns(before: Line, line: Line) -> bool:
    return before.page != line.page or line.top < before.top


def paragraphs(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines of each paragraph."""
    found: list[list[Line]] = []
    pitches = _pitches(lines)
    for before, line in zip([None, *lines], lines, strict=False):
        if before is None or _is_new(before, line, pitches.get(round(line.size), line.size)):
            found.append([line])
        else:
            found[-1].append(line)
    return found


def note_paragraphs(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines of each note, without its mark."""
    found: list[list[Line]] = []
    for line in lines:
        if mark := _NOTE_MARK.match(line.text):
            found.append([replace(line, text=line.text[mark.end() :])])
        else:
            found[-1].append(line)
    return found


def _pitches(lines: Sequence[Line]) -> dict[int, float]:
    """From line to line how far it usually is, for each size of font: a quarter of all are no farther apart."""
    seen: dict[int, list[float]] = {}
    for before, line in pairwise(lines):
        if not _turns(before, line) and _alike(before, line):
            seen.setdefault(round(line.size), []).append(line.bottom - before.bottom)
    return {size: quantiles(found * 2, n=4)[0] for size, found in seen.items()}


def _is_new(before: Line, line: Line, pitch: float) -> bool:
    """Whether the line begins a paragraph."""
    if not _alike(before, line) or _BULLET.match(line.text):
        return True
    ended = _SENTENCE_END.search(before.text) is not None
    roomy = has_room(before, line)
    if _turns(before, line):
        return ended or roomy
    if line.bottom - before.bottom > _OPEN_PITCH * min(pitch, _MAX_PITCH * line.size):
        return True
    if _is_row(before) or _is_row(line) or _are_rows(before, line):
        return True
    if (ended or roomy) and _NUMBER.match(line.text):
        return True
    if (ended or roomy) and line.left - before.left > _INDENT * line.size:
        return not _is_item(before)
    return ended and roomy


def _is_item(line: Line) -> bool:
    return (_BULLET.match(line.text) or _NUMBER.match(line.text)) is not None


def _is_row(line: Line) -> bool:
    """Whether it is the row of a table: it has wide gaps that do not come from filling its column."""
    return line.gap > _TABLE_GAP * line.size and abs(line.right - line.column) > line.size / 2


def _are_rows(before: Line, line: Line) -> bool:
    wide = min(before.gap, line.gap) > _TABLE_GAP * line.size
    return wide and abs(before.cell - line.cell) < _SAME_CELL


def has_room(before: Line, line: Line) -> bool:
    """Whether the line before was ended on purpose: the first word of the next would still have fitted."""
    word = line.text.split(maxsplit=1)[0]
    width = (line.right - line.left) * (len(word) + 1) / max(len(line.text), 1)
    fits = before.right + width < before.column
    return fits and before.text[-1] not in _HYPHENS and not _are_centred(before, line)


def _are_centred(before: Line, line: Line) -> bool:
    left, right = line.left - before.left, before.right - line.right
    return abs(left) > line.size / 2 and abs(left - right) < line.size / 2


def _alike(before: Line, line: Line) -> bool:
    return abs(before.size - line.size) <= _SAME_SIZE * max(before.size, line.size)
