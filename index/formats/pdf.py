"""PDF: the text in reading order, its lines joined to paragraphs, by pypdfium2; where each page begins is metadata."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO, NamedTuple

import pypdfium2
from pypdfium2 import raw

from index.article import make_article
from index.errors import InvalidInput, UnreadableArticle
from index.formats import layout, paragraphs
from index.formats.format import Item
from index.formats.hyphens import joined, words_of
from index.formats.layout import Line
from index.formats.parts import go_on
from index.formats.titles import sensible
from index.pages import MAX_PAGES, page_starts

_HYPHEN = 2
"""What pdfium gives for a hyphen that ends a line."""

_HYPHENS = (_HYPHEN, 0xAD)
"""A soft hyphen on a page is one that is seen; many fonts have no other."""

_SPACES = frozenset(map(ord, " \t\r\n"))
_STRANGE = re.compile("[\0-\x1f\ufffd-\uffff\ue000-\uf8ff\ud800-\udfff]")
_MAX_STRANGE = 0.3
"""Of all letters. Formulas have some; a font that does not say what it shows has hardly any others."""

_NOTE_MARK = re.compile(r"(?<=[.,;:!?”’\")])(?:\d{1,3}|[*†‡§]+)$")
_SYMBOL = re.compile("[\ue000-\uf8ff]")
"""Alone, it is how word processors write the marks of their lists: in a font of symbols, with no Unicode of its own."""

_SMALL = 0.85
"""Of the size of the word before: a mark of a note is smaller yet, small capitals are not."""

_SPACE = 0.15
"""Of the height of a letter. Word spaces are from 0.2 on; pdfium overlooks some that are made by moving on."""

_MAX_TITLE_CHARACTERS = 250
_TITLE_SIZE = 1.15
"""Of the size of most of the text."""

_BROWSERS = ("Mozilla/", "Chromium")
"""Whoever prints a page with one has a file of the day of the print, not of that on which the page came out."""

_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(?:(Z)|([+-])(\d\d)'?(\d\d)?'?)?")


class _Letter(NamedTuple):
    """A character by its number on the page, with its box; y grows upwards here."""

    at: int
    code: int
    left: float
    bottom: float
    right: float
    top: float


def read(file: BinaryIO, where: str) -> Iterator[Item]:
    try:
        pdf = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        locked = error.err_code == raw.FPDF_ERR_PASSWORD
        reason = "it is encrypted; save it without its password" if locked else "it is no PDF, or a damaged one"
        yield UnreadableArticle(where, reason)
        return
    with pdf:
        if len(pdf) > MAX_PAGES:
            yield UnreadableArticle(where, f"it has {len(pdf):,} pages, more than {MAX_PAGES:,}; split it")
            return
        pages: list[list[Line]] = []
        for number in range(len(pdf)):
            go_on()
            try:
                pages.append(layout.pieces(_words(pdf, number)))
            except pypdfium2.PdfiumError:
                pages.append([])
                yield UnreadableArticle(f"{where}, page {number + 1}", "the page is damaged, and left out")
        yield _article(pdf, pages, where)


def _article(pdf: pypdfium2.PdfDocument, pages: list[list[Line]], where: str) -> Item:
    letters = "".join(piece.text for page in pages for piece in page)
    if not letters:
        return UnreadableArticle(where, "no text in it: it seems to be scanned; run OCR first, e.g. ocrmypdf")
    if len(_STRANGE.findall(letters)) > _MAX_STRANGE * len(letters):
        return UnreadableArticle(
            where, "its fonts do not tell which letters they show; run OCR, e.g. ocrmypdf --force-ocr"
        )
    labels = [pdf.get_page_label(number) or str(number + 1) for number in range(len(pages))]
    lines, notes = _lines(pages, labels)
    text, starts = _text(lines, notes)
    facts = {name: pdf.get_metadata_value(name).strip() for name in ("Title", "Author", "CreationDate", "Creator")}
    try:
        return make_article(
            text,
            title=sensible(facts["Title"]) or _largest(lines),
            published=None if facts["Creator"].startswith(_BROWSERS) else _date(facts["CreationDate"]),
            authors=tuple(re.split(r"\s*;\s*", facts["Author"])),
            metadata={"pages": page_starts(starts, labels)},
        )
    except InvalidInput as error:
        return UnreadableArticle(where, str(error))


def _words(pdf: pypdfium2.PdfDocument, number: int) -> list[Line]:
    """The words of a page with their places, in the order of the file, those that run in the direction most do."""
    page = pdf[number]
    page.set_rotation(0)  # on a page that is shown turned, pdfium finds spaces within words
    text = page.get_textpage()
    words = list(_letters(text))
    # asked once for letters of one height, since it takes as long as all else about a word
    sizes = {
        height: _size(text, at) for height, at in {_height(letters[0]): letters[0].at for letters in words}.items()
    }
    found = [_word(text, letters, sizes[_height(letters[0])], number) for letters in words]
    text.close()
    page.close()
    turns = Counter(turn for turn, _ in found)
    most = turns.most_common(1)[0][0] if turns else 0
    return _without_note_marks([_turned(word, most) for turn, word in found if turn == most])


def _without_note_marks(words: list[Line]) -> list[Line]:
    """The words but for small numbers behind the end of a sentence or a clause."""
    return [
        word
        for before, word in zip([None, *words], words, strict=False)
        if before is None
        or word.size >= _SMALL * before.size
        or not _NOTE_MARK.search(before.text[-1] + word.text)
        or not before.beside(word)
    ]


def _letters(text: pypdfium2.PdfTextPage) -> Iterator[list[_Letter]]:
    """The letters of each word; where the file writes no space, a gap is one."""
    word: list[_Letter] = []
    box = raw.FS_RECTF()
    handle = text.raw  # pypdfium2 would look for it at each call
    for index in range(text.count_chars()):
        code = raw.FPDFText_GetUnicode(handle, index)
        if code not in _SPACES:
            raw.FPDFText_GetLooseCharBox(handle, index, box)
            letter = _Letter(index, code, box.left, box.bottom, box.right, box.top)
            if word and letter.left - word[-1].right > _SPACE * (letter.top - letter.bottom):
                yield word
                word = []
            word.append(letter)
        if word and (code in _SPACES or code == _HYPHEN):
            yield word
            word = []
    if word:
        yield word


def _word(text: pypdfium2.PdfTextPage, letters: list[_Letter], size: float, number: int) -> tuple[int, Line]:
    """A word and in how many quarter turns it is written; a mark for a note behind it is left out."""
    first, last = letters[0], letters[-1]
    word = "".join("-" if letter.code in _HYPHENS else chr(letter.code) for letter in letters)
    word = word.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    word = "•" if _SYMBOL.fullmatch(word) else word
    if _height(last) < _SMALL * _height(first):
        word = _NOTE_MARK.sub("", word)
    turn = round(raw.FPDFText_GetCharAngle(text, first.at) / (math.pi / 2)) % 4
    if turn % 2:
        bottom, top = min(first.bottom, last.bottom), max(first.top, last.top)
    else:  # of the first letter alone: a raised one behind it is no part of the height
        bottom, top = first.bottom, first.top
    left, right = min(first.left, last.left), max(first.right, last.right)
    return turn, Line(word, left, -top, right, -bottom, size=size, page=number)


def _height(letter: _Letter) -> float:
    return round(letter.top - letter.bottom, 1)


def _size(text: pypdfium2.PdfTextPage, index: int) -> float:
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(text, index, matrix)
    return round(float(raw.FPDFText_GetFontSize(text, index)) * math.hypot(matrix.c, matrix.d), 1)


def _turned(word: Line, turn: int) -> Line:
    """The word on the page turned so that it is read from left to right."""
    if turn == 0:
        return word
    left, top, right, bottom = word.left, word.top, word.right, word.bottom
    if turn == 3:  # pdfium counts clockwise: upwards
        left, top, right, bottom = -bottom, left, -top, right
    elif turn == 2:
        left, top, right, bottom = -right, -bottom, -left, -top
    else:
        left, top, right, bottom = top, -right, bottom, -left
    return replace(word, left=left, top=top, right=right, bottom=bottom)


def _lines(pages: list[list[Line]], labels: list[str]) -> tuple[list[Line], list[Line]]:
    """The lines of the text in reading order, and those of its notes."""
    parted = layout.without_running_heads(pages, labels)
    lines = [line for page in parted for line in layout.in_order(page)]
    return paragraphs.notes_apart(lines, paragraphs.body_size(lines)) if lines else ([], [])


def _text(lines: list[Line], notes: list[Line]) -> tuple[str, list[tuple[int, int]]]:
    """The text, the notes behind it, and each place where another page begins, with that page."""
    words = words_of([line.text for line in [*lines, *notes]])
    starts: list[tuple[int, int]] = []
    parts: list[str] = []
    length = 0
    for paragraph in paragraphs.paragraphs(lines) + paragraphs.note_paragraphs(notes):
        if parts:
            parts.append("\n\n")
            length += 2
        before = None
        for line in paragraph:
            if before is not None:
                ended = parts.pop()
                length -= len(ended)
                ended = joined(ended, line.text, words)
                if ended.endswith(" ") and paragraphs.has_room(before, line):
                    ended = ended[:-1] + "\n"
                parts.append(ended)
                length += len(ended)
            if not starts or starts[-1][1] != line.page:
                starts.append((length, line.page))
            parts.append(line.text)
            length += len(line.text)
            before = line
    return "".join(parts), starts


def _largest(lines: list[Line]) -> str | None:
    """The lines in the largest type of the first page that has any, where they are larger than the rest."""
    first = [line for line in lines if line.page == lines[0].page]
    size = max(line.size for line in first)
    title = " ".join(line.text for line in first if line.size == size)
    large = size >= _TITLE_SIZE * paragraphs.body_size(lines)
    return title if large and len(title) <= _MAX_TITLE_CHARACTERS else None


def _date(text: str) -> str | None:
    """ISO 8601 for a PDF's date (ISO 32000-1, 7.9.4); without a zone, the day alone."""
    if (found := _DATE.match(text)) is None:
        return None
    year, month, day, hour, minute, second, utc, sign, zone_hour, zone_minute = found.groups()
    date = f"{year}-{month}-{day}"
    if hour is None or not (utc or sign):
        return date
    zone = "+00:00" if utc else f"{sign}{zone_hour}:{zone_minute or '00'}"
    return f"{date}T{hour}:{minute}:{second or '00'}{zone}"
