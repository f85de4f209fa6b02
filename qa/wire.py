"""The JSON that the command line and the HTTP interface share: one typed description of all that we show."""

from collections.abc import Sequence
from typing import Any

# pydantic, which makes the OpenAPI description of these, does not take typing's own before Python 3.12
from typing_extensions import TypedDict

from index.article import Article
from index.feedback import Feedback, Place
from index.library import Verification
from index.pages import page_of
from index.search import Hit
from qa.answer import Answer, Candidate, Citation


class SliceJSON(TypedDict):
    """The article that a quote or a passage is of: `article` is its id. Where it is a copy of earlier ones,
    `duplicate_of` is the id of the first of them."""

    article: str
    title: str | None
    url: str | None
    published: str | None
    source: str | None
    duplicate_of: str | None


class CitationJSON(SliceJSON):
    """A quote with its place. Offsets are half-open, in Unicode code points of the article's text; `page` is the label
    of the page that the quote begins on, null where the article has none."""

    start: int
    end: int
    page: str | None
    quote: str
    sentence: str
    sentence_start: int
    sentence_end: int
    text_sha256: str
    link: str | None
    copies: list[str]


class CandidateJSON(TypedDict):
    """A possible answer with every place that gives it, as `AnswerJSON` has them."""

    answer: str
    confidence: float
    score: float
    citations: list[CitationJSON]


class HitJSON(SliceJSON):
    """A passage that was retrieved; `page` is the label of the page that it begins on, as in a citation."""

    start: int
    end: int
    page: str | None
    text: str
    score: float
    dense: float
    lexical: float


class AnswerJSON(TypedDict):
    """`answer` is null where there is none, and `reason` then says why. Of the hits the last `unread` were not read,
    since the answer was settled before; where `complete` is false, since `budget_ms` was used up."""

    question: str
    answer: str | None
    confidence: float
    reason: str | None
    citations: list[CitationJSON]
    alternatives: list[CandidateJSON]
    hits: list[HitJSON]
    unread: int
    complete: bool
    milliseconds: dict[str, float]


class VerificationJSON(TypedDict):
    """`validity` is valid, stale or unknown; `places` are where the quote starts in the article as it is now."""

    validity: str
    reason: str
    places: list[int]


class PlaceJSON(TypedDict):
    """A quote and where it stood when it was judged, in the text with this SHA-256."""

    article: str
    start: int
    end: int
    quote: str
    text_sha256: str | None


class FeedbackJSON(TypedDict):
    """What somebody said of an answer: `verdict` is right, wrong, better or unanswerable."""

    key: int
    created: str
    question: str
    verdict: str
    place: PlaceJSON | None
    comment: str | None


class ArticleSummaryJSON(TypedDict):
    """An article without its text. `language` is a code of ISO 639, or null where it could not be told."""

    id: str
    title: str | None
    url: str | None
    published: str | None
    source: str | None
    language: str | None
    duplicate_of: str | None
    authors: list[str]
    metadata: dict[str, Any]
    characters: int
    text_sha256: str


class ArticleJSON(ArticleSummaryJSON):
    """An article."""

    text: str


def answer_json(answer: Answer) -> AnswerJSON:
    return {
        "question": answer.question,
        "answer": answer.text,
        "confidence": round(answer.confidence, 4),
        "reason": answer.reason.value if answer.reason else None,
        "citations": [citation_json(*source) for source in answer.best.sources] if answer.best else [],
        "alternatives": [candidate_json(candidate) for candidate in answer.alternatives],
        "hits": [hit_json(hit) for hit in answer.hits],
        "unread": answer.unread,
        "complete": answer.complete,
        "milliseconds": {stage: round(value, 1) for stage, value in answer.milliseconds.items()},
    }


def candidate_json(candidate: Candidate) -> CandidateJSON:
    return {
        "answer": candidate.text,
        "confidence": round(candidate.confidence, 4),
        "score": round(candidate.evidence.score, 4),
        "citations": [citation_json(*source) for source in candidate.sources],
    }


def citation_json(citation: Citation, copies: Sequence[str] = ()) -> CitationJSON:
    article = citation.article
    return {
        **_slice_json(article),
        "start": citation.start,
        "end": citation.end,
        "page": page_of(article, citation.start),
        "quote": citation.quote,
        "sentence": citation.sentence,
        "sentence_start": citation.sentence_start,
        "sentence_end": citation.sentence_end,
        "text_sha256": article.sha256,
        "link": citation.link,
        "copies": list(copies),
    }


def hit_json(hit: Hit) -> HitJSON:
    article = hit.passage.article
    return {
        **_slice_json(article),
        "start": hit.passage.start,
        "end": hit.passage.end,
        "page": page_of(article, hit.passage.start),
        "text": hit.passage.text,
        "score": round(hit.score, 4),
        "dense": round(hit.dense, 4),
        "lexical": round(hit.lexical, 4),
    }


def verification_json(verification: Verification) -> VerificationJSON:
    return {
        "validity": verification.validity.value,
        "reason": verification.reason,
        "places": list(verification.places),
    }


def feedback_json(key: int, feedback: Feedback) -> FeedbackJSON:
    return {
        "key": key,
        "created": feedback.created,
        "question": feedback.question,
        "verdict": feedback.verdict.value,
        "place": place_json(feedback.place) if feedback.place else None,
        "comment": feedback.comment,
    }


def place_json(place: Place) -> PlaceJSON:
    return {
        "article": place.article,
        "start": place.start,
        "end": place.end,
        "quote": place.quote,
        "text_sha256": place.text_sha256,
    }


def article_summary_json(article: Article) -> ArticleSummaryJSON:
    return {
        "id": article.id,
        "title": article.title,
        "url": article.url,
        "published": article.published,
        "source": article.source,
        "language": article.language,
        "duplicate_of": article.duplicate_of,
        "authors": list(article.authors),
        "metadata": dict(article.metadata),
        "characters": len(article.text),
        "text_sha256": article.sha256,
    }


def article_json(article: Article) -> ArticleJSON:
    return {**article_summary_json(article), "text": article.text}


def _slice_json(article: Article) -> SliceJSON:
    return {
        "article": article.id,
        "title": article.title,
        "url": article.url,
        "published": article.published,
        "source": article.source,
        "duplicate_of": article.duplicate_of,
    }
