"""HTML: the article of a page without its menus and advertisements, by trafilatura, and what the page says of itself.

What it says in a structured way (see `index/formats/page.py`) comes before what trafilatura finds out, which takes
dates as days and guesses at names; where it contradicts itself, all that it says is kept under `conflicts`.
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
from index.formats.page import conflicts, said

_METADATA = ("section", "language")
"""What is said of a page that no field of an article is for."""

_CUT_SHORT = "not all of its HTML can be read: it is nested deeper than 250 elements, or has 10 MB of text in one"
_UNSEEN = {"head", "title", "script", "style", "template", "noscript", "iframe", "svg"}
_INLINE = {
    *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i"),
    *("img", "ins", "kbd", "label", "mark", "q", "ruby", "s", "samp", "small", "span", "strike", "strong"),
    *("sub", "sup", "time", "tt", "u", "var", "wbr"),
}
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f\xa0]+")
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
    page = trafilatura.bare_extraction(tree, url=address, with_metadata=True, include_comments=False)
    if not isinstance(page, Document) or not page.text:
        return UnreadableArticle(where, "no article text was found in the page")
    best = {field: next(iter(values.values())) for field, values in fields.items()}
    own: dict[str, object] = {name: best[name] for name in _METADATA if name in best}
    if contradictory := conflicts(fields):
        own["conflicts"] = contradictory
    try:
        return make_article(
            # trafilatura ends a paragraph with one line feed; a blank line is what ends one for us
            page.text.replace("\n", "\n\n"),
            title=best.get("title") or page.title,
            url=best.get("url"),
            published=best.get("published") or page.date,
            source=page.sitename or page.hostname,
            authors=tuple((best.get("authors") or page.author or "").split(";")),
            metadata={**own, **(metadata or {})},
        )
    except InvalidInput as error:
        return UnreadableArticle(where, str(error))


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
