"""Ask gold questions and record what comes back."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from eval.gold import GoldQuestion
from eval.metrics import exact_match, f1
from eval.misses import best_candidate, holds, why_wrong
from eval.record import Card, Record, SeenHit, Shown
from index.article import Article
from index.errors import ArticleNotFound
from index.filter import Filter
from index.library import AnyLibrary, Validity
from index.passage import sentences
from qa.answer import Answer, Ask, Candidate, Citation, Question
from qa.wire import AnswerJSON, CitationJSON, answer_json

Verify = Callable[[CitationJSON], Validity]
"""Looks a citation up in the stored texts."""

_SHOWN_AROUND = 300
"""Characters of a sentence shown on either side of a quote, at most."""


def evaluate(
    ask: Ask, questions: Iterable[GoldQuestion], library: AnyLibrary, verify: Verify, how: Question = Question("")
) -> Iterator[Record]:
    """Ask each question as `how` says; the library, of which `ask` answers, tells why a question was missed.

    One that is missed since its article was not found is asked again of that article alone: what perfect retrieval
    would have given.
    """
    for gold in questions:
        yield record(gold, replace(how, text=gold.question), ask, library, verify)


def record(gold: GoldQuestion, question: Question, ask: Ask, library: AnyLibrary, verify: Verify) -> Record:
    """Of one gold question, asked as `question`."""
    answer = ask(question)
    best, article = best_candidate(answer), _article(gold, library)
    text, best_text = answer.text or "", best.text if best else ""
    right = exact_match(text, gold.answers) == 1
    best_right = gold.answerable and exact_match(best_text, gold.answers) == 1
    held = [rank for rank, hit in enumerate(answer.hits, start=1) if gold.answerable and holds(hit.passage, gold)]
    read = len(answer.hits) - answer.unread
    cited = list(_citations(answer_json(answer)))
    return Record(
        question=gold.question,
        answers=gold.answers,
        article=gold.article,
        source=article.source if article else None,
        tags=gold.tags,
        given=answer.text,
        best=best.text if best else None,
        confidence=answer.confidence,
        exact_match=float(right),
        f1=f1(text, gold.answers),
        best_exact_match=float(best_right),
        best_f1=f1(best_text, gold.answers) if gold.answerable else 0.0,
        exact_span=_exact_span(gold, answer.best),
        rank=held[0] if held else None,
        hits=len(answer.hits),
        read=read,
        oracle={
            "retrieval": float(right or (not held and article is not None and _right_alone(gold, question, ask))),
            "reading": float(right or not gold.answerable or any(rank <= read for rank in held)),
            "ranking": float(right or (answer.text is not None and _any_right(gold, answer))),
            "abstaining": float(best_right or not gold.answerable),
        },
        quotes=len(cited),
        misplaced=sum(verify(citation) is not Validity.VALID for citation in cited),
        milliseconds=answer.milliseconds,
        miss=None if right else why_wrong(gold, answer, best_right, library),
        card=None if right else _card(gold, article, answer, best),
    )


def _article(gold: GoldQuestion, library: AnyLibrary) -> Article | None:
    try:
        return None if gold.article is None else library.article(gold.article)
    except ArticleNotFound:
        return None


def _exact_span(gold: GoldQuestion, given: Candidate | None) -> float | None:
    """Whether one of the places given is the gold's, with the words of any accepted answer."""
    if gold.start is None:
        return None
    end = gold.start + len(gold.answers[0])
    places = given.citations if given else ()
    return float(
        any(
            cited.article.id == gold.article
            and cited.start < end
            and gold.start < cited.end
            and cited.quote in gold.answers
            for cited in places
        )
    )


def _right_alone(gold: GoldQuestion, question: Question, ask: Ask) -> bool:
    """Whether the gold article alone gives the right answer."""
    if not gold.answerable or gold.article is None:
        return False
    alone = ask(replace(question, filter=Filter(articles=frozenset({gold.article}))))
    return exact_match(alone.text or "", gold.answers) == 1


def _any_right(gold: GoldQuestion, answer: Answer) -> bool:
    return gold.answerable and any(exact_match(other.text, gold.answers) == 1 for other in answer.alternatives)


def _card(gold: GoldQuestion, article: Article | None, answer: Answer, best: Candidate | None) -> Card:
    read = len(answer.hits) - answer.unread
    return Card(
        gold=_gold_place(gold, article),
        ours=_shown(best.citations[0]) if best else None,
        hits=tuple(
            SeenHit(
                hit.passage.article.id,
                hit.passage.article.title,
                hit.passage.start,
                hit.passage.end,
                round(hit.score, 4),
                round(hit.dense, 4),
                round(hit.lexical, 4),
                number < read,
                gold.answerable and holds(hit.passage, gold),
            )
            for number, hit in enumerate(answer.hits)
        ),
    )


def _gold_place(gold: GoldQuestion, article: Article | None) -> Shown | None:
    if article is None or gold.start is None:
        return None
    end = gold.start + len(gold.answers[0])
    begin = max(0, gold.start - 2 * _SHOWN_AROUND)
    around = [
        (begin + first, begin + last)
        for first, last in sentences(article.text[begin : end + 2 * _SHOWN_AROUND])
        if begin + first < end and gold.start < begin + last
    ]
    if not around:
        return None
    return _shown(Citation(article, gold.start, end, min(around[0][0], gold.start), max(around[-1][1], end)))


def _shown(cited: Citation) -> Shown:
    text = cited.article.text
    return Shown(
        cited.article.id,
        cited.article.title,
        cited.start,
        text[max(cited.sentence_start, cited.start - _SHOWN_AROUND) : cited.start],
        cited.quote,
        text[cited.end : min(cited.sentence_end, cited.end + _SHOWN_AROUND)],
    )


def _citations(answer: AnswerJSON) -> Iterator[CitationJSON]:
    """All places an answer cites, those of its alternatives too."""
    yield from answer["citations"]
    for other in answer["alternatives"]:
        yield from other["citations"]
