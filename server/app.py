"""`create_app`: questions, feedback, articles and the server's state over HTTP, as JSON; and pages that show them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Match, Route

from index.library import Library
from qa.answer import Ask
from qa.confidence import DEFAULT_HITS
from server import articles, docs, feedback, questions
from server.admission import MAX_WAITING, Queue, Threads
from server.entry import Entries, note_wait
from server.errors import declared
from server.guard import MAX_BODY_BYTES, Guard
from server.leaving import Leaving
from server.mcp import Endpoint
from server.log import write
from server.metrics import Metrics
from server.metrics import router as metrics_router
from server.pages.errors import response_to
from server.pages.routes import routes as pages
from server.patience import Patience
from server.responses import HealthJSON, ReadyJSON
from server.service import Service, ServiceOf

READING_THREADS = 4
"""Enough for a listing of long articles not to hold up a readiness check; each keeps a database connection."""

_VERSION = version("pullquote")

_DESCRIPTION = """Quoted, checkable answers out of a collection of articles.

Every answer is a slice of an article's text, with its place. Every error has the form
`{"error": {"code", "message", "details"}}`; `details` is there only where the form of the request is at fault.

429 and 503 say in `Retry-After` when to come again. What waits for its turn is given up when its client closes the
connection. Every response has an `X-Request-ID`: the request's own, of at most 64 letters, digits, `.`, `_` and `-`, or
a new one."""

router = APIRouter(tags=["server"])


def create_app(
    ask: Ask,
    library: Library,
    *,
    hits: int = DEFAULT_HITS,
    waiting: int = MAX_WAITING,
    max_body_bytes: int = MAX_BODY_BYTES,
    local_only: bool = True,
) -> FastAPI:
    """The server over one library. It runs once; at its end the library's indexes are saved, but it is not closed.

    `hits` is how many passages `ask` reads where a question does not say. `waiting` requests at most wait for the one
    that is being worked at; `local_only` refuses requests whose Host header does not name this machine.
    """
    inference = Threads(1, "inference", note_wait)
    metrics = Metrics(_VERSION)
    service = Service(ask, library, hits, Queue(waiting), inference, Threads(READING_THREADS, "reads"))

    assistants = Endpoint(max_body_bytes)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with assistants.run():
            yield
        service.close()

    app = FastAPI(
        title="Pullquote",
        version=_VERSION,
        description=_DESCRIPTION,
        # Not `include_router`, whose wrapping hides which methods a path takes.
        routes=[
            *questions.router.routes,
            *feedback.router.routes,
            *articles.router.routes,
            *router.routes,
            *metrics_router.routes,
            Route("/mcp", assistants, methods=["POST"]),
            *docs.routes,
            *pages,
        ],
        lifespan=lifespan,
        middleware=[
            Middleware(Entries, keepers=[metrics.count, write]),
            Middleware(Leaving),
            Middleware(Guard, max_body_bytes=max_body_bytes, local_only=local_only, respond=response_to),
            Middleware(Patience),
        ],
        exception_handlers={HTTPException: _http_error, RequestValidationError: _validation_error},
        redirect_slashes=False,
        docs_url=None,  # FastAPI's own pages load their scripts from the network
        redoc_url=None,
    )
    app.state.service = service
    app.state.metrics = metrics
    return app


@router.get("/v1/health", summary="Is the process running?", responses=declared(421))
async def health() -> HealthJSON:
    """Answers as long as the process can; says nothing of the library."""
    return {"status": "ok", "version": _VERSION}


@router.get("/v1/ready", summary="Can questions be asked?", responses=declared(421, 500, 503))
async def ready(service: ServiceOf) -> ReadyJSON:
    """Answers 200 where the library can be read, with its numbers of articles and passages; 503 while the models are
    being loaded, and as soon as the server is told to end."""
    service.queue.check()
    articles, passages = await service.reads.run(service.library.counts)
    return {"status": "ready", "articles": articles, "passages": passages}


async def _validation_error(request: Request, error: RequestValidationError) -> Response:
    return response_to(request.scope, error)


async def _http_error(request: Request, error: HTTPException) -> Response:
    response = response_to(request.scope, error)
    if error.status_code == 405:
        # Starlette names the methods of the first route that has the path, not of all that have it.
        matching = (route for route in request.app.routes if isinstance(route, Route))
        found = [route.methods or set() for route in matching if route.matches(request.scope)[0] is not Match.NONE]
        response.headers["Allow"] = ", ".join(sorted(set[str]().union(*found)))
    return response
