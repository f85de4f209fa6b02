"""Routes that ask, search and verify."""

import json
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from index.article import Article
from index.errors import InvalidInput, UnreadableArticle
from index.filter import Filter
from index.library import AnyLibrary, check_question
from qa.answer import Ask, Question
from qa.wire import AnswerJSON, VerificationJSON, answer_json, hit_json, verification_json
from server.body import JSONRoute, QueuedRoute
from server.entry import note_answer
from server.errors import declared, error_json
from server.responses import AnswersJSON, ErrorJSON, SearchJSON
from server.service import ArrivedOf, Service, ServiceOf
from server.wire import AskBody, Asking, BatchBody, CitationBody, ReadBody, Record, SearchBody

LINES = "application/x-ndjson"

LONGEST_MS = 10_000
"""How long one question may keep the thread that all share: fifty times what most take. A server that ends waits as
long for what it has begun."""

_LEAST_BUDGET_MS = 0.001
"""What is left to a question whose turn comes just in time; a budget is more than 0."""

router = APIRouter(route_class=QueuedRoute, tags=["questions"])
unqueued = APIRouter(route_class=JSONRoute, tags=["questions"])


_AS_LINES = {
    "content": {LINES: {"schema": {"type": "string"}}},
    "description": f"The answer, or those of a list of questions; with `Accept: {LINES}` as lines",
}


@router.post(
    "/v1/ask",
    summary="Answer a question, or several",
    response_model=AnswerJSON | AnswersJSON,
    responses={200: _AS_LINES, **declared(408, 413, 415, 422, 500, 503)},
)
async def ask_questions(body: Asking, request: Request, service: ServiceOf, arrived: ArrivedOf) -> object:
    """Answer with a quote out of the articles, or say why there is none.

    Offsets are half-open and in Unicode code points of the article's text; JavaScript counts UTF-16 units.

    `budget_ms` counts from the arrival of the request. Where it is used up before the question has its turn, the
    response is 503 `out_of_time` at that moment, since nothing was read; otherwise at least the first passages are.
    However large, or without one, reading ends after ten seconds: `complete` is then false.

    Several questions, up to 100, wait in one place for a turn each, between which others have theirs. They count as so
    many requests.

    With `Accept: application/x-ndjson` the response is lines of JSON, each sent as soon as it is known: of one question
    the passages found, as from `/v1/search`, and then the answer; of several the answers. An error that comes after
    the first line is a line too.
    """
    as_lines = LINES in request.headers.get("accept", "")
    if isinstance(body, BatchBody):
        request.state.spend(len(body.questions))
        answers = _answers(body, service, arrived)
        return await _as_lines(answers) if as_lines else {"answers": [answer async for answer in answers]}
    return await _as_lines(_found_and_answer(body, service, arrived)) if as_lines else await ask(body, service, arrived)


@router.post("/v1/read", summary="Answer a question from texts", responses=declared(408, 413, 415, 422, 500, 503))
async def read_texts(body: ReadBody, service: ServiceOf, arrived: ArrivedOf) -> AnswerJSON:
    """Answer with a quote out of the texts that come with the question, or say why there is none. Nothing is stored,
    and the library has no part in it.

    Offsets are of these texts. Of their passages the k best by words are put in order by words and meaning, then read
    as the library's are. The confidence was fitted on passages found in a library, and is less to be relied on here.
    """
    question = Question(
        body.question,
        body.k,
        threshold=body.threshold,
        budget_ms=body.budget_ms,
        exhaustive=body.exhaustive,
        texts=tuple(_texts(body.texts)),
    )
    return await _asked(question, service, arrived)


@router.post("/v1/search", summary="Find passages", responses=declared(408, 413, 415, 422, 500, 503))
async def search(body: SearchBody, service: ServiceOf) -> SearchJSON:
    """The k passages most likely to hold the answer, best first, without reading them."""
    check_question(body.question)
    with service.queue.place():
        return await service.inference.run(_hits, service.library, body.question, body.k, body.made_filter())


@unqueued.post("/v1/verify", summary="Check a citation", responses=declared(408, 413, 415, 422, 500))
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


async def ask(body: AskBody, service: Service, arrived: float | None = None) -> AnswerJSON:
    """The answer to a question that came at `arrived`, in seconds of `perf_counter`, or now. Raises InvalidInput,
    Refusal."""
    return await _asked(body.made(), service, perf_counter() if arrived is None else arrived)


async def _asked(question: Question, service: Service, arrived: float) -> AnswerJSON:
    check_question(question.text)
    with service.queue.place():
        return await _answered(question, service, arrived)


async def _answered(question: Question, service: Service, arrived: float) -> AnswerJSON:
    deadline = _deadline(question, arrived)
    return await service.inference.run_by(deadline, _answer, service.ask, question, deadline)


def _deadline(question: Question, arrived: float) -> float:
    return math.inf if question.budget_ms is None else arrived + question.budget_ms / 1000


async def _answers(body: BatchBody, service: Service, arrived: float) -> AsyncIterator[AnswerJSON | ErrorJSON]:
    with service.queue.place():
        for one in body.questions:
            try:
                check_question(one.question)
                answer: AnswerJSON | ErrorJSON = await _answered(one.made(), service, arrived)
            except Exception as error:
                answer = error_json(error)
            yield answer
            arrived = perf_counter()


async def _found_and_answer(
    body: AskBody, service: Service, arrived: float
) -> AsyncIterator[SearchJSON | AnswerJSON | ErrorJSON]:
    """The search is made twice, which takes a tenth of the reading: what asks answers in one go."""
    check_question(body.question)
    question = body.made()
    with service.queue.place():
        k = service.hits if question.k is None else question.k
        deadline = _deadline(question, arrived)
        yield await service.inference.run_by(deadline, _hits, service.library, question.text, k, question.filter)
        try:
            answer: AnswerJSON | ErrorJSON = await _answered(question, service, arrived)
        except Exception as error:
            answer = error_json(error)
        yield answer


async def _as_lines(values: AsyncIterator[object]) -> StreamingResponse:
    """The first comes before the response begins, and with it a place in the queue, or the refusal of one."""
    return StreamingResponse(_lines(await anext(values), values), media_type=LINES)


async def _lines(first: object, others: AsyncIterator[object]) -> AsyncIterator[str]:
    yield _line(first)
    async for answer in others:
        yield _line(answer)


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _texts(records: Sequence[Record]) -> Iterator[Article]:
    """Raises UnreadableArticle for the first record that makes no article."""
    for position, record in enumerate(records):
        try:
            yield record.made()
        except InvalidInput as error:
            raise UnreadableArticle(f"body.texts[{position}]", str(error)) from None


def _answer(ask: Ask, question: Question, deadline: float) -> AnswerJSON:
    left = min((deadline - perf_counter()) * 1000, LONGEST_MS)
    answer = ask(replace(question, budget_ms=max(_LEAST_BUDGET_MS, left)))
    note_answer(answer)
    return answer_json(answer)


def _hits(library: AnyLibrary, question: str, k: int, filter: Filter) -> SearchJSON:
    began = perf_counter()
    hits = library.search(question, k, filter)
    milliseconds = {"search": round((perf_counter() - began) * 1000, 1)}
    return {"question": question, "hits": [hit_json(hit) for hit in hits], "milliseconds": milliseconds}
