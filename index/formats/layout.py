"""Where lines stand on their pages -> the text of a document: columns, running heads, paragraphs, notes.

Lengths are in points, and y grows downwards from the top of the page. Nothing here knows of a file's format.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from statistics import median, quantiles

_RunningKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Line:
    """Words beside each other, or one of them; `size` is that of its font, `page` counts from 0. `gap` is the widest
    space in it, `cell` where it goes on behind that, and `column` the right edge of the column that it stands in."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float
    page: int = 0
    gap: float = 0.0
    cell: float = 0.0
    column: float = 0.0

    def beside(self, other: "Line") -> bool:
        """Whether both stand on one line, as far as heights tell: more than half of the lower one is shared."""
        shared = min(self.bottom, other.bottom) - max(self.top, other.top)
        return shared > _SAME_LINE * min(self.bottom - self.top, other.bottom - other.top)


_SAME_LINE = 0.5
_PIECE_GAP = 0.9
"""In ems. A wider space may be one between columns: LaTeX leaves 1 em there, and a word space is a quarter."""

_TABLE_GAP = 2.0
"""In ems. A space as wide parts the cells of a row; those of justified text are narrower."""

_COLUMN_LINES = 3
_COLUMN_CHARACTERS = 15
"""A column has at least three lines of 15 characters in the middle; what is shorter is a column of a table."""

_MAX_STARTS = 24
"""So many of the edges that lines begin at are looked at, which costs a look at all lines for each."""

_FULL = 0.8
"""Of the lines of a column so many end before its right edge or at it; a heading may be longer."""

_RUNNING_LINES = 4
"""So many at the top of a page and at its foot may be running heads."""

_SAME_PLACE = 2.0
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


def pieces(words: Sequence[Line]) -> list[Line]:
    """Words in the order of the file joined to lines; a wide space parts them, since it may be one between columns."""
    joined: list[list[Line]] = []
    for word in words:
        if joined and _follows(joined[-1][-1], word):
            joined[-1].append(word)
        else:
            joined.append([word])
    return [_joined(part) for part in joined]


def _follows(before: Line, word: Line) -> bool:
    em = max(before.size, word.size)
    gap = max(word.left - before.right, before.left - word.right)  # in either direction of writing
    return before.beside(word) and -em / 2 <= gap <= _PIECE_GAP * em


def _joined(parts: Sequence[Line]) -> Line:
    """Parts of one line, from left to right, as a line."""
    gaps = [(part.gap, part.cell) for part in parts] + [(b.left - a.right, b.left) for a, b in pairwise(parts)]
    gap, cell = max(gaps)
    size = Counter({part.size: 0 for part in parts})
    for part in parts:
        size[part.size] += len(part.text)
    return replace(
        parts[0],
        text=" ".join(part.text for part in parts),
        left=min(part.left for part in parts),
        top=min(part.top for part in parts),
        right=max(part.right for part in parts),
        bottom=max(part.bottom for part in parts),
        size=size.most_common(1)[0][0],
        gap=gap,
        cell=cell,
    )


def without_running_heads(pages: Sequence[Sequence[Line]], labels: Sequence[str]) -> list[list[Line]]:
    """The pages without what is repeated at their tops and feet, numbers that count the pages aside, and without
    their own numbers."""
    rows = [_rows(page) for page in pages]
    seen: Counter[_RunningKey] = Counter()
    for page, label in zip(rows, labels, strict=True):
        outermost = [*page[:_RUNNING_LINES], *page[_RUNNING_LINES:][-_RUNNING_LINES:]]
        seen.update({key for row in outermost for key in _running_keys(row, label)})
    return [
        [piece for row in _without_ends(page, label, seen) for piece in row]
        for page, label in zip(rows, labels, strict=True)
    ]


def _without_ends(page: list[list[Line]], label: str, seen: Counter[_RunningKey]) -> list[list[Line]]:
    for at in (0, -1):
        for _ in range(_RUNNING_LINES):
            if page and (_is_number(page[at], label) or any(seen[key] > 1 for key in _running_keys(page[at], label))):
                page = page[1:] if at == 0 else page[:-1]
    return page


def _rows(page: Sequence[Line]) -> list[list[Line]]:
    """The pieces that stand on one line each, from top to bottom and from left to right."""
    rows: list[list[Line]] = []
    for piece in sorted(page, key=lambda piece: (piece.top, piece.left)):
        row = next((row for row in rows[-2:] if row[0].beside(piece)), None)
        if row is None:
            rows.append([piece])
        else:
            row.append(piece)
    return [sorted(row, key=lambda piece: piece.left) for row in rows]


def _running_keys(row: Sequence[Line], label: str) -> set[_RunningKey]:
    """What a row and its likes on other pages have in common: place and text, but for the page's label or one number
    that grows with the pages. Two neighbouring places, since rounding may part what is close together."""
    text = " ".join(piece.text for piece in row)
    texts = {text, re.sub(rf"\b{re.escape(label)}\b", "#", text)}
    for number in re.finditer(r"[0-9]{1,6}", text):
        texts.add(f"{text[: number.start()]}#{int(number[0]) - row[0].page}{text[number.end() :]}")
    place = int(row[0].top / _SAME_PLACE)
    return {(text, near) for text in texts for near in (place, place + 1)}


def _is_number(row: Sequence[Line], label: str) -> bool:
    return re.fullmatch(rf"[-–—−\s]*{re.escape(label)}[-–—−\s]*", " ".join(piece.text for piece in row)) is not None


def in_order(page: Sequence[Line]) -> list[Line]:
    """The lines of a page in the order they are read: what spans the columns parts the page, and between two such
    lines one column is read after the other. Each line knows its column."""
    gutter = _gutter(page)
    if gutter is None:
        rows = [_joined(row) for row in _rows(page)]
        rights = sorted(row.right for row in rows)
        return _in_column(rows, rights[ceil(_FULL * (len(rows) - 1))]) if rows else []
    lines = []
    for part in _parts(page, gutter):
        left = [piece for piece in part if piece.right <= gutter]
        right = [piece for piece in part if piece.left >= gutter]
        if _are_columns(left, right):
            lines += in_order(left) + in_order(right)
        else:
            lines += _in_column([_joined(row) for row in _rows(part)], max(piece.right for piece in page))
    return lines


def _in_column(rows: Sequence[Line], right: float) -> list[Line]:
    return [replace(row, column=right) for row in rows]


def _gutter(page: Sequence[Line]) -> float | None:
    """The x between two columns that has the most lines beside it; None where there are no columns."""
    starts = Counter(round(piece.left) for piece in page)
    best, most = None, 0
    for start in sorted(start for start, count in starts.most_common(_MAX_STARTS) if count >= _COLUMN_LINES):
        x = start - 1.0
        beside = 0
        for part in _parts(page, x):
            left = [piece for piece in part if piece.right <= x]
            if _are_columns(left, [piece for piece in part if piece.left >= x]):
                beside += len(part)
        if beside > most:
            best, most = x, beside
    return best


def _parts(page: Sequence[Line], x: float) -> Iterator[list[Line]]:
    """The page from top to bottom in parts: those with a line across x, and those without one."""
    part: list[Line] = []
    crossed = False
    for row in _rows(page):
        crosses = any(piece.left < x < piece.right for piece in row)
        if part and crosses != crossed:
            yield part
            part = []
        part.extend(row)
        crossed = crosses
    if part:
        yield part


def _are_columns(left: Sequence[Line], right: Sequence[Line]) -> bool:
    if min(len(left), len(right)) < _COLUMN_LINES:
        return False
    return all(median(len(piece.text) for piece in side) >= _COLUMN_CHARACTERS for side in (left, right))


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
    return wide and abs(before.cell - line.cell) < _SAME_PLACE


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
