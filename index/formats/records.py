"""Records: JSON objects with `id, url, title, published, source, authors, text`; other fields become metadata.

A `.jsonl` file has one a line. A `.json` file has one, a list of them, a list under `articles`, or is in SQuAD's
format.
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from index.article import make_article
from index.errors import InvalidInput, UnreadableArticle
from index.formats import Item
from index.formats.squad import squad_records

_TEXT_FIELDS = ("id", "url", "title", "published", "source")


def read(text: str, where: str) -> Iterator[Item]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        lines = text.split("\n")
        if len([line for line in lines if line.strip()]) == 1 or not any(map(_is_object, lines)):
            yield UnreadableArticle(where, f"it is no valid JSON: {error}")
            return
        yield from read_lines(lines, where)
        return
    records = _records(whole)
    if records is None:
        yield UnreadableArticle(where, "it holds no articles: it is neither a record, a list of records nor SQuAD")
        return
    for number, record in enumerate(records, start=1):
        yield article_of(record, where if len(records) == 1 else f"{where}, record {number}")


def article_of(record: object, where: str) -> Item:
    """The article of one record, or what is wrong with it."""
    if not isinstance(record, Mapping):
        return UnreadableArticle(where, "it is no JSON object")
    if not isinstance(text := record.get("text"), str):
        return UnreadableArticle(where, 'it has no "text", or one that is no string')
    fields: dict[str, str | None] = {}
    for name in _TEXT_FIELDS:
        value = record.get(name)
        if isinstance(value, Mapping | list):
            return UnreadableArticle(where, f'its "{name}" is neither a string nor a number')
        fields[name] = None if value is None or value == "" else str(value)
    authors = record.get("authors") or ()
    names = (authors,) if isinstance(authors, str) else authors
    if not isinstance(names, list | tuple):
        return UnreadableArticle(where, 'its "authors" is neither a string nor a list')
    known = {*_TEXT_FIELDS, "authors", "text"}
    metadata = {str(name): value for name, value in record.items() if name not in known}
    try:
        return make_article(text, **fields, authors=tuple(map(str, names)), metadata=metadata)
    except InvalidInput as error:
        return UnreadableArticle(where, str(error))


def read_lines(lines: Iterable[str], where: str) -> Iterator[Item]:
    """The articles of records that stand a line each; a line may have its end."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{where}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield UnreadableArticle(place, f"it is no valid JSON: {error}")
            continue
        yield article_of(record, place)


def _records(whole: object) -> list[object] | None:
    if isinstance(whole, list):
        return whole
    if isinstance(whole, Mapping):
        if isinstance(data := whole.get("data"), list) and "text" not in whole:
            return list(squad_records(data))
        if isinstance(articles := whole.get("articles"), list) and "text" not in whole:
            return articles
        return [whole]
    return None


def _is_object(line: str) -> bool:
    line = line.strip()
    return line.startswith("{") and line.endswith("}")
