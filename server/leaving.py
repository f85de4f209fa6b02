"""Nothing is computed for a client that has left."""

from asyncio import CancelledError, Task, create_task, current_task, wait

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Leaving:
    """Cancels what handles a request when its client leaves before the response begins: wherever it waits for a turn,
    the turn is given up. A response that has begun is its sender's to end.

    A server tells only whoever asks for the request's next message, and while an answer is waited for nobody does.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        handling = current_task()
        assert handling is not None
        responding = left = False

        async def until_left() -> None:
            nonlocal left
            while (await receive())["type"] != "http.disconnect":
                pass
            if not responding:
                left = True
                handling.cancel()

        # Only once the body has been read, since its parts come the same way.
        unread: list[Message] = []
        watch: Task[None] | None = None
        if _is_bodiless(scope["method"], Headers(scope=scope)):
            unread.append({"type": "http.request", "body": b"", "more_body": False})
            watch = create_task(until_left())

        async def receive_watched() -> Message:
            nonlocal watch
            if unread:
                return unread.pop()
            if watch is not None:
                await wait([watch])
                return {"type": "http.disconnect"}
            message = await receive()
            if not message.get("more_body", False):
                watch = create_task(until_left())
            return message

        async def send_noted(message: Message) -> None:
            nonlocal responding
            responding = True
            await send(message)

        try:
            await self._app(scope, receive_watched, send_noted)
        except CancelledError:
            if not left:
                raise
            handling.uncancel()
        finally:
            if watch is not None:
                watch.cancel()


def _is_bodiless(method: str, headers: Headers) -> bool:
    """From HTTP/2 on a body need not be declared, so that the method must say it too."""
    return method in ("GET", "HEAD", "DELETE") and not {"content-length", "transfer-encoding"} & set(headers)
