"""Mail: a message (`.eml`) or a mailbox of them (`.mbox`).

Signatures and what is quoted of others are part of the text; attachments are counted.
"""

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses
from typing import BinaryIO

from index.article import make_article
from index.errors import InvalidInput, UnreadableArticle
from index.formats import Item
from index.formats.charset import decode_as
from index.formats.encoding import NotText
from index.formats.html import text_of
from index.formats.parts import parts

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Most of a message is attachments, which mail servers refuse beyond some 50 MiB."""

_ENVELOPE = re.compile(rb"From \S+ .*\d:\d\d.*\b\d{4}\b")
"""The line before each message of a mailbox; a sentence that begins with "From" has no sender, time and year in it."""

_ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)
_ENCODED = re.compile(r"=\?[^\s?]+\?[bq]\?[^\s?]*\?=(?:\s+=\?[^\s?]+\?[bq]\?[^\s?]*\?=)*", re.IGNORECASE)
_HEADERS = ("from", "subject", "date", "message-id", "received", "to")


def read(file: BinaryIO, where: str) -> Iterator[Item]:
    start = next((line for line in file if line.strip()), b"")
    if not _ENVELOPE.match(start):
        data = start + file.read(MAX_MESSAGE_BYTES + 1 - len(start))
        yield _article_of(data, where)
        return
    named = ((f"{where}, message {number}", data) for number, data in enumerate(_messages(file), start=1))
    for place, data in parts(named):
        yield _article_of(_ESCAPED.sub(rb"\1", data), place)


def _messages(file: BinaryIO) -> Iterator[bytes]:
    """The messages of a mailbox from behind its first line on; of one that is too large as much as shows that it is."""
    message = bytearray()
    before = b""
    for line in file:
        if _ENVELOPE.match(line) and not before.strip():
            yield bytes(message)
            message.clear()
        elif len(message) <= MAX_MESSAGE_BYTES:
            message += line
        before = line
    yield bytes(message)


def _article_of(data: bytes, where: str) -> Item:
    if len(data) > MAX_MESSAGE_BYTES:
        return UnreadableArticle(where, f"the message is larger than {MAX_MESSAGE_BYTES >> 20} MiB")
    try:
        message = message_from_bytes(data)
        if not any(name in message for name in _HEADERS):
            return UnreadableArticle(where, "it is no mail: it has none of its headers")
        texts, attachments = _content(message)
        return make_article(
            "\n\n".join(texts),
            id=_header(message, "message-id").strip("<> \t\r\n"),
            title=_header(message, "subject"),
            published=_header(message, "date"),
            source=_source(message),
            authors=_authors(message),
            metadata={"attachments": attachments} if attachments else None,
        )
    except (InvalidInput, NotText) as error:
        return UnreadableArticle(where, str(error))
    except RecursionError:
        return UnreadableArticle(where, "the message is nested too deeply")


def _content(part: Message) -> tuple[list[str], int]:
    """The texts of a part and those within, and how many attachments there are; of alternatives the plainest text."""
    kind = part.get_content_type()
    if part.is_multipart() and kind != "message/rfc822":
        found = (_content(inner) for inner in part.get_payload() if isinstance(inner, Message))
        if kind == "multipart/alternative":
            return next((content for content in found if content[0]), ([], 0))
        contents = list(found)
        return [text for texts, _ in contents for text in texts], sum(attachments for _, attachments in contents)
    attached = part.get_content_disposition() == "attachment" or part.get_filename()
    broken = part.get_content_maintype() == "multipart"  # without its boundary it is one piece of text
    if attached or not (broken or kind in ("text/plain", "text/html")):
        return [], 1
    payload = part.get_payload(decode=True)
    text = decode_as(payload if isinstance(payload, bytes) else b"", part.get_content_charset()).replace("\r\n", "\n")
    text = text_of(text) if kind == "text/html" else text.strip("\n")
    return [text] if text.strip() else [], 0


def _source(message: Message) -> str | None:
    """The name of the mailing list, else the domain that the message is from."""
    name, _, address = _header(message, "list-id").rpartition("<")
    if name.strip(' "') or address:
        return name.strip(' "') or address.strip("> ")
    return next((address.rpartition("@")[2] for _, address in getaddresses([_raw(message, "from")])), None)


def _authors(message: Message) -> tuple[str, ...]:
    """Names, else addresses; where it cannot be told what is which, all of the header."""
    # Taken apart before it is decoded: a name may have a comma that is encoded.
    addresses = getaddresses([_raw(message, "from")])
    return tuple(_words(name or address) for name, address in addresses if address) or (_header(message, "from"),)


def _header(message: Message, name: str) -> str:
    """The text of a header, empty where there is none."""
    return _words(_raw(message, name))


def _raw(message: Message, name: str) -> str:
    """A header as it is written: what is not in ASCII, which is forbidden and common, is in UTF-8 nearly always."""
    value = next((value for key, value in message.raw_items() if key.lower() == name), "")
    return _text(value.encode("ascii", "surrogateescape"), "utf-8")


def _words(value: str) -> str:
    """With the encoded words (RFC 2047) decoded; one that cannot be stays as it is."""
    return _ENCODED.sub(_decoded, value)


def _decoded(words: re.Match[str]) -> str:
    try:
        return "".join(_text(data, charset) for data, charset in decode_header(words[0]) if isinstance(data, bytes))
    except HeaderParseError:
        return words[0]


def _text(data: bytes, charset: str | None) -> str:
    for encoding in ((charset or "").partition("*")[0], "utf-8"):  # behind the asterisk stands a language
        try:
            return data.decode(encoding)
        except (LookupError, UnicodeError, ValueError):
            continue
    return data.decode("cp1252", errors="replace")
