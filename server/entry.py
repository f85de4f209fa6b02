"""`Entry`: what is noted of a request while it is handled, for the log and the metrics."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qa.answer import Answer

LEFT = 499
"""The status noted where the client left before the response began; no HTTP status, but what proxies note too."""

NO_ROUTE = "none"
OTHER_METHOD = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with what the log and the metrics say of its answer."""

    question: str
    confidence: float
    reason: str | None
    milliseconds: dict[str, float]


@dataclass(slots=True)
class Entry:
    """A request and what became of it. But for the questions in `answers`, and for its `scope`, nothing of it is what
    the client sent; the request's id may be, where it can stand in any log.

    `status` is 0 until the response begins; `sent` counts the bytes of its body. `waits` are the seconds that each
    call waited for the inference thread, `codes` those of the errors it was answered with: several where it had
    several questions.
    """

    scope: Scope
    began: float = field(default_factory=perf_counter)
    seconds: float = 0.0
    status: int = 0
    sent: int = 0
    waits: list[float] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)

    @property
    def method(self) -> str:
        method: str = self.scope["method"]
        return method if method in _METHODS else OTHER_METHOD

    @property
    def route(self) -> str:
        """The template of the path, like `/v1/articles/{id}`, since the path may name an article."""
        endpoint = self.scope.get("endpoint")
        routes = self.scope["app"].routes if endpoint and "route" not in self.scope else ()
        # FastAPI names the routes of its own kind alone.
        plain = (one for one in routes if endpoint in (getattr(one, "endpoint", None), getattr(one, "app", None)))
        return getattr(self.scope.get("route") or next(plain, None), "path_format", NO_ROUTE)

    @property
    def request_id(self) -> str | None:
        return self._state("request_id")

    @property
    def key_id(self) -> str | None:
        return self._state("key_id")

    def _state(self, name: str) -> str | None:
        value: str | None = self.scope.get("state", {}).get(name)
        return value


_current: ContextVar[Entry | None] = ContextVar("entry", default=None)


def current() -> Entry:
    """The entry of the request that is being handled; outside of one, an entry that nobody keeps."""
    return _current.get() or Entry({})


def note_wait(seconds: float) -> None:
    current().waits.append(seconds)


def note_error(code: str) -> None:
    current().codes.append(code)


def note_answer(answer: Answer) -> None:
    reason = answer.reason.value if answer.reason else None
    current().answers.append(Answered(answer.question, answer.confidence, reason, answer.milliseconds))


class Entries:
    """Gives each of `keepers` the entry of every request, once its response has ended in whatever way."""

    def __init__(self, app: ASGIApp, keepers: Sequence[Callable[[Entry], None]]) -> None:
        self._app = app
        self._keepers = keepers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        entry = Entry(scope)

        async def receive_noted() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not entry.status:
                entry.status = LEFT
            return message

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = entry.status or message["status"]
            elif entry.status != LEFT:
                entry.sent += len(message.get("body", b""))
            await send(message)

        token = _current.set(entry)
        try:
            await self._app(scope, receive_noted, send_noted)
        finally:
            _close(entry)
            for keep in self._keepers:
                keep(entry)
            _current.reset(token)


def _close(entry: Entry) -> None:
    entry.seconds = perf_counter() - entry.began
    entry.status = entry.status or 500
    if entry.status == LEFT:
        entry.codes.clear()  # nobody was told
