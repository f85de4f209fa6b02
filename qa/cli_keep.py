"""The commands that keep a library: doctor, backup, restore, reindex, compact."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from index.backup import backup as write_backup
from index.backup import restore as read_backup
from index.compact import compact as compact_library
from index.doctor import Report, check, repair
from index.embed import DEFAULT_EMBEDDER, Embedder, Runtime, load_embedder
from index.errors import ModelNotFound
from index.files import database, kept_files, size
from index.finding import Finding, Kind
from index.library import Library
from index.milvus_address import milvus_address
from index.reindex import reindex as reindex_library
from index.salvage import embedder_name
from qa import cli_show as show
from qa.cli_options import (
    DirectoryOption,
    EmbedderOption,
    JSONOption,
    LibraryOption,
    RuntimeOption,
    Stoppable,
    err,
    open_articles,
    out,
    print_json,
)

_DAMAGED = 65
_NOT_MENDED = 1

_STYLES = {Kind.TRUTH: ("damaged", "bold red"), Kind.DERIVED: ("error", "red"), Kind.WARNING: ("warning", "yellow")}


def doctor(
    library: LibraryOption,
    mend: Annotated[bool, typer.Option("--repair", help="Mend what can be made again from the articles.")] = False,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
    as_json: JSONOption = False,
) -> None:
    """Check everything in a library against everything else, and say what is wrong and what to do about it.

    The articles are the truth; passages, vectors and indexes are made from them, and `--repair` makes them again where
    they are damaged. It never removes an article: those that are damaged are named, so that you can add them again or
    restore a backup.

    Exit code 0 where all is well, or mended; 65 where articles or feedback are damaged; 1 where anything else is, and
    not mended.
    """
    with err.status("Checking …") as status:

        def tell(text: str) -> None:
            status.update(f"Checking: {text} …")

        if milvus_address(library):
            report = _milvus_report(library, mend, tell)
        else:
            examine = repair if mend else check
            report = examine(library, _embedder_for(library, embedder, runtime), tell)
    if as_json:
        print_json({"library": str(library), **_report_json(report)})
    else:
        _print_report(report)
    code = _DAMAGED if report.has(Kind.TRUTH) else _NOT_MENDED if report.has(Kind.DERIVED) else 0
    raise typer.Exit(code)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the backup is written.")],
    library: DirectoryOption,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JSONOption = False,
) -> None:
    """Write a backup of a library to one file, while others may search and write.

    It holds all articles with their passages and vectors, as of one moment, and is checked before it gets its name. The
    indexes are not in it: `pullquote restore FILE` builds them. Keep the SHA-256 that is printed to see later whether
    the file is still the same.
    """
    with progress() as (advance, tell):
        written = write_backup(library, file, force=force, advance=advance, tell=tell)
    if as_json:
        print_json(asdict(written) | {"path": str(written.path)})
    else:
        counted = f"{written.articles:,} articles, {written.passages:,} passages, {_megabytes(written.bytes)}"
        out.print(show.safe(f"{file}: {counted}, SHA-256 {written.sha256}"), soft_wrap=True)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `pullquote backup` wrote.")],
    library: DirectoryOption,
    force: Annotated[
        bool, typer.Option("--force", help="Also where there are articles; their database is kept beside the new one.")
    ] = False,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
    as_json: JSONOption = False,
) -> None:
    """Make a library of a backup, and build its indexes.

    The backup is checked first, and the library is the old one or the whole new one. For example:
    `pullquote --library NEW restore backup.db`

    With `--force` the library that is there is replaced. Its database is kept, as pullquote.db.before-restore, until
    you remove it: to have it back, restore that. No other process may have the library open: end `pullquote serve`.
    """
    with progress() as (advance, tell):
        restored = read_backup(file, library, force=force, advance=advance, tell=tell)
    built = _build_indexes(library, embedder, runtime)
    if as_json:
        kept = restored.kept and str(restored.kept)
        print_json({"library": str(library), **asdict(restored), "kept": kept, "indexes_built": built})
    else:
        counted = f"{restored.articles:,} articles, {restored.passages:,} passages"
        out.print(show.safe(f"{counted} restored to {library}"), soft_wrap=True)
        if restored.kept is not None:
            out.print(show.safe(f"what was there is kept as {restored.kept}"), soft_wrap=True)


def reindex(
    library: DirectoryOption,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
    as_json: JSONOption = False,
) -> None:
    """Make all passages and vectors anew, with another embedder or the library's own.

    Do it to change the embedder (`--embedder NAME`), or when a new version of pullquote cuts articles in another way.
    The library goes on to answer and to take articles with the old ones until all are ready; then they are exchanged
    at once. Interrupt at any time and run the same command again to go on; `pullquote doctor --repair` gives it up.

    It takes as long as adding all articles did, and for that time twice the room.
    """
    name = embedder or embedder_name(database(library)) or DEFAULT_EMBEDDER
    loaded = load_embedder(name, runtime)
    with progress("Embedding", "articles") as (advance, _), Stoppable() as stopped:
        articles, passages = reindex_library(library, loaded, advance)
    if stopped.code is not None:
        said = "Interrupted. What is done is kept, and the library as it was; run the same command again to go on."
        err.print(said, soft_wrap=True)
        raise typer.Exit(stopped.code)
    with Stoppable() as stopped, err.status("Building the indexes …"), Library(library, loaded) as opened:
        opened.settle()
    if stopped.code is not None:
        err.print("Interrupted. The library has the new passages; the first question will build its indexes.")
        raise typer.Exit(stopped.code)
    if as_json:
        print_json({"articles": articles, "passages": passages, "embedder": loaded.name})
    else:
        out.print(
            show.safe(f"{articles:,} articles in {passages:,} passages, embedded by {loaded.name}"), soft_wrap=True
        )


def compact(
    library: DirectoryOption,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
    as_json: JSONOption = False,
) -> None:
    """Give back the room of removed articles, and make sure that nothing of their text is left in the library's files.

    A removed article is never found or quoted again, but its words stay in the files until they are written anew, which
    this does. It takes as much free room as the database has, for as long as it runs. Backups are files of their own.
    Feedback stays, with what it quotes.
    """
    before = size(library)
    with err.status("Writing the database anew …"):
        compact_library(library)
    built = _build_indexes(library, embedder, runtime)
    after = size(library)
    if as_json:
        print_json({"bytes_before": before, "bytes_after": after, "indexes_built": built})
    else:
        out.print(f"{_megabytes(before)} before, {_megabytes(after)} after")
    for path in kept_files(library):
        err.print(show.safe(f"{path} is kept, with all that is in it; remove it if nobody needs it"), soft_wrap=True)


def _milvus_report(library: Path, mend: bool, tell: Callable[[str], None]) -> Report:
    with open_articles(library) as opened:
        from index.milvus_doctor import check_milvus  # as `open_at` does, which has told whoever lacks the extra

        return check_milvus(opened, mend=mend, tell=tell)


def _embedder_for(library: Path, name: str | None, runtime: Runtime | None) -> Embedder | None:
    """The embedder named, else the library's own, or None, and a word why, where that is not on this machine."""
    if name is not None:
        return load_embedder(name, runtime)
    try:
        loaded = load_embedder(embedder_name(database(library)) or DEFAULT_EMBEDDER, runtime)
    except ModelNotFound as error:
        err.print(show.safe(f"no embedder: {error}"), soft_wrap=True)
        return None
    return loaded


def _build_indexes(library: Path, name: str | None, runtime: Runtime | None) -> bool:
    """Whether they are there: without an embedder the first question has to build them."""
    loaded = _embedder_for(library, name, runtime)
    if loaded is None:
        return False
    with err.status("Building the indexes …"), Library(library, loaded) as opened:
        opened.settle()
    return True


@contextmanager
def progress(
    description: str = "Copying", unit: str = "pages"
) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """Shows how much is done of how much, or in words what is being done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[done]}"), console=err, disable=not err.is_terminal) as progress:
        task = progress.add_task(description, total=None, done="")
        began, first = perf_counter(), -1

        def advance(done: int, total: int) -> None:
            nonlocal first
            first = done if first < 0 else first  # what an interrupted run had done says nothing of the speed
            speed = f", {(done - first) / (perf_counter() - began):,.1f} a second" if done > first else ""
            progress.update(task, completed=done, total=total, done=f"{done:,} of {total:,} {unit}{speed}")

        yield advance, lambda text: progress.update(task, description=f"Checking {text}", done="")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _report_json(report: Report) -> dict[str, object]:
    return {
        "articles": report.articles,
        "passages": report.passages,
        "findings": [_finding_json(finding) for finding in report.findings],
        "mended": [_finding_json(finding) for finding in report.mended],
        "skipped": list(report.skipped),
    }


def _finding_json(finding: Finding) -> dict[str, object]:
    severity = "warning" if finding.kind is Kind.WARNING else "error"
    return {**asdict(finding), "severity": severity}


def _print_report(report: Report) -> None:
    for finding in report.findings:
        label, style = _STYLES[finding.kind]
        out.print(Text.assemble((f"{label:8} ", style), show.safe(finding.message)), soft_wrap=True)
        out.print(Text.assemble("         ", (show.safe(finding.remedy).plain, "dim")), soft_wrap=True)
        if finding.kind is Kind.TRUTH:
            for one in finding.articles:
                out.print(show.safe(f"         {one.id}  {one.origin or ''}"), soft_wrap=True)
    for finding in report.mended:
        out.print(Text.assemble(("mended   ", "green"), show.safe(finding.message)), soft_wrap=True)
    for reason in report.skipped:
        out.print(Text.assemble(("skipped  ", "dim"), show.safe(reason)), soft_wrap=True)
    counted = f"{report.articles:,} articles and {report.passages:,} passages are as they should be"
    out.print(counted)
