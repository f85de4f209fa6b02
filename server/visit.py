"""What is known of a request wherever it is worked at: by whom it is, and for which collection."""

from contextvars import ContextVar
from dataclasses import dataclass

from index.collection import MAIN
from server.keys import Key, Right


@dataclass(frozen=True, slots=True)
class Visit:
    """`root` comes before every path of the collection; `collections` are those that can be seen, for the pages."""

    root: str = ""
    key: Key | None = None
    collection: str = MAIN
    collections: tuple[str, ...] = (MAIN,)

    @property
    def may_write(self) -> bool:
        return self.key is None or self.key.right.includes(Right.WRITE)


_NOBODY = Visit()

VISIT: ContextVar[Visit] = ContextVar("visit", default=_NOBODY)
