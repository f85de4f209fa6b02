"""Gold questions: what was asked, which answers are right, and where the first of them stands."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from eval.gold_files import read_fields
from index.article import parse_published, storable
from index.errors import InvalidInput
from index.search import check_question

_MAX_PROBLEMS = 20
"""Problems of a file that are told one by one, to fit a screen."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class GoldPlace:
    """Where an answer stands: at the code point `start` of an article."""

    article: str
    start: int
    answer: str

    @property
    def end(self) -> int:
        return self.start + len(self.answer)


@dataclass(frozen=True, slots=True)
class GoldQuestion:
    """`answers` is empty where the collection holds none. `start` is the code point in the text of `article` at which
    the first answer stands; each is None where it is not known. `also` are further places at which one of the answers
    stands. `date` is the day of the question, ISO 8601; `where` names its place in a file, so that a person finds it
    again."""

    question: str
    answers: tuple[str, ...]
    article: str | None = None
    start: int | None = None
    tags: tuple[str, ...] = ()
    date: str | None = None
    also: tuple[GoldPlace, ...] = ()
    where: str = field(default="", compare=False)

    @property
    def answerable(self) -> bool:
        return bool(self.answers)

    @property
    def places(self) -> tuple[GoldPlace, ...]:
        """All that are known, `start` first."""
        if self.article is None or self.start is None:
            return self.also
        return GoldPlace(self.article, self.start, self.answers[0]), *self.also


def read_gold(path: Path) -> list[GoldQuestion]:
    """Read SQuAD 1.1/2.0 JSON, JSONL with `question, answers, article, start, answerable, tags, date` and `also`,
    RealTime QA's JSONL, or CSV and TSV, by their endings, with columns of these names but the last; several answers of
    a cell are separated by |.

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
    """The questions, without the places at which their answers do not stand, and a line about each of those and each
    whose article is unknown; it stays. `text_of` gives an article's text by its id, None where there is none, and is
    asked once for each."""
    named: dict[str, list[int]] = {}
    for number, gold in enumerate(questions):
        for article in dict.fromkeys((gold.article, *(place.article for place in gold.also))):
            if article is not None:
                named.setdefault(article, []).append(number)
    kept = list(questions)
    problems: list[tuple[int, str]] = []
    for article, numbers in named.items():
        text = text_of(article)
        for number in numbers:
            if text is None:
                problems.append((number, f"there is no article {article!r} in the library"))
                continue
            for place in kept[number].places:
                if place.article == article and not text.startswith(place.answer, place.start):
                    kept[number] = _without(kept[number], place)
                    problems.append((number, _misplaced(place, text)))
    problems.sort(key=lambda problem: problem[0])
    return kept, [f"{kept[number].where or kept[number].question}: {told}" for number, told in problems]


def _without(gold: GoldQuestion, place: GoldPlace) -> GoldQuestion:
    also = tuple(one for one in gold.also if one != place)
    return replace(gold, start=None if place == gold.places[0] else gold.start, also=also)


def sampled(items: Sequence[_Item], count: int | None, seed: int = 0) -> list[_Item]:
    """`count` of the items, chosen at random, the same for the same seed; all in their order where it is None or there
    are no more."""
    return list(items) if count is None or count >= len(items) else random.Random(seed).sample(items, count)


def _misplaced(place: GoldPlace, text: str) -> str:
    answer = place.answer
    if (found := text.find(answer)) < 0:
        places = "nor anywhere else"
    elif text.find(answer, found + 1) < 0:
        places = f"but at {found}"
    else:
        places = "but at several other places"
    return f"{answer!r} does not stand at {place.start} of article {place.article!r}, {places}"


def _question(fields: Mapping[str, Any], where: str) -> GoldQuestion:
    """Raises InvalidInput, without naming the place, where the fields are not those of a question."""
    question, answers = fields.get("question"), fields.get("answers", [])
    if not isinstance(question, str) or not question.strip():
        raise InvalidInput('it has no "question"')
    check_question(question)
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
    day, also = _day(fields.get("date")), _also(fields.get("also") or [], answers)
    first = None if start is None else GoldPlace(article, start, storable(answers[0]))
    if "answers" not in fields and answerable is None:  # or a name that is mistyped would make all of them unanswerable
        raise InvalidInput('it has no "answers"; where the articles hold none, say so: "answers": []')
    return GoldQuestion(
        storable(question),
        tuple(dict.fromkeys(map(storable, answers))),
        article or None,
        start,
        tuple(_name(tag, "tags") for tag in tags),
        day,
        tuple(place for place in also if place != first),
        storable(where),
    )


def _also(places: object, answers: Sequence[str]) -> tuple[GoldPlace, ...]:
    """Raises InvalidInput."""
    wrong = InvalidInput('its "also" is no list of places, each with an "article", a "start" and one of the "answers"')
    if not isinstance(places, list):
        raise wrong
    found: dict[GoldPlace, None] = {}
    for place in places:
        if not isinstance(place, Mapping) or place.get("answer") not in answers:
            raise wrong
        article, start = _name(place.get("article"), "article"), place.get("start")
        if type(start) is not int or start < 0 or not article:
            raise wrong
        found[GoldPlace(article, start, storable(place["answer"]))] = None
    return tuple(found)


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
