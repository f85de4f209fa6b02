"""`pullquote verify`: the citations in whatever JSON one is given."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from index.errors import InvalidInput


def read_citations(file: Path) -> list[dict[str, Any]]:
    """Every citation in the JSON, or JSON Lines, of a file; `-` is standard input. Raises InvalidInput, also where
    there is none."""
    citations = list(_within(_parsed(_text(file))))
    if not citations:
        raise InvalidInput("there are no citations in the input; give the JSON that `pullquote ask --json` prints")
    return citations


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file}: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}") from None


def _parsed(text: str) -> list[Any]:
    """JSON: one value, or one a line."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the input is no JSON: {error}") from None


def _within(value: Any) -> Iterator[dict[str, Any]]:
    """Every citation anywhere in a JSON value."""
    if isinstance(value, dict):
        if {"article", "start", "end", "quote"} <= value.keys():
            yield value
        else:
            for item in value.values():
                yield from _within(item)
    elif isinstance(value, list):
        for item in value:
            yield from _within(item)


def citation_fields(citation: Any) -> tuple[str, int, int, str, str | None]:
    """What `Library.verify` takes, from a citation's JSON. Raises InvalidInput."""
    fields = tuple(citation.get(name) for name in ("article", "start", "end", "quote", "text_sha256"))
    if tuple(map(type, fields[:4])) != (str, int, int, str) or not isinstance(fields[4], str | None):
        raise InvalidInput("a citation has article and quote as strings, start and end as whole numbers")
    return fields
