"""What went wrong: every wrong answer has one label, the first stage of its way that lost the right one."""

from enum import StrEnum

from eval.gold import GoldQuestion
from eval.metrics import normalize
from index.article import Article
from index.errors import ArticleNotFound
from index.filter import Filter
from index.library import CANDIDATES, AnyLibrary
from index.passage import Passage
from index.search import Hit
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
    found: list[Hit] = []
    texts: list[Article] = []
    if gold.article is not None:
        try:
            article = library.article(gold.article)
        except ArticleNotFound:
            return Miss.NOT_IN_LIBRARY
        texts.append(article)
        found += library.search(_surroundings(gold, article), CANDIDATES, Filter(articles=frozenset({article.id})))
    else:
        for answer in gold.answers:
            found += library.search(answer, CANDIDATES)
        texts += [hit.passage.article for hit in found]
    if any(holds(hit.passage, gold) for hit in found):
        return None
    placed = gold.article is not None and gold.start is not None
    within = placed or any(_has_words(article.text, gold) for article in texts)
    return Miss.SPLIT if within else Miss.NOT_IN_LIBRARY


def holds(passage: Passage, gold: GoldQuestion) -> bool:
    """Whether the passage holds the gold answer: at its place where that is known, else anywhere, by its words."""
    if gold.article is not None and gold.start is not None:
        end = gold.start + len(gold.answers[0])
        return passage.article.id == gold.article and passage.start <= gold.start and end <= passage.end
    return _has_words(passage.text, gold)


def best_candidate(answer: Answer) -> Candidate | None:
    """The best candidate, given or withheld."""
    return answer.best or (answer.alternatives[0] if answer.alternatives else None)


def _has_words(text: str, gold: GoldQuestion) -> bool:
    words = f" {normalize(text)} "
    return any(f" {answer} " in words for given in gold.answers if (answer := normalize(given)))


def _surroundings(gold: GoldQuestion, article: Article) -> str:
    if gold.start is None:
        return gold.answers[0]
    return article.text[max(0, gold.start - _AROUND) : gold.start + len(gold.answers[0]) + _AROUND]


def _within(candidate: Candidate, hit: Hit) -> bool:
    """Whether the first place of a candidate is in the passage."""
    first, passage = candidate.citations[0], hit.passage
    return first.article.id == passage.article.id and passage.start <= first.start and first.end <= passage.end
