"""What every route works with."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from index.library import AnyLibrary
from qa.answer import Ask
from server.admission import Queue, Threads


@dataclass(frozen=True, slots=True)
class Service:
    """Whatever keeps a core busy or writes takes a place in `queue` and is done in `inference`, a single thread;
    what only reads is done in `reads` and never waits for it. `hits` passages are read where a question does not say
    how many."""

    ask: Ask
    library: AnyLibrary
    hits: int
    queue: Queue
    inference: Threads
    reads: Threads

    def close(self) -> None:
        """End the threads and save the library's indexes for the next start. The library stays open."""
        self.inference.close()
        self.reads.close()
        self.library.save()


# A coroutine, because FastAPI would run a plain function in a thread.
async def _service(request: Request) -> Service:
    return service_of(request)


def service_of(request: Request) -> Service:
    """That of the request's collection."""
    service: Service = request.state.service
    return service


async def _arrived(request: Request) -> float:
    arrived: float = request.state.arrived
    return arrived


ServiceOf = Annotated[Service, Depends(_service)]
ArrivedOf = Annotated[float, Depends(_arrived)]
"""When the request came, in seconds of `perf_counter`."""
