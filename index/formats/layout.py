"""Words by where they stand on their pages -> lines in the order they are read, without running heads.

Lengths are in points, and y grows downwards from the top of the page. Nothing here knows of a file's format.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from statistics import median

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

_COLUMN_LINES = 3
_COLUMN_CHARACTERS = 15
"""A column has at least three lines of 15 characters in the middle; what is shorter is a column of a table."""

_HEADING = 1.15
"""Times the size of the line below it: LaTeX's smallest heading that is larger at all has 1.2."""

_MAX_STARTS = 24
"""So many of the edges that lines begin at are looked at, which costs a look at all lines for each."""

_FULL = 0.8
"""Of the lines of a column so many end before its right edge or at it; a heading may be longer."""

_RUNNING_LINES = 4
"""So many at the top of a page and at its foot may be running heads."""

_SAME_PLACE = 2.0
"""Points."""


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
    """The page from top to bottom in parts: those with a line across x, and those without one. A heading goes with what
    it stands above."""
    part: list[Line] = []
    crossed = False
    rows = _rows(page)
    for row, below in zip(rows, [*rows[1:], []], strict=True):
        heads = len(row) == 1 and bool(below) and row[0].size > _HEADING * below[0].size
        crosses = any(piece.left < x < piece.right for piece in (*row, *(below if heads else ())))
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
