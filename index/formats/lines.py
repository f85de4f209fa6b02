"""Records a line each (`.jsonl`), in files of any size."""

import json
from collections.abc import Mapping
from io import BufferedReader
from itertools import chain

from index.errors import UnreadableArticle
from index.formats import records
from index.formats.encoding import NotText, decode, lines_of
from index.formats.format import Items
from index.formats.reading import MAX_FILE_BYTES, whole


def read(file: BufferedReader, where: str) -> Items:
    first = file.readline(MAX_FILE_BYTES)
    try:
        if file.peek(1) and _is_record(first):
            yield from records.read_lines(chain([first.decode("utf-8-sig")], lines_of(file)), where)
        else:
            yield from records.read(decode(whole(file, where, first)), where)
    except NotText as error:
        yield UnreadableArticle(where, str(error))


def _is_record(line: bytes) -> bool:
    """Whether it is a record by itself, not the beginning of one or of a list of them."""
    try:
        return isinstance(json.loads(line.decode("utf-8-sig")), Mapping)
    except (ValueError, RecursionError):
        return False
