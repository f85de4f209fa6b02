"""What a parser says to the process that it works for: JSON, a line each, so that nothing of it is ever executed."""

import json
from dataclasses import dataclass
from inspect import signature

from index.article import MAX_CHARACTERS, Article, make_article
from index.errors import InvalidInput, UnreadableArticle
from index.formats.format import Item
from index.formats.parts import Path

MAX_LINE_BYTES = 8 * MAX_CHARACTERS
"""The longest article, with every character as an escape, and room for what is known about it."""

_FIELDS = list(signature(make_article).parameters)


@dataclass(frozen=True, slots=True)
class Begun:
    """A part of the file is being read."""

    path: Path
    where: str


@dataclass(frozen=True, slots=True)
class Done:
    """The file is read, and the parser waits for the next one."""


Message = Item | Begun | Done


def to_line(message: Message) -> bytes:
    """The message as a line with its end."""
    content: dict[str, object] = {}
    if isinstance(message, Article):
        content = {name: getattr(message, name) for name in _FIELDS}
    elif isinstance(message, UnreadableArticle):
        content = {"where": message.where, "reason": message.reason}
    elif isinstance(message, Begun):
        content = {"path": message.path, "where": message.where}
    text = json.dumps([type(message).__name__, content], ensure_ascii=False)
    return text.encode(errors="surrogatepass") + b"\n"  # a file's name can have surrogates


def from_line(line: bytes) -> Message:
    """The message of a line. An article is made anew, whatever the parser took for one.

    Raises ValueError, TypeError, KeyError, AttributeError or RecursionError where it is none.
    """
    kind, content = json.loads(line.decode(errors="surrogatepass"))
    if kind == "Article":
        try:
            return make_article(**{**content, "authors": tuple(content["authors"])})
        except InvalidInput as error:
            return UnreadableArticle(content["id"], str(error))
    if kind == "UnreadableArticle":
        return UnreadableArticle(str(content["where"]), str(content["reason"]))
    if kind == "Begun":
        return Begun(tuple(map(int, content["path"])), str(content["where"]))
    if kind == "Done":
        return Done()
    raise ValueError
