"""What each collection is served by."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Thread
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Path, Request

from index.collection import MAIN, check_collection_name, is_collection_name
from index.errors import InvalidInput, PullquoteError
from index.library import AnyLibrary
from qa.answer import Ask
from server.admission import Threads
from server.errors import Refusal, declared
from server.keys import Key
from server.responses import CollectionJSON, CollectionsJSON
from server.service import Service, ServiceOf
from server.visit import VISIT


class Remembered:
    """Names that take time to find: what is known is told at once, and found anew beside where it has grown old."""

    def __init__(self, find: Callable[[], list[str]]) -> None:
        """Finds them a first time, and raises what that raises."""
        self._find = find
        self._names, self._at = find(), monotonic()

    def __call__(self) -> list[str]:
        if monotonic() - self._at > _OLD_SECONDS:
            self._at = monotonic()
            Thread(target=self._anew, daemon=True).start()
        return self._names

    def _anew(self) -> None:
        with suppress(PullquoteError):  # whoever wants an article is told
            self._names = self._find()


_OLD_SECONDS = 5.0

MAX_COLLECTIONS = 1_000
"""Each that was asked once is kept open, with its indexes in memory."""

Opened = tuple[Ask, AnyLibrary, int]
"""What answers, the articles, and how many passages are read where a question does not say."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where collections come from: `names` says which there are, `open` opens one, and makes it where it is not there.
    Their libraries are for whoever gave this to close."""

    names: Callable[[], list[str]]
    open: Callable[[str], Opened]


class Collections:
    """The services of a server's collections; but for the main one, each is opened when it is first asked for. They
    share their threads and the queue. One is opened at a time, by a thread of its own: who asks for others does not
    wait for it."""

    def __init__(self, main: Service, shelf: Shelf | None) -> None:
        """Without a shelf there is only the main one."""
        self.main = main
        self._shelf = shelf
        self._services = {MAIN: main}
        self._opening = Threads(1, "opening")

    async def seen_by(self, key: Key | None) -> tuple[str, ...]:
        """The names of those that a key sees, the main one first; without a key, of all."""
        names = await self.main.reads.run(self._names)
        return tuple(name for name in names if key is None or key.sees(name))

    async def service(self, name: str) -> Service | None:
        """None where there is no such collection."""
        return self._services.get(name) or await self._opening.run(self._found, name)

    async def make(self, name: str) -> bool:
        """Make a collection; false where it is there already. Raises InvalidInput where the name is none, or there are
        too many."""
        check_collection_name(name)
        return await self._opening.run(self._made, name)

    def close(self) -> None:
        """End the threads and save the indexes of all. Their libraries stay open, as the main one does."""
        self._opening.close()
        self.main.close()
        for service in self._services.values():
            service.library.save()

    def _names(self) -> list[str]:
        found = self._shelf.names() if self._shelf else [MAIN]
        return [*found, *sorted(self._services.keys() - set(found))]

    def _found(self, name: str) -> Service | None:
        if name not in self._services and is_collection_name(name) and name in self._names():
            self._services[name] = self._opened(name)
        return self._services.get(name)

    def _made(self, name: str) -> bool:
        names = self._names()
        if name in names:
            return False
        if len(names) >= MAX_COLLECTIONS or self._shelf is None:
            raise InvalidInput(f"this server has room for {len(names):,} collections, and no more")
        self._services[name] = self._opened(name)
        return True

    def _opened(self, name: str) -> Service:
        assert self._shelf is not None
        ask, library, hits = self._shelf.open(name)
        return replace(self.main, ask=ask, library=library, hits=hits)


Name = Annotated[str, Path(description="Up to 64 small letters, digits and `_`.")]

router = APIRouter(tags=["collections"])


@router.get("/v1/collections", summary="List collections", responses=declared(500))
async def list_collections(request: Request) -> CollectionsJSON:
    """The names of the collections that you can see. The paths of one have `/c/NAME` before them."""
    return {"collections": list(await collections_of(request).seen_by(VISIT.get().key))}


@router.put("/v1/collections/{name}", summary="Make a collection", responses=declared(422, 500, 503, 507))
async def make_collection(name: Name, request: Request, service: ServiceOf) -> CollectionJSON:
    """Make an empty collection, unless it is there. With keys it takes one that may do everything, and sees it."""
    key = VISIT.get().key
    if key is not None and not key.sees(name):
        raise not_found()
    with service.queue.place():
        return {"name": name, "made": await collections_of(request).make(name)}


def not_found() -> Refusal:
    """Of what is not there, or is not for the key to see."""
    return Refusal(404, "collection_not_found", "there is no such collection; see: GET /v1/collections")


def collections_of(request: Request) -> Collections:
    collections: Collections = request.app.state.collections
    return collections
