"""Gold questions: what was asked, which answers are right, and where the first of them stands."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from eval.gold_files import read_fields
from index.article import parse_published, storable
from index.errors import InvalidInput

_MAX_PROBLEMS = 20
"""Problems of a file that are told one by one, to fit a screen."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class GoldQuestion:
    """`answers` is empty where the collection holds none. `start` is the code point in the text of `article` at which
    the first answer stands; each is None where it is not known. `date` is the day of the question, ISO 8601;
    `where` names its place in a file, so that a person finds it again."""

    question: str
    answers: tuple[str, ...]
    article: str | None = None
    start: int | None = None
    tags: tuple[str, ...] = ()
    date: str | None = None
    where: str = field(default="", compare=False)

    @property
    def answerable(self) -> bool:
        return bool(self.answers)


def read_gold(path: Path) -> list[GoldQuestion]:
    """Read SQuAD 1.1/2.0 JSON, JSONL with `question, answers, article, start, answerable, tags, date`, RealTime QA's
    JSONL, or CSV and TSV, by their endings, with columns of these names; several answers of a cell are separated by |.

    A question whose `answer_in` is an empty list counts as having no answer. Raises InvalidInput, with a line for each
    of the first 20 problems, where the file is none of these.
    """
    questions, problems = [], []
    for where, fields in read_fields(path):
        try:
            if isinstance(fields, InvalidInput):
                raise fields
            questions.append(_question(fields, where))
        except InvalidInput as error:
            problems.append(f"{where}: {error}")
    if (more := len(problems) - _MAX_PROBLEMS) > 0:
        problems[_MAX_PROBLEMS:] = [f"and {more:,} more"]
    if problems:
        raise InvalidInput("\n".join(problems))
    if not questions:
        raise InvalidInput(f"{path}: it holds no questions")
    return questions


def checked(
    questions: Sequence[GoldQuestion], text_of: Callable[[str], str | None]
) -> tuple[list[GoldQuestion], list[str]]:
    """The questions, without a `start` at which their first answer does not stand, and a line about each of those and
    each whose article is unknown; it keeps its place. `text_of` gives an article's text by its id, None where there is
    none, and is asked once for each."""
    named: dict[str, list[int]] = {}
    for number, gold in enumerate(questions):
        if gold.article is not None:
            named.setdefault(gold.article, []).append(number)
    kept, problems = list(questions), {}
    for article, numbers in named.items():
        text = text_of(article)
        for number in numbers:
            gold = questions[number]
            if text is None:
                problems[number] = f"there is no article {article!r} in the library"
            elif gold.start is not None and not text.startswith(gold.answers[0], gold.start):
                kept[number] = replace(gold, start=None)
                problems[number] = _misplaced(gold, text)
    return kept, [f"{kept[number].where or kept[number].question}: {problems[number]}" for number in sorted(problems)]


def sampled(items: Sequence[_Item], count: int | None, seed: int = 0) -> list[_Item]:
    """`count` of the items, chosen at random, the same for the same seed; all in their order where it is None or there
    are no more."""
    return list(items) if count is None or count >= len(items) else random.Random(seed).sample(items, count)


def _misplaced(gold: GoldQuestion, text: str) -> str:
    answer = gold.answers[0]
    if (found := text.find(answer)) < 0:
        places = "nor anywhere else"
    elif text.find(answer, found + 1) < 0:
        places = f"but at {found}"
    else:
        places = "but at several other places"
    return f"{answer!r} does not stand at {gold.start} of article {gold.article!r}, {places}"


def _question(fields: Mapping[str, Any], where: str) -> GoldQuestion:
    """Raises InvalidInput, without naming the place, where the fields are not those of a question."""
    question, answers = fields.get("question"), fields.get("answers", [])
    if not isinstance(question, str) or not question.strip():
        raise InvalidInput('it has no "question"')
    if not isinstance(answers, list) or not all(isinstance(answer, str) and answer.strip() for answer in answers):
        raise InvalidInput('its "answers" is no list of strings')
    if (answerable := fields.get("answerable")) is not None:
        if not isinstance(answerable, bool):
            raise InvalidInput('its "answerable" is neither true nor false')
        if answerable != bool(answers):
            raise InvalidInput('"answerable" and "answers" contradict each other')
    article, start = _name(fields.get("article"), "article"), fields.get("start")
    if start is not None and (type(start) is not int or start < 0 or not article or not answers):
        raise InvalidInput('its "start" is no place in an "article"')
    tags = fields.get("tags") or []
    if not isinstance(tags, list):
        raise InvalidInput('its "tags" is no list')
    return GoldQuestion(
        storable(question),
        tuple(dict.fromkeys(map(storable, answers))),
        article or None,
        start,
        tuple(_name(tag, "tags") for tag in tags),
        _day(fields.get("date")),
        storable(where),
    )


def _name(value: object, field: str) -> str:
    """One line, as the names of articles are; empty where there is none."""
    if isinstance(value, list | dict):
        raise InvalidInput(f'its "{field}" is neither a string nor a number')
    return "" if value is None else " ".join(storable(str(value)).split())


def _day(date: object) -> str | None:
    if date is None or date == "":
        return None
    day = parse_published(date) if isinstance(date, str) else None
    if day is None:
        raise InvalidInput('its "date" is no date, like 2023-07-28')
    return day[:10]
