"""Gold questions: what was asked, which answers are right, and where the first of them stands."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from index.article import storable
from index.errors import InvalidInput
from index.formats.squad import paragraph_starts

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class GoldQuestion:
    """`answers` is empty where the collection holds none. `start` is the code point in the text of `article` at which
    the first answer stands; both are None where the place is not known."""

    question: str
    answers: tuple[str, ...]
    article: str | None = None
    start: int | None = None
    tags: tuple[str, ...] = ()

    @property
    def answerable(self) -> bool:
        return bool(self.answers)


def read_gold(path: Path) -> list[GoldQuestion]:
    """Read SQuAD 1.1/2.0 JSON, or JSONL with `question, answers, article, start, answerable, tags`.

    Raises InvalidInput, naming the line, where the file is neither.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}") from None
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, Mapping) and isinstance(whole.get("data"), list):
        try:
            questions = list(_squad(whole["data"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(f"{path}: it looks like SQuAD but is not: {error!r}") from None
    else:
        questions = [
            _record(line, f"{path}, line {number}")
            for number, line in enumerate(text.split("\n"), start=1)
            if line.strip()
        ]
    if not questions:
        raise InvalidInput(f"{path}: it holds no questions")
    return questions


def sampled(items: Sequence[_Item], count: int | None, seed: int = 0) -> list[_Item]:
    """`count` of the items, chosen at random, the same for the same seed; all in their order where it is None or there
    are no more."""
    return list(items) if count is None or count >= len(items) else random.Random(seed).sample(items, count)


def _squad(data: list[Any]) -> Iterator[GoldQuestion]:
    for entry in data:
        paragraphs = entry["paragraphs"]
        starts = paragraph_starts([paragraph["context"] for paragraph in paragraphs])
        for paragraph, paragraph_start in zip(paragraphs, starts, strict=True):
            for asked in paragraph["qas"]:
                answers = [] if asked.get("is_impossible") else asked["answers"]
                yield GoldQuestion(
                    asked["question"].strip(),
                    tuple(dict.fromkeys(answer["text"] for answer in answers)),
                    str(entry["title"]) if answers else None,
                    paragraph_start + answers[0]["answer_start"] if answers else None,
                )


def _record(line: str, where: str) -> GoldQuestion:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where}: it is no valid JSON: {error}") from None
    if not isinstance(record, dict) or not isinstance(question := record.get("question"), str) or not question.strip():
        raise InvalidInput(f'{where}: it has no "question"')
    answers = record.get("answers", [])
    if not isinstance(answers, list) or not all(isinstance(answer, str) and answer for answer in answers):
        raise InvalidInput(f'{where}: its "answers" is no list of strings')
    if record.get("answerable", bool(answers)) != bool(answers):
        raise InvalidInput(f'{where}: "answerable" and "answers" contradict each other')
    article, start = record.get("article"), record.get("start")
    if (start is not None and (type(start) is not int or start < 0)) or (
        start is not None and (article is None or not answers)
    ):
        raise InvalidInput(f'{where}: its "start" is no place in an "article"')
    tags = record.get("tags") or []
    if not isinstance(tags, list):
        raise InvalidInput(f'{where}: its "tags" is no list')
    return GoldQuestion(
        storable(question),
        tuple(map(storable, answers)),
        None if article is None else str(article),
        start,
        tuple(map(str, tags)),
    )
