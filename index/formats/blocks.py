"""The text of an HTML or XHTML tree as its reader sees it, block by block."""

import re
from typing import Any

from lxml import etree

Element = Any
"""lxml comes without types."""

Block = tuple[str, str]
"""The tag of a block and its text."""

_BLOCK = re.compile(
    "address|article|aside|blockquote|body|caption|center|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|"
    "h[1-6]|header|hgroup|hr|li|main|ol|p|pre|section|summary|table|tbody|td|tfoot|th|thead|tr|ul"
)
_UNSEEN = re.compile("head|script|style|template|nav|svg|audio|video|object|iframe|canvas|rp|rt")
_EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"
_NOTE_ROLES = frozenset(["noteref", "doc-noteref", "backlink", "doc-backlink"])
_NOTE_MARK = re.compile(r"(?P<plain>\d{1,4}|[*†‡§¶]+|[a-z])|\[(?:\d{1,4}|[a-z])\]|[↑↩⤴^][\ufe0e\ufe0f]?")
_NOTE_NAME = re.compile(r"note|\bfn|ftn", re.IGNORECASE)

_SPACE = re.compile(r"[ \t\r\n\f]+")
_LINE_END = re.compile(r" *\n *")


def blocks(root: Element) -> list[Block]:
    """Each block that has text, in order; a table's row is one block, its cells parted by " | ".

    Left out are menus, what is no text, and the marks of notes, which would stand in the middle of a quote.
    """
    page = _Page()
    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, node in walk:
        tag = _name(node)
        if event == "start":
            page.start(tag)
            if not tag or _UNSEEN.fullmatch(tag) or _is_note_mark(node):  # an entity has no tag, and its name as text
                walk.skip_subtree()
            else:
                page.add(node.text)
        else:
            if event == "end":
                page.end(tag)
            if node is not root:
                page.add(node.tail)
    return page.ended()


class _Page:
    """What has been read of a tree: its blocks, and the parts of the one that is being read."""

    def __init__(self) -> None:
        self._found: list[Block] = []
        self._parts: list[str] = []
        self._cells: list[str] = []
        self._open: list[str] = []

    def start(self, tag: str) -> None:
        if tag == "br":
            self._parts.append("\n")
        elif _BLOCK.fullmatch(tag):
            self._end_block()
            self._open.append(tag)

    def add(self, text: str | None) -> None:
        if text:
            text = text.replace("\u00ad", "")  # where a word may be parted: nothing that is seen
            self._parts.append(text if "pre" in self._open else _SPACE.sub(" ", text))

    def end(self, tag: str) -> None:
        if not _BLOCK.fullmatch(tag):
            return
        row = self._open.count("tr") == 1  # within a row, another table is text
        if row and tag in ("td", "th"):
            self._cells.append(" ".join("".join(self._parts).split()))
            self._parts.clear()
        elif row and tag == "tr":
            if any(self._cells):
                self._found.append(("tr", " | ".join(self._cells)))
            self._cells.clear()
            self._parts.clear()
        else:
            self._end_block()
        self._open.pop()

    def ended(self) -> list[Block]:
        self._end_block()
        return self._found

    def _end_block(self) -> None:
        if "tr" in self._open:
            self._parts.append(" ")
            return
        text = "".join(self._parts)
        self._parts.clear()
        text = text.strip("\n") if "pre" in self._open else _LINE_END.sub("\n", re.sub(" +", " ", text)).strip(" \n")
        if text.strip():
            self._found.append((self._open[-1] if self._open else "body", text))


def joined(found: list[Block]) -> str:
    """The blocks as a text, with a blank line between them."""
    return "\n\n".join(text for _, text in found)


def heading(found: list[Block]) -> str | None:
    """The first heading, else None."""
    return next((text for tag, text in found if re.fullmatch("h[1-6]", tag)), None)


def roles(node: Element) -> frozenset[str]:
    """What a node is said to be in a book: a cover, a mark of a note."""
    return frozenset(f"{node.get(_EPUB_TYPE, '')} {node.get('epub:type', '')} {node.get('role', '')}".split())


def _name(node: Element) -> str:
    """The tag without its namespace, in lower case; empty for a comment and the like."""
    return node.tag.rpartition("}")[2].lower() if isinstance(node.tag, str) else ""


def _is_note_mark(node: Element) -> bool:
    if _name(node) != "a":
        return False
    mark = _NOTE_MARK.fullmatch("".join(node.itertext()).strip())
    if mark is None or "#" not in node.get("href", ""):
        return False
    named = " ".join(node.get(name, "") for name in ("class", "id", "href"))
    if mark["plain"] is None or not _NOTE_ROLES.isdisjoint(roles(node)) or _NOTE_NAME.search(named):
        return True
    return any(_name(near) == "sup" for near in (node.getparent(), *node) if near is not None)
