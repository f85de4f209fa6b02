"""HTML: the article of a page without its menus and advertisements, by trafilatura, and what the page says of itself.

What it says in a structured way (see `index/formats/page.py`) comes before what trafilatura finds out, which takes
dates as days and guesses at names; where it contradicts itself, all that it says is kept under `conflicts`. A page that
a program made of a document is article from top to bottom.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import lxml.html
import trafilatura
from trafilatura.settings import Document
from trafilatura.utils import HTML_PARSER, load_html

from index.article import make_article, storable
from index.errors import InvalidInput, UnreadableArticle
from index.formats import Item
from index.formats.blocks import blocks, joined
from index.formats.page import conflicts, said

_METADATA = ("section", "language")
"""What is said of a page that no field of an article is for."""

_CUT_SHORT = "not all of its HTML can be read: it is nested deeper than 250 elements, or has 10 MB of text in one"
_CONVERTERS = re.compile(
    r"\b(?:pandoc|libreoffice|openoffice|odf2xhtml|docutils|groff|asciidoctor|microsoft word)\b", re.IGNORECASE
)
"""Programs that make a page of a document, as they call themselves in it."""

_MADE_BY = ("generator", "dcterms.source")
_RUNNING_HEADS = "//div[@title='header' or @title='footer']"
_DATES = {"extensive_search": False, "original_date": True}
"""The text is not searched for a date: a year that it tells of is not the page's."""

_ROW = re.compile(r"\| (.*) \| ?")
_RULE = re.compile(r"\|(?:---\|)+")
_UNSEEN = {"head", "title", "script", "style", "template", "noscript", "iframe", "svg"}
_INLINE = {
    *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i"),
    *("img", "ins", "kbd", "label", "mark", "q", "ruby", "s", "samp", "small", "span", "strike", "strong"),
    *("sub", "sup", "time", "tt", "u", "var", "wbr"),
}
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f\xa0]+")
_CONTROLS = re.compile("[\0-\x08\x0b\x0e-\x1f\ufffe\uffff]")
"""What libxml2 accepts in a page, and lxml refuses from us."""

_GAPS = re.compile(r"(?<=\S) {2,}")


def read(text: str, where: str) -> Iterator[Item]:
    yield article_of(text, where)


def article_of(text: str, where: str, address: str | None = None, metadata: Mapping[str, object] | None = None) -> Item:
    """The article of a page that was found at `address`, or what is wrong with it; `metadata` is added to its own."""
    tree = load_html(storable(text))
    if tree is None:
        return UnreadableArticle(where, "no article text was found in the page")
    if _cut_short(HTML_PARSER):
        return UnreadableArticle(where, _CUT_SHORT)
    fields = said(tree, address)
    document = _document(tree)
    _unwrap(tree)
    page = trafilatura.bare_extraction(
        tree, url=address, with_metadata=True, include_comments=False, date_extraction_params=_DATES
    )
    if not isinstance(page, Document) or not page.text:
        return UnreadableArticle(where, "no article text was found in the page")
    best = {field: next(iter(values.values())) for field, values in fields.items()}
    own: dict[str, object] = {name: best[name] for name in _METADATA if name in best}
    if contradictory := conflicts(fields):
        own["conflicts"] = contradictory
    try:
        return make_article(
            document or _paragraphs(page.text),
            title=best.get("title") or page.title,
            url=best.get("url"),
            published=best.get("published") or page.date,
            source=page.sitename or page.hostname,
            authors=tuple((best.get("authors") or page.author or "").split(";")),
            metadata={**own, **(metadata or {})},
        )
    except InvalidInput as error:
        return UnreadableArticle(where, str(error))


def _document(tree: Any) -> str | None:
    """All the text of a page that a program made of a document, None of any other; running heads are taken out."""
    makers = (node.get("content", "") for node in tree.iter("meta") if node.get("name", "").lower() in _MADE_BY)
    if not any(map(_CONVERTERS.search, makers)):
        return None
    for node in tree.xpath(_RUNNING_HEADS):
        node.drop_tree()
    return joined(blocks(tree))


def _unwrap(tree: Any) -> None:
    """Make one space of white space where that is what is seen: trafilatura takes the ends of lines for ends of
    paragraphs."""
    kept = {node for pre in tree.iter("pre", "textarea") for node in pre.iter()}
    for node in tree.iter():
        if node.text and node not in kept:
            node.text = _one_spaced(node.text)
        if node.tail and node.getparent() not in kept:
            node.tail = _one_spaced(node.tail)


def _one_spaced(text: str) -> str:
    return _SPACES.sub(" ", _CONTROLS.sub("", text))


def _paragraphs(text: str) -> str:
    """What trafilatura found, with a blank line between paragraphs, where it has the end of a line, and tables as in
    other formats."""
    lines = (line for line in text.split("\n") if not _RULE.fullmatch(line))
    return "\n\n".join(_ROW.sub(r"\1", line) if _ROW.fullmatch(line) else line for line in lines)


def text_of(fragment: str) -> str:
    """All the text of a piece of HTML, with a blank line between its blocks; for HTML that is an article already.

    Raises InvalidInput where not all of it can be read.
    """
    parser = lxml.html.HTMLParser(no_network=True, huge_tree=False, remove_comments=True, remove_pis=True)
    root = lxml.html.document_fromstring(f"<body>{storable(fragment)}", parser=parser)
    if _cut_short(parser):
        raise InvalidInput(_CUT_SHORT)
    lines = map(_line, "".join(_pieces(root)).split("\n"))
    return "\n\n".join("\n".join(paragraph) for full, paragraph in groupby(lines, key=bool) if full)


def _line(line: str) -> str:
    """A line without the white space that elements leave between them; what is indented by more than that stays so."""
    line = _GAPS.sub(" ", line.rstrip())
    return line[1:] if line.startswith(" ") and not line.startswith("  ") else line


def _cut_short(parser: Any) -> bool:
    """Whether libxml2 stopped reading, as it does at element 256 within one another and at 10 MB of text."""
    return any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log)


def _pieces(element: Any, kept: bool = False) -> Iterator[str]:
    """The text within an element; `kept` where its white space is seen."""
    if element.tag in _UNSEEN or _HIDDEN.search(element.get("style", "")):
        return
    around = "\n" if element.tag == "br" else "" if element.tag in _INLINE else "\n\n"
    kept = kept or element.tag == "pre"
    yield around
    yield _shown(element.text, kept)
    for child in element:
        yield from _pieces(child, kept)
        yield _shown(child.tail, kept)
    if element.tag != "br":
        yield around


def _shown(text: str | None, kept: bool) -> str:
    return text or "" if kept else _SPACES.sub(" ", text or "")
