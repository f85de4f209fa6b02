"""EPUB: each chapter of a book an article, in the order of the book; covers and tables of contents are left out."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import unquote, urldefrag

from index.article import make_article
from index.errors import InvalidInput, UnreadableArticle
from index.formats.blocks import Block, blocks, heading, joined, roles
from index.formats.format import Item
from index.formats.package import BadPackage, Package, PackageTooLarge, opened, xhtml

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_FONT_MANGLING = frozenset(["http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"])
"""Ways to lock fonts, which leave the text as it is."""

_DC = "{http://purl.org/dc/elements/1.1/}"
_PAGES = frozenset(["application/xhtml+xml", "text/html", "text/x-oeb1-document"])
_NCX = "application/x-dtbncx+xml"
"""The table of contents of EPUB 2."""

_NO_CHAPTERS = frozenset(
    ["cover", "titlepage", "halftitlepage", "toc", "landmarks", "page-list", "lot", "loi", "doc-cover", "doc-toc"]
)
_NO_CHAPTERS_GUIDE = frozenset(["cover", "title-page", "toc"])


@dataclass(frozen=True, slots=True)
class _Book:
    """What a book says of itself. `pages` are the names of its files of text in order, without those known to be no
    chapters; `titles` what its table of contents calls them; `words` what its title page may say."""

    title: str | None
    authors: tuple[str, ...]
    published: str | None
    language: str | None
    pages: list[str]
    titles: Mapping[str, str]
    words: frozenset[str]


@dataclass(slots=True)
class _Chapter:
    title: str | None
    found: list[Block]


def read(file: BinaryIO, where: str) -> Iterator[Item]:
    try:
        with opened(file) as archive:
            package = Package(archive)
            book = _book(package)
            yield from _articles(book, _chapters(package, book), where)
    except BadPackage as error:
        yield UnreadableArticle(where, str(error))


def _articles(book: _Book, chapters: Iterator[_Chapter | UnreadableArticle], where: str) -> Iterator[Item]:
    number = 0
    failed = False
    for chapter in chapters:
        if isinstance(chapter, UnreadableArticle):
            failed = True
            yield UnreadableArticle(f"{where}, {chapter.where}", chapter.reason)
            continue
        number += 1
        facts = {"book": book.title, "chapter": number, "language": book.language}
        try:
            yield make_article(
                joined(chapter.found),
                title=chapter.title or book.title,
                published=book.published,
                source=book.title,
                authors=book.authors,
                metadata={name: value for name, value in facts.items() if value},
            )
        except InvalidInput as error:
            yield UnreadableArticle(f"{where}, chapter {number}", str(error))
    if not number and not failed:
        yield UnreadableArticle(where, "no chapter in it has text: it seems to be made of pictures")


def _chapters(package: Package, book: _Book) -> Iterator[_Chapter | UnreadableArticle]:
    """The chapters; a page without a heading that the table of contents does not name belongs to the one before."""
    chapter: _Chapter | None = None
    for name in book.pages:
        try:
            root = xhtml(package.read(name))
        except BadPackage as error:
            yield UnreadableArticle(name, str(error))
            if isinstance(error, PackageTooLarge):
                break
            continue
        found = [] if root is None or _is_no_chapter(root) else blocks(root)
        if not found or all(text.casefold() in book.words for _, text in found):
            continue
        title = book.titles.get(name) or heading(found)
        if chapter is not None and title is None and book.titles:
            chapter.found += found
            continue
        if chapter is not None:
            yield chapter
        chapter = _Chapter(title, found)
    if chapter is not None:
        yield chapter


def _is_no_chapter(root: Any) -> bool:
    """Whether a page says that it is a cover, a title or a table: it, its body, or the one section in that."""
    node = root
    while node is not None:
        if not _NO_CHAPTERS.isdisjoint(roles(node)):
            return True
        inner = [child for child in node if isinstance(child.tag, str) and not child.tag.endswith("head")]
        node = inner[0] if len(inner) == 1 else None
    return False


def _book(package: Package) -> _Book:
    name, root = _description(package)
    items = {node.get("id"): node for node in root.iter("{*}item") if node.get("id") and node.get("href")}
    names = {id: _path(name, node.get("href")) for id, node in items.items()}
    spine = [node.get("idref") for node in root.iter("{*}itemref")]
    pages = list(dict.fromkeys(names[id] for id in spine if id in items and items[id].get("media-type") in _PAGES))
    _check_locks(package, pages)
    contents = [names[id] for id, node in items.items() if "nav" in node.get("properties", "").split()]
    guide = [
        _path(name, node.get("href"))
        for node in root.iter("{*}reference")
        if node.get("type", "").lower() in _NO_CHAPTERS_GUIDE and node.get("href")
    ]
    older_contents = [names[id] for id, node in items.items() if node.get("media-type") == _NCX]
    facts = {tag: _texts(root, tag) for tag in ("title", "creator", "date", "publisher", "language")}
    return _Book(
        title=next(iter(facts["title"]), None),
        authors=tuple(name for names in facts["creator"] for name in re.split(r"\s*;\s*", names)),
        published=next(iter(facts["date"]), None),
        language=next(iter(facts["language"]), None),
        pages=[page for page in pages if page not in {*contents, *guide}],
        titles=_titles(package, contents + older_contents),
        words=frozenset(text.casefold() for texts in facts.values() for text in texts),
    )


def _description(package: Package) -> tuple[str, Any]:
    """The name and the root of the file that describes the book. Raises BadPackage."""
    for node in package.xml(_CONTAINER).iter("{*}rootfile"):
        if name := node.get("full-path"):
            return name, package.xml(name)
    raise BadPackage(f"{_CONTAINER} in it names no book")


def _texts(root: Any, tag: str) -> list[str]:
    """What the book gives under a name of Dublin Core; of several dates that of publication first (EPUB 2)."""
    nodes = sorted(root.iter(_DC + tag), key=lambda node: "publication" not in node.values())
    found = (" ".join((node.text or "").split()) for node in nodes)
    return [text for text in found if text]


def _titles(package: Package, contents: list[str]) -> dict[str, str]:
    """Each page that the first readable table of contents names, and what it calls it first."""
    for name in contents:
        try:
            root = xhtml(package.read(name))
        except BadPackage:
            continue
        found: dict[str, str] = {}
        entries = [] if root is None else [*_nav_entries(root), *_ncx_entries(root)]
        for target, label in entries:
            title = " ".join("".join(label.itertext()).split())
            if title:
                found.setdefault(_path(name, target), title)
        if found:
            return found
    return {}


def _nav_entries(root: Any) -> Iterator[tuple[str, Any]]:
    for nav in root.iter("{*}nav"):
        if "toc" in roles(nav):
            yield from ((link.get("href"), link) for link in nav.iter("{*}a") if link.get("href"))


def _ncx_entries(root: Any) -> Iterator[tuple[str, Any]]:
    for point in root.iter("{*}navPoint"):
        label, content = point.find("{*}navLabel"), point.find("{*}content")
        if label is not None and content is not None and content.get("src"):
            yield content.get("src"), label


def _path(base: str, target: str) -> str:
    """The name in the archive of what the file `base` calls `target`."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(urldefrag(target).url)))


def _check_locks(package: Package, pages: list[str]) -> None:
    """Raises BadPackage where pages are encrypted."""
    if _ENCRYPTION not in package.names:
        return
    for data in package.xml(_ENCRYPTION).iter("{*}EncryptedData"):
        method = data.find("{*}EncryptionMethod")
        algorithm = None if method is None else method.get("Algorithm")
        locked = [unquote(node.get("URI", "")) for node in data.iter("{*}CipherReference")]
        if algorithm not in _FONT_MANGLING and not set(pages).isdisjoint(locked):
            raise BadPackage("it is protected against copying (DRM); only the shop's reader opens it")
