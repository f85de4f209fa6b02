"""What went wrong: every wrong answer has one label, the first stage of its way that lost the right one."""

from enum import StrEnum

from eval.gold import GoldQuestion
from eval.metrics import normalize
from index.article import Article
from index.errors import ArticleNotFound
from index.filter import Filter
from index.library import CANDIDATES, AnyLibrary
from index.passage import Passage
from index.search import MAX_QUESTION_CHARACTERS, Hit
from qa.answer import Answer, Candidate

_AROUND = 200
"""Characters on either side of a place that are looked for with it."""


class Miss(StrEnum):
    """In the order of an answer's way."""

    NOT_IN_LIBRARY = "not in the library"
    SPLIT = "split by passages"
    NOT_RETRIEVED = "not retrieved"
    NOT_READ = "retrieved but not read"
    LOST = "lost to another passage"
    WRONG_SPAN = "wrong span in the right passage"
    WITHHELD = "withheld though right"
    NOT_WITHHELD = "answered though unanswerable"


def why_wrong(gold: GoldQuestion, answer: Answer, right: bool, library: AnyLibrary) -> Miss:
    """The label of an answer that is not an exact match; `right` says whether its best candidate is one."""
    if not gold.answerable:
        return Miss.NOT_WITHHELD
    if right:
        return Miss.WITHHELD
    holding = [number for number, hit in enumerate(answer.hits) if holds(hit.passage, gold)]
    read = [answer.hits[number] for number in holding if number < len(answer.hits) - answer.unread]
    if not holding:
        return out_of_reach(gold, library) or Miss.NOT_RETRIEVED
    if not read:
        return Miss.NOT_READ
    best = best_candidate(answer)
    return Miss.LOST if best and not any(_within(best, hit) for hit in read) else Miss.WRONG_SPAN


def out_of_reach(gold: GoldQuestion, library: AnyLibrary) -> Miss | None:
    """Why no search can find the answer, or None where some passage holds it. Where its article is not known it is
    looked for by its own words."""
    if gold.article is not None:
        article = article_of(gold, library)
        if article is None:
            return Miss.NOT_IN_LIBRARY
        texts = [article]
    else:
        texts = [hit.passage.article for answer in gold.answers for hit in _found(answer, gold, library)]
    if passage_of(gold, library) is not None:
        return None
    within = gold.start is not None or any(_has_words(article.text, gold) for article in texts)
    return Miss.SPLIT if within else Miss.NOT_IN_LIBRARY


def passage_of(gold: GoldQuestion, library: AnyLibrary) -> Passage | None:
    """A passage that holds the answer, the likeliest for the question; where its article is not known the answer is
    looked for by its own words. None where there is none."""
    article = article_of(gold, library)
    if gold.article is not None and article is None:
        return None
    wordings = gold.answers if article is None or gold.start is None else [_surroundings(gold, article.text)]
    found = (hit.passage for text in (gold.question, *wordings) for hit in _found(text, gold, library))
    return next((passage for passage in found if holds(passage, gold)), None)


def article_of(gold: GoldQuestion, library: AnyLibrary) -> Article | None:
    """The article that is named, if it is there."""
    try:
        return None if gold.article is None else library.article(gold.article)
    except ArticleNotFound:
        return None


def holds(passage: Passage, gold: GoldQuestion) -> bool:
    """Whether the passage holds a gold answer: at one of its places where they are known, else anywhere in its article,
    or where that is not known either in any, by its words."""
    id = passage.article.id
    if places := gold.places:
        return any(one.article == id and passage.start <= one.start and one.end <= passage.end for one in places)
    return gold.article in (None, id) and _has_words(passage.text, gold)


def best_candidate(answer: Answer) -> Candidate | None:
    """The best candidate, given or withheld."""
    return answer.best or (answer.alternatives[0] if answer.alternatives else None)


def _has_words(text: str, gold: GoldQuestion) -> bool:
    words = f" {normalize(text)} "
    return any(f" {answer} " in words for given in gold.answers if (answer := normalize(given)))


def _found(text: str, gold: GoldQuestion, library: AnyLibrary) -> list[Hit]:
    """In the article that is named, if one is."""
    within = Filter() if gold.article is None else Filter(articles=frozenset({gold.article}))
    return library.search(text[:MAX_QUESTION_CHARACTERS], CANDIDATES, within)


def _surroundings(gold: GoldQuestion, text: str) -> str:
    start = gold.start or 0
    return text[max(0, start - _AROUND) : start + len(gold.answers[0]) + _AROUND]


def _within(candidate: Candidate, hit: Hit) -> bool:
    """Whether the first place of a candidate is in the passage."""
    first, passage = candidate.citations[0], hit.passage
    return first.article.id == passage.article.id and passage.start <= first.start and first.end <= passage.end
