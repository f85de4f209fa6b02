"""What every request passes first and every response last."""

import re
from asyncio import CancelledError
from collections.abc import Callable
from time import perf_counter
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.admission import Door
from server.errors import Refusal

MAX_BODY_BYTES = 32 * 1024 * 1024
"""A thousand articles of 32 kB each, or the longest one (`index.article.MAX_CHARACTERS`) in English; while a body is
read, memory holds it some four times over."""


HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
}
"""Of every response that does not set its own: opened as a page, it loads nothing and is in no other page's frame."""

REQUEST_ID = "X-Request-ID"

_TAKEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Guard:
    """Refuses large bodies, answers the errors nobody else did, and gives every response its `HEADERS` and the
    request's id: the client's own where it is one that can stand in any log, else a new one. `respond` makes the
    response to an error.

    Starlette's own limit on bodies answers in plain text, which is not our one shape.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int, respond: Callable[[Scope, Exception], Response]) -> None:
        self._app = app
        self._respond = respond
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get(REQUEST_ID, ""))
        scope.setdefault("state", {}).update(arrived=perf_counter(), request_id=request_id)
        received = 0
        started = False

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            self._check_size(received)
            return message

        async def send_marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(Headers(scope=scope))
            await self._app(scope, receive_counted, send_marked)
        except (Exception, CancelledError) as error:
            if started:
                raise
            # Only a server that ends, and has waited long enough, gives up a request whose client is still there.
            told = Door.ENDING.refusal if isinstance(error, CancelledError) else error
            await self._respond(scope, told)(scope, receive, send_marked)

    def _check(self, headers: Headers) -> None:
        declared = headers.get("content-length", "")
        if declared.isdecimal():
            self._check_size(int(declared))

    def _check_size(self, size: int) -> None:
        if size > self._max_body_bytes:
            limit = f"{self._max_body_bytes:,} bytes"
            raise Refusal(413, "content_too_large", f"the body is larger than {limit}; send it in parts")


def _request_id(given: str) -> str:
    return given if _TAKEN_ID.fullmatch(given) else uuid4().hex
