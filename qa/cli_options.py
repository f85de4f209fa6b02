"""What the commands share: options, consoles, and opening a library with its models."""

import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console

from index.collection import MAIN, collection_path
from index.embed import DEFAULT_EMBEDDER, Embedder, Runtime, load_embedder
from index.errors import InvalidInput, LibraryNotFound
from index.filter import Filter
from index.library import AnyLibrary
from index.milvus_address import milvus_address
from index.opening import collections_at, open_at
from qa.answer import Ask, load, warm_up_reader, warm_up_search
from qa.confidence import calibration_for
from qa.reader import load_reader, reader_folder

_BY_SIGNAL = 128
"""An exit code is this and the signal's number."""

_UNBROKEN = 100_000
"""Columns of what is no terminal: another program wants lines whole, and a link in two halves leads nowhere."""


def _columns(stream: TextIO) -> int | None:
    """None where rich knows better: in a terminal, or where COLUMNS says."""
    return None if stream.isatty() or "COLUMNS" in os.environ else _UNBROKEN


out = Console(highlight=False, width=_columns(sys.stdout))
err = Console(stderr=True, highlight=False, width=_columns(sys.stderr))

_LIBRARY_HELP = "The library: its directory, NAME.milvus (Milvus Lite) or milvus://HOST:PORT/NAME (a Milvus server)."
_TOKEN = "PULLQUOTE_MILVUS_TOKEN"

CommonLibraryOption = Annotated[
    Path | None,
    typer.Option("--library", "-l", metavar="LIBRARY", envvar="PULLQUOTE_LIBRARY", help=_LIBRARY_HELP),
]
CollectionOption = Annotated[
    str,
    typer.Option("--collection", "-c", metavar="NAME", help="One of its collections.", envvar="PULLQUOTE_COLLECTION"),
]


def _whole(context: typer.Context, library: Path) -> Path:
    if context.find_root().params["collection"] != MAIN:
        raise InvalidInput(f"{context.info_name} is for all collections of a library; leave out --collection")
    return library


def within_collection(context: typer.Context, library: Path) -> Path:
    return collection_path(library, context.find_root().params["collection"])


def _in_a_directory(context: typer.Context, library: Path) -> Path:
    if address := milvus_address(library):
        raise InvalidInput(
            f"{context.info_name} is for libraries in directories, and {address.where} is in Milvus; copy it to one: "
            f"pullquote copy {address.where} DIR"
        )
    return within_collection(context, library)


LibraryOption = Annotated[
    Path,
    typer.Option(
        "--library", "-l", metavar="LIBRARY", help=_LIBRARY_HELP, show_default=False, callback=within_collection
    ),
]
"""The same after the command's name, with the collection; what was given before it (or by the environment) is this
one's default."""

DirectoryOption = Annotated[
    Path,
    typer.Option(
        "--library", "-l", metavar="DIR", help="The library's directory.", show_default=False, callback=_in_a_directory
    ),
]
"""The same for what is done to the files of a library."""

WholeLibraryOption = Annotated[
    Path,
    typer.Option("--library", "-l", metavar="LIBRARY", help=_LIBRARY_HELP, show_default=False, callback=_whole),
]
"""The same for what is about all collections."""

EmbedderOption = Annotated[
    str | None,
    typer.Option(
        "--embedder", metavar="NAME", help="A sentence-transformers model: folder, or name in the model cache."
    ),
]
ReaderOption = Annotated[
    str,
    typer.Option("--reader", metavar="NAME", help="A question answering model: folder, or name in the model cache."),
]
RuntimeOption = Annotated[
    Runtime | None,
    typer.Option("--runtime", help="What runs the models.", show_default="onnx where a model has a graph, else torch"),
]
KeysOption = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        envvar="PULLQUOTE_KEYS",
        help="Where the keys are kept.",
        show_default="keys.json in the library",
    ),
]
GoldArgument = Annotated[Path, typer.Argument(metavar="GOLD", help="SQuAD 1.1/2.0 JSON, JSONL or CSV; see the README.")]
HitsOption = Annotated[
    int | None,
    typer.Option("-k", "--hits", help="Passages to retrieve (and read).", show_default="10, or as `eval --tune` chose"),
]
JSONOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ArticleOption = Annotated[list[str] | None, typer.Option("--article", metavar="ID", help="Only in this article.")]
SourceOption = Annotated[list[str] | None, typer.Option("--source", metavar="NAME", help="Only from this source.")]
SinceOption = Annotated[str | None, typer.Option("--since", metavar="DATE", help="Published on this day or later.")]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="DATE", help="Published on this day or earlier.")]
LanguageOption = Annotated[
    list[str] | None, typer.Option("--language", metavar="CODE", help="Only in this language, like en (ISO 639).")
]


def open_articles(library: Path, embedder: Embedder | None = None, *, create: bool = False) -> AnyLibrary:
    """The library wherever it is kept; without an embedder it can list, show, verify and remove."""
    return open_at(library, embedder, token=milvus_token(), create=create)


def names_of_collections(library: Path) -> list[str]:
    """Those of a library wherever it is kept."""
    return collections_at(library, token=milvus_token())


def open_library(
    library: Path, embedder: str | None, runtime: Runtime | None = None, *, create: bool = False
) -> AnyLibrary:
    """The library with its embedder, as `embedder_for` says."""
    return open_articles(library, load_embedder(embedder_for(library, embedder), runtime), create=create)


def embedder_for(library: Path, embedder: str | None) -> str:
    """The one named, else the one the library was built with, else the default."""
    if embedder is None:
        with suppress(LibraryNotFound), open_articles(library) as unembedded:
            embedder = unembedded.embedder_name
    return embedder or DEFAULT_EMBEDDER


def embedders(runtime: Runtime | None = None) -> Callable[[str], Embedder]:
    """Loads embedders by name, each once: for all collections that were built with it."""
    return cache(partial(load_embedder, runtime=runtime))


def milvus_token() -> str | None:
    """For a Milvus server that wants one."""
    return os.environ.get(_TOKEN)


@contextmanager
def open_answers(
    library: Path, embedder: str | None, reader: str, runtime: Runtime | None, *, create: bool = False
) -> Iterator[tuple[AnyLibrary, Ask]]:
    """The library, and what answers questions from it, with all models loaded: the reader beside everything else, since
    a person is waiting."""
    folder, one = reader_folder(reader), load_reader(reader, runtime)
    with ThreadPoolExecutor(1) as beside, err.status("Loading the models …") as status:
        loading = beside.submit(warm_up_reader, one)
        with open_library(library, embedder, runtime, create=create) as opened:
            warm_up_search(opened)
            loading.result()
            status.stop()
            yield opened, load(opened, one, calibration_for(opened, folder))


class Stoppable:
    """Ends quietly where Ctrl-C or a request to end (SIGTERM) stops what is within; `code` is then the exit code."""

    code: int | None = None

    def __enter__(self) -> "Stoppable":
        self._before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is KeyboardInterrupt and self.code is None:
            self.code = _BY_SIGNAL + signal.SIGINT
        return kind is KeyboardInterrupt

    def _stop(self, number: int, _: object) -> None:
        self.code = _BY_SIGNAL + number
        raise KeyboardInterrupt


def make_filter(
    articles: list[str] | None,
    sources: list[str] | None,
    since: str | None,
    until: str | None,
    languages: list[str] | None,
) -> Filter:
    return Filter(frozenset(articles or ()), frozenset(sources or ()), since, until, frozenset(languages or ()))


def print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False))


def read_share(text: str) -> float:
    """`10%` or `0.1` as a number from 0 to 1. Raises InvalidInput."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise InvalidInput(f"{text!r} is no share; write it like 10% or 0.1")
    return share
