"""What went wrong: every wrong answer has one label, the first stage of its way that lost the right one."""

from enum import StrEnum

from eval.gold import GoldPlace, GoldQuestion
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


def why_wrong(gold: GoldQuestion, answer: Answer, right: bool, passage: Passage | None, library: AnyLibrary) -> Miss:
    """The label of an answer that is not an exact match; `right` says whether its best candidate is one, and `passage`
    is what `passage_of` gives where no hit holds the answer."""
    if not gold.answerable:
        return Miss.NOT_WITHHELD
    if right:
        return Miss.WITHHELD
    holding = [number for number, hit in enumerate(answer.hits) if holds(hit.passage, gold)]
    read = [answer.hits[number] for number in holding if number < len(answer.hits) - answer.unread]
    if not holding:
        return out_of_reach(gold, library) if passage is None else Miss.NOT_RETRIEVED
    if not read:
        return Miss.NOT_READ
    best = best_candidate(answer)
    return Miss.LOST if best and not any(_within(best, hit) for hit in read) else Miss.WRONG_SPAN


def passage_of(gold: GoldQuestion, library: AnyLibrary) -> Passage | None:
    """A passage that holds the answer, the likeliest for the question; where its article is not known the answer is
    looked for by its own words. None where there is none."""
    named, articles = _articles(gold, library)
    if named and not articles:
        return None
    around = [_around(place, articles[place.article]) for place in gold.places if place.article in articles]
    within = Filter(articles=frozenset(articles))
    for text in (gold.question, *(around or gold.answers)):
        for hit in _found(text, library, within):
            if holds(hit.passage, gold):
                return hit.passage
    return None


def out_of_reach(gold: GoldQuestion, library: AnyLibrary) -> Miss:
    """Why no passage holds the answer."""
    named, articles = _articles(gold, library)
    if gold.places and articles:
        return Miss.SPLIT
    texts = [article.text for article in articles.values()]
    if not named:
        texts = [hit.passage.article.text for answer in gold.answers for hit in _found(answer, library)]
    return Miss.SPLIT if any(_has_words(text, gold) for text in texts) else Miss.NOT_IN_LIBRARY


def article_of(id: str | None, library: AnyLibrary) -> Article | None:
    """The article of that id, if it is there."""
    try:
        return None if id is None else library.article(id)
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


def _articles(gold: GoldQuestion, library: AnyLibrary) -> tuple[bool, dict[str, Article]]:
    """Whether articles are named for the answer, and those that are there, by id."""
    named = dict.fromkeys(place.article for place in gold.places) or {id: None for id in [gold.article] if id}
    return bool(named), {id: article for id in named if (article := article_of(id, library)) is not None}


def _found(text: str, library: AnyLibrary, within: Filter = Filter()) -> list[Hit]:
    return library.search(text[:MAX_QUESTION_CHARACTERS], CANDIDATES, within)


def _around(place: GoldPlace, article: Article) -> str:
    return article.text[max(0, place.start - _AROUND) : place.end + _AROUND]


def _within(candidate: Candidate, hit: Hit) -> bool:
    """Whether the first place of a candidate is in the passage."""
    first, passage = candidate.citations[0], hit.passage
    return first.article.id == passage.article.id and passage.start <= first.start and first.end <= passage.end
