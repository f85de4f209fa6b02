"""Files of gold questions to the fields of each question: SQuAD, JSON Lines, RealTime QA, CSV."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from index.article import parse_published
from index.errors import InvalidInput
from index.formats.squad import paragraph_starts

Item = tuple[str, Mapping[str, Any] | InvalidInput]
"""What a reader yields: where a question stands, for people, and its fields as our JSON Lines name them, unchecked; or
what is wrong there, so that the others still come."""

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""File name ending to what separates the columns. All other files are JSON."""

_COLUMNS = ("question", "answers", "article", "start", "tags", "date", "answerable")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


_MAX_CELL_CHARACTERS = 131_072
"""What is longer is no question or answer, but a quotation mark that was never closed."""


def read_fields(path: Path) -> Iterator[Item]:
    """Raises InvalidInput where the file cannot be read or is no text."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: it is no UTF-8 text; save it as UTF-8") from None
    if delimiter := _DELIMITERS.get(path.suffix.lower()):
        return _table(text, delimiter, str(path))
    return _json(text, str(path))


def _json(text: str, file: str) -> Iterator[Item]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, Mapping) and isinstance(data := whole.get("data"), list):
        yield from _squad(data, file)
    elif whole is not None and "\n" in text.strip():
        yield file, InvalidInput("it is JSON but not SQuAD's; other questions in JSON stand one a line")
    else:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield f"{file}, line {number}", _line(line)


def _squad(data: list[Any], file: str) -> Iterator[Item]:
    number = 0
    try:
        for entry in data:
            paragraphs = entry["paragraphs"]
            starts = paragraph_starts([paragraph["context"] for paragraph in paragraphs])
            for paragraph, paragraph_start in zip(paragraphs, starts, strict=True):
                for asked in paragraph["qas"]:
                    number += 1
                    name = asked.get("id", number)
                    answers = [] if asked.get("is_impossible") else asked["answers"]
                    fields = {
                        "question": asked["question"].strip(),
                        "answers": [answer["text"] for answer in answers],
                        "article": entry["title"],
                        "date": _day(asked.get("date")),
                    }
                    if answers:
                        starts_at = [paragraph_start + answer["answer_start"] for answer in answers]
                        fields["start"] = starts_at[0]
                        fields["also"] = [
                            {"article": entry["title"], "start": start, "answer": answer["text"]}
                            for start, answer in zip(starts_at[1:], answers[1:], strict=True)
                        ]
                    yield f"{file}, question {name if isinstance(name, str) else number}", fields
    except (KeyError, TypeError, AttributeError) as error:
        yield file, InvalidInput(f"it looks like SQuAD but is not: {error!r}")


def _day(date: object) -> str | None:
    """SQuAD has none; ours is taken where it is one."""
    return date if isinstance(date, str) and parse_published(date) else None


def _line(line: str) -> Mapping[str, Any] | InvalidInput:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        return InvalidInput(f"it is no valid JSON: {error}")
    if not isinstance(fields, dict):
        return InvalidInput('it has no "question"')
    if "question_sentence" in fields and "question" not in fields:
        return _realtime(fields)
    if fields.get("answer") and "answers" not in fields:
        return InvalidInput('it has "answer" but no "answers", which is a list of strings')
    found_in = fields.get("answer_in")
    if found_in is not None and not isinstance(found_in, list):
        return InvalidInput('its "answer_in" is no list of articles')
    return {**fields, "answers": []} if found_in == [] else fields


def _realtime(fields: Mapping[str, Any]) -> Mapping[str, Any] | InvalidInput:
    """RealTime QA's own form (github.com/realtimeqa/realtimeqa_public): `answer` has the numbers, as strings and from
    "0", of those `choices` that are right. Each of several counts as an answer, since a quote stands in one place."""
    choices, numbers = fields.get("choices"), fields.get("answer")
    if not isinstance(choices, list) or not isinstance(numbers, list):
        return InvalidInput('it has no "choices" with their "answer"')
    numbered = {str(number): choice for number, choice in enumerate(choices)}
    answers = [numbered.get(number) if isinstance(number, str) else None for number in numbers]
    if not answers or not all(isinstance(answer, str) and answer.strip() for answer in answers):
        return InvalidInput('its "answer" is no list of numbers of its "choices", like ["0"]')
    return {"question": fields["question_sentence"], "answers": answers, "date": fields.get("question_date")}


def _table(text: str, delimiter: str, file: str) -> Iterator[Item]:
    """The rows of a table whose first has the names of the columns."""
    names: list[str] = []
    for where, cells in _rows(text, delimiter, file):
        if isinstance(cells, InvalidInput):
            yield where, cells
            if not names:  # nothing can be said of the rest
                return
        elif not names:
            names = ["answers" if name == "answer" else name for name in (cell.strip().lower() for cell in cells)]
            if (problem := _wrong_columns(names, delimiter)) is not None:
                yield where, problem
                return
        elif len(cells) != len(names):
            yield where, InvalidInput(f"the number of its cells is {len(cells)}, that of the columns {len(names)}")
        else:
            yield where, _row(dict(zip(names, (cell.strip() for cell in cells), strict=True)))


def _rows(text: str, delimiter: str, file: str) -> Iterator[tuple[str, list[str] | InvalidInput]]:
    """The cells of each row that is not empty, and the line at which it begins."""
    csv.field_size_limit(_MAX_CELL_CHARACTERS)  # whatever was read before in this process
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        where = f"{file}, line {rows.line_num + 1}"
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield where, InvalidInput(f"it is no valid CSV: {error}")
            continue
        if any("\0" in cell for cell in cells):
            yield where, InvalidInput("it has a NUL byte")
        elif any(cell.strip() for cell in cells):
            yield where, cells


def _wrong_columns(names: list[str], delimiter: str) -> InvalidInput | None:
    for name in _COLUMNS:
        count = names.count(name)
        if not count and name in ("question", "answers"):
            return InvalidInput(f'it names no column "{name}"; names of columns have {delimiter!r} between them')
        if count > 1:
            return InvalidInput(f'it names {count} columns "{name}"')
    return None


def _row(cells: Mapping[str, str]) -> Mapping[str, Any]:
    """An empty cell is a field that is left out. Where a cell should be a number or a truth and is none, it stays."""
    given = {name: cell for name in _COLUMNS if (cell := cells.get(name))}
    fields: dict[str, Any] = {**given, "answers": _parts(cells["answers"], "|")}
    if "start" in given and re.fullmatch("[0-9]{1,9}", given["start"]):
        fields["start"] = int(given["start"])
    if "answerable" in given:
        fields["answerable"] = _TRUTH.get(given["answerable"].lower(), given["answerable"])
    if "tags" in given:
        fields["tags"] = _parts(given["tags"], "|" if "|" in given["tags"] else None)
    return fields


def _parts(cell: str, separator: str | None) -> list[str]:
    return [stripped for part in cell.split(separator) if (stripped := part.strip())]
