"""Parquet: each row an article, its fields by the names of the columns, some rows at a time, by pyarrow."""

from collections.abc import Mapping
from importlib.util import find_spec
from itertools import accumulate
from typing import Any, BinaryIO

from index.errors import InvalidInput, UnreadableArticle
from index.formats.columns import names_of
from index.formats.format import Items
from index.formats.parts import parts
from index.formats.reading import safely
from index.formats.records import article_of

_BATCH_ROWS = 64
"""Few, since a row may have a long article in it."""


def read(file: BinaryIO, where: str, columns: Mapping[str, str]) -> Items:
    if find_spec("pyarrow") is None:
        yield UnreadableArticle(where, "Parquet needs one more package; run: pip install 'pullquote[parquet]'")
        return
    from pyarrow import parquet

    table = parquet.ParquetFile(file, pre_buffer=False)
    try:
        names = names_of(table.schema_arrow.names, columns)
    except InvalidInput as error:
        yield UnreadableArticle(where, str(error))
        return
    firsts = [0, *accumulate(table.metadata.row_group(group).num_rows for group in range(table.num_row_groups))][:-1]
    named = ((f"{where}, from row {first + 1} on", (group, first)) for group, first in enumerate(firsts))
    for place, (group, first) in parts(named):
        yield from safely(_articles(table, group, first, names, where), place)


def _articles(table: Any, group: int, first: int, names: list[str], where: str) -> Items:
    """Those of a group of rows, the first of which has `first` before it in the file."""
    number = first
    for batch in table.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False):
        for row in batch.to_pylist():
            number += 1
            record = {name: value for name, value in zip(names, row.values(), strict=True) if name}
            yield article_of({**record, "text": record["text"] or ""}, f"{where}, row {number}")
