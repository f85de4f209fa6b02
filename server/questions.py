"""Routes that ask, search and verify."""

from time import perf_counter

from fastapi import APIRouter

from index.filter import Filter
from index.library import Library, check_question
from qa.answer import Ask, Question
from qa.wire import AnswerJSON, VerificationJSON, answer_json, hit_json, verification_json
from server.body import JSONRoute
from server.errors import declared
from server.service import ServiceOf
from server.wire import AskBody, CitationBody, SearchBody, SearchJSON

router = APIRouter(route_class=JSONRoute, tags=["questions"])


@router.post("/v1/ask", summary="Answer a question", responses=declared(413, 415, 421, 422, 429, 500))
async def ask(body: AskBody, service: ServiceOf) -> AnswerJSON:
    """Answer with a quote out of the articles, or say why there is none.

    Offsets are half-open and in Unicode code points of the article's text; JavaScript counts UTF-16 units.
    """
    check_question(body.question)
    with service.queue.place():
        return await service.inference.run(_answer, service.ask, body.made())


@router.post("/v1/search", summary="Find passages", responses=declared(413, 415, 421, 422, 429, 500))
async def search(body: SearchBody, service: ServiceOf) -> SearchJSON:
    """The k passages most likely to hold the answer, best first, without reading them."""
    check_question(body.question)
    with service.queue.place():
        return await service.inference.run(_hits, service.library, body.question, body.k, body.made_filter())


@router.post("/v1/verify", summary="Check a citation", responses=declared(413, 415, 421, 422, 500))
async def verify(body: CitationBody, service: ServiceOf) -> VerificationJSON:
    """Whether a quote still stands at its place: valid, stale (the article is there, the quote is not at its place or
    the text has changed) or unknown (the article is not in the library).

    Send `article`, `start`, `end`, `quote` and `text_sha256` of a citation as they stand in an answer, and none of
    its other fields.
    """
    verification = await service.reads.run(
        service.library.verify, body.article, body.start, body.end, body.quote, body.text_sha256
    )
    return verification_json(verification)


def _answer(ask: Ask, question: Question) -> AnswerJSON:
    return answer_json(ask(question))


def _hits(library: Library, question: str, k: int, filter: Filter) -> SearchJSON:
    began = perf_counter()
    hits = library.search(question, k, filter)
    milliseconds = {"search": round((perf_counter() - began) * 1000, 1)}
    return {"question": question, "hits": [hit_json(hit) for hit in hits], "milliseconds": milliseconds}
