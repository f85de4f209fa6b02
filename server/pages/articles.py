"""The pages of the articles: a list, one of them, adding and removing."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import FormData, UploadFile

from index.article import Article
from index.errors import InvalidInput, UnreadableArticle
from index.formats import FORMATS, format_of, read
from index.formats.parsing import Limits
from server import articles, questions
from server.admission import Queue
from server.articles import Id
from server.body import check_tokens
from server.pages.cut import Part, parts
from server.pages.render import page
from server.pages.site import checked, form_of, text_of
from server.service import ServiceOf
from server.wire import MAX_RECORDS, Page, Record, SearchBody

PAGE_ARTICLES = 50
FOUND_PASSAGES = 20

_FILES = Queue(waiting=1)
"""Files that are parsed at the same time, so that half of the threads that read are left for everything else."""

_LIMITS = Limits(seconds=10, memory=512 * 1024 * 1024)
"""Of a file that is sent: somebody waits, and may not mean well."""

_FIELDS = ("text", "title", "source", "published", "url")
"""Of a text that is pasted."""

router = APIRouter(include_in_schema=False)


@router.get("/articles")
async def list_articles(service: ServiceOf, q: str = "", offset: str = "0") -> Response:
    """A page of all articles in the order they came in, or the passages that a search finds."""
    if q.strip():
        found = await questions.search(checked(SearchBody, {"question": q.strip(), "k": FOUND_PASSAGES}), service)
        return page("found.html.jinja", q=q.strip(), hits=found["hits"])
    listed = await articles.list_articles(checked(Page, {"offset": offset, "limit": PAGE_ARTICLES}), service)
    return page("articles.html.jinja", q="", listed=listed)


@router.get("/articles/{id:path}")
async def show_article(
    id: Id,
    service: ServiceOf,
    start: int = 0,
    end: int = 0,
    text_sha256: str = "",
    q: str = "",
    part: Annotated[int, Query(ge=1)] = 1,
) -> Response:
    """An article, or one part of a long one, with the slice from `start` to `end` marked; it is the part with the mark
    that is shown. `text_sha256` begins as that of the text where the slice was right. `q` is the question whose answer
    it is: then a better place can be given."""
    article = await articles.show_article(id, service)
    text = article["text"]
    changed = not article["text_sha256"].startswith(text_sha256)
    quote = Part(start, end) if 0 <= start < end <= len(text) and not changed else Part(0, 0)
    all_parts = parts(text)
    if quote.end:
        part = next(number for number, one in enumerate(all_parts, start=1) if quote.start < one.end)
    part = min(part, len(all_parts))
    shown = all_parts[part - 1]
    return page(
        "article.html.jinja",
        article=article,
        changed=changed,
        quote=text[quote.start : quote.end],
        # A quote is shown whole. Where there is none, nothing is before it and all after it.
        before=text[shown.start : quote.start],
        after=text[max(shown.start, quote.end) : max(shown.end, quote.end)],
        q=q.strip(),
        part=part,
        parts=len(all_parts),
    )


@router.get("/add")
async def add_form() -> Response:
    """Forms to paste a text and to upload a file."""
    return page("add.html.jinja", endings=sorted(FORMATS), max_records=MAX_RECORDS)


@router.post("/articles")
async def add_articles(request: Request, service: ServiceOf) -> Response:
    """Add the text that was pasted, or the articles of the file that was sent, as POST /v1/articles does."""
    async with form_of(request) as form:
        file = form.get("file")
        if isinstance(file, UploadFile) and file.filename:
            with _FILES.place():
                records, unread = await service.reads.run(_records, await file.read(), file.filename)
        else:
            records, unread = [_record({name: _typed(form, name) or None for name in _FIELDS})], []
    results = (await articles.add_articles(records, service))["results"]
    return page("added.html.jinja", added=list(zip(records, results, strict=True)), unread=unread)


@router.get("/remove")
async def remove_form(id: str, service: ServiceOf) -> Response:
    """Ask whether it is meant."""
    return page("remove.html.jinja", article=await articles.show_article(id, service))


@router.post("/remove")
async def remove_article(request: Request, service: ServiceOf) -> Response:
    """Remove an article as DELETE /v1/articles does."""
    async with form_of(request) as form:
        id = text_of(form, "id")
    article = await articles.show_article(id, service)
    await articles.remove_article(id, service)
    return page("removed.html.jinja", article=article)


def _records(data: bytes, name: str) -> tuple[list[Record], list[str]]:
    """The articles of a file, and what was wrong with those that could not be read. Raises UnreadableArticle where none
    could."""
    format = format_of(name, data)
    if format.module in ("records", "lines"):
        check_tokens(data)
    records: list[Record] = []
    unread: list[UnreadableArticle] = []
    for item in read(data, name, format, _LIMITS):
        if not isinstance(item, Article):
            unread.append(item)
            continue
        if len(records) == MAX_RECORDS:
            raise InvalidInput(
                f"{name} has more than {MAX_RECORDS:,} articles; send it in parts, or use: pullquote add"
            )
        records.append(_record(_fields(item)))
    if unread and not records:
        raise unread[0]
    return records, [str(error) for error in unread]


def _fields(article: Article) -> dict[str, Any]:
    return {
        "text": article.text,
        "id": article.id,
        "url": article.url,
        "title": article.title,
        "published": article.published,
        "source": article.source,
        "authors": list(article.authors),
        "metadata": dict(article.metadata),
    }


def _record(fields: dict[str, Any]) -> Record:
    if not fields["text"]:
        raise InvalidInput("there is no text; paste one or choose a file")
    return checked(Record, fields)


def _typed(form: FormData, name: str) -> str:
    """What was typed: a browser sends each line end as two characters."""
    return text_of(form, name).replace("\r\n", "\n")
