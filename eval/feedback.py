"""What people said of answers, as gold questions: in SQuAD 2.0's JSON, or in our JSON Lines."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from index.feedback import Feedback, Place, Verdict

TextOf = Callable[[str], str | None]
"""An article's text by its id; None where there is none."""

_NO_ARTICLE = ""
"""SQuAD's title of questions that belong to no article; no article has it as its id. Their paragraph is empty."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A question whose answer is known: the places of all that count, the latest first; none
    where the articles do not answer it, and `article` is then the one that was wrongly quoted, if any. `key` is that of
    the latest feedback that counts, and `day` its day."""

    key: int
    question: str
    day: str
    places: tuple[Place, ...]
    article: str | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """The questions in the order in which they were first judged; and what was left out: how many questions are known
    only to have a wrong answer, and how many answers do not stand any more where they stood."""

    questions: tuple[Judged, ...]
    wrong: int
    gone: int


def gather(said: Mapping[int, Feedback], text_of: TextOf) -> Gathered:
    """Feedback by its key, in the order it came in, to what is known of each question. The latest verdict on a place
    counts, and that a question has no answer counts until a later one says otherwise."""
    by_question: dict[str, dict[int, Feedback]] = {}
    for key, one in said.items():
        by_question.setdefault(one.question, {})[key] = one
    questions, wrong, gone = [], 0, 0
    for given in by_question.values():
        counting = _counting(given)
        standing = [key for key in counting if _stands(given[key], text_of)]
        wrong += not counting
        gone += len(counting) - len(standing)
        if standing:
            questions.append(_judged(standing, given, text_of))
    return Gathered(tuple(questions), wrong, gone)


def _counting(given: dict[int, Feedback]) -> list[int]:
    """The keys, the latest first, of the answers that count, or of the one verdict that there is none."""
    counting: list[int] = []
    judged = set()
    for key in reversed(given):
        verdict, place = given[key].verdict, given[key].place
        if verdict is Verdict.UNANSWERABLE:
            return counting or [key]
        where = place and (place.article, place.start, place.end)
        if verdict is not Verdict.WRONG and where not in judged:
            counting.append(key)
        judged.add(where)
    return counting


def _stands(one: Feedback, text_of: TextOf) -> bool:
    """Whether the article still has the words at their place; that a question has no answer needs no place."""
    if one.place is None or one.verdict is Verdict.UNANSWERABLE:
        return True
    text = text_of(one.place.article)
    return text is not None and text.startswith(one.place.quote, one.place.start)


def _judged(standing: Sequence[int], given: Mapping[int, Feedback], text_of: TextOf) -> Judged:
    latest = given[standing[0]]
    places: tuple[Place, ...] = ()
    article = latest.place.article if latest.place else None
    if latest.verdict is not Verdict.UNANSWERABLE:
        places = tuple(place for key in standing if (place := given[key].place) is not None)
    elif article is not None and text_of(article) is None:
        article = None
    return Judged(standing[0], latest.question, latest.created[:10], places, article)


def jsonl(questions: Sequence[Judged]) -> str:
    """A line for each question, as `eval.gold` reads them."""
    return "".join(json.dumps(_fields(one), ensure_ascii=False) + "\n" for one in questions)


def _fields(one: Judged) -> dict[str, Any]:
    answers = list(dict.fromkeys(place.quote for place in one.places))
    fields: dict[str, Any] = {"question": one.question, "answers": answers}
    if one.article is not None:
        fields["article"] = one.article
    if one.places:
        first, *also = one.places
        fields["start"] = first.start
        if also:
            fields["also"] = [{"article": place.article, "start": place.start, "answer": place.quote} for place in also]
    return {**fields, "answerable": bool(one.places), "date": one.day}


def squad(questions: Sequence[Judged], text_of: TextOf) -> str:
    """An entry for each article, under its id, with the whole text as its one paragraph. Since a question is asked of
    one paragraph, one with answers in several articles stands in each of them."""
    entries: dict[str, list[dict[str, Any]]] = {}
    for one in questions:
        by_article: dict[str, list[Place]] = {} if one.places else {one.article or _NO_ARTICLE: []}
        for place in one.places:
            by_article.setdefault(place.article, []).append(place)
        for number, (article, places) in enumerate(by_article.items()):
            entries.setdefault(article, []).append(
                {
                    "id": f"feedback-{one.key}-{number}" if number else f"feedback-{one.key}",
                    "question": one.question,
                    "answers": [{"text": place.quote, "answer_start": place.start} for place in places],
                    "is_impossible": not places,
                    "date": one.day,
                }
            )
    data = [
        {"title": article, "paragraphs": [{"context": text_of(article) or "", "qas": asked}]}
        for article, asked in entries.items()
    ]
    return json.dumps({"version": "v2.0", "data": data}, ensure_ascii=False) + "\n"
