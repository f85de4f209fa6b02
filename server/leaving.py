"""Nothing is computed for a client that has left."""

from asyncio import CancelledError, Task, create_task, current_task, wait

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EMPTY = {"type": "http.request", "body": b"", "more_body": False}


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
        client = _Client(receive, send)
        if _is_bodiless(scope["method"], Headers(scope=scope)):
            client.watch([_EMPTY])
        try:
            await self._app(scope, client.receive, client.send)
        except CancelledError:
            if not client.left:
                raise
        finally:
            client.unwatch()


class _Client:
    """The other end of a request, for the task that handles it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._handling = current_task()
        self._unread: list[Message] = []
        self._watch: Task[None] | None = None
        self._responding = False
        self.left = False

    def watch(self, unread: list[Message]) -> None:
        """From now on, since there is no more of the body than the messages `unread`, which come the same way."""
        self._unread = unread
        self._watch = create_task(self._until_left())

    def unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    async def receive(self) -> Message:
        if self._watch is None:
            message = await self._receive()
            if not message.get("more_body", False):
                self.watch([])
            return message
        if self._unread:
            return self._unread.pop()
        await wait([self._watch])
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self._responding = True
        await self._send(message)

    async def _until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._responding and self._handling is not None:
            self.left = True
            self._handling.cancel()


def _is_bodiless(method: str, headers: Headers) -> bool:
    """From HTTP/2 on a body need not be declared, so that the method must say it too."""
    return method in ("GET", "HEAD", "DELETE") and not {"content-length", "transfer-encoding"} & set(headers)
