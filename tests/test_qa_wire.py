"""The JSON of answers, hits, articles and verifications."""

import json
from dataclasses import replace

import pytest

from index.article import Article, make_article
from index.library import Validity, Verification
from index.passage import Passage
from index.search import Hit
from qa.answer import Answer, Candidate, NoAnswer, cite, rank
from qa.confidence import Calibration
from qa.reader import Span
from qa.wire import (
    AnswerJSON,
    ArticleJSON,
    ArticleSummaryJSON,
    CandidateJSON,
    CitationJSON,
    HitJSON,
    VerificationJSON,
    answer_json,
    article_json,
    article_summary_json,
    candidate_json,
    citation_json,
    hit_json,
    verification_json,
)

TEXT = "😀 Istanbul or İstanbul? The parade was in Oslo on Friday.\r\n\r\nRome had “none”."


@pytest.fixture
def article() -> Article:
    return make_article(
        TEXT,
        id="parade",
        title="A “parade”",
        url="https://news.example/a",
        published="2023-07-28",
        source="Post",
        authors=("News desk",),
        metadata={"section": "world"},
    )


@pytest.fixture
def answer(article: Article) -> Answer:
    passage = Passage(article, TEXT.index("The"), len(TEXT))
    found = [
        Span(passage, TEXT.index(word), TEXT.index(word) + len(word), score)
        for word, score in (("Oslo", 2.0), ("Rome", 1.0))
    ]
    hit = Hit(passage, 0.912345, 0.5, 12.0)
    best, *others = (
        Candidate(one.confidence, one.evidence, tuple(map(cite, one.spans)))
        for one in rank([(hit, found)], Calibration())
    )
    times = {"search": 1.26, "read": 2.0, "total": 3.26}
    return Answer("Where was it?", best, None, best.confidence, tuple(others), (hit,), 0, True, times)


def as_sent(value: object) -> object:
    """There and back, as strictly as other programs read JSON."""
    return json.loads(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())


def test_answer_word_for_word(answer: Answer) -> None:
    oslo = {
        "article": "parade",
        "title": "A “parade”",
        "url": "https://news.example/a",
        "published": "2023-07-28",
        "source": "Post",
        "duplicate_of": None,
        "start": 42,
        "end": 46,
        "page": None,
        "quote": "Oslo",
        "sentence": "The parade was in Oslo on Friday.",
        "sentence_start": 24,
        "sentence_end": 57,
        "text_sha256": answer.hits[0].passage.article.sha256,
        "link": "https://news.example/a#:~:text=Oslo",
        "copies": [],
    }
    rome = {
        **oslo,
        "start": 61,
        "end": 65,
        "quote": "Rome",
        "sentence": "Rome had “none”.",
        "sentence_start": 61,
        "sentence_end": 77,
        "link": "https://news.example/a#:~:text=Rome",
    }
    assert answer_json(answer) == {
        "question": "Where was it?",
        "answer": "Oslo",
        "confidence": 0.8808,
        "reason": None,
        "citations": [oslo],
        "alternatives": [{"answer": "Rome", "confidence": 0.7311, "score": 1.0, "citations": [rome]}],
        "hits": [
            {
                "article": "parade",
                "title": "A “parade”",
                "url": "https://news.example/a",
                "published": "2023-07-28",
                "source": "Post",
                "duplicate_of": None,
                "start": 24,
                "end": 77,
                "page": None,
                "text": TEXT[24:],
                "score": 0.9123,
                "dense": 0.5,
                "lexical": 12.0,
            }
        ],
        "unread": 0,
        "complete": True,
        "milliseconds": {"search": 1.3, "read": 2.0, "total": 3.3},
    }


def test_copies_are_one_citation(answer: Answer) -> None:
    assert answer.best is not None
    [cited] = answer.best.citations
    copy = replace(cited, article=replace(cited.article, id="copy", duplicate_of="parade"))
    shown = answer_json(replace(answer, best=replace(answer.best, citations=(copy, cited))))
    assert [(one["article"], one["duplicate_of"], one["copies"]) for one in shown["citations"]] == [
        ("copy", "parade", ["parade"])
    ]


def test_page_of_a_citation_and_of_a_hit(answer: Answer, article: Article) -> None:
    paged = replace(article, metadata={"pages": {"0": "i", "24": "ii", "61": "iii"}})
    passage = replace(answer.hits[0].passage, article=paged)
    assert hit_json(replace(answer.hits[0], passage=passage))["page"] == "ii"
    pages = [citation_json(cite(Span(passage, start, start + 4, 1.0)))["page"] for start in (42, 61)]
    assert pages == ["ii", "iii"]


def test_answer_survives_the_journey(answer: Answer) -> None:
    assert as_sent(answer_json(answer)) == answer_json(answer)


def test_offsets_agree_with_the_text(answer: Answer) -> None:
    shown = answer_json(answer)
    cited = shown["citations"] + [citation for other in shown["alternatives"] for citation in other["citations"]]
    assert [TEXT[citation["start"] : citation["end"]] for citation in cited] == ["Oslo", "Rome"]
    for citation in cited:
        assert TEXT[citation["sentence_start"] : citation["sentence_end"]] == citation["sentence"]
    assert [TEXT[hit["start"] : hit["end"]] for hit in shown["hits"]] == [hit["text"] for hit in shown["hits"]]


def test_no_answer() -> None:
    answer = Answer("Who?", None, NoAnswer.NOTHING_RETRIEVED, 0.0, (), (), 0, True, {"total": 0.04})
    assert as_sent(answer_json(answer)) == {
        "question": "Who?",
        "answer": None,
        "confidence": 0.0,
        "reason": "nothing retrieved",
        "citations": [],
        "alternatives": [],
        "hits": [],
        "unread": 0,
        "complete": True,
        "milliseconds": {"total": 0.0},
    }


def test_answer_that_left_hits_unread(answer: Answer) -> None:
    shown = as_sent(answer_json(replace(answer, unread=7, complete=False)))
    assert shown == {**answer_json(answer), "unread": 7, "complete": False}


def test_keys_are_those_of_the_types(answer: Answer, article: Article) -> None:
    assert answer.best is not None
    for shown, described in (
        (answer_json(answer), AnswerJSON),
        (candidate_json(answer.best), CandidateJSON),
        (citation_json(answer.best.citations[0]), CitationJSON),
        (hit_json(answer.hits[0]), HitJSON),
        (verification_json(Verification(Validity.VALID, "")), VerificationJSON),
        (article_summary_json(article), ArticleSummaryJSON),
        (article_json(article), ArticleJSON),
    ):
        assert list(shown) == list(described.__annotations__), described.__name__


def test_article(article: Article) -> None:
    assert as_sent(article_json(article)) == {
        "id": "parade",
        "title": "A “parade”",
        "url": "https://news.example/a",
        "published": "2023-07-28",
        "source": "Post",
        "language": None,
        "duplicate_of": None,
        "authors": ["News desk"],
        "metadata": {"section": "world"},
        "characters": 77,
        "text_sha256": article.sha256,
        "text": TEXT,
    }


def test_verification() -> None:
    checked = Verification(Validity.STALE, "the quote stands in it", (3, 14))
    assert as_sent(verification_json(checked)) == {
        "validity": "stale",
        "reason": "the quote stands in it",
        "places": [3, 14],
    }


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_metadata_that_json_cannot_say_is_still_sent_as_json(number: str) -> None:
    # Python's own reader of JSON takes these; other programs do not, and neither does the server
    article = make_article("Oslo.", id="a", metadata=json.loads(f'{{"score": {number}, "more": [{number}]}}'))
    assert json.loads(json.dumps(article_json(article), allow_nan=False))["text"] == "Oslo."
