"""`create_app`: questions, feedback, articles and the server's state over HTTP, as JSON; and pages that show them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Match, Route

from index.library import AnyLibrary
from qa.answer import Ask
from qa.confidence import DEFAULT_HITS
from server import articles, docs, feedback, questions
from server.access import Access
from server.admission import MAX_WAITING, Queue, Threads
from server.collections import Collections, Shelf
from server.collections import router as collections_router
from server.entry import Entries, note_wait
from server.errors import open_to_all
from server.guard import MAX_BODY_BYTES, REQUEST_ID, Guard
from server.keys import KeyFile
from server.leaving import Leaving
from server.log import write
from server.mcp import HEADERS, Endpoint
from server.metrics import Metrics
from server.metrics import router as metrics_router
from server.pages.errors import response_to
from server.pages.routes import routes as pages
from server.patience import Patience
from server.responses import HealthJSON, ReadyJSON
from server.service import Service, ServiceOf

READING_THREADS = 4
"""Enough for a listing of long articles not to hold up other readers; each keeps a database connection."""

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
    library: AnyLibrary,
    *,
    hits: int = DEFAULT_HITS,
    waiting: int = MAX_WAITING,
    max_body_bytes: int = MAX_BODY_BYTES,
    keys: KeyFile | None = None,
    shelf: Shelf | None = None,
    origins: Sequence[str] = (),
) -> FastAPI:
    """The server over one library. It runs once; at its end the library's indexes are saved, but it is not closed.

    `hits` is how many passages `ask` reads where a question does not say. `waiting` requests at most wait for the one
    that is being worked at. `keys` say who is let in, `shelf` which other collections there are; pages of `origins` may
    read responses in a browser.
    """
    inference = Threads(1, "inference", note_wait)
    metrics = Metrics(_VERSION)
    main = Service(ask, library, hits, Queue(waiting), inference, Threads(READING_THREADS, "reads"))
    collections = Collections(main, shelf)
    readiness = Threads(1, "readiness")  # its own: what goes through all articles holds up nobody's check

    assistants = Endpoint(max_body_bytes, origins)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with assistants.run():
            yield
        readiness.close()
        collections.close()

    app = FastAPI(
        title="Pullquote",
        version=_VERSION,
        description=_DESCRIPTION,
        # Not `include_router`, whose wrapping hides which methods a path takes.
        routes=[
            *questions.router.routes,
            *questions.unqueued.routes,
            *feedback.router.routes,
            *articles.router.routes,
            *collections_router.routes,
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
            *_cross_origin(origins),
            Middleware(Guard, max_body_bytes=max_body_bytes, respond=response_to),
            Middleware(Access, collections=collections, keys=keys),
            Middleware(Patience),
        ],
        exception_handlers={HTTPException: _http_error, RequestValidationError: _validation_error},
        redirect_slashes=False,
        docs_url=None,  # FastAPI's own pages load their scripts from the network
        redoc_url=None,
    )
    app.state.collections, app.state.keys = collections, keys
    app.state.metrics, app.state.readiness = metrics, readiness
    return app


@router.get("/v1/health", summary="Is the process running?", responses=open_to_all())
async def health() -> HealthJSON:
    """Answers as long as the process can; says nothing of the library."""
    return {"status": "ok", "version": _VERSION}


@router.get("/v1/ready", summary="Can questions be asked?", responses=open_to_all(500, 503))
async def ready(request: Request, service: ServiceOf) -> ReadyJSON:
    """Answers 200 where the library can be read; 503 while the models are being loaded, and as soon as the server is
    told to end."""
    service.queue.check()
    readiness: Threads = request.app.state.readiness
    await readiness.run(service.library.setting, "embedder")  # one row by its key, whatever the library's size
    return {"status": "ready"}


def _cross_origin(origins: Sequence[str]) -> list[Middleware]:
    """By default a browser lets no page of another site read a response."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", REQUEST_ID, *HEADERS],
            expose_headers=[REQUEST_ID, "Retry-After"],
        )
    ]


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
