"""The files in a zip archive that are XML, read with bounds: what DOCX and EPUB are made of."""

import html
import re
import struct
import zlib
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

from lxml import etree

MAX_MEMBER_BYTES = 64 * 1024 * 1024
"""Of one file in the archive, when unpacked: three times the longest article in XML."""

MAX_BYTES = 512 * 1024 * 1024
"""Of all that is read of an archive, when unpacked."""

_START_BYTES = 1000
_NAMED = re.compile(rb"&([A-Za-z][A-Za-z0-9]*);")
_OF_XML = frozenset([b"amp", b"lt", b"gt", b"quot", b"apos"])


class BadPackage(Exception):
    """The archive is damaged, locked, or larger than is read."""


class PackageTooLarge(BadPackage):
    """No more of the archive is read."""


class Package:
    """An open archive that counts what is read of it."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self._read = 0
        self.names = frozenset(archive.namelist())

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises BadPackage, also where there is no such file."""
        data = self._start(name, MAX_MEMBER_BYTES + 1)
        if len(data) > MAX_MEMBER_BYTES:
            raise BadPackage(f"{name} in it is larger than {MAX_MEMBER_BYTES >> 20} MiB")
        return data

    def xml(self, name: str) -> Any:
        """The root of a file of XML. Raises BadPackage."""
        try:
            return xml(self.read(name))
        except etree.XMLSyntaxError:
            raise BadPackage(f"{name} in it is no valid XML") from None

    def may_be_xml(self, name: str) -> bool:
        """Whether the file begins as one of XML does, in any encoding that its parsers know."""
        start = self._start(name, _START_BYTES).replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n")
        return not start or start.startswith(b"<")

    def _start(self, name: str, length: int) -> bytes:
        try:
            with self._archive.open(name) as member:
                data = member.read(length)
        except KeyError:
            raise BadPackage(f"{name} is not in it") from None
        except (BadZipFile, OSError, EOFError, zlib.error, NotImplementedError, ValueError):
            raise BadPackage(f"{name} in it is damaged") from None
        except RuntimeError:  # zipfile's for a file with a password
            raise BadPackage("it is encrypted; save it without its password") from None
        self._read += len(data)
        if self._read > MAX_BYTES:
            raise PackageTooLarge(f"it is larger than {MAX_BYTES >> 20} MiB when unpacked")
        return data


def opened(file: BinaryIO) -> ZipFile:
    """The archive. Raises BadPackage."""
    try:
        return ZipFile(file)
    except (BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        raise BadPackage("it is no zip archive, or a damaged one") from None


def xml(data: bytes) -> Any:
    """The root element. What a DTD would bring stays out: entities, other files. Raises XMLSyntaxError."""
    return etree.fromstring(
        data,
        etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True),
    )


def xhtml(data: bytes) -> Any:
    """The root element of a page of a book, read as HTML where it is no valid XML; None where there is nothing."""
    try:
        return xml(_NAMED.sub(_numbered, data))
    except etree.XMLSyntaxError:
        pass
    try:
        data.decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = None
    try:
        return etree.fromstring(data, etree.HTMLParser(encoding=encoding, no_network=True, huge_tree=False))
    except (etree.XMLSyntaxError, LookupError):
        return None


def _numbered(entity: re.Match[bytes]) -> bytes:
    """An entity of HTML as XML has it without HTML's DTD."""
    text = html.unescape(entity[0].decode("ascii"))
    if entity[1] in _OF_XML or text.startswith("&"):
        return entity[0]
    return "".join(f"&#{ord(letter)};" for letter in text).encode("ascii")
