"""What a request may hold; what it is answered with is in `server.responses` and `qa.wire`."""

from typing import Annotated, Any

from fastapi import Body
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from index.article import MAX_CHARACTERS, MAX_ID_CHARACTERS, Article, make_article, parse_published
from index.feedback import MAX_COMMENT_CHARACTERS, Place, Verdict
from index.filter import Filter
from index.library import MAX_HITS, MAX_QUESTION_CHARACTERS
from qa.answer import Question
from qa.confidence import DEFAULT_HITS

MAX_FILTER_ITEMS = 1_000
MAX_RECORDS = 1_000
MAX_QUESTIONS = 100
MAX_PAGE = 1_000
MAX_QUOTE_CHARACTERS = 100_000
MAX_FIELD_CHARACTERS = 10_000
"""Longest title and URL; both are repeated with every hit of the article."""
MAX_NAME_CHARACTERS = 512
"""Longest source, author and item of a filter; as long as an article's id may be."""
MAX_AUTHORS = 1_000
MAX_BUDGET_MS = 600_000
MAX_READ_CHARACTERS = 1_000_000
"""Of all texts that come with a question: two seconds' work to cut and to index, as long as a turn of adding."""
_MAX_DATE_CHARACTERS = 64
_MAX_OFFSET = 2**63 - 1
"""SQLite's largest integer."""


def _date(text: str) -> str:
    if parse_published(text) is None:
        raise PydanticCustomError("date", "Input should be a date like 2023-07-28 or 2023-07-28T09:30:00Z")
    return text


def _whole(value: object) -> object:
    """JSON has no integers, only numbers: 10.0 is 10."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]
Names = Annotated[list[Name], Field(min_length=1, max_length=MAX_FILTER_ITEMS)]
Language = Annotated[str, Field(pattern="^[a-z]{2,3}$", description="ISO 639, like en")]
Languages = Annotated[list[Language], Field(min_length=1, max_length=MAX_FILTER_ITEMS)]
Date = Annotated[
    str,
    Field(max_length=_MAX_DATE_CHARACTERS),
    AfterValidator(_date),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}),
]
Text = Annotated[str, Field(max_length=MAX_FIELD_CHARACTERS)]
Position = Annotated[int, Field(ge=0, le=MAX_CHARACTERS), BeforeValidator(_whole)]
Asked = Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_CHARACTERS)]
Hits = Annotated[int, Field(ge=1, le=MAX_HITS), BeforeValidator(_whole)]
Share = Annotated[float, Field(ge=0, le=1)]
Budget = Annotated[float, Field(ge=1, le=MAX_BUDGET_MS)]


class _Body(BaseModel):
    """A JSON object of a request: no other fields than these, and nothing is converted to the type wanted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FilterBody(_Body):
    """Which articles may be used; what is left out or null does not restrict. An empty list is refused: it could be
    meant to let no article through."""

    articles: Names | None = None
    sources: Names | None = None
    since: Date | None = None
    until: Date | None = None
    languages: Languages | None = None

    def made(self) -> Filter:
        return Filter(
            frozenset(self.articles or ()),
            frozenset(self.sources or ()),
            self.since,
            self.until,
            frozenset(self.languages or ()),
        )


class SearchBody(_Body):
    """A question to find passages for."""

    question: Asked
    k: Hits = DEFAULT_HITS
    filter: FilterBody | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"question": "When was the treaty signed?", "k": 5, "filter": {"since": "2023-01-01"}}]
        }
    )

    def made_filter(self) -> Filter:
        return self.filter.made() if self.filter else Filter()


class AskBody(SearchBody):
    """A question to answer from the k best passages. `threshold` is the confidence below which no answer is given; null
    stands, here and for `k`, for what the server was calibrated with. After `budget_ms` the passages still unread are
    left, and `complete` is then false. `exhaustive` reads them all, also when the answer is settled before."""

    k: Hits | None = None  # type: ignore[assignment]  # wider than in a search
    threshold: Share | None = None
    budget_ms: Budget | None = None
    exhaustive: bool = False

    def made(self) -> Question:
        return Question(self.question, self.k, self.made_filter(), self.threshold, self.budget_ms, self.exhaustive)


class CitationBody(_Body):
    """These five of a citation's fields as they stand in an answer; `text_sha256` may be left out or null."""

    article: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)]
    start: Position
    end: Position
    quote: Annotated[str, Field(min_length=1, max_length=MAX_QUOTE_CHARACTERS)]
    text_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"article": "treaty-1648", "start": 14, "end": 21, "quote": "in 1648"}]}
    )


class FeedbackBody(_Body):
    """A verdict on an answer to a question. `place` is the quote that is right, wrong or better, as in a citation."""

    question: Asked
    verdict: Annotated[Verdict, Field(strict=False)]
    place: CitationBody | None = None
    comment: Annotated[str, Field(max_length=MAX_COMMENT_CHARACTERS)] | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "question": "When was the treaty signed?",
                    "verdict": "right",
                    "place": {"article": "treaty-1648", "start": 14, "end": 21, "quote": "in 1648"},
                }
            ]
        }
    )

    def made_place(self) -> Place | None:
        if self.place is None:
            return None
        return Place(self.place.article, self.place.start, self.place.end, self.place.quote, self.place.text_sha256)


class Record(_Body):
    """An article. Its id is derived from the URL, or else from the text, where none is given."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
    id: Annotated[str, Field(max_length=MAX_ID_CHARACTERS)] | None = None
    url: Text | None = None
    title: Text | None = None
    published: Name | None = None
    source: Name | None = None
    authors: Annotated[list[Name], Field(max_length=MAX_AUTHORS)] | None = None
    metadata: dict[str, Any] | None = None

    def made(self) -> Article:
        """Raises InvalidInput."""
        return make_article(
            self.text,
            id=self.id,
            title=self.title,
            url=self.url,
            published=self.published,
            source=self.source,
            authors=tuple(self.authors or ()),
            metadata=self.metadata,
        )


def _short_together(texts: list[Record]) -> list[Record]:
    if sum(len(one.text) for one in texts) > MAX_READ_CHARACTERS:
        message = f"Texts should have at most {MAX_READ_CHARACTERS:,} characters together; add them to the library"
        raise PydanticCustomError("texts_too_long", message)
    return texts


class ReadBody(_Body):
    """A question to answer from the k best passages of `texts`, which are as articles that are added. They may have
    1,000,000 characters together. The other fields are those of a question to the library."""

    question: Asked
    texts: Annotated[list[Record], Field(min_length=1, max_length=MAX_RECORDS), AfterValidator(_short_together)]
    k: Hits | None = None
    threshold: Share | None = None
    budget_ms: Budget | None = None
    exhaustive: bool = False

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "question": "When was the treaty signed?",
                    "texts": [{"title": "The treaty", "text": "It was signed in 1648. Nobody had expected it."}],
                }
            ]
        }
    )


class BatchBody(_Body):
    """Questions to answer one after the other, each as if it were alone, but that `budget_ms` counts from when the one
    before it is done with."""

    questions: Annotated[list[AskBody], Field(min_length=1, max_length=MAX_QUESTIONS)]


_ONE, _SEVERAL = "one record", "list of records"
_QUESTION, _BATCH = "one question", "list of questions"
UNION_TAGS = frozenset({_ONE, _SEVERAL, _QUESTION, _BATCH})
"""What pydantic puts into the place of a fault without its being a part of the request."""


def _records_tag(body: object) -> str:
    return _SEVERAL if isinstance(body, list) else _ONE


Records = Annotated[
    Annotated[Record, Tag(_ONE)] | Annotated[list[Record], Field(max_length=MAX_RECORDS), Tag(_SEVERAL)],
    Discriminator(_records_tag),
    Body(
        openapi_examples={
            "one": {
                "summary": "One record",
                "value": {
                    "id": "treaty-1648",
                    "title": "The treaty",
                    "published": "1998-10-24",
                    "source": "Almanac",
                    "authors": ["Almanac staff"],
                    "text": "It was signed in 1648. Nobody had expected it.",
                },
            },
            "several": {
                "summary": "A list of records",
                "value": [{"url": "https://example.org/a", "text": "First text."}, {"text": "Second text."}],
            },
        }
    ),
]


def _asking_tag(body: object) -> str:
    return _BATCH if isinstance(body, dict) and "questions" in body else _QUESTION


Asking = Annotated[
    Annotated[AskBody, Tag(_QUESTION)] | Annotated[BatchBody, Tag(_BATCH)],
    Discriminator(_asking_tag),
    Body(
        openapi_examples={
            "one": {
                "summary": "One question",
                "value": {"question": "When was the treaty signed?", "k": 10, "filter": {"sources": ["Reuters"]}},
            },
            "several": {
                "summary": "Up to 100",
                "value": {"questions": [{"question": "When was it signed?"}, {"question": "Who expected it?", "k": 5}]},
            },
        }
    ),
]


class Page(BaseModel):
    """The query of a listing. Its values come as strings, so that they are converted here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    offset: Annotated[int, Field(ge=0, le=_MAX_OFFSET)] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 100
