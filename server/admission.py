"""Where work is done and how much of it may wait, so that the event loop always has time for the next request."""

from asyncio import get_running_loop
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
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
    torch some memory.
    """

    def __init__(self, number: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(number, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result; calls are begun in the order they came."""
        return await get_running_loop().run_in_executor(self._executor, partial(function, *args, **kwargs))

    def close(self) -> None:
        """Wait for what is running; what has not begun is dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class Queue:
    """One place at work and `waiting` places behind it. For use on the event loop only."""

    def __init__(self, waiting: int = MAX_WAITING) -> None:
        self._free = waiting + 1

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request. Raises Refusal (429) at once where none is free."""
        if self._free == 0:
            raise Refusal(429, "overloaded", "too many requests are waiting; send this again in a second")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
