"""Evaluation: questions asked of a three-line fake, scores worked out by hand."""

import json
from collections.abc import Callable
from dataclasses import asdict

import pytest

from eval.gold import GoldQuestion
from eval.run import Report, best_candidate, evaluate, holds, report
from index.article import Article, make_article
from index.library import Validity
from index.passage import Passage
from index.search import Hit
from qa.answer import Answer, Ask, Candidate, NoAnswer, Question, cite, rank
from qa.confidence import Calibration
from qa.reader import Span
from qa.wire import CitationJSON

ARTICLE = make_article("Oslo is a port. Rome is none. Bergen is a port too.", id="ports")
OTHER = make_article("Nothing is said here.", id="nothing")


def part(start: int, end: int, article: Article = ARTICLE) -> Hit:
    return Hit(Passage(article, start, end), 1.0, 1.0, 1.0)


FIRST, SECOND, THIRD, NOTHING = part(0, 15), part(16, 29), part(30, 51), part(0, 21, OTHER)


def answer(
    words: str, *, given: bool = True, hits: tuple[Hit, ...] = (FIRST, SECOND, THIRD), total: float = 10.0
) -> Answer:
    """An answer with a candidate for each of the words, the first given or withheld."""
    passage = Passage(ARTICLE, 0, len(ARTICLE.text))
    spans = [
        Span(passage, start := ARTICLE.text.index(word), start + len(word), 9.0 - number)
        for number, word in enumerate(words.split())
    ]
    ranked = rank([(Hit(passage, 1.0, 1.0, 1.0), spans)], Calibration())
    candidates = [Candidate(one.confidence, one.evidence, tuple(map(cite, one.spans))) for one in ranked]
    best = candidates[0] if given and candidates else None
    reason = None if best else NoAnswer.BELOW_THRESHOLD
    others = tuple(candidates[1:] if best else candidates)
    return Answer("?", best, reason, 0.9, others, hits, 0, True, {"total": total})


def fake(answers: dict[str, Answer]) -> Ask:
    return lambda question: answers[question.text]


def always(validity: Validity) -> Callable[[CitationJSON], Validity]:
    return lambda citation: validity


GOLD = [
    GoldQuestion("right", ("Oslo",), "ports", 0),
    GoldQuestion("partly", ("Bergen is",)),
    GoldQuestion("withheld", ("Rome",), "ports", 16),
    GoldQuestion("not found", ("Bergen",), "ports", 30),
    GoldQuestion("rightly none", ()),
    GoldQuestion("wrongly some", ()),
]
ANSWERS = {
    "right": answer("Oslo", total=10),
    "partly": answer("Bergen Oslo", total=20),
    "withheld": answer("Rome", given=False, total=30),
    "not found": answer("Oslo", hits=(FIRST, NOTHING), total=40),
    "rightly none": answer("", given=False, total=50),
    "wrongly some": answer("Rome", total=100),
}


def test_results_one_by_one() -> None:
    results = evaluate(fake(ANSWERS), GOLD)
    assert [(result.gold.question, result.exact_match, result.f1, result.rank) for result in results] == [
        ("right", 1.0, 1.0, 1),
        ("partly", 0.0, pytest.approx(2 / 3), 3),
        ("withheld", 0.0, 0.0, 2),
        ("not found", 0.0, 0.0, None),
        ("rightly none", 1.0, 1.0, None),
        ("wrongly some", 0.0, 0.0, None),
    ]
    assert [result.answer for result in results] == list(ANSWERS.values())


def test_rank_is_that_of_the_first_hit_that_holds_the_answer() -> None:
    twice = {"?": answer("Oslo", hits=(NOTHING, SECOND, FIRST, part(0, 29)))}
    assert [result.rank for result in evaluate(fake(twice), [GoldQuestion("?", ("a port",))])] == [3]
    assert [result.rank for result in evaluate(fake(twice), [GoldQuestion("?", ("is",))])] == [1]


def test_report_by_hand() -> None:
    scores = report(evaluate(fake(ANSWERS), GOLD), always(Validity.VALID))
    assert scores == Report(
        questions=6,
        answerable=4,
        em=pytest.approx(100 * 2 / 6),  # right, rightly none
        f1=pytest.approx(100 * (2 + 2 / 3) / 6),
        answerable_em=25.0,
        answerable_f1=pytest.approx(100 * (1 + 2 / 3) / 4),
        best_em=50.0,  # right, withheld
        best_f1=pytest.approx(100 * (2 + 2 / 3) / 4),
        recall={1: 25.0, 5: 75.0, 10: 75.0},
        answered=pytest.approx(100 * 4 / 6),
        answered_em=25.0,  # one of the four
        no_answer_accuracy=50.0,
        quotes=6,  # one each, two for "partly", none for "rightly none"
        quotes_misplaced=0,
        milliseconds_p50=35.0,
        milliseconds_p95=pytest.approx(87.5),
    )


def test_misplaced_quotes_are_counted() -> None:
    def verify(citation: CitationJSON) -> Validity:
        return {"Oslo": Validity.VALID, "Bergen": Validity.STALE, "Rome": Validity.UNKNOWN}[citation["quote"]]

    scores = report(evaluate(fake(ANSWERS), GOLD), verify)
    assert (scores.quotes, scores.quotes_misplaced) == (6, 3)  # Bergen, and Rome twice


def test_shares_of_nothing_are_none() -> None:
    none = report(evaluate(fake(ANSWERS), GOLD[4:5]), always(Validity.VALID))
    assert (none.em, none.answered, none.no_answer_accuracy) == (100.0, 0.0, 100.0)
    assert (none.answerable_em, none.answerable_f1, none.best_em, none.best_f1, none.answered_em) == (None,) * 5
    assert none.recall == {1: None, 5: None, 10: None}
    one = report(evaluate(fake(ANSWERS), GOLD[:1]), always(Validity.VALID))
    assert (one.answerable_em, one.no_answer_accuracy) == (100.0, None)


def test_question_is_asked_as_it_was_told_to() -> None:
    asked: list[Question] = []

    def ask(question: Question) -> Answer:
        asked.append(question)
        return ANSWERS["right"]

    evaluate(ask, GOLD[:1], k=3, threshold=0.25)
    evaluate(ask, GOLD[:1], exhaustive=True)
    evaluate(ask, GOLD[:1])
    assert asked == [
        Question("right", 3, threshold=0.25),
        Question("right", exhaustive=True),
        Question("right", 10, threshold=None, budget_ms=None, exhaustive=False),
    ]


@pytest.mark.parametrize(
    ("hit", "held"),
    [
        (part(16, 29), True),
        (part(0, 20), True),  # ends with the answer
        (part(0, 19), False),  # cuts it
        (part(17, 29), False),
        (part(30, 51), False),
        (part(0, 21, OTHER), False),
    ],
)
def test_holds_by_place(hit: Hit, held: bool) -> None:
    assert holds(hit, GoldQuestion("?", ("Rome", "is a port"), "ports", 16)) is held


def test_holds_by_place_looks_at_the_place_alone() -> None:
    twice = make_article("Oslo here. Oslo there.", id="twice")
    gold = GoldQuestion("?", ("Oslo",), "twice", 11)
    assert [holds(part(0, 10, twice), gold), holds(part(11, 22, twice), gold)] == [False, True]


@pytest.mark.parametrize(
    ("answers", "held"),
    [
        (("Rome",), True),
        (("the ROME",), True),
        (("Paris", "is none."), True),
        (("Rom",), False),  # whole words
        (("port",), False),
        (("the",), False),  # nothing is left of it
        ((), False),
    ],
)
def test_holds_by_words(answers: tuple[str, ...], held: bool) -> None:
    assert holds(SECOND, GoldQuestion("?", answers)) is held
    assert holds(SECOND, GoldQuestion("?", answers, "ports")) is held  # an article alone is no place


@pytest.mark.parametrize("given", [True, False])
def test_best_candidate_given_or_withheld(given: bool) -> None:
    best = best_candidate(answer("Oslo Rome", given=given))
    assert best is not None
    assert best.text == "Oslo"


def test_no_best_candidate() -> None:
    assert best_candidate(answer("", given=False)) is None


def test_report_is_valid_json() -> None:
    scores = asdict(report(evaluate(fake(ANSWERS), GOLD), always(Validity.VALID)))
    assert json.loads(json.dumps(scores, allow_nan=False))["recall"] == {"1": 25.0, "5": 75.0, "10": 75.0}
