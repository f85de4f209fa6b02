"""What a server says it gives, as a format."""

from pathlib import PurePosixPath

from httpx2 import URL

from index.formats import Format, format_of
from index.formats.format import DOCX, EPUB, FEED, HTML, MARKDOWN, PDF, RECORDS, START_BYTES, TABLE

KINDS: dict[str, Format | None] = {
    "text/html": HTML,
    "application/xhtml+xml": HTML,
    "application/rss+xml": FEED,
    "application/atom+xml": FEED,
    "application/feed+json": FEED,
    "application/pdf": PDF,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": DOCX,
    "application/epub+zip": EPUB,
    "text/markdown": MARKDOWN,
    "text/csv": TABLE,
    "text/tab-separated-values": TABLE,
    "application/x-ndjson": RECORDS,
    "application/jsonl": RECORDS,
    "application/json": None,
    "application/xml": None,
    "text/xml": None,
    "text/plain": None,
    "application/octet-stream": None,
}
"""The content types that some format reads; None for those that several formats share, which the name and the beginning
of what is there tell apart."""


def format_of_page(kind: str, address: str, content: bytes) -> Format:
    """Of what came with that content type from there."""
    return KINDS[kind] or format_of(PurePosixPath(URL(address).path).name, content[:START_BYTES])
