"""`pullquote add`: files and pages to articles to the library, with progress and an account of what was left out."""

import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from index.article import Article
from index.embed import DEFAULT_EMBEDDER
from index.errors import InvalidInput, NotFetched, UnreadableArticle
from index.formats import NAMED, Format, Item, Skipped, find_files, read_file, read_open
from index.formats.columns import FIELDS, read_columns
from index.language import ENGLISH
from index.library import AnyLibrary, Outcome
from qa import cli_show as show
from qa.cli_fetch import is_address
from qa.cli_options import Stoppable

if TYPE_CHECKING:
    from index.fetch import Fetcher

_STANDARD_INPUT = "standard input"
_MAX_REPORTED = 20
_FAILED = 1


FormatOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"What standard input and the files that are named are: {', '.join(sorted(NAMED))}.",
        show_default="by its ending, else by its beginning",
    ),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        metavar="FIELD=COLUMN,…",
        help=f"Which columns of tables have which fields: {', '.join(FIELDS)}.",
        show_default="by their names",
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", help="Processes that embed, each on its share of the cores.", show_default="this one alone"
    ),
]


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: those that are named, and standard input, as `format` if there is one; tables with
    `columns`."""

    format: Format | None
    columns: Mapping[str, str]


def make_reading(format: str | None, columns: str | None) -> Reading:
    """Raises InvalidInput where there is no such format, or the columns are not written as they should."""
    if format is not None and format not in NAMED:
        raise InvalidInput(f"there is no format {format!r}; there are: {', '.join(sorted(NAMED))}")
    return Reading(NAMED[format] if format else None, read_columns(columns) if columns else {})


class _Account:
    """Counts what became of everything, and moves a progress bar by the bytes of files."""

    def __init__(self, progress: Progress) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.skipped: list[Skipped] = []
        self.unreadable: list[UnreadableArticle] = []
        self.languages: Counter[str] = Counter()
        self._progress = progress
        self._task = progress.add_task("Adding", total=0, done="")
        self._began = perf_counter()
        self._bytes: dict[str, float] = defaultdict(float)
        self._reached = 0.0

    def expect(self, size: int) -> None:
        self._progress.update(self._task, total=(self._progress.tasks[0].total or 0) + size)

    def reach(self, share: float) -> None:
        """So much of the present file is read with the next item."""
        self._reached = share

    def take(self, items: Iterable[Item], size: int) -> Iterator[Article]:
        """The articles among the items of one file of `size` bytes; each is worth those read since the one before."""
        taken = self._reached = 0.0
        for item in items:
            worth, taken = max(0.0, self._reached - taken) * size, max(taken, self._reached)
            if isinstance(item, Article):
                self._bytes[item.id] += worth
                yield item
            else:
                self.unreadable.append(item)
                self._progress.advance(self._task, worth)
        self._progress.advance(self._task, (1 - taken) * size)

    def acknowledge(self, article: Article, outcome: Outcome) -> None:
        self.outcomes[outcome] += 1
        self.languages.update([article.language] if article.language else [])
        done = f"{self.total:,} articles, {self.total / (perf_counter() - self._began):.1f} a second"
        self._progress.update(self._task, advance=self._bytes.pop(article.id, 0), done=done)

    @property
    def total(self) -> int:
        return self.outcomes.total()


def add_files(
    library: AnyLibrary,
    names: list[str],
    reading: Reading,
    fetcher: "Fetcher | None",
    workers: int,
    out: Console,
    err: Console,
) -> int:
    """Add everything under the names of files and folders and, where there is a fetcher, at the addresses among them;
    returns the exit code: 0, 1 where something could not be read, 130 after Ctrl-C and 143 where the process was asked
    to end."""
    paths = [Path(name) for name in names if not is_address(name)]
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[done]}"), console=err, disable=not err.is_terminal) as progress:
        account = _Account(progress)
        with Stoppable() as stopped:
            library.add(_articles(paths, reading, account), account.acknowledge, workers)
            if fetcher is not None:
                for address in filter(is_address, names):
                    _add_page(library, address, reading, fetcher, account)
    out.print(", ".join(f"{account.outcomes[outcome]:,} {outcome}" for outcome in Outcome))
    report_left_out(account.skipped, account.unreadable, err)
    others = Counter({language: count for language, count in account.languages.items() if language != ENGLISH})
    if others and library.embedder_name == DEFAULT_EMBEDDER:
        named = ", ".join(f"{count:,} × {language}" for language, count in others.most_common(_MAX_REPORTED))
        said = f"{others.total():,} articles are in languages that the models of this library do not know: {named}"
        err.print(f"{said}; see docs/MODELS.md", soft_wrap=True)
    if stopped.code is not None:
        err.print("Interrupted. What is counted above is stored; run the same command again to go on.")
        return stopped.code
    with Stoppable() as stopped, err.status("Building the indexes …"):
        library.settle()
    if stopped.code is not None:
        err.print("Interrupted. Everything is stored; the first question will build the indexes.")
        return stopped.code
    return _FAILED if account.unreadable else 0


def report_left_out(skipped: Sequence[Skipped], unreadable: Sequence[UnreadableArticle], err: Console) -> None:
    if skipped:
        endings = Counter(one.path.suffix.lower() or "no ending" for one in skipped)
        named = ", ".join(f"{count:,} × {ending}" for ending, count in endings.most_common())
        err.print(show.safe(f"skipped {len(skipped):,} files of no known format: {named}"))
    for error in unreadable[:_MAX_REPORTED]:
        err.print(show.safe(f"not read: {error}"), soft_wrap=True)
    if len(unreadable) > _MAX_REPORTED:
        err.print(f"… and {len(unreadable) - _MAX_REPORTED:,} more that could not be read")


def _articles(paths: list[Path], reading: Reading, account: _Account) -> Iterator[Article]:
    files = []
    for path in paths:
        for entry in find_files([path]) if str(path) != "-" else []:
            if isinstance(entry, Skipped):
                account.skipped.append(entry)
            elif isinstance(entry, UnreadableArticle):
                account.unreadable.append(entry)
            else:
                size = entry.stat().st_size if entry.is_file() else 0  # what is none is reported when it is read
                files.append((entry, reading.format if entry == path else None, size))
                account.expect(size)
    if Path("-") in paths:
        yield from _standard_input(reading, account)
    for file, format, size in files:
        yield from account.take(read_file(file, format, reading.columns, account.reach), size)


def _add_page(library: AnyLibrary, address: str, reading: Reading, fetcher: "Fetcher", account: _Account) -> None:
    """Add what is at an address: fetched and read before the library is locked."""
    from index.fetch import Version, known_article, read_page  # there is a fetcher, so that this is imported

    known = known_article(library, address)
    try:
        page = fetcher.fetch(address, Version.among(known.metadata if known else {}))
    except NotFetched as error:
        account.unreadable.append(error)
        return
    if page is not None:
        library.add(account.take(list(read_page(page, reading.columns)), 0), account.acknowledge)
    elif known is not None:
        account.acknowledge(known, Outcome.UNCHANGED)


def _standard_input(reading: Reading, account: _Account) -> Iterator[Article]:
    with TemporaryFile() as copy:  # a pipe can be neither looked into nor read twice
        shutil.copyfileobj(sys.stdin.buffer, copy)
        size = copy.tell()
        copy.seek(0)
        account.expect(size)
        with open(copy.fileno(), "rb", closefd=False) as file:
            items = read_open(file, _STANDARD_INPUT, reading.format, reading.columns, account.reach)
            yield from account.take(items, size)
