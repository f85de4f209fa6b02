"""Evaluation: questions asked of a three-line fake, records worked out by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from eval.gold import GoldPlace, GoldQuestion
from eval.misses import Miss
from eval.record import Card, Record, Run, SeenHit, Shown, read_run, write_run
from eval.run import Verify, evaluate
from index.article import Article, make_article
from index.errors import InvalidInput
from index.library import Library, Validity
from index.passage import Passage
from index.search import Hit
from qa.answer import Answer, Ask, Candidate, NoAnswer, Question, cite, rank
from qa.confidence import Calibration
from qa.reader import Span
from qa.wire import CitationJSON
from tests.conftest import Add

ARTICLE = make_article("Oslo is a port. Rome is none. Bergen is a port too.", id="ports", source="Atlas")
OTHER = make_article("Nothing is said here.", id="nothing")


def part(start: int, end: int, article: Article = ARTICLE) -> Hit:
    return Hit(Passage(article, start, end), 1.0, 1.0, 1.0)


FIRST, SECOND, THIRD, NOTHING = part(0, 15), part(16, 29), part(30, 51), part(0, 21, OTHER)


def answer(
    words: str,
    *,
    given: bool = True,
    hits: Sequence[Hit] = (FIRST, SECOND, THIRD),
    unread: int = 0,
    article: Article = ARTICLE,
) -> Answer:
    """An answer with a candidate for each of the words, the first given or withheld."""
    passage = Passage(article, 0, len(article.text))
    spans = [
        Span(passage, start := article.text.index(word), start + len(word), 9.0 - number)
        for number, word in enumerate(words.split())
    ]
    ranked = rank([(Hit(passage, 1.0, 1.0, 1.0), spans)], Calibration())
    candidates = [Candidate(one.confidence, one.evidence, tuple(map(cite, one.spans))) for one in ranked]
    best = candidates[0] if given and candidates else None
    reason = None if best else NoAnswer.BELOW_THRESHOLD
    others = tuple(candidates[1:] if best else candidates)
    times = {"search": 1.0, "read": 2.0, "total": 3.0}
    return Answer("?", best, reason, 0.9, others, tuple(hits), unread, True, times)


def fake(answers: dict[str, Answer]) -> Ask:
    return lambda question: answers[question.text]


def always(validity: Validity) -> Verify:
    return lambda citation: validity


@pytest.fixture
def ports(library: Library, add: Add) -> Library:
    add(library, ARTICLE, OTHER)
    return library


def one_record(library: Library, gold: GoldQuestion, found: Answer, verify: Verify = always(Validity.VALID)) -> Record:
    [record] = evaluate(lambda question: found, [gold], library, verify)
    return record


def test_record_of_a_right_answer(ports: Library) -> None:
    gold = GoldQuestion("Where?", ("Oslo", "in Oslo"), "ports", 0, ("where",))
    assert one_record(ports, gold, answer("Oslo Rome", unread=1)) == Record(
        question="Where?",
        answers=("Oslo", "in Oslo"),
        article="ports",
        source="Atlas",
        tags=("where",),
        given="Oslo",
        best="Oslo",
        confidence=0.9,
        exact_match=1.0,
        f1=1.0,
        best_exact_match=1.0,
        best_f1=1.0,
        exact_span=1.0,
        rank=1,
        hits=3,
        read=2,
        oracle={"retrieval": 1.0, "reading": 1.0, "ranking": 1.0, "abstaining": 1.0},
        quotes=2,
        misplaced=0,
        milliseconds={"search": 1.0, "read": 2.0, "total": 3.0},
        miss=None,
        card=None,
    )


def test_record_of_an_answer_withheld(ports: Library) -> None:
    made = one_record(ports, GoldQuestion("Where?", ("Rome",), "ports", 16), answer("Rome Oslo", given=False))
    assert (made.given, made.best, made.exact_match, made.f1, made.exact_span) == (None, "Rome", 0.0, 0.0, 0.0)
    assert (made.best_exact_match, made.best_f1, made.rank, made.miss) == (1.0, 1.0, 2, Miss.WITHHELD)
    assert made.oracle == {"retrieval": 0.0, "reading": 1.0, "ranking": 0.0, "abstaining": 1.0}


def test_card_shows_gold_and_ours_in_their_sentences_and_the_hits(ports: Library) -> None:
    made = one_record(ports, GoldQuestion("?", ("Bergen",), "ports", 30), answer("Oslo", hits=(FIRST, THIRD), unread=1))
    assert made.card == Card(
        gold=Shown("ports", None, 30, "", "Bergen", " is a port too."),
        ours=Shown("ports", None, 0, "", "Oslo", " is a port. Rome is none."),
        hits=(
            SeenHit("ports", None, 0, 15, 1.0, 1.0, 1.0, read=True, holds=False),
            SeenHit("ports", None, 30, 51, 1.0, 1.0, 1.0, read=False, holds=True),
        ),
    )
    assert made.miss is Miss.NOT_READ


def test_card_of_a_further_place_where_the_first_is_not_known(ports: Library) -> None:
    gold = GoldQuestion("?", ("Bergen",), "gone", 3, also=(GoldPlace("ports", 30, "Bergen"),))
    made = one_record(ports, gold, answer("Oslo", hits=(NOTHING,)))
    assert made.card is not None
    assert made.card.gold == Shown("ports", None, 30, "", "Bergen", " is a port too.")
    assert made.miss is Miss.NOT_RETRIEVED


def test_card_without_a_place_or_a_candidate(ports: Library) -> None:
    made = one_record(ports, GoldQuestion("?", ("Bergen",)), answer("", given=False, hits=()))
    assert made.card == Card(None, None, ())
    assert (made.best, made.exact_span) == (None, None)


def test_unanswerable(ports: Library) -> None:
    right = one_record(ports, GoldQuestion("?", ()), answer("Rome", given=False))
    assert (right.exact_match, right.f1, right.best_exact_match, right.rank, right.miss) == (1.0, 1.0, 0.0, None, None)
    wrong = one_record(ports, GoldQuestion("?", ()), answer("Rome"))
    assert (wrong.exact_match, wrong.f1, wrong.miss) == (0.0, 0.0, Miss.NOT_WITHHELD)
    assert wrong.oracle == {"retrieval": 0.0, "reading": 1.0, "ranking": 0.0, "abstaining": 1.0}


def test_perfect_ranking_has_the_right_candidate_first(ports: Library) -> None:
    made = one_record(ports, GoldQuestion("?", ("Rome",), "ports", 16), answer("Oslo Rome"))
    assert (made.miss, made.oracle["ranking"], made.oracle["abstaining"]) == (Miss.LOST, 1.0, 0.0)


@pytest.mark.parametrize(
    "gold",
    [
        GoldQuestion("?", ("Rome",), "ports", 16),
        GoldQuestion("?", ("Rome",), "ports"),
        GoldQuestion("?", ("Rome",)),  # of whatever article
    ],
)
def test_perfect_retrieval_asks_the_right_passage_alone(ports: Library, gold: GoldQuestion) -> None:
    asked: list[Question] = []

    def ask(question: Question) -> Answer:
        asked.append(question)
        return answer("Rome") if question.texts else answer("Oslo", hits=(NOTHING,))

    how = Question("", 3, threshold=0.25, exhaustive=True)
    [made] = evaluate(ask, [gold], ports, always(Validity.VALID), how)
    assert made.oracle == {"retrieval": 1.0, "reading": 0.0, "ranking": 0.0, "abstaining": 0.0}
    assert (made.given, made.miss) == ("Oslo", Miss.NOT_RETRIEVED)
    first, second = asked
    assert first == replace(how, text="?")
    [alone] = second.texts
    assert replace(second, texts=()) == first
    assert (alone.id, alone.text) == ("ports", ARTICLE.text)  # it has one passage


def test_perfect_retrieval_of_what_no_passage_holds_gives_nothing(ports: Library) -> None:
    made = one_record(ports, GoldQuestion("?", ("Paris",)), answer("Oslo"))
    assert (made.oracle["retrieval"], made.miss) == (0.0, Miss.NOT_IN_LIBRARY)


def test_rank_is_looked_for_below_few_hits(library: Library, add: Add) -> None:
    """Or recall@10 of a run that reads three would be recall@3."""
    add(library, *(make_article(f"Ship {number} sank.", id=f"ship-{number}") for number in range(12)))
    hits = library.search("Ship 1 sank.", 12)
    for place, found in ((1, 2), (9, 10), (10, None)):
        gold = GoldQuestion("Ship 1 sank.", ("sank",), hits[place].passage.article.id)
        made = one_record(library, gold, answer("Oslo", hits=hits[:1]))
        assert (made.rank, made.hits, made.miss) == (found, 1, Miss.NOT_RETRIEVED)
        assert made.oracle["reading"] == 0.0


def test_no_answer_is_right_where_there_is_none_and_there_alone(ports: Library) -> None:
    """Also where normalisation leaves nothing of the words."""
    nothing_left = one_record(ports, GoldQuestion("?", ("A",)), answer("is", given=False))
    assert (nothing_left.exact_match, nothing_left.f1) == (0.0, 0.0)
    given = one_record(ports, GoldQuestion("?", ()), answer("a"))
    assert (given.given, given.exact_match, given.f1, given.miss) == ("a", 0.0, 0.0, Miss.NOT_WITHHELD)


@pytest.mark.parametrize(
    ("gold", "span"),
    [
        (GoldQuestion("?", ("Oslo",), "ports", 0), 1.0),
        (GoldQuestion("?", ("Oslo is", "Oslo"), "ports", 0), 1.0),  # an accepted answer that begins elsewhere
        (GoldQuestion("?", ("Oslo is",), "ports", 0), 0.0),
        (GoldQuestion("?", ("oslo",), "ports", 0), 0.0),  # the words alone
        (GoldQuestion("?", ("Rome", "Oslo"), "ports", 16), 0.0),  # elsewhere
        (GoldQuestion("?", ("Rome", "Oslo"), "ports", 16, also=(GoldPlace("ports", 0, "Oslo"),)), 1.0),
        (GoldQuestion("?", ("Oslo",), "ports"), None),
        (GoldQuestion("?", ()), None),
    ],
)
def test_exact_span(ports: Library, gold: GoldQuestion, span: float | None) -> None:
    assert one_record(ports, gold, answer("Oslo")).exact_span == span


def test_misplaced_quotes_are_counted(ports: Library) -> None:
    def verify(citation: CitationJSON) -> Validity:
        return {"Oslo": Validity.VALID, "Bergen": Validity.STALE, "Rome": Validity.UNKNOWN}[citation["quote"]]

    made = one_record(ports, GoldQuestion("?", ("Oslo",)), answer("Oslo Bergen Rome"), verify)
    assert (made.quotes, made.misplaced) == (3, 2)


def test_an_article_that_is_not_there_has_no_source(ports: Library) -> None:
    made = one_record(ports, GoldQuestion("?", ("Rome",), "gone", 3), answer("Oslo"))
    assert (made.source, made.miss, made.card and made.card.gold) == (None, Miss.NOT_IN_LIBRARY, None)


Change = Callable[[Record], Record]


def test_run_file_round_trip(ports: Library, tmp_path: Path) -> None:
    golds = [
        GoldQuestion("right", ("Oslo",), "ports", 0, ("a", "b")),
        GoldQuestion("missed \U0001f600", ("Rome",), "ports", 16),
        GoldQuestion("none", ()),
    ]
    records = tuple(evaluate(lambda question: answer("Oslo"), golds, ports, always(Validity.VALID)))
    run = Run({"made": "today", "library": {"articles": 2}}, records)
    write_run(tmp_path / "run.json", run)
    assert read_run(tmp_path / "run.json") == run


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no run of pullquote eval"),
        ("[]", "no run of pullquote eval"),
        ("{}", "no run of pullquote eval"),
        ('{"format": 99}', "format 99; this version reads 1"),
        ('{"format": 1, "about": {}, "records": [{"question": "?"}]}', "no run of pullquote eval"),
        ("\xff", "no run of pullquote eval"),
    ],
)
def test_what_is_no_run_file(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(InvalidInput, match=told):
        read_run(file)
    with pytest.raises(InvalidInput, match="No such file"):
        read_run(tmp_path / "none.json")
    with pytest.raises(InvalidInput, match="Is a directory"):
        write_run(tmp_path, Run({}, ()))
