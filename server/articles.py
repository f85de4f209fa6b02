"""Routes that add, list, show and remove articles."""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query

from index.article import Article
from index.errors import InvalidInput, UnreadableArticle
from index.library import AnyLibrary, Outcome
from qa.wire import ArticleJSON, article_json, article_summary_json
from server.body import QueuedRoute
from server.errors import declared
from server.responses import AdditionsJSON, ArticlesJSON
from server.service import ServiceOf
from server.wire import Page, Record, Records

TURN_CHARACTERS = 30_000
"""Text added before the next request has its turn: some fifty passages, two seconds' work for the embedder."""

Id = Annotated[str, Path(description="The article's id, percent-encoded; it may hold slashes.")]

router = APIRouter(route_class=QueuedRoute, tags=["articles"])


@router.post("/v1/articles", summary="Add articles", responses=declared(408, 413, 415, 422, 500, 503, 507))
async def add_articles(body: Records, service: ServiceOf) -> AdditionsJSON:
    """Add a record, or a list of up to 1,000. The response comes when all are safely stored, and is in their order.

    An article with a known id replaces that article, one that is already there changes nothing: after an error it is
    safe to send the same again. A bad record is named by its position, and then nothing is added; after any other
    error, or when the client has not waited for the response, some of the records may have been.
    """
    articles = await service.reads.run(_articles, body)
    outcomes: dict[str, deque[Outcome]] = defaultdict(deque)

    def acknowledge(article: Article, outcome: Outcome) -> None:
        outcomes[article.id].append(outcome)

    with service.queue.place():
        for turn in _turns(articles):
            await service.inference.run(service.library.add, turn, acknowledge)
    # Those that are unchanged are acknowledged before others, but those of one id in their order.
    return {"results": [{"id": article.id, "outcome": outcomes[article.id].popleft()} for article in articles]}


@router.get("/v1/articles", summary="List articles", responses=declared(422, 500))
async def list_articles(page: Annotated[Page, Query()], service: ServiceOf) -> ArticlesJSON:
    """A page of articles without their texts, in the order they came in."""
    return await service.reads.run(_page, service.library, page.offset, page.limit)


@router.get("/v1/articles/{id:path}", summary="Show an article", responses=declared(422, 500))
async def show_article(id: Id, service: ServiceOf) -> ArticleJSON:
    """An article with its exact text."""
    return await service.reads.run(_article, service.library, id)


@router.delete(
    "/v1/articles/{id:path}",
    summary="Remove an article",
    status_code=204,
    responses=declared(422, 500, 503, 507),
)
async def remove_article(id: Id, service: ServiceOf) -> None:
    """Remove an article with its passages."""
    with service.queue.place():
        await service.inference.run(service.library.remove, [id])


def _articles(body: Record | list[Record]) -> list[Article]:
    """Raises UnreadableArticle for the first record that makes no article."""
    if isinstance(body, Record):
        return [_made(body, "body")]
    return [_made(record, f"body[{position}]") for position, record in enumerate(body)]


def _made(record: Record, place: str) -> Article:
    try:
        return record.made()
    except InvalidInput as error:
        raise UnreadableArticle(place, f"{error}; nothing was added") from None


def _turns(articles: Sequence[Article]) -> Iterator[list[Article]]:
    """Consecutive articles of at most TURN_CHARACTERS together, or a longer one alone."""
    turn: list[Article] = []
    characters = 0
    for article in articles:
        if turn and characters + len(article.text) > TURN_CHARACTERS:
            yield turn
            turn, characters = [], 0
        turn.append(article)
        characters += len(article.text)
    if turn:
        yield turn


def _page(library: AnyLibrary, offset: int, limit: int) -> ArticlesJSON:
    listed = library.articles(offset, limit)
    return {
        "articles": [{**article_summary_json(article), "passages": passages} for article, passages in listed],
        "total": library.article_count(),
        "offset": offset,
        "limit": limit,
    }


def _article(library: AnyLibrary, id: str) -> ArticleJSON:
    return article_json(library.article(id))
