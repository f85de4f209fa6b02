"""Tables (`.csv`, `.tsv`): each row an article, its fields by the names of the columns in the first row."""

import csv
import re
from collections.abc import Iterator, Mapping
from io import BufferedReader
from itertools import chain

from index.article import MAX_CHARACTERS
from index.errors import InvalidInput, UnreadableArticle
from index.formats.columns import names_of
from index.formats.encoding import NotText, lines_of
from index.formats.format import Items
from index.formats.records import article_of

_DELIMITERS = ",;\t|"


def read(file: BufferedReader, where: str, columns: Mapping[str, str]) -> Items:
    csv.field_size_limit(MAX_CHARACTERS)
    names: list[str] = []
    try:
        for place, cells in _rows(file, where):
            if isinstance(cells, UnreadableArticle):
                yield cells
            elif not names:
                names = names_of([cell.strip() for cell in cells], columns)
            elif len(cells) != len(names):
                reason = f"the number of its cells is {len(cells):,}, that of the columns {len(names):,}"
                yield UnreadableArticle(place, reason)
            else:
                yield article_of(_record(names, cells), place)
    except (InvalidInput, NotText) as error:
        yield UnreadableArticle(where, str(error))


def _rows(file: BufferedReader, where: str) -> Iterator[tuple[str, list[str] | UnreadableArticle]]:
    """The cells of each row that is not empty, and the line at which it begins. Raises NotText."""
    lines = lines_of(file)
    first = next(lines, "")
    delimiter = max(_DELIMITERS, key=first.count)
    rows = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    while True:
        place = f"{where}, line {rows.line_num + 1}"
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield place, UnreadableArticle(place, f"it is no valid CSV: {error}")
            continue
        if any(cells):
            yield place, cells


def _record(names: list[str], cells: list[str]) -> dict[str, object]:
    record: dict[str, object] = {name: cell for name, cell in zip(names, cells, strict=True) if name and cell}
    return {"text": "", **record, "authors": re.split(r"\s*;\s*", str(record.get("authors", "")))}
