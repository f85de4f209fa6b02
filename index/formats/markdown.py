"""Markdown: the text a reader sees, without the marks; front matter gives title, date and the like."""

from collections.abc import Iterator, Mapping
from datetime import date

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.front_matter import front_matter_plugin

from index.errors import UnreadableArticle
from index.formats import Item
from index.formats.records import article_of

_ALSO = {"published": "date", "authors": "author"}
"""What Pandoc, Hugo and Jekyll call fields of an article."""

_PARSER = MarkdownIt("commonmark").enable("table").use(front_matter_plugin)


def read(text: str, where: str) -> Iterator[Item]:
    tokens = _PARSER.parse(text)
    blocks = list(_blocks(tokens))
    record: dict[str, object] = {}
    if tokens and tokens[0].type == "front_matter":
        try:
            matter = yaml.safe_load(tokens[0].content)
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a month 13, an integer "x"
            yield UnreadableArticle(where, f"its front matter is no YAML: {str(error).splitlines()[0]}")
            return
        if isinstance(matter, dict):
            record = _fields(matter)
    record["title"] = record.get("title") or next((text for kind, text in blocks if kind == "h1"), None)
    record["text"] = "\n\n".join(text for _, text in blocks)
    yield article_of(record, where)


def _fields(matter: Mapping[object, object]) -> dict[str, object]:
    record = {str(name): value for name, value in matter.items()}
    for field, name in _ALSO.items():
        value = record.get(name)
        names = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if field not in record and (names or isinstance(value, str | date)):
            record[field] = record.pop(name)
    return record


def _blocks(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    """The HTML tag and the plain text of each block that has any; a table's row is one block."""
    row: list[str] | None = None
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            yield "tr", " | ".join(row)
            row = None
        elif token.type == "inline":
            text = _inline_text(token.children or [])
            if row is not None:
                row.append(text)
            elif text.strip():
                yield before.tag if before else "", text
        elif token.type in ("fence", "code_block") and token.content.strip():
            yield "pre", token.content.rstrip("\n")


def _inline_text(tokens: list[Token]) -> str:
    parts = []
    for token in tokens:
        if token.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif token.type == "image":
            parts.append(_inline_text(token.children or []))
        elif token.type != "html_inline":
            parts.append(token.content)
    return "".join(parts)
