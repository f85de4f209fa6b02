"""The JSON that only the HTTP interface answers; all other JSON is in `qa.wire`."""

from typing import NotRequired

# pydantic does not take typing's own TypedDict before Python 3.12
from typing_extensions import TypedDict

from index.library import Outcome
from qa.wire import AnswerJSON, ArticleSummaryJSON, HitJSON, SliceJSON


class FaultJSON(TypedDict):
    """What is wrong at one place of a request, like `body.filter.since`."""

    place: str
    message: str


class ErrorBodyJSON(TypedDict):
    """`code` is for programs and does not change; `message` says what to do. Only faults of form have `details`."""

    code: str
    message: str
    details: NotRequired[list[FaultJSON]]


class ErrorJSON(TypedDict):
    """Every response that is no success."""

    error: ErrorBodyJSON


class AnswersJSON(TypedDict):
    """What each question of a list is answered with, in their order: where it alone would have been refused, that."""

    answers: list[AnswerJSON | ErrorJSON]


class SearchJSON(TypedDict):
    """The passages found, best first."""

    question: str
    hits: list[HitJSON]
    milliseconds: dict[str, float]


class AddedJSON(TypedDict):
    """What became of one record."""

    id: str
    outcome: Outcome


class AdditionsJSON(TypedDict):
    """What became of the records, in their order."""

    results: list[AddedJSON]


class ListedArticleJSON(ArticleSummaryJSON):
    """An article in a listing, with its number of passages."""

    passages: int


class ArticlesJSON(TypedDict):
    """A page of articles in the order they came in. `total` is the number of all articles of the library."""

    articles: list[ListedArticleJSON]
    total: int
    offset: int
    limit: int


class ArticlePartJSON(SliceJSON):
    """An article with `text`, the part of its text from `start` to `end`; the whole has `characters`."""

    language: str | None
    authors: list[str]
    text_sha256: str
    characters: int
    start: int
    end: int
    text: str


class GivenJSON(TypedDict):
    """The feedback that was kept: its number in the library."""

    key: int


class HealthJSON(TypedDict):
    """The process is running."""

    status: str
    version: str


class ReadyJSON(TypedDict):
    """The library can be read."""

    status: str


class CollectionsJSON(TypedDict):
    """The collections that there are for who asks, the main one first."""

    collections: list[str]


class CollectionJSON(TypedDict):
    """A collection, and whether it was made just now."""

    name: str
    made: bool
