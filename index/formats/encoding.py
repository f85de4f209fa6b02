"""Bytes to text."""

import codecs
import re

from charset_normalizer import from_bytes

_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16: its mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?([A-Za-z0-9_.:-]{2,40})""")
_DECLARATION_BYTES = 2_048
_GUESS_BYTES = 200_000
_MAX_CONTROL_SHARE = 0.1
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
        if b"\0" in data[:_GUESS_BYTES]:
            raise NotText("it is a binary file") from None
        text = _declared(data) or _guessed(data)
    if len(_CONTROL.findall(text)) > _MAX_CONTROL_SHARE * len(text):
        raise NotText("it is a binary file")
    return text


def _declared(data: bytes) -> str | None:
    if (match := _DECLARED.search(data[:_DECLARATION_BYTES])) is None:
        return None
    try:
        return data.decode(match[1].decode("ascii"))
    except (LookupError, UnicodeError):  # UnicodeError itself from the codec that is named undefined
        return None


def _guessed(data: bytes) -> str:
    best = from_bytes(data[:_GUESS_BYTES]).best()
    if best is None:
        raise NotText("it is a binary file, or in an encoding that cannot be told")
    return data.decode(best.encoding, errors="replace")
