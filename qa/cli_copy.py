"""`pullquote copy`: a library into another, of any kind."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from index.base import AnyLibrary
from index.copying import Copied, copy
from index.embed import Runtime
from index.errors import InvalidInput
from qa import cli_show as show
from qa.alike import Pair, ask_both
from qa.answer import Ask, load
from qa.cli_keep import progress
from qa.cli_options import (
    EmbedderOption,
    JSONOption,
    ReaderOption,
    RuntimeOption,
    Stoppable,
    err,
    open_articles,
    open_library,
    out,
    print_json,
    within_collection,
)
from qa.confidence import calibration_for
from qa.reader import DEFAULT_READER, load_reader, reader_folder

_DIFFERENT = 1
_MOST_SHOWN = 20


def copy_library(
    source: Annotated[
        Path, typer.Argument(metavar="FROM", help="A library, as `--library` takes it.", callback=within_collection)
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TO", help="Another, which need not be there yet.", callback=within_collection)
    ],
    questions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask both libraries these, one a line, and say where they answer unlike."),
    ] = None,
    embedder: EmbedderOption = None,
    reader: ReaderOption = DEFAULT_READER,
    runtime: RuntimeOption = None,
    as_json: JSONOption = False,
) -> None:
    """Copy a library: from a directory into Milvus, back, or into another of its kind.

    Articles come with their passages and vectors as they are, with what is noted of them and with feedback; then it is
    checked that both hold the same. Interrupt at any time and run the same command again to go on. Of collections, one
    is copied: the main one, or the one that `--collection` names.

    Exit code 1 where some of the questions are answered unlike. For example:
    `pullquote copy ~/.local/share/pullquote/library milvus://localhost:19530/press --questions questions.txt`
    """
    if source.resolve() == target.resolve():
        raise InvalidInput(f"{source} cannot be copied onto itself; name another library")
    asked = [] if questions is None else read_questions(questions)
    with Stoppable() as stopped, open_articles(source) as here:
        name = embedder or here.embedder_name
        with open_library(target, name, runtime, create=True) as there:
            with progress("Copying", "articles") as (advance, _):
                copied = copy(here, there, advance)
            names = here.where, there.where
            with err.status("Building the indexes …"):
                there.settle()
    if stopped.code is not None:
        err.print("Interrupted. What is copied is kept; run the same command again to go on.")
        raise typer.Exit(stopped.code)
    pairs = _compared(source, target, asked, name, reader, runtime) if asked else []
    _print(*names, copied, pairs, as_json)
    raise typer.Exit(0 if all(pair.alike for pair in pairs) else _DIFFERENT)


def read_questions(file: Path) -> list[str]:
    """Raises InvalidInput where it cannot be read, or there are none."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file}: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}") from None
    if not (questions := [line for line in lines if line]):
        raise InvalidInput(f"{file} holds no questions; write one a line")
    return questions


def _compared(
    source: Path, target: Path, asked: Sequence[str], embedder: str | None, reader: str, runtime: Runtime | None
) -> list[Pair]:
    one = load_reader(reader, runtime)

    def ask(library: AnyLibrary) -> Ask:
        return load(library, one, calibration_for(library, reader_folder(reader)))

    with (
        open_library(source, embedder, runtime) as here,
        open_library(target, embedder, runtime) as there,
        progress("Asking", "questions") as (advance, _),
    ):
        return ask_both(ask(here), ask(there), asked, advance)


def _print(source: str, target: str, copied: Copied, pairs: Sequence[Pair], as_json: bool) -> None:
    unlike = [pair for pair in pairs if not pair.alike]
    if as_json:
        compared = {"asked": len(pairs), "unlike": [pair.one.question for pair in unlike]}
        print_json(asdict(copied) | (compared if pairs else {}))
        return
    counted = f"{copied.articles:,} articles and {copied.passages:,} passages"
    out.print(
        show.safe(f"{counted} are in {target} as in {source}; {copied.copied:,} articles were copied now"),
        soft_wrap=True,
    )
    if pairs:
        out.print(f"{len(pairs) - len(unlike):,} of {len(pairs):,} questions are answered alike")
    for pair in unlike[:_MOST_SHOWN]:
        said = f"unlike: {pair.one.question}: {pair.one.text or 'no answer'}, then {pair.other.text or 'no answer'}"
        out.print(show.safe(said), soft_wrap=True)
    if len(unlike) > _MOST_SHOWN:
        out.print(f"… and {len(unlike) - _MOST_SHOWN:,} more")
