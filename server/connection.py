"""Connections that nothing comes or goes over are closed."""

from asyncio import BaseTransport
from math import inf

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

IDLE_SECONDS = 30
"""How long the head of a request may take to arrive, beginning when the response before it was made; an idle connection
is kept as long for a client's next question."""


class Connection(H11Protocol):
    """uvicorn's, which itself would wait forever for a first request, for the end of a head once it has begun, and for
    a client to take what is left of a response, or the next of its parts."""

    _resumed = 0
    """How often a client has taken so much that there was more to send."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._look_later(None, inf)

    def on_response_complete(self) -> None:
        cycle = self.cycle
        super().on_response_complete()
        self._look_later(cycle, inf)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_at_pause_later(self._resumed, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._resumed += 1

    def _look_later(self, last: RequestResponseCycle | None, unsent: float) -> None:
        self.loop.call_later(IDLE_SECONDS, self._look, last, unsent)

    def _look(self, last: RequestResponseCycle | None, unsent: float) -> None:
        if self.cycle is not last:
            return  # another request has begun
        left = self.transport.get_write_buffer_size()
        if left == 0:
            self.transport.close()
        elif left < unsent:
            self._look_later(last, left)
        else:
            self.transport.abort()

    def _look_at_pause_later(self, resumed: int, unsent: int) -> None:
        self.loop.call_later(IDLE_SECONDS, self._look_at_pause, resumed, unsent)

    def _look_at_pause(self, resumed: int, unsent: int) -> None:
        if self._resumed != resumed:
            return
        left = self.transport.get_write_buffer_size()
        if left < unsent:
            self._look_at_pause_later(resumed, left)
        else:
            self.transport.abort()
