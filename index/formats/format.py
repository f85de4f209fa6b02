"""What a format is, and which one a file has: by the ending of its name, else by how it begins."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from index.article import Article
from index.errors import UnreadableArticle

START_BYTES = 4096
"""How much of a file tells its format."""

Item = Article | UnreadableArticle
"""What a reader yields: an article, or what was wrong with one, so that the others still come."""

Items = Iterator[Item]


@dataclass(frozen=True, slots=True)
class Format:
    """A format and the module of this package that reads it.

    A text format has `read(text: str, where: str) -> Iterator[Item]`, a `binary` one `read(file: BinaryIO, where: str)
    -> Iterator[Item]`; a `tabular` one takes the columns as a third argument. One that is `streamed` is never in memory
    as a whole, and so may be of any size; one that `seeks` is not read from front to back. `many`: a file holds several
    articles, and none has it as its origin. `apart`: it is parsed in a process of its own, which may crash or hang.
    """

    module: str
    binary: bool = False
    streamed: bool = False
    seeks: bool = False
    many: bool = False
    tabular: bool = False
    apart: bool = True


TEXT = Format("text", apart=False)
MARKDOWN = Format("markdown", apart=False)
HTML = Format("html")
PDF = Format("pdf", binary=True, seeks=True)
DOCX = Format("docx", binary=True, seeks=True)
EPUB = Format("epub", binary=True, seeks=True, many=True)
MESSAGE = Format("mail", binary=True, streamed=True)
MAILBOX = Format("mail", binary=True, streamed=True, many=True)
FEED = Format("feed", binary=True, many=True)
WARC = Format("warc", binary=True, streamed=True, seeks=True, many=True)
MEDIAWIKI = Format("mediawiki", binary=True, streamed=True, many=True)
RECORDS = Format("records", many=True, apart=False)
LINES = Format("lines", binary=True, streamed=True, many=True, apart=False)
TABLE = Format("table", binary=True, streamed=True, many=True, tabular=True, apart=False)
PARQUET = Format("parquet", binary=True, streamed=True, seeks=True, many=True, tabular=True)
ARCHIVE = Format("archive", binary=True, streamed=True, many=True, tabular=True)

FORMATS = {
    ".txt": TEXT,
    ".text": TEXT,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".xml": HTML,
    ".pdf": PDF,
    ".docx": DOCX,
    ".epub": EPUB,
    ".eml": MESSAGE,
    ".mbox": MAILBOX,
    ".rss": FEED,
    ".atom": FEED,
    ".warc": WARC,
    ".jsonl": LINES,
    ".ndjson": LINES,
    ".json": RECORDS,
    ".csv": TABLE,
    ".tsv": TABLE,
    ".parquet": PARQUET,
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst"), ARCHIVE),
}
"""File name ending to its format."""

NAMED = {format.module: format for format in (*FORMATS.values(), MEDIAWIKI)}
"""The name of a format to it."""

_OTHERS = {".xml": {"feed", "mediawiki"}, ".json": {"feed"}}
"""Endings that formats share, and the modules of those which the beginning of a file tells from the usual one."""

_MAGIC = {
    b"%PDF-": PDF,
    b"\xd0\xcf\x11\xe0": DOCX,  # a .doc, or a .docx with a password; its module says so
    b"PK\5\6": ARCHIVE,  # a ZIP file with nothing in it
    b"WARC/": WARC,
    b"PAR1": PARQUET,
    b"\x1f\x8b": ARCHIVE,
    b"BZh": ARCHIVE,
    b"\xfd7zXZ\0": ARCHIVE,
    b"\x28\xb5\x2f\xfd": ARCHIVE,
}
_ZIP = b"PK\3\4"
_IN_ZIP = {b"mimetypeapplication/epub+zip": EPUB, b"[Content_Types].xml": DOCX}
"""What stands at the beginning of a ZIP file that is more than that."""

_TAR_MARK = slice(257, 262)
_ROOT = re.compile(rb"(?:<\?.*?\?>|<!--.*?-->|<!doctype[^>\[]*(?:\[.*?\])?[^>]*>|\s)*+<([a-z][\w:.-]*)", re.DOTALL)
_ROOTS = {b"rss": FEED, b"feed": FEED, b"rdf:rdf": FEED, b"mediawiki": MEDIAWIKI, b"html": HTML}
_ENVELOPE = re.compile(rb"From \S+ +[A-Z][a-z]{2} +[A-Z][a-z]{2} +\d+ +\d+:\d\d")
_HEADERS = re.compile(rb"(?:[a-z][a-z0-9-]*:.*\r?\n(?:[ \t].*\r?\n)*)+", re.IGNORECASE)
_MESSAGE_HEADERS = re.compile(rb"^(?:from|date|message-id|received|mime-version):", re.IGNORECASE | re.MULTILINE)


_WARC_GZ = ".warc.gz"
"""Its records are compressed one by one, so that one which is damaged does not cost the others."""


def format_of(name: str, start: bytes) -> Format:
    """The format of a file of that name that begins with `start`."""
    if name.lower().endswith(_WARC_GZ):
        return WARC
    ending = PurePath(name).suffix.lower()
    named = FORMATS.get(ending)
    if named is not None and ending not in _OTHERS:
        return named
    guessed = guess(start)
    return guessed if named is None or guessed.module in _OTHERS[ending] else named


def guess(data: bytes) -> Format:
    """The format of data without a file name; plain text where it begins like none."""
    start = data[:START_BYTES]
    if start.startswith(_ZIP):
        return next((format for name, format in _IN_ZIP.items() if name in start), ARCHIVE)
    for mark, format in _MAGIC.items():
        if start.startswith(mark):
            return format
    if start[_TAR_MARK] == b"ustar":
        return ARCHIVE
    if _ENVELOPE.match(start):
        return MAILBOX
    return _guess_text(start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n"))  # NULs: UTF-16


def _guess_text(start: bytes) -> Format:
    if re.match(rb"\[?\s*\{", start):
        return FEED if b"jsonfeed.org/version" in start else RECORDS
    if (root := _ROOT.match(start.lower())) is not None and (root[1] in _ROOTS or start.startswith((b"<?", b"<!"))):
        return _ROOTS.get(root[1], HTML)
    if (headers := _HEADERS.match(start)) is not None and len(_MESSAGE_HEADERS.findall(headers[0])) > 1:
        return MESSAGE
    return TEXT
