"""`pullquote add`: files to articles to the library, with progress and an account of what was left out and why."""

import sys
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from index.article import Article
from index.errors import UnreadableArticle
from index.formats import NAMED, Item, Skipped, find_files, read, read_file
from index.formats.reading import MAX_FILE_BYTES
from index.library import AnyLibrary, Outcome
from qa import cli_show as show
from qa.cli_options import Stoppable

_STANDARD_INPUT = "standard input"
_MAX_REPORTED = 20
_FAILED = 1


class Format(StrEnum):
    """What standard input can hold."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    RECORDS = "records"


class _Account:
    """Counts what became of everything, and moves a progress bar by the bytes of files."""

    def __init__(self, progress: Progress) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.skipped: list[Skipped] = []
        self.unreadable: list[UnreadableArticle] = []
        self._progress = progress
        self._task = progress.add_task("Adding", total=0, done="")
        self._began = perf_counter()
        self._bytes: dict[int, float] = {}

    def expect(self, size: int) -> None:
        self._progress.update(self._task, total=(self._progress.tasks[0].total or 0) + size)

    def take(self, items: list[Item], size: int) -> Iterator[Article]:
        """The articles among the items of one file of `size` bytes; each is worth its share of them."""
        share = size / len(items) if items else size
        for item in items:
            if isinstance(item, Article):
                self._bytes[id(item)] = share
                yield item
            else:
                self.unreadable.append(item)
                self._progress.advance(self._task, share)

    def acknowledge(self, article: Article, outcome: Outcome) -> None:
        self.outcomes[outcome] += 1
        done = f"{self.total:,} articles, {self.total / (perf_counter() - self._began):.1f} a second"
        self._progress.update(self._task, advance=self._bytes.pop(id(article), 0), done=done)

    @property
    def total(self) -> int:
        return self.outcomes.total()


def add_files(library: AnyLibrary, paths: list[Path], format: Format | None, out: Console, err: Console) -> int:
    """Add everything under the paths; returns the exit code: 0, 1 where something could not be read, 130 after
    Ctrl-C and 143 where the process was asked to end."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[done]}"), console=err, disable=not err.is_terminal) as progress:
        account = _Account(progress)
        with Stoppable() as stopped:
            library.add(_articles(paths, format, account), account.acknowledge)
    out.print(", ".join(f"{account.outcomes[outcome]:,} {outcome}" for outcome in Outcome))
    if account.skipped:
        endings = Counter(skipped.path.suffix.lower() or "no ending" for skipped in account.skipped)
        named = ", ".join(f"{count:,} × {ending}" for ending, count in endings.most_common())
        err.print(show.safe(f"skipped {len(account.skipped):,} files of no known format: {named}"))
    for error in account.unreadable[:_MAX_REPORTED]:
        err.print(show.safe(f"not read: {error}"), soft_wrap=True)
    if len(account.unreadable) > _MAX_REPORTED:
        err.print(f"… and {len(account.unreadable) - _MAX_REPORTED:,} more that could not be read")
    if stopped.code is not None:
        err.print("Interrupted. What is counted above is stored; run the same command again to go on.")
        return stopped.code
    with Stoppable() as stopped, err.status("Building the indexes …"):
        library.settle()
    if stopped.code is not None:
        err.print("Interrupted. Everything is stored; the first question will build the indexes.")
        return stopped.code
    return _FAILED if account.unreadable else 0


def _articles(paths: list[Path], format: Format | None, account: _Account) -> Iterator[Article]:
    files = []
    for entry in find_files([path for path in paths if str(path) != "-"]):
        if isinstance(entry, Skipped):
            account.skipped.append(entry)
        elif isinstance(entry, UnreadableArticle):
            account.unreadable.append(entry)
        else:
            size = entry.stat().st_size if entry.is_file() else 0  # what is none is reported when it is read
            files.append((entry, size))
            account.expect(size)
    if Path("-") in paths:
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        account.expect(len(data))
        if len(data) > MAX_FILE_BYTES:
            account.unreadable.append(UnreadableArticle(_STANDARD_INPUT, f"it is over {MAX_FILE_BYTES >> 20} MiB"))
        else:
            yield from account.take(
                list(read(data, _STANDARD_INPUT, NAMED[format.value] if format else None)), len(data)
            )
    for file, size in files:
        yield from account.take(list(read_file(file)), size)
