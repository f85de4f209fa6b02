"""`pullquote watch`: a folder and the library kept in step."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import strftime
from typing import Annotated

import typer

from index.article import Article
from index.base import AnyLibrary
from index.batch import Outcome
from index.errors import ArticleNotFound, InvalidInput, LibraryBusy, UnreadableArticle
from index.formats import FORMATS, file_of, find_files, origin_of, read_file
from qa import cli_show as show
from qa.cli_options import EmbedderOption, LibraryOption, RuntimeOption, Stoppable, err, open_library, out

_STEP_MS = 200
"""A file is read when it has not changed for so long."""

_LONGEST_MS = 2_000
"""However much goes on changing, what has changed is read after this."""

_TURN_MS = 1_000
"""How often it is looked whether there is something to do: at first, and after another process was writing."""


def watch(
    folder: Annotated[Path, typer.Argument(help="A folder with articles.")],
    library: LibraryOption,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
) -> None:
    """Keep the library in step with a folder: files that are new, changed or removed there are so in the library too,
    within seconds, until Ctrl-C. First what happened before is caught up with.

    Files that hold several articles (JSON Lines, archives, feeds …) are read again when they change, but what is left
    out of them stays in the library.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder")
    with open_library(library, embedder, runtime, create=True) as opened, Stoppable():
        follow(opened, folder.resolve(), _changes(folder))
    err.print("What is told above is stored.")


def follow(library: AnyLibrary, folder: Path, changes: Iterable[set[Path]]) -> None:
    """Take in each set of paths that have changed; with the first, when nothing more is missed, all that is there."""
    waiting: set[Path] = set()
    for number, changed in enumerate(changes):
        if number == 0:
            err.print(show.safe(f"watching {folder}; Ctrl-C ends it"), soft_wrap=True)
            waiting = _files([folder]) | _gone(library, folder)
        ours = [path for path in changed if _is_ours(path, folder)]
        # Of a folder too: what was in it before it was watched may not have been told.
        waiting |= _files([path for path in ours if path.is_dir()]).union(ours)
        if any(not path.exists() for path in waiting):  # a folder's own going says nothing of the files in it
            waiting |= _gone(library, folder)
        try:
            if waiting:
                _take_in(library, waiting)
            waiting = set()
        except LibraryBusy as error:
            err.print(show.safe(f"{strftime('%H:%M:%S')} {error}; it is tried again"), soft_wrap=True)


def _take_in(library: AnyLibrary, paths: set[Path]) -> None:
    """Raises LibraryBusy."""
    outcomes = dict.fromkeys(Outcome, 0)

    def articles() -> Iterator[Article]:
        for path in sorted(path for path in paths if path.is_file()):
            for item in read_file(path):
                if isinstance(item, UnreadableArticle):
                    err.print(show.safe(f"{strftime('%H:%M:%S')} not read: {item}"), soft_wrap=True)
                else:
                    yield item

    def acknowledge(article: Article, outcome: Outcome) -> None:
        outcomes[outcome] += 1

    library.add(articles(), acknowledge)
    gone = [origin_of(path) for path in sorted(paths) if not path.exists()]
    origins = library.origins() if gone else {}
    removed = [origins[origin] for origin in gone if origin in origins]
    for id in removed:
        with suppress(ArticleNotFound):  # somebody else was faster
            library.remove([id])
    told = [f"{count:,} {outcome}" for outcome, count in outcomes.items() if count and outcome != Outcome.UNCHANGED]
    told += [f"{len(removed):,} removed"] if removed else []
    if told:
        library.refresh()
        out.print(f"{strftime('%H:%M:%S')} {', '.join(told)}")


def _files(folders: list[Path]) -> set[Path]:
    return {path for path in find_files(folders) if isinstance(path, Path)}


def _gone(library: AnyLibrary, folder: Path) -> set[Path]:
    """Files of the folder that the library has an article of, and that are there no more."""
    return {path for path in map(file_of, library.origins()) if path.is_relative_to(folder) and not path.exists()}


def _changes(folder: Path) -> Iterator[set[Path]]:
    """What has changed, and now and then nothing."""
    import watchfiles  # here, so that other commands do not wait for it

    for found in watchfiles.watch(
        folder.resolve(),
        watch_filter=None,
        debounce=_LONGEST_MS,
        step=_STEP_MS,
        rust_timeout=_TURN_MS,
        yield_on_timeout=True,
    ):
        yield {Path(path) for _, path in found}


def _is_ours(path: Path, folder: Path) -> bool:
    """Whether `add` would read it out of this folder, or files in it; or might have before it went."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and (path.suffix.lower() in FORMATS or not path.is_file())
