"""Ask gold questions and record what comes back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from eval.gold import GoldQuestion
from eval.metrics import exact_match, given_scores
from eval.misses import article_of, best_candidate, holds, passage_of, why_wrong
from eval.record import Card, Record, SeenHit, Shown
from eval.scores import RECALL_AT
from index.library import AnyLibrary, Validity
from index.passage import Passage, sentences
from index.search import Hit
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

    One that is missed since no passage with its answer was found is asked again of such a passage alone: what perfect
    retrieval would have given.
    """
    for gold in questions:
        yield record(gold, replace(how, text=gold.question), ask, library, verify)


def record(gold: GoldQuestion, question: Question, ask: Ask, library: AnyLibrary, verify: Verify) -> Record:
    """Of one gold question, asked as `question`."""
    answer = ask(question)
    best, article = best_candidate(answer), article_of(gold.article, library)
    em, f1 = given_scores(answer.text, gold.answers)
    best_em, best_f1 = given_scores(best.text if best else None, gold.answers) if gold.answerable else (0.0, 0.0)
    right, best_right = em == 1, best_em == 1
    held = _ranks(gold, answer.hits)
    passage = None if right or held or not gold.answerable else passage_of(gold, library)
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
        exact_match=em,
        f1=f1,
        best_exact_match=best_em,
        best_f1=best_f1,
        exact_span=_exact_span(gold, answer.best),
        rank=held[0] if held else _rank_below(gold, question, answer, library),
        hits=len(answer.hits),
        read=read,
        oracle={
            "retrieval": float(right or (passage is not None and _right_alone(gold, passage, question, ask))),
            "reading": float(right or not gold.answerable or any(rank <= read for rank in held)),
            "ranking": float(right or (answer.text is not None and _any_right(gold, answer))),
            "abstaining": float(best_right or not gold.answerable),
        },
        quotes=len(cited),
        misplaced=sum(verify(citation) is not Validity.VALID for citation in cited),
        milliseconds=answer.milliseconds,
        miss=None if right else why_wrong(gold, answer, best_right, passage, library),
        card=None if right else _card(gold, library, answer, best),
    )


def _ranks(gold: GoldQuestion, hits: Sequence[Hit]) -> list[int]:
    """Of the hits that hold an answer, from 1."""
    return [rank for rank, hit in enumerate(hits, start=1) if gold.answerable and holds(hit.passage, gold)]


def _rank_below(gold: GoldQuestion, question: Question, answer: Answer, library: AnyLibrary) -> int | None:
    """The first rank after those of the hits, where so few were asked for that recall at RECALL_AT needs more."""
    asked = len(answer.hits)
    if not gold.answerable or not 0 < asked < RECALL_AT[-1]:
        return None
    hits = library.search(question.text, RECALL_AT[-1], question.filter)
    return next((rank for rank in _ranks(gold, hits) if rank > asked), None)


def _exact_span(gold: GoldQuestion, given: Candidate | None) -> float | None:
    """Whether one of the places given is one of the gold's, with the words of any accepted answer."""
    if not gold.places:
        return None
    return float(
        any(
            cited.article.id == place.article
            and cited.start < place.end
            and place.start < cited.end
            and cited.quote in gold.answers
            for cited in (given.citations if given else ())
            for place in gold.places
        )
    )


def _right_alone(gold: GoldQuestion, passage: Passage, question: Question, ask: Ask) -> bool:
    """Whether the passage gives the answer where it is all there is to read."""
    alone = replace(passage.article, text=passage.text)
    return given_scores(ask(replace(question, texts=(alone,))).text, gold.answers)[0] == 1


def _any_right(gold: GoldQuestion, answer: Answer) -> bool:
    return gold.answerable and any(exact_match(other.text, gold.answers) == 1 for other in answer.alternatives)


def _card(gold: GoldQuestion, library: AnyLibrary, answer: Answer, best: Candidate | None) -> Card:
    read = len(answer.hits) - answer.unread
    return Card(
        gold=_gold_place(gold, library),
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


def _gold_place(gold: GoldQuestion, library: AnyLibrary) -> Shown | None:
    """The first that is known, in an article that is there."""
    for place in gold.places:
        if (article := article_of(place.article, library)) is not None:
            begin = max(0, place.start - 2 * _SHOWN_AROUND)
            around = [
                (begin + first, begin + last)
                for first, last in sentences(article.text[begin : place.end + 2 * _SHOWN_AROUND])
                if begin + first < place.end and place.start < begin + last
            ]
            if around:
                first, last = min(around[0][0], place.start), max(around[-1][1], place.end)
                return _shown(Citation(article, place.start, place.end, first, last))
    return None


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
