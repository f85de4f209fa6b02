"""Spans to an answer: read in groups, rank, cite, judge."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, nan

import pytest

from index.article import Article, make_article
from index.errors import InvalidInput
from index.filter import Filter
from index.library import Library
from index.passage import Passage
from index.search import Hit
from qa import answer as answering
from qa.answer import (
    GROUP,
    Answer,
    Candidate,
    NoAnswer,
    Question,
    Ranked,
    Read,
    cite,
    groups,
    load,
    rank,
    said,
    warm_up_reader,
    warm_up_search,
    why_none,
)
from qa.confidence import Calibration, Evidence
from qa.reader import Span


class ToyReader:
    """Knows the score of some phrases, and finds them wherever they stand."""

    def __init__(self, scores: Mapping[str, float]) -> None:
        self.scores = scores
        self.groups: list[list[Passage]] = []

    @property
    def passages(self) -> list[Passage]:
        """All that was read, in its order."""
        return [passage for group in self.groups for passage in group]

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        self.groups.append(list(passages))
        return [
            [
                Span(passage, passage.start + match.start(), passage.start + match.end(), score)
                for phrase, score in self.scores.items()
                for match in re.finditer(re.escape(phrase), passage.text)
            ]
            for passage in passages
        ]


@pytest.fixture
def filled(library: Library, articles: list[Article]) -> Library:
    library.add(articles)
    return library


def ask(library: Library, scores: Mapping[str, float], question: Question | str, threshold: float = 0.5) -> Answer:
    question = Question(question) if isinstance(question, str) else question
    return load(library, ToyReader(scores), Calibration(threshold=threshold))(question)


def spans(article: Article, **scores: float) -> list[Span]:
    """A span for each word given, all in one passage of the whole article."""
    passage = Passage(article, 0, len(article.text))
    return [
        Span(passage, start := article.text.index(word), start + len(word), score) for word, score in scores.items()
    ]


def ranked(*found: Span, calibration: Calibration = Calibration()) -> list[Ranked]:
    """The candidates among spans, each passage of which was one hit."""
    passages = list(dict.fromkeys((span.article.id, span.passage.start, span.passage.end) for span in found))
    of = {place: [span for span in found if _place(span.passage) == place] for place in passages}
    read: list[Read] = [(Hit(spans[0].passage, 0.75, 0.5, 2.0), spans) for spans in of.values()]
    return rank(read, calibration)


def _place(passage: Passage) -> tuple[str, int, int]:
    return passage.article.id, passage.start, passage.end


def candidate(found: Ranked) -> Candidate:
    return Candidate(found.confidence, found.evidence, tuple(map(cite, found.spans)))


def texts(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.text for candidate in candidates]


def quotes(found: Sequence[Ranked]) -> list[str]:
    return [one.spans[0].text for one in found]


def places(candidate: Candidate) -> list[tuple[str, int, int]]:
    return [(citation.article.id, citation.start, citation.end) for citation in candidate.citations]


def spots(found: Ranked) -> list[tuple[str, int, int]]:
    return [(span.article.id, span.start, span.end) for span in found.spans]


# rank


def test_rank_puts_the_best_first() -> None:
    article = make_article("Oslo and Rome and Bern.", id="a")
    found = ranked(*spans(article, Oslo=1.0, Rome=3.0, Bern=2.0))
    assert quotes(found) == ["Rome", "Bern", "Oslo"]
    assert [one.evidence.score for one in found] == [3.0, 2.0, 1.0]
    assert found[0].confidence == pytest.approx(0.952574)


def articles_of(*known: tuple[str, str | None]) -> list[Article]:
    """Articles that say the same, with their ids and what they are copies of."""
    return [replace(make_article("It was in Oslo.", id=id), duplicate_of=first) for id, first in known]


def test_places_in_copies_of_one_article_count_once() -> None:
    articles = articles_of(("a", None), ("b", "a"), ("c", None), ("d", "gone"), ("e", "gone"))
    [found] = ranked(*(span for article in articles for span in spans(article, Oslo=1.0)))
    assert [id for id, _, _ in spots(found)] == ["a", "b", "c", "d", "e"]
    assert found.evidence.places == 3


def test_several_places_in_one_article_count_each() -> None:
    twice = "It was in Oslo. Yes, in Oslo."
    articles = [replace(make_article(twice, id=id), duplicate_of=first) for id, first in (("a", None), ("b", "a"))]
    found = [Span(Passage(article, 0, len(twice)), start, start + 4, 1.0) for article in articles for start in (10, 24)]
    [one] = ranked(*found)
    assert one.evidence.places == 2
    candidate = Candidate(one.confidence, one.evidence, tuple(map(cite, one.spans)))
    assert [(cited.article.id, cited.start, copies) for cited, copies in candidate.sources] == [
        ("a", 10, ("b",)),
        ("a", 24, ("b",)),
    ]


def test_sources_are_places_but_those_in_copies() -> None:
    articles = articles_of(("b", "a"), ("a", None), ("c", None), ("d", "gone"), ("e", "gone"), ("f", "gone"))
    found = [span for place, article in enumerate(articles) for span in spans(article, Oslo=9.0 - place)]
    [one] = ranked(*found)
    candidate = Candidate(one.confidence, one.evidence, tuple(map(cite, one.spans)))
    assert [(cited.article.id, copies) for cited, copies in candidate.sources] == [
        ("b", ("a",)),
        ("c", ()),
        ("d", ("e", "f")),
    ]


def test_rank_of_nothing() -> None:
    assert rank([], Calibration()) == []
    assert rank([(hit, []) for hit in hits(make_article("Oslo.", id="a"))], Calibration()) == []


def test_of_spans_that_overlap_the_best_stands_for_all() -> None:
    passage = Passage(make_article("The port of Oslo is shut.", id="a"), 0, 25)
    found = ranked(Span(passage, 4, 16, 1.0), Span(passage, 12, 16, 2.0), Span(passage, 4, 11, 0.5))
    assert [(spots(one), one.evidence.score) for one in found] == [([("a", 12, 16)], 2.0), ([("a", 4, 11)], 0.5)]


def test_the_same_place_in_two_passages_is_cited_once() -> None:
    article = make_article("One. In Oslo. Two.", id="a")
    found = ranked(Span(Passage(article, 0, 13), 8, 12, 1.0), Span(Passage(article, 5, 18), 8, 12, 2.0))
    assert [(spots(one), one.evidence.score, one.evidence.places) for one in found] == [([("a", 8, 12)], 2.0, 1)]


def test_the_same_place_in_two_articles_is_no_overlap() -> None:
    one, other = make_article("Oslo!", id="a"), make_article("Rome!", id="b")
    assert quotes(ranked(*spans(one, Oslo=1.0), *spans(other, Rome=2.0))) == ["Rome", "Oslo"]


def test_the_same_words_in_two_articles_are_one_candidate_with_two_places_best_first() -> None:
    one, other = make_article("It is in Oslo.", id="a"), make_article("Oslo has it.", id="b")
    [found] = ranked(*spans(one, Oslo=1.0), *spans(other, Oslo=2.0))
    assert spots(found) == [("b", 0, 4), ("a", 9, 13)]
    assert (found.evidence.score, found.evidence.places) == (2.0, 2)
    assert found.confidence == pytest.approx(0.880797)


def test_case_punctuation_and_leading_article_do_not_tell_candidates_apart() -> None:
    one, other = make_article("See The Grey Heron now", id="a"), make_article("a grey-heron? “GREYHERON”", id="b")
    found = ranked(
        Span(Passage(one, 0, 22), 4, 18, 3.0),
        Span(Passage(other, 0, 25), 2, 12, 2.0),
        Span(Passage(other, 0, 25), 14, 25, 1.0),
    )
    assert [(one.spans[0].text, len(one.spans)) for one in found] == [("The Grey Heron", 1), ("grey-heron", 2)]


@pytest.mark.parametrize(
    ("one", "other"),
    [("The Hague", "Hague"), ("an OWL", "Owl"), ("U.S.", "US"), ("“Squid Game”", "Squid  game"), ("STRASSE", "straße")],
)
def test_quotes_that_say_the_same(one: str, other: str) -> None:
    assert said(one) == said(other)


@pytest.mark.parametrize(("one", "other"), [("the", "a"), ("A", "B"), ("%", "$"), ("5", "-"), ("theatre", "atre")])
def test_quotes_that_do_not(one: str, other: str) -> None:
    assert said(one) != said(other)


def test_ties_go_by_article_and_place_whatever_the_order_of_spans() -> None:
    one, other = make_article("Rome, Bern", id="b"), make_article("Oslo, Riga", id="a")
    tied = [*spans(one, Bern=1.0, Rome=1.0), *spans(other, Riga=1.0, Oslo=1.0)]
    assert quotes(ranked(*tied)) == ["Oslo", "Riga", "Rome", "Bern"]
    assert quotes(ranked(*reversed(tied))) == ["Oslo", "Riga", "Rome", "Bern"]


def test_margin_is_to_the_best_other_candidate() -> None:
    article = make_article("Oslo and Rome and Bern.", id="a")
    found = ranked(*spans(article, Oslo=1.0, Rome=4.0, Bern=2.5))
    assert [(one.evidence.score, one.evidence.margin) for one in found] == [(4.0, 1.5), (2.5, -1.5), (1.0, -3.0)]


def test_margin_of_the_only_candidate_is_over_no_answer() -> None:
    assert [one.evidence.margin for one in ranked(*spans(make_article("Oslo.", id="a"), Oslo=-2.0))] == [-2.0]
    twice = spans(make_article("Oslo.", id="a"), Oslo=3.0) + spans(make_article("In Oslo.", id="b"), Oslo=2.0)
    assert [one.evidence.margin for one in ranked(*twice)] == [3.0]  # the second place is no other candidate


def test_evidence_is_of_the_best_span_and_of_the_hit_it_was_found_in() -> None:
    one = make_article("The Grey Heron sailed at noon.", id="a")
    other = make_article("A ferry, the Grey Heron, sailed.", id="b")
    read: list[Read] = [
        (Hit(Passage(one, 0, 30), 1.0, 0.625, 9.0), [Span(Passage(one, 0, 30), 0, 14, 1.5)]),
        (Hit(Passage(other, 0, 32), 0.25, 0.375, 3.0), [Span(Passage(other, 0, 32), 9, 23, 2.5)]),
    ]
    [found] = rank(read, Calibration())
    assert found.spans[0].text == "the Grey Heron"
    assert found.evidence == Evidence(score=2.5, margin=2.5, fused=0.25, cosine=0.375, places=2, words=3)


@pytest.mark.parametrize(("retrieval", "first", "margins"), [(0.0, "Rome", [2.0, -2.0]), (8.0, "Oslo", [4.0, -4.0])])
def test_what_retrieval_adds_decides_between_passages(retrieval: float, first: str, margins: list[float]) -> None:
    one, other = make_article("Oslo.", id="a"), make_article("Rome.", id="b")
    read: list[Read] = [
        (Hit(Passage(one, 0, 5), 1.0, 0.5, 2.0), spans(one, Oslo=1.0)),
        (Hit(Passage(other, 0, 5), 0.25, 0.5, 2.0), spans(other, Rome=3.0)),
    ]
    found = rank(read, Calibration(retrieval=retrieval))
    assert quotes(found)[0] == first
    assert [candidate.evidence.margin for candidate in found] == margins
    assert {candidate.evidence.score for candidate in found} == {1.0, 3.0}  # the reader's own
    [alone] = rank(read[:1], Calibration(retrieval=retrieval))
    assert alone.evidence.margin == 1.0  # over no answer, of which retrieval says nothing


def test_each_candidate_is_judged_by_its_own_evidence() -> None:
    article = make_article("Oslo and Rome.", id="a")
    weighed = Calibration({"lead": 0.25, "lag": 1.0, "cosine": 2.0}, -1.0)  # the cosine of each hit is 0.5
    found = ranked(*spans(article, Oslo=1.0, Rome=5.0), calibration=weighed)
    assert [one.confidence for one in found] == pytest.approx([0.7310586, 0.0179862], rel=1e-5)  # of logits 1 and -4


def test_candidate_behind_another_is_never_shown_as_surer() -> None:
    article = make_article("Oslo and the port of Rome.", id="a")
    passage = Passage(article, 0, len(article.text))
    found = ranked(Span(passage, 9, 25, 3.0), Span(passage, 0, 4, 2.0), calibration=Calibration({"words": -1.0}))
    assert [(one.spans[0].text, one.confidence) for one in found] == [
        ("the port of Rome", pytest.approx(0.119203)),
        ("Oslo", pytest.approx(0.119203)),  # 0.5 by itself
    ]


# citations


def test_citation_has_the_sentence_around_the_quote() -> None:
    text = "Padding first.\n\nIt rained in May. The parade was in Oslo on Friday. Nobody came."
    article = make_article(text, id="a", url="https://news.example/a")
    start = text.index("Oslo")
    citation = cite(Span(Passage(article, 16, len(text)), start, start + 4, 1.0))
    assert (citation.quote, citation.sentence) == ("Oslo", "The parade was in Oslo on Friday.")
    assert text[citation.sentence_start : citation.sentence_end] == citation.sentence
    assert citation.link == "https://news.example/a#:~:text=Oslo"


def test_citation_of_a_span_across_sentences_has_them_all() -> None:
    text = "One is here. Two comes next. Three is last. Four is too much."
    article = make_article(text, id="a")
    start, end = text.index("Two"), text.index(" is last")
    citation = cite(Span(Passage(article, 0, len(text)), start, end, 1.0))
    assert (citation.quote, citation.sentence) == ("Two comes next. Three", "Two comes next. Three is last.")


def test_no_link_without_a_url() -> None:
    [span] = spans(make_article("Oslo.", id="a"), Oslo=1.0)
    assert cite(span).link is None


# the reason for no answer


def hits(article: Article) -> list[Hit]:
    return [Hit(Passage(article, 0, len(article.text)), 1.0, 1.0, 1.0)]


@pytest.mark.parametrize(
    ("score", "threshold", "reason"),
    [
        (None, 0.0, NoAnswer.NOTHING_ANSWERS),
        (-9.0, 0.0, None),  # the confidence alone decides whether
        (0.0, 0.5, None),
        (0.0, 0.51, NoAnswer.NOTHING_ANSWERS),  # and the score says why
        (-1.0, 0.3, NoAnswer.NOTHING_ANSWERS),  # confidence 0.269
        (0.1, 0.55, NoAnswer.BELOW_THRESHOLD),  # confidence 0.525
        (1.0, 0.7, None),  # confidence 0.731
        (1.0, 0.75, NoAnswer.BELOW_THRESHOLD),
    ],
)
def test_reason(score: float | None, threshold: float, reason: NoAnswer | None) -> None:
    article = make_article("Oslo.", id="a")
    candidates = [] if score is None else [candidate(one) for one in ranked(*spans(article, Oslo=score))]
    assert why_none(hits(article), candidates, threshold) is reason


def test_a_confidence_at_the_threshold_is_enough() -> None:
    article = make_article("Oslo.", id="a")
    candidates = [candidate(one) for one in ranked(*spans(article, Oslo=2.0))]
    assert why_none(hits(article), candidates, candidates[0].confidence) is None


def test_nothing_retrieved_comes_before_all_else() -> None:
    assert why_none([], [], 0.0) is NoAnswer.NOTHING_RETRIEVED


def test_reasons_read_as_text() -> None:
    assert [str(reason) for reason in NoAnswer] == [
        "nothing retrieved",
        "nothing in the passages answers",
        "below the threshold",
    ]


# load


def test_answer_is_quoted_with_its_place(filled: Library) -> None:
    answer = ask(filled, {"Castle FC": 3.0, "Harbour FC": 2.0}, "Who won the chess cup?")
    assert (answer.text, answer.reason, answer.question) == ("Castle FC", None, "Who won the chess cup?")
    assert answer.confidence == pytest.approx(0.952574)
    assert answer.best is not None
    assert places(answer.best) == [("chess", 0, 9)]
    assert answer.best.citations[0].sentence == "Castle FC won the chess cup."
    assert texts(answer.alternatives) == ["Harbour FC"]
    assert {hit.passage.article.id for hit in answer.hits} == {"bridge", "chess", "ferry", "kettle"}
    assert answer.hits[0].passage.article.id == "chess"
    assert set(answer.milliseconds) == {"search", "read", "total"}
    assert 0 <= answer.milliseconds["search"] + answer.milliseconds["read"] <= answer.milliseconds["total"]


def test_every_quote_is_a_slice_of_its_article(filled: Library) -> None:
    answer = ask(filled, {"The": 1.0, "was": 2.0, "Monday": 3.0, "cup": 0.5}, "What was that?")
    cited = [citation for one in (answer.best, *answer.alternatives) if one for citation in one.citations]
    assert sorted((citation.article.id, citation.quote) for citation in cited) == [
        ("bridge", "Monday"),
        ("bridge", "The"),
        ("bridge", "was"),
        ("chess", "cup"),
        ("ferry", "The"),
        ("ferry", "was"),
    ]
    for citation in cited:
        assert citation.quote == filled.article(citation.article.id).text[citation.start : citation.end]
        assert citation.sentence_start <= citation.start < citation.end <= citation.sentence_end


def test_below_the_calibration_s_threshold_the_best_is_the_first_alternative(filled: Library) -> None:
    answer = ask(filled, {"Castle FC": 1.0, "Harbour FC": 0.5}, "Who won?", threshold=0.8)
    assert (answer.text, answer.best, answer.reason) == (None, None, NoAnswer.BELOW_THRESHOLD)
    assert answer.confidence == pytest.approx(0.731059)
    assert texts(answer.alternatives) == ["Castle FC", "Harbour FC"]


def test_the_question_s_own_threshold_comes_first(filled: Library) -> None:
    scores = {"Castle FC": 1.0}  # confidence 0.731
    assert ask(filled, scores, Question("Who won?", threshold=0.7), threshold=0.8).text == "Castle FC"
    assert ask(filled, scores, Question("Who won?", threshold=0.8), threshold=0.7).text is None
    assert ask(filled, scores, Question("Who won?", threshold=0.0), threshold=0.8).text == "Castle FC"


def test_threshold_that_is_no_number(filled: Library) -> None:
    with pytest.raises(InvalidInput, match="threshold"):
        ask(filled, {"Castle FC": -9.0}, Question("Who won?", threshold=nan))


def test_withheld_where_the_reader_would_rather_say_nothing(filled: Library) -> None:
    answer = ask(filled, {"Castle FC": -1.0}, Question("Who won?", threshold=0.27))
    assert (answer.text, answer.reason) == (None, NoAnswer.NOTHING_ANSWERS)
    assert answer.confidence == pytest.approx(0.2689414)
    assert texts(answer.alternatives) == ["Castle FC"]
    assert ask(filled, {"Castle FC": -1.0}, Question("Who won?", threshold=0.26)).text == "Castle FC"


def test_where_the_reader_finds_nothing(filled: Library) -> None:
    answer = ask(filled, {}, "Who won?")
    assert (answer.text, answer.reason, answer.confidence) == (None, NoAnswer.NOTHING_ANSWERS, 0.0)
    assert answer.alternatives == ()
    assert len(answer.hits) == 4


def test_at_most_five_alternatives(filled: Library) -> None:
    words = ["bridge", "Monday", "Engineers", "cracks", "deck", "chess", "final", "fog"]
    scores = {word: 10.0 - number for number, word in enumerate(words)}
    answer = ask(filled, scores, "What?")
    assert (answer.text, texts(answer.alternatives)) == (words[0], words[1:6])
    withheld = ask(filled, scores, Question("What?", threshold=1.0))
    assert (withheld.text, texts(withheld.alternatives)) == (None, words[:5])


def test_nothing_retrieved_gives_the_reader_nothing(filled: Library) -> None:
    reader = ToyReader({"Castle FC": 3.0})
    answer = load(filled, reader, Calibration())(Question("Who won?", filter=Filter(frozenset({"none such"}))))
    assert (answer.text, answer.reason) == (None, NoAnswer.NOTHING_RETRIEVED)
    assert (answer.confidence, answer.alternatives, answer.hits) == (0.0, (), ())
    assert (answer.unread, answer.complete) == (0, True)
    assert reader.groups == []


def test_empty_library(library: Library) -> None:
    assert ask(library, {"Castle FC": 3.0}, "Who won?").reason is NoAnswer.NOTHING_RETRIEVED


def test_k_is_the_number_of_passages_read(filled: Library) -> None:
    reader = ToyReader({})
    answer = load(filled, reader, Calibration())(Question("Who won the chess cup?", k=2))
    assert reader.passages == [hit.passage for hit in answer.hits]
    assert len(reader.passages) == 2
    assert reader.passages[0].article.id == "chess"
    assert (answer.unread, answer.complete) == (0, True)


@pytest.mark.parametrize(
    ("filter", "read"),
    [
        (Filter(articles=frozenset({"ferry"})), {"ferry"}),
        (Filter(sources=frozenset({"Harbour Post"})), {"bridge", "ferry"}),
        (Filter(since="2024-01-01"), {"ferry"}),
        (Filter(until="2023-07-28"), {"bridge", "chess"}),
        (Filter(sources=frozenset({"Harbour Post"}), until="2023-12-31"), {"bridge"}),
    ],
)
def test_only_what_the_filter_lets_through_is_read(filled: Library, filter: Filter, read: set[str]) -> None:
    reader = ToyReader({})
    load(filled, reader, Calibration())(Question("Who won the chess cup?", filter=filter))
    assert {passage.article.id for passage in reader.passages} == read


@pytest.mark.parametrize("question", ["", "  \n\t", "\u00a0"])
def test_empty_question(filled: Library, question: str) -> None:
    with pytest.raises(InvalidInput, match="the question is empty"):
        ask(filled, {}, question)


def test_question_of_100_kilobytes(filled: Library) -> None:
    with pytest.raises(InvalidInput, match="the question has 100,000 characters; 10,000 are the most"):
        ask(filled, {}, "who " * 25_000)


def test_longest_question_is_answered(filled: Library) -> None:
    assert ask(filled, {"Castle FC": 3.0}, ("chess " * 2_000)[:10_000]).text == "Castle FC"


@pytest.mark.parametrize("k", [0, -1, 1_001, 10**9])
def test_k_out_of_range(filled: Library, k: int) -> None:
    with pytest.raises(InvalidInput, match=f"k is {k}; it must be between 1 and 1,000"):
        ask(filled, {}, Question("Who won?", k=k))


def test_more_passages_asked_for_than_there_are(filled: Library) -> None:
    assert len(ask(filled, {}, Question("Who won?", k=1_000)).hits) == 4


@pytest.mark.parametrize(
    "question", ['"', "a-b", "AND", "(", "*", "text:chess OR", "chess\0cup", "^2~", "\\", "😀", "??"]
)
def test_no_question_is_a_query_language(filled: Library, question: str) -> None:
    answer = ask(filled, {"Castle FC": 3.0}, question)
    assert (answer.text, len(answer.hits)) == ("Castle FC", 4)


def test_lone_surrogate_in_a_question_is_replaced(filled: Library) -> None:
    # a command line or a JSON escape can bring one; no tokenizer takes it, and no JSON can be written with it
    answer = ask(filled, {"Castle FC": 3.0}, "Who won \udcff?")
    assert (answer.text, answer.question) == ("Castle FC", "Who won \ufffd?")


def test_two_questions_in_turn_do_not_affect_each_other(filled: Library) -> None:
    asking = load(filled, ToyReader({"Castle FC": 3.0, "in fog": 2.0}), Calibration())
    only_ferry = Question("Where?", filter=Filter(frozenset({"ferry"})))
    assert [asking(Question("Who?")).text, asking(only_ferry).text, asking(Question("Who?")).text] == [
        "Castle FC",
        "in fog",
        "Castle FC",
    ]


# reading in groups


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (10, [3, 3, 3, 1])])
def test_groups(count: int, sizes: list[int]) -> None:
    assert GROUP == 3
    assert [len(group) for group in groups(range(count))] == sizes
    assert [item for group in groups(range(count)) for item in group] == list(range(count))


@pytest.fixture
def eight(library: Library) -> Library:
    """Articles 0 to 7, found in this order by `PLACES`; each has a place of its own."""
    library.add([make_article(f"{'ferry ' * (8 - number)}sailed to P{number}.", id=f"{number}") for number in range(8)])
    return library


PLACES = "ferry ferry"


def read_ids(reader: ToyReader) -> list[list[str]]:
    return [[passage.article.id for passage in group] for group in reader.groups]


def test_articles_of_the_fixture_come_in_their_order(eight: Library) -> None:
    assert [hit.passage.article.id for hit in eight.search(PLACES)] == list("01234567")


def test_reading_goes_on_to_the_end_where_nothing_settles_it(eight: Library) -> None:
    reader = ToyReader({"P1": 3.0, "P7": 4.0})
    answer = load(eight, reader, Calibration())(Question(PLACES))
    assert (answer.text, answer.unread, answer.complete) == ("P7", 0, True)
    assert read_ids(reader) == [["0", "1", "2"], ["3", "4", "5"], ["6", "7"]]


@pytest.mark.parametrize(
    ("stop", "answer", "groups_read"),
    [
        (0.5, "P1", 1),
        (0.95, "P1", 1),  # P1 has 0.9526
        (0.96, "P4", 2),  # P4 has 0.9820
        (0.99, "P7", 3),
        (1.0, "P7", 3),
    ],
)
def test_reading_stops_at_the_confidence(eight: Library, stop: float, answer: str, groups_read: int) -> None:
    reader = ToyReader({"P1": 3.0, "P4": 4.0, "P7": 5.0})
    found = load(eight, reader, Calibration(stop=stop))(Question(PLACES))
    assert (found.text, found.complete) == (answer, True)
    assert read_ids(reader) == [["0", "1", "2"], ["3", "4", "5"], ["6", "7"]][:groups_read]
    assert found.unread == 8 - len(reader.passages)
    assert len(found.hits) == 8


def test_a_confidence_exactly_at_the_stop_is_enough(eight: Library) -> None:
    reader = ToyReader({"P0": 0.0})
    assert load(eight, reader, Calibration(stop=0.5))(Question(PLACES)).unread == 5


@pytest.mark.parametrize(("stop", "unread"), [(0.82, 5), (0.83, 2), (0.92, 2), (0.93, 0), (0.99, 0)])
def test_places_read_later_count_for_what_was_found_before(eight: Library, stop: float, unread: int) -> None:
    # confidence with three places 0.8299, with six 0.9299, with eight 0.9526
    answer = load(eight, ToyReader({"sailed to": 3.0}), Calibration({"places": 1.0}, stop=stop))(Question(PLACES))
    assert (answer.unread, answer.complete) == (unread, True)
    assert answer.best is not None
    assert places(answer.best) == [(f"{n}", 6 * (8 - n), 6 * (8 - n) + 9) for n in range(8 - unread)]


def test_exhaustive_reads_all(eight: Library) -> None:
    reader = ToyReader({"P1": 3.0, "P7": 5.0})
    answer = load(eight, reader, Calibration(stop=0.5))(Question(PLACES, exhaustive=True))
    assert (answer.text, answer.unread, answer.complete) == ("P7", 0, True)
    assert len(reader.passages) == 8


def test_what_is_too_unsure_to_be_given_does_not_settle_the_question(eight: Library) -> None:
    reader = ToyReader({"P1": 1.0, "P7": 5.0})  # 0.73 and 0.99 sure
    answer = load(eight, reader, Calibration(stop=0.5))(Question(PLACES, threshold=0.9))
    assert (answer.text, answer.unread, answer.complete) == ("P7", 0, True)


class SlowReader(ToyReader):
    """Every group takes so many seconds of a clock that stands still otherwise."""

    def __init__(self, scores: Mapping[str, float], seconds: Sequence[float]) -> None:
        super().__init__(scores)
        self.now = 1_000.0
        self._seconds = list(seconds)

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        self.now += self._seconds[len(self.groups)]
        return super().read(question, passages)


def ask_slowly(
    monkeypatch: pytest.MonkeyPatch, library: Library, reader: SlowReader, question: Question, stop: float = inf
) -> Answer:
    monkeypatch.setattr(answering, "perf_counter", lambda: reader.now)
    return load(library, reader, Calibration(stop=stop))(question)


@pytest.mark.parametrize(
    ("budget_ms", "seconds", "unread"),
    [
        (1.0, [2, 2, 2], 5),  # the first group is read, whatever it takes
        (3_999.0, [2, 2, 2], 5),  # the second would be done a millisecond late
        (4_000.0, [2, 2, 2], 2),
        (5_999.0, [2, 2, 2], 2),
        (6_000.0, [2, 2, 2], 0),
        (4_999.0, [1, 2, 2], 2),  # the group before is what the next is judged by: 3 s + 2 s
        (5_000.0, [1, 2, 2], 0),
        (3_000.0, [2, 0.5, 0.5], 5),  # 2 s + 2 s would be late
    ],
)
def test_budget(
    monkeypatch: pytest.MonkeyPatch, eight: Library, budget_ms: float, seconds: list[float], unread: int
) -> None:
    reader = SlowReader({"P1": 3.0, "P4": 4.0, "P7": 5.0}, seconds)
    answer = ask_slowly(monkeypatch, eight, reader, Question(PLACES, budget_ms=budget_ms))
    assert answer.text == {5: "P1", 2: "P4", 0: "P7"}[unread]
    assert (answer.unread, answer.complete) == (unread, unread == 0)
    assert len(reader.passages) == 8 - unread
    assert answer.milliseconds["read"] == 1000 * sum(seconds[: len(reader.groups)])


def test_time_that_is_up_with_the_last_group_leaves_nothing_unread(
    monkeypatch: pytest.MonkeyPatch, eight: Library
) -> None:
    answer = ask_slowly(monkeypatch, eight, SlowReader({}, [2.0]), Question(PLACES, k=3, budget_ms=1.0))
    assert (answer.unread, answer.complete) == (0, True)


def test_what_is_settled_within_the_budget_is_complete(monkeypatch: pytest.MonkeyPatch, eight: Library) -> None:
    question = Question(PLACES, budget_ms=1.0)
    answer = ask_slowly(monkeypatch, eight, SlowReader({"P1": 3.0}, [2.0]), question, stop=0.9)
    assert (answer.text, answer.unread, answer.complete) == ("P1", 5, True)


def test_exhaustive_keeps_to_the_budget(monkeypatch: pytest.MonkeyPatch, eight: Library) -> None:
    question = Question(PLACES, budget_ms=4_000.0, exhaustive=True)
    answer = ask_slowly(monkeypatch, eight, SlowReader({"P1": 3.0}, [2.0, 2.0]), question, stop=0.5)
    assert (answer.text, answer.unread, answer.complete) == ("P1", 2, False)


def test_the_budget_begins_before_the_search(monkeypatch: pytest.MonkeyPatch, eight: Library) -> None:
    reader = SlowReader({}, [1.0, 1.0, 1.0])
    search = eight.search

    def slowly(*arguments: object) -> list[Hit]:
        reader.now += 2.0
        return search(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(eight, "search", slowly)
    answer = ask_slowly(monkeypatch, eight, reader, Question(PLACES, budget_ms=4_000.0))
    assert (answer.unread, answer.complete) == (2, False)
    assert answer.milliseconds == {"search": 2_000.0, "read": 2_000.0, "total": 4_000.0}


@pytest.mark.parametrize("budget_ms", [0.0, -1.0, nan, inf])
def test_budget_that_is_none(filled: Library, budget_ms: float) -> None:
    with pytest.raises(InvalidInput, match=f"the budget is {budget_ms} ms; it must be more than 0"):
        ask(filled, {}, Question("Who won?", budget_ms=budget_ms))


def test_warming_up_searches_and_reads(filled: Library) -> None:
    reader = ToyReader({})
    warm_up_search(filled)
    warm_up_reader(reader)
    assert [passage.text for passage in reader.passages] == ["Nothing was asked."]


def test_an_answer_out_of_texts_that_come_with_the_question(filled: Library) -> None:
    texts = (make_article("The ferry was late. It was seen at noon.", id="log"), make_article("It rained.", id="rain"))
    answer = ask(filled, {"noon": 3.0, "fog": 9.0}, Question("When was the ferry seen?", texts=texts))
    assert answer.best is not None
    assert places(answer.best) == [("log", 35, 39)]
    assert answer.best.citations[0].sentence == "It was seen at noon."
    assert {hit.passage.article.id for hit in answer.hits} == {"log", "rain"}
    assert filled.counts()[0] == 4
