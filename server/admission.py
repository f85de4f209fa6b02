"""Where work is done and how much of it may wait, so that the event loop always has time for the next request."""

import math
from asyncio import CancelledError, gather, wait, wrap_future
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from enum import Enum
from functools import partial
from time import perf_counter
from typing import ParamSpec, TypeVar

from server.errors import Refusal

MAX_WAITING = 32
"""Requests that may wait for the inference thread: some ten seconds of questions at a third of a second each,
after which most people have gone."""

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """Threads that live as long as the server.

    Not anyio's, which come and go: the library keeps a database connection for every thread that ever used it, and
    torch some memory. A call sees the context variables of its request.
    """

    def __init__(self, number: int, name: str, note_wait: Callable[[float], None] = lambda seconds: None) -> None:
        """`note_wait` is told how many seconds each call waited, in the context of its request."""
        self._executor = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._note_wait = note_wait

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result; calls are begun in the order they came. When this is cancelled, a call that has not
        begun is dropped, and one that has is waited for: it keeps the thread."""
        return await _result(self._submit(partial(function, *args, **kwargs)))

    async def run_by(self, deadline: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, for a call that nobody needs after `deadline`, in seconds of `perf_counter`. Raises Refusal (503)
        at that time where it has not begun."""
        return await _result(self._submit(partial(function, *args, **kwargs)), deadline)

    def close(self) -> None:
        """Wait for what is running; what has not begun is dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, function: Callable[[], T]) -> Future[T]:
        submitted = perf_counter()

        def begin() -> T:
            self._note_wait(perf_counter() - submitted)
            return function()

        def given_up(call: Future[T]) -> None:
            if call.cancelled():
                self._note_wait(perf_counter() - submitted)

        call = self._executor.submit(copy_context().run, begin)
        call.add_done_callback(given_up)
        return call


class Door(Enum):
    """Whether a queue takes anybody."""

    LOADING = "the models are being loaded; send this again in a few seconds"
    OPEN = ""
    ENDING = "the server is about to end; send this again when it has been started anew"

    @property
    def refusal(self) -> Refusal:
        # What is sent again over another connection may reach another server.
        return Refusal(503, self.name.lower(), self.value, {"Connection": "close"} if self is Door.ENDING else {})


class Queue:
    """One place at work and `waiting` places behind it. For use on the event loop only."""

    def __init__(self, waiting: int = MAX_WAITING) -> None:
        self.door = Door.OPEN
        self._places = self._free = waiting + 1

    @property
    def empty(self) -> bool:
        return self._free == self._places

    @property
    def working(self) -> int:
        """Requests at work, 0 or 1."""
        return 0 if self.empty else 1

    @property
    def waiting(self) -> int:
        """Requests behind the one at work."""
        return self._places - self._free - self.working

    def check(self) -> None:
        """Raises Refusal (503) unless the door is open."""
        if self.door is not Door.OPEN:
            raise self.door.refusal

    def check_room(self) -> None:
        """Raises Refusal where no place is free (429) or nobody is let in (503)."""
        self.check()
        if self._free == 0:
            raise Refusal(429, "overloaded", "too many requests are waiting; send this again in a second")

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request. Raises Refusal at once, as `check_room` does."""
        self.check_room()
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


async def _result(call: Future[T], deadline: float = math.inf) -> T:
    waiting = wrap_future(call)
    try:  # by `wait`, which leaves the call alone when this is cancelled
        await wait([waiting], timeout=None if math.isinf(deadline) else max(0.0, deadline - perf_counter()))
        if not waiting.done() and call.cancel():
            raise Refusal(503, "out_of_time", "the time given was over before anything could be read; send this again")
        await wait([waiting])
    except CancelledError:
        if not call.cancel():
            await gather(waiting, return_exceptions=True)
        raise
    return waiting.result()
