"""Spans to an answer: merge, cite, judge."""

import re
from collections.abc import Mapping, Sequence
from math import nan

import pytest

from index.article import Article, make_article
from index.errors import InvalidInput
from index.library import Library
from index.passage import Passage
from index.search import Hit
from index.store import Filter
from qa.answer import Answer, Candidate, NoAnswer, Question, load, merge, said, warm_up, why_none
from qa.confidence import Calibration
from qa.reader import Span


class ToyReader:
    """Knows the score of some phrases, and finds them wherever they stand."""

    def __init__(self, scores: Mapping[str, float]) -> None:
        self.scores = scores
        self.passages: list[Passage] = []

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        self.passages = list(passages)
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


def texts(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.text for candidate in candidates]


def places(candidate: Candidate) -> list[tuple[str, int, int]]:
    return [(citation.article.id, citation.start, citation.end) for citation in candidate.citations]


# merge


def test_merge_puts_the_best_first() -> None:
    article = make_article("Oslo and Rome and Bern.", id="a")
    candidates = merge(spans(article, Oslo=1.0, Rome=3.0, Bern=2.0), Calibration())
    assert texts(candidates) == ["Rome", "Bern", "Oslo"]
    assert [candidate.score for candidate in candidates] == [3.0, 2.0, 1.0]
    assert candidates[0].confidence == pytest.approx(0.952574)


def test_merge_of_nothing() -> None:
    assert merge([], Calibration()) == []


def test_of_spans_that_overlap_the_best_stands_for_all() -> None:
    passage = Passage(make_article("The port of Oslo is shut.", id="a"), 0, 25)
    overlapping = [Span(passage, 4, 16, 1.0), Span(passage, 12, 16, 2.0), Span(passage, 4, 11, 0.5)]
    assert [(candidate.text, candidate.score) for candidate in merge(overlapping, Calibration())] == [
        ("Oslo", 2.0),
        ("port of", 0.5),
    ]


def test_the_same_place_in_two_passages_is_cited_once() -> None:
    article = make_article("One. In Oslo. Two.", id="a")
    twice = [Span(Passage(article, 0, 13), 8, 12, 1.0), Span(Passage(article, 5, 18), 8, 12, 2.0)]
    assert [(places(candidate), candidate.score) for candidate in merge(twice, Calibration())] == [
        ([("a", 8, 12)], 2.0)
    ]


def test_the_same_place_in_two_articles_is_no_overlap() -> None:
    one, other = make_article("Oslo!", id="a"), make_article("Rome!", id="b")
    assert texts(merge([*spans(one, Oslo=1.0), *spans(other, Rome=2.0)], Calibration())) == ["Rome", "Oslo"]


def test_the_same_words_in_two_articles_are_one_candidate_cited_twice_best_first() -> None:
    one, other = make_article("It is in Oslo.", id="a"), make_article("Oslo has it.", id="b")
    [candidate] = merge([*spans(one, Oslo=1.0), *spans(other, Oslo=2.0)], Calibration())
    assert places(candidate) == [("b", 0, 4), ("a", 9, 13)]
    assert (candidate.score, candidate.confidence) == (2.0, Calibration().confidence(2.0))


def test_case_punctuation_and_leading_article_do_not_tell_candidates_apart() -> None:
    one, other = make_article("See The Grey Heron now", id="a"), make_article("a grey-heron? “GREYHERON”", id="b")
    found = [
        Span(Passage(one, 0, 22), 4, 18, 3.0),
        Span(Passage(other, 0, 25), 2, 12, 2.0),
        Span(Passage(other, 0, 25), 14, 25, 1.0),
    ]
    assert [(candidate.text, len(candidate.citations)) for candidate in merge(found, Calibration())] == [
        ("The Grey Heron", 1),
        ("grey-heron", 2),
    ]


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
    assert texts(merge(tied, Calibration())) == ["Oslo", "Riga", "Rome", "Bern"]
    assert texts(merge(reversed(tied), Calibration())) == ["Oslo", "Riga", "Rome", "Bern"]


# citations


def test_citation_has_the_sentence_around_the_quote() -> None:
    text = "Padding first.\n\nIt rained in May. The parade was in Oslo on Friday. Nobody came."
    article = make_article(text, id="a", url="https://news.example/a")
    start = text.index("Oslo")
    [candidate] = merge([Span(Passage(article, 16, len(text)), start, start + 4, 1.0)], Calibration())
    [citation] = candidate.citations
    assert (citation.quote, citation.sentence) == ("Oslo", "The parade was in Oslo on Friday.")
    assert text[citation.sentence_start : citation.sentence_end] == citation.sentence
    assert citation.link == "https://news.example/a#:~:text=Oslo"


def test_citation_of_a_span_across_sentences_has_them_all() -> None:
    text = "One is here. Two comes next. Three is last. Four is too much."
    article = make_article(text, id="a")
    start, end = text.index("Two"), text.index(" is last")
    [candidate] = merge([Span(Passage(article, 0, len(text)), start, end, 1.0)], Calibration())
    [citation] = candidate.citations
    assert (citation.quote, citation.sentence) == ("Two comes next. Three", "Two comes next. Three is last.")


def test_no_link_without_a_url() -> None:
    [candidate] = merge(spans(make_article("Oslo.", id="a"), Oslo=1.0), Calibration())
    assert candidate.citations[0].link is None


# the reason for no answer


def hits(article: Article) -> list[Hit]:
    return [Hit(Passage(article, 0, len(article.text)), 1.0, 1.0, 1.0)]


@pytest.mark.parametrize(
    ("score", "threshold", "reason"),
    [
        (None, 0.0, NoAnswer.NOTHING_ANSWERS),
        (-0.1, 0.0, NoAnswer.NOTHING_ANSWERS),
        (0.0, 0.0, NoAnswer.NOTHING_ANSWERS),
        (0.1, 0.0, None),
        (1.0, 0.7, None),  # confidence 0.731
        (1.0, 0.75, NoAnswer.BELOW_THRESHOLD),
    ],
)
def test_reason(score: float | None, threshold: float, reason: NoAnswer | None) -> None:
    article = make_article("Oslo.", id="a")
    candidates = merge([] if score is None else spans(article, Oslo=score), Calibration())
    assert why_none(hits(article), candidates, threshold) is reason


def test_a_confidence_at_the_threshold_is_enough() -> None:
    article = make_article("Oslo.", id="a")
    candidates = merge(spans(article, Oslo=2.0), Calibration())
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


def test_where_no_answer_beats_abstaining_there_is_none(filled: Library) -> None:
    answer = ask(filled, {"Castle FC": -1.0}, Question("Who won?", threshold=0.0))
    assert (answer.text, answer.reason) == (None, NoAnswer.NOTHING_ANSWERS)
    assert answer.confidence == pytest.approx(0.2689414)
    assert texts(answer.alternatives) == ["Castle FC"]


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
    assert reader.passages == []


def test_empty_library(library: Library) -> None:
    assert ask(library, {"Castle FC": 3.0}, "Who won?").reason is NoAnswer.NOTHING_RETRIEVED


def test_k_is_the_number_of_passages_read(filled: Library) -> None:
    reader = ToyReader({})
    answer = load(filled, reader, Calibration())(Question("Who won the chess cup?", k=2))
    assert reader.passages == [hit.passage for hit in answer.hits]
    assert len(reader.passages) == 2
    assert reader.passages[0].article.id == "chess"


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


def test_warm_up_searches_and_reads(filled: Library) -> None:
    reader = ToyReader({})
    warm_up(filled, reader)
    assert [passage.text for passage in reader.passages] == ["Nothing was asked."]
