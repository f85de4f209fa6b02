"""The parts of a file, its members or records: one that ends the process that parses it does not cost the others."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Part = TypeVar("Part")
Path = tuple[int, ...]
"""Which part: its number, within that part the number of another, and so on."""


class Parts:
    """Of the file that messages name `where`. Tells `announce` the path and the name of each part before it is read,
    and leaves out all parts up to and with the one at `after`."""

    def __init__(
        self, where: str = "", after: Path = (), announce: Callable[[Path, str], None] = lambda path, where: None
    ) -> None:
        self._present: tuple[Path, str] = (), where
        self._after = after
        self._announce = announce

    def of(self, named: Iterable[tuple[str, Part]]) -> Iterator[tuple[str, Part]]:
        """The parts with their names. Those of a part may be asked for while it is being read."""
        around = self._present
        for number, (where, part) in enumerate(named):
            path = (*around[0], number)
            if path == self._after or path < self._after[: len(path)]:
                continue
            self._present = path, where
            self.go_on()
            yield where, part
            self._present = around

    def go_on(self) -> None:
        """Announce the present part, again."""
        self._announce(*self._present)


_parts = Parts()


def parts(named: Iterable[tuple[str, Part]]) -> Iterator[tuple[str, Part]]:
    """The parts of a file, each with how messages name it. A format with many articles reads each of them within a
    step of this loop: where one crashes, hangs or takes too much memory, reading goes on behind it."""
    return _parts.of(named)


def go_on() -> None:
    """Say that the present part is still being read, and may take as much time again: it has pages, and this is one."""
    _parts.go_on()


def use(these: Parts) -> None:
    """Have `parts` go by these; a process reads one file at a time."""
    global _parts
    _parts = these
