"""Clients that are too slow are not waited for."""

from asyncio import get_running_loop, timeout, timeout_at

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import Refusal

PATIENCE_SECONDS = 30
"""How long a request may take to arrive, and a part of a response to be taken."""

LEAST_BYTES_PER_SECOND = 100_000
"""A long request is given more time: 32 MiB have five and a half minutes."""


class Patience:
    """Refuses a request that does not arrive in time (408), and ends a response that is not read: whoever reads one
    line of many at a time would keep a place in the queue meanwhile."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        due = get_running_loop().time() + PATIENCE_SECONDS
        received = 0
        arrived = False

        async def receive_in_time() -> Message:
            nonlocal received, arrived
            if arrived:
                return await receive()
            try:
                async with timeout_at(due + received / LEAST_BYTES_PER_SECOND):
                    message = await receive()
            except TimeoutError:
                text = "the request took too long to arrive; send it again"
                raise Refusal(408, "too_slow", text, {"Connection": "close"}) from None
            received += len(message.get("body", b""))
            arrived = not message.get("more_body", False)
            return message

        async def send_in_time(message: Message) -> None:
            try:
                async with timeout(PATIENCE_SECONDS):
                    await send(message)
            except TimeoutError:
                raise _Unread from None

        try:
            await self._app(scope, receive_in_time, send_in_time)
        except _Unread:
            return  # the server closes the connection of a response that is not complete


class _Unread(Exception):
    pass
