"""Bytes to text."""

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader, TextIOWrapper

from charset_normalizer import from_bytes

from index.article import MAX_CHARACTERS

_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16: its mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?([A-Za-z0-9_.:-]{2,40})""")
_DECLARATION_BYTES = 2_048
MAX_LINE_CHARACTERS = MAX_CHARACTERS + 1_000_000
"""The longest article, and what is known about it."""

_GUESS_BYTES = 200_000
_MAX_CONTROL_SHARE = 0.1
_STRAY = re.compile("[\udc80-\udcff]+")
"""Bytes that are no UTF-8, as surrogateescape decodes them."""

_CONTROL = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")


class NotText(Exception):
    """The bytes are no text, or in no encoding that can be told."""


def decode(data: bytes) -> str:
    """The text of `data`, line ends and all; a byte order mark is not part of it.

    By its byte order mark, as UTF-8 (lone surrogates let through), by a declaration as HTML and XML have, else by
    charset-normalizer's guess. Raises NotText.
    """
    for mark, encoding in _BOMS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    try:
        text = data.decode("utf-8", errors="surrogatepass")
    except UnicodeDecodeError:
        text = _declared(data) or data.decode(_guess_encoding(data[:_GUESS_BYTES]), errors="replace")
    _refuse_binary(text)
    return text


def _refuse_binary(text: str) -> None:
    if len(_CONTROL.findall(text)) > _MAX_CONTROL_SHARE * len(text):
        raise NotText("it is a binary file")


def _declared(data: bytes) -> str | None:
    if (match := _DECLARED.search(data[:_DECLARATION_BYTES])) is None:
        return None
    try:
        return data.decode(match[1].decode("ascii"))
    except (LookupError, UnicodeError):  # UnicodeError itself from the codec that is named undefined
        return None


def _guess_encoding(start: bytes) -> str:
    if b"\0" in start:
        raise NotText("it is a binary file")
    if (best := from_bytes(start).best()) is None:
        raise NotText("it is a binary file, or in an encoding that cannot be told")
    return best.encoding


def lines_of(file: BufferedReader) -> Iterator[str]:
    """The lines of a text of any size with their ends, decoded as they come: by a byte order mark, as UTF-8, in which
    stray bytes are taken as Windows-1252, or as the beginning is guessed to be.

    Raises NotText, also where a line is longer than the longest article.
    """
    encoding = _encoding_of(file.peek(_GUESS_BYTES)[:_GUESS_BYTES])
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    text = TextIOWrapper(file, encoding, errors, newline="")
    try:
        while line := text.readline(MAX_LINE_CHARACTERS):
            if len(line) == MAX_LINE_CHARACTERS:
                raise NotText(f"it has a line of more than {MAX_LINE_CHARACTERS:,} characters")
            yield _STRAY.sub(lambda stray: stray[0].encode(errors=errors).decode("cp1252", errors="replace"), line)
    finally:
        with suppress(ValueError):  # whoever opened the file has closed it already
            text.detach()


def _encoding_of(start: bytes) -> str:
    for mark, encoding in _BOMS.items():
        if start.startswith(mark):
            return "utf-8-sig" if encoding == "utf-8" else encoding[:-3]  # it is the mark that says which end is first
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)  # its last character may be cut in two
    except UnicodeDecodeError:
        return _guess_encoding(start)
    _refuse_binary(text)
    return "utf-8"
