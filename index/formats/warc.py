"""Web archives (`.warc`, `.warc.gz`), by fastwarc: the pages and plain texts among what servers answered."""

import re
import zlib
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha1
from typing import BinaryIO
from urllib.parse import urlsplit

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from index.article import make_article, parse_published
from index.errors import InvalidInput, UnreadableArticle
from index.formats import Item
from index.formats.charset import decode_as
from index.formats.encoding import NotText
from index.formats.html import article_of
from index.formats.page import absolute
from index.formats.parts import parts

MAX_RECORD_BYTES = 32 * 1024 * 1024
"""Of a record as it is stored, and again of its content unpacked: a hundred times what a large page has."""

_HTML = ("text/html", "application/xhtml+xml")
_OK = 200
_DIGEST_CHARACTERS = 32
"""Of SHA-1 in base 32, as nearly all archives have it."""

_GZIP = b"\x1f\x8b\x08"
_START = re.compile(re.escape(_GZIP) + rb"|WARC/1\.\d\r\n")
"""How a record begins, compressed or not."""

_START_BYTES = 10
_SEARCHED_BYTES = 1 << 20
_UNPACKED_BYTES = 1 << 16
"""At a time, since it may be a thousand times as much unpacked."""


@dataclass(frozen=True, slots=True)
class _Response:
    """What a server answered, headers and all, as it was stored."""

    address: str
    fetched: str
    data: bytes


def read(file: BinaryIO, where: str) -> Iterator[Item]:
    """The file must be one that can be sought in: damage costs only the records that it is in."""
    for place, response in parts(_responses(file, where)):
        if isinstance(response, UnreadableArticle):
            yield response
            continue
        try:
            item = _item(response, place)
        except (InvalidInput, NotText, OSError) as error:  # OSError: fastwarc cannot unpack it
            item = UnreadableArticle(place, str(error))
        if item is not None:
            yield item


def _responses(file: BinaryIO, where: str) -> Iterator[tuple[str, _Response | UnreadableArticle]]:
    """The responses, and once for each damaged stretch that it is damaged, each with how messages name it."""
    if not file.read(1):
        yield where, UnreadableArticle(where, "it is empty")
        return
    start: int | None = 0
    told = False
    while start is not None:
        last, length = file.seek(start), 0
        try:
            for record in ArchiveIterator(file, parse_http=False):
                last, length = record.stream_pos, record.content_length
                if record.record_type == WarcRecordType.response and record.is_http:
                    address = (record.headers.get("WARC-Target-URI") or "").strip("<> ")
                    place = f"{where}, {address}"
                    yield place, _stored(record, address, place)
                told = False
            if _ends_with(file, last, length):
                return
            trouble = f"it breaks off behind byte {last:,}; get it again"
        except OSError as error:
            trouble = f"it is damaged behind byte {last:,}: {error}"
        if not told:
            yield where, UnreadableArticle(where, trouble)
        told = True
        start = _next_start(file, last + 1)


def _ends_with(file: BinaryIO, at: int, length: int) -> bool:
    """Whether the record there, with `length` bytes of content, is whole and the last: fastwarc does not tell."""
    file.seek(at)
    start = file.read(_SEARCHED_BYTES)
    if start.startswith(_GZIP):
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        file.seek(at)
        while not unpacker.eof and (block := file.read(_UNPACKED_BYTES)):
            unpacker.decompress(block)
        return unpacker.eof and not (unpacker.unused_data + file.read(1)).strip(b"\0")
    if start.startswith(b"WARC/"):
        file.seek(at + len(start.partition(b"\r\n\r\n")[0]) + len(b"\r\n\r\n") + length)
        rest = file.read(_SEARCHED_BYTES)
        return rest.startswith(b"\r\n\r\n") and not rest.strip()
    return True  # within something that is compressed as a whole


def _stored(record: WarcRecord, address: str, place: str) -> _Response | UnreadableArticle:
    if record.content_length > MAX_RECORD_BYTES:
        return UnreadableArticle(place, f"the record is larger than {MAX_RECORD_BYTES >> 20} MiB")
    data = record.reader.read()
    if len(data) < record.content_length:
        return UnreadableArticle(place, "the record breaks off before its end")
    kind, _, digest = (record.headers.get("WARC-Block-Digest") or "").partition(":")
    if kind.lower() == "sha1" and len(digest) == _DIGEST_CHARACTERS and digest.upper() != _sha1(data):
        return UnreadableArticle(place, "the record is damaged: its content is not what its digest is of")
    return _Response(address, record.headers.get("WARC-Date") or "", data)


def _sha1(data: bytes) -> str:
    return b32encode(sha1(data, usedforsecurity=False).digest()).decode()


def _next_start(file: BinaryIO, at: int) -> int | None:
    """Where the next record may begin."""
    file.seek(at)
    searched = b""
    while block := file.read(_SEARCHED_BYTES):
        searched += block
        if match := _START.search(searched):
            return at + match.start()
        at += max(0, len(searched) - _START_BYTES)
        searched = searched[-_START_BYTES:]
    return None


def _item(response: _Response, place: str) -> Item | None:
    """The article in a response; None where it is a picture, an error or the like.

    Raises InvalidInput, NotText or OSError where the article cannot be read.
    """
    answer = _parsed(response.data, unpack=False)
    kind = (answer.http_content_type or "").lower()
    # what a site has to say to crawlers is no article
    unwanted = urlsplit(absolute(response.address) or "").path == "/robots.txt"
    if answer.http_headers.status_code != _OK or kind not in (*_HTML, "text/plain") or unwanted:
        return None
    # Some crawlers store the page unpacked and leave the headers as they were.
    unpacked = response.data.partition(b"\r\n\r\n")[2].lstrip().startswith(b"<")
    content = _parsed(response.data, unpack=not unpacked).reader.read(MAX_RECORD_BYTES + 1)
    if len(content) > MAX_RECORD_BYTES:
        return UnreadableArticle(place, f"its content is larger than {MAX_RECORD_BYTES >> 20} MiB")
    text = decode_as(content, answer.http_charset)
    metadata = {"fetched": parse_published(response.fetched) or response.fetched} if response.fetched else {}
    if kind in _HTML:
        return article_of(text, place, absolute(response.address), metadata)
    return make_article(text, url=absolute(response.address), metadata=metadata)


def _parsed(data: bytes, unpack: bool) -> WarcRecord:
    """A record of its own, so that what is wrong in it does not end the reading of the archive."""
    record = WarcRecord()
    record.set_bytes_content(data)
    record.is_http = True
    record.parse_http(auto_decode="all" if unpack else "none")
    return record
