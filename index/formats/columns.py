"""Which column of a table is which field of an article: as it was said, else by the column's name."""

import re
from collections.abc import Mapping, Sequence

from index.errors import InvalidInput

FIELDS = {
    "text": ("body", "content", "contents", "article", "articlebody", "articletext", "fulltext", "maintext", "story"),
    "id": ("articleid", "guid", "uuid"),
    "url": ("link", "articleurl", "permalink"),
    "title": ("headline", "heading"),
    "published": ("date", "datepublished", "publishdate", "publishedat", "publisheddate", "publicationdate", "pubdate"),
    "source": ("publication", "publisher", "outlet", "newspaper", "sitename"),
    "authors": ("author", "byline"),
}
"""The fields of an article, and what else columns with them are called, in small letters without marks and spaces."""


def read_columns(text: str) -> dict[str, str]:
    """Field to column, of `text=body,title=headline`; `id=` is to say that no column has it. Raises InvalidInput."""
    columns = {}
    for pair in text.split(","):
        field, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or field not in FIELDS:
            raise InvalidInput(
                f"{pair!r} names no column; write FIELD=COLUMN with one of the fields {', '.join(FIELDS)}"
            )
        columns[field] = column
    return columns


def names_of(found: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    """For each column found, the field or the metadata that it has; empty where it has none of both.

    Raises InvalidInput where a column that was said is not there, and where none has the text.
    """
    missing = next((column for column in columns.values() if column and column not in found), None)
    chosen = {field: _position(field, found, columns) for field in FIELDS}
    if missing is not None or chosen["text"] is None:
        problem = f"it has no column {missing!r}" if missing else "none of its columns looks like the text of articles"
        listed = ", ".join(map(repr, found))
        raise InvalidInput(f"{problem}; say which to take, as in --columns text=COLUMN. It has: {listed or 'none'}")
    fields = {position: field for field, position in chosen.items()}
    # what is named like a field but was not chosen for it cannot be metadata: it would pass for the field
    return [fields.get(position, "" if name in FIELDS else name) for position, name in enumerate(found)]


def _position(field: str, found: Sequence[str], columns: Mapping[str, str]) -> int | None:
    """Where the column with the field is: the one that was said, else the one that is named so, or the best other."""
    if field in columns:
        return found.index(columns[field]) if columns[field] in found else None
    plain = [re.sub(r"[\W_]", "", name).lower() if name not in columns.values() else "" for name in found]
    return next((plain.index(name) for name in (field, *FIELDS[field]) if name in plain), None)
