"""`pullquote bulk`: very many articles into a library on a Milvus server, by many processes."""

from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from index.batch import Outcome
from index.errors import InvalidInput, UnreadableArticle
from index.formats import Skipped, find_files
from index.formats.columns import read_columns
from qa.cli_add import ColumnsOption, report_left_out
from qa.cli_keep import progress
from qa.cli_options import EmbedderOption, LibraryOption, Stoppable, embedder_for, err, milvus_token, out

_FAILED = 1


def bulk(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Files and folders, which every process finds there.")
    ],
    library: LibraryOption,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Processes that embed.")] = 2,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", envvar="RAY_ADDRESS", help="Of Ray's cluster.", show_default="this machine"),
    ] = None,
    columns: ColumnsOption = None,
    embedder: EmbedderOption = None,
) -> None:
    """Add very many articles to a library on a Milvus server, by processes of Ray's on this machine or a cluster. Files
    are read side by side, so several are best: JSON Lines, Parquet, or what else `add` takes.

    An article that is there already is left alone; of several with one id the last is added. Kill it at any time and
    run the same command again to go on. What cannot be read is reported and the rest goes on; the exit code is then 1.
    """
    found = find_files(paths)
    files = [entry for entry in found if isinstance(entry, Path)]
    skipped = [entry for entry in found if isinstance(entry, Skipped)]
    unreadable = [entry for entry in found if isinstance(entry, UnreadableArticle)]
    fields = read_columns(columns) if columns else {}
    job = _bulk()
    job.server_address(library)
    with Stoppable() as stopped, job.started(workers, cluster) as threads:
        target = job.Target(library, embedder_for(library, embedder), milvus_token())
        with progress("Adding", "articles") as (advance, _):
            filled = job.fill(target, files, fields, workers, threads, advance)
    if stopped.code is not None:
        err.print("Interrupted. What is added is stored; run the same command again to go on.")
        raise typer.Exit(stopped.code)
    out.print(", ".join(f"{filled.outcomes[outcome]:,} {outcome}" for outcome in Outcome))
    if filled.superseded:
        err.print(f"{filled.superseded:,} have the id of a later one, which was taken")
    report_left_out(skipped, [*unreadable, *filled.unreadable], err)
    raise typer.Exit(_FAILED if unreadable or filled.unreadable else 0)


def _bulk() -> ModuleType:
    """Seconds that no other command waits for, and not everybody has it. Raises InvalidInput."""
    try:
        from index import bulk
    except ModuleNotFoundError as error:
        raise InvalidInput(f"bulk needs {error.name}; install it with: pip install 'pullquote[ray]'") from None
    return bulk
