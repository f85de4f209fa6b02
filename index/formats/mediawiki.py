"""XML dumps of MediaWiki, such as Wikipedia's: the articles as text, one page at a time, the latest revision of each.

Read by lxml as a stream, the markup by mwparserfromhell. Templates, footnotes, tables, pictures and formulas are left
out: what they show is not in the dump, or is no sentence.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote

import mwparserfromhell
from lxml import etree
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Text, Wikilink
from mwparserfromhell.parser import ParserError
from mwparserfromhell.wikicode import Wikicode

from index.article import make_article, parse_published
from index.errors import InvalidInput, UnreadableArticle
from index.formats import Item
from index.formats.parts import parts

MAX_PAGE_CHARACTERS = 2 * 1024 * 1024
"""Largest page that MediaWiki lets anybody save."""

_ARTICLES = "0"
_FILES_AND_CATEGORIES = ("6", "14")
_ALWAYS_UNSEEN = frozenset({"file", "image", "category"})
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

_UNSEEN = {
    *("categorytree", "ce", "chem", "gallery", "graph", "hiero", "imagemap", "includeonly", "indicator", "inputbox"),
    *("mapframe", "maplink", "math", "ref", "references", "score", "section", "style", "table", "templatedata"),
    *("templatestyles", "timeline"),
}
_BLOCKS = {
    *("blockquote", "center", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p"),
    *("poem", "pre", "source", "syntaxhighlight", "ul"),
}
_KEEP_LINES = {"poem", "pre", "source", "syntaxhighlight"}
_LINE = "\v"
"""Stands for the end of a line that is seen, until those are gone that are not."""

_PARAGRAPH = "\n\n"
_REDIRECT = re.compile(r"\s*#redirect", re.IGNORECASE)
"""Dumps of before 2010 do not say otherwise which pages are redirects."""

_SWITCH = re.compile(r"__[A-Z]+__")
_LANGUAGE_LINK = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*")
_EMPTY_BRACKETS = re.compile(r" \([\s,;]*\)")
_OPEN_BRACKET = re.compile(r"(?<= \()[\s,;]+")


@dataclass(frozen=True, slots=True)
class _Site:
    """What a dump says of its wiki. `unseen`: names, in lower case, of the namespaces of files and categories."""

    name: str | None = None
    base: str | None = None
    language: str | None = None
    unseen: frozenset[str] = _ALWAYS_UNSEEN


@dataclass(frozen=True, slots=True)
class _Page:
    site: _Site
    title: str
    markup: str | None  # None where there is none, or elements or entities are in it
    revised: str | None


def read(file: BinaryIO, where: str) -> Iterator[Item]:
    found = False
    try:
        for place, page in parts(_pages(file, where)):
            found = True
            yield _article_of(page, place)
    except etree.XMLSyntaxError as error:
        yield UnreadableArticle(where, f"it breaks off, or is no valid XML: {error.msg}")
        return
    if not found:
        yield UnreadableArticle(where, "there are no articles of a wiki in it")


def _pages(file: BinaryIO, where: str) -> Iterator[tuple[str, _Page]]:
    """The articles that are no redirects, each with how messages name it. Raises XMLSyntaxError."""
    site = _Site()
    events = etree.iterparse(
        file,
        events=("end",),
        tag=("{*}siteinfo", "{*}revision", "{*}page"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    for _, element in events:
        kind = element.tag.rpartition("}")[2]  # etree.QName does not take every namespace that the parser takes
        if kind == "siteinfo":
            site = _site(element)
        elif kind == "page" and (page := _page(element, site)) is not None:
            yield f"{where}, {page.title}", page
        # All that came before is done with, and of revisions only the last counts.
        before = element.getprevious()
        while before is not None and (kind == "page" or before.tag == element.tag):
            element.getparent().remove(before)
            before = element.getprevious()


def _site(element: Any) -> _Site:
    names = {
        name.text.lower()
        for name in element.iterfind("{*}namespaces/{*}namespace")
        if name.text and name.get("key") in _FILES_AND_CATEGORIES
    }
    return _Site(
        name=element.findtext("{*}sitename"),
        base=element.findtext("{*}base"),
        language=element.getroottree().getroot().get(_XML_LANG),
        unseen=_ALWAYS_UNSEEN | names,
    )


def _page(element: Any, site: _Site) -> _Page | None:
    """An article in MediaWiki's own markup, or None where the page is anything else."""
    if element.findtext("{*}ns", _ARTICLES) != _ARTICLES or element.find("{*}redirect") is not None:
        return None
    if element.findtext("{*}revision/{*}model", "wikitext") != "wikitext":
        return None
    text = element.find("{*}revision/{*}text")
    markup = None if text is None or len(text) else text.text or ""
    if _REDIRECT.match(markup or ""):
        return None
    return _Page(site, element.findtext("{*}title") or "", markup, element.findtext("{*}revision/{*}timestamp"))


def _article_of(page: _Page, where: str) -> Item:
    if page.markup is None:
        return UnreadableArticle(where, "it has no text, or one that has XML in it")
    if len(page.markup) > MAX_PAGE_CHARACTERS:
        return UnreadableArticle(where, f"the page has more than {MAX_PAGE_CHARACTERS:,} characters")
    revised = page.revised and (parse_published(page.revised) or page.revised)
    known = {"revised": revised, "language": page.site.language}
    try:
        return make_article(
            text_of(page.markup, page.site.unseen),
            title=page.title,
            url=_address(page.site.base, page.title),
            source=page.site.name,
            metadata={name: value for name, value in known.items() if value},
        )
    except InvalidInput as error:
        return UnreadableArticle(where, str(error))
    except (ParserError, RecursionError):
        return UnreadableArticle(where, "its markup cannot be read")


def _address(base: str | None, title: str) -> str | None:
    """Where the page is, by where the main page is: `https://en.wikipedia.org/wiki/Main_Page`."""
    if not base or not title:
        return None
    return re.sub(r"[^/=]*$", "", base) + quote(title.replace(" ", "_"), safe="/:()',!*;@$~")


def text_of(markup: str, unseen: frozenset[str] = _ALWAYS_UNSEEN) -> str:
    """The sentences that MediaWiki's markup makes a reader see, with a blank line between paragraphs; `unseen` are
    the namespaces, in lower case, of links that are not shown. Raises ParserError."""
    text = "".join(_pieces(mwparserfromhell.parse(markup), unseen))
    paragraphs = ("\n".join(_lines(paragraph)) for paragraph in re.split(r"\n\s*\n", text))
    return _PARAGRAPH.join(paragraph for paragraph in paragraphs if paragraph)


def _lines(paragraph: str) -> Iterator[str]:
    for line in paragraph.split(_LINE):
        # Brackets around nothing but templates are left empty.
        line = _OPEN_BRACKET.sub("", _EMPTY_BRACKETS.sub("", " ".join(line.split())))
        if line:
            yield line


def _pieces(code: Wikicode, unseen: frozenset[str]) -> Iterator[str]:
    """What is seen of each node; of templates, arguments and comments nothing is."""
    for node in code.nodes:
        if isinstance(node, Text):
            yield _SWITCH.sub("", node.value)
        elif isinstance(node, HTMLEntity):
            yield node.normalize()
        elif isinstance(node, Heading):
            yield from (_PARAGRAPH, *_pieces(node.title, unseen), _PARAGRAPH)
        elif isinstance(node, Tag):
            yield from _tag_pieces(node, unseen)
        elif isinstance(node, Wikilink):
            yield from _link_pieces(node, unseen)
        elif isinstance(node, ExternalLink):
            if node.title is not None:
                yield from _pieces(node.title, unseen)
            elif not node.brackets:
                yield str(node.url)


def _tag_pieces(tag: Tag, unseen: frozenset[str]) -> Iterator[str]:
    name = str(tag.tag).strip().lower()
    if name in _UNSEEN:
        return
    around = _LINE if name == "br" else _PARAGRAPH if name in _BLOCKS else ""
    yield around
    if tag.contents is not None:
        for piece in _pieces(tag.contents, unseen):
            yield piece.replace("\n", _LINE) if name in _KEEP_LINES else piece
        yield around


def _link_pieces(link: Wikilink, unseen: frozenset[str]) -> Iterator[str]:
    title = str(link.title).strip()
    namespace, colon, _ = title.partition(":")
    if colon and namespace.strip().replace("_", " ").lower() in unseen:
        return
    if link.text is not None and str(link.text).strip():
        yield from _pieces(link.text, unseen)
    elif not (colon and _LANGUAGE_LINK.fullmatch(namespace)):
        yield "".join(_pieces(link.title, unseen)).strip().removeprefix(":")
