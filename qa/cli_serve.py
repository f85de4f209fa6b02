"""`pullquote serve`."""

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from index.collection import collection_path
from index.errors import InvalidInput
from index.library import DATABASE, AnyLibrary
from index.milvus_address import milvus_address
from qa.answer import Ask, load, warm_up_reader, warm_up_search
from qa.cli_keys import key_file
from qa.cli_options import (
    EmbedderOption,
    KeysOption,
    ReaderOption,
    RuntimeOption,
    WholeLibraryOption,
    embedder_for,
    embedders,
    names_of_collections,
    open_articles,
)
from qa.confidence import calibration_for
from qa.reader import DEFAULT_READER, load_reader, reader_folder


def serve(
    library: WholeLibraryOption,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own takes keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    keys: KeysOption = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A site whose pages may use this in a browser (CORS).", show_default="none"),
    ] = None,
    reader: ReaderOption = DEFAULT_READER,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
    log_format: Annotated[
        Literal["json", "text"] | None,
        typer.Option(help="Form of the log on standard error.", show_default="text at a terminal, else json"),
    ] = None,
    log_questions: Annotated[bool, typer.Option("--log-questions", help="Log what is asked, too.")] = False,
) -> None:
    """Serve the library over HTTP: POST /v1/ask and more, described at /docs.

    It listens at once, and answers questions as soon as GET /v1/ready says so. Told to end (SIGTERM or Ctrl-C), it
    finishes what it has begun.

    Without keys it answers this machine alone. As soon as there is one (`pullquote keys add NAME`), every request
    needs one. It speaks plain HTTP: what other machines reach should have a proxy with TLS in front.
    """
    from server.access import is_loopback  # here, so that other commands do not wait for a web framework
    from server.app import create_app
    from server.collections import Remembered, Shelf
    from server.log import logging_to, write_state
    from server.run import run

    public, remote = not is_loopback(host), milvus_address(library) is not None
    known = None if remote and keys is None and not public else key_file(library, keys, always=public)
    if public and not (known and known.all()):
        raise InvalidInput(f"to listen on {host} there must be a key; make one with: pullquote keys add NAME")
    folder, one = reader_folder(reader), load_reader(reader, runtime)
    embedder_of = embedders(runtime)
    with ExitStack() as open_libraries:

        def opened(path: Path) -> tuple[Ask, AnyLibrary, int]:
            built_with = embedder_of(embedder_for(path, embedder))
            found = open_libraries.enter_context(open_articles(path, built_with, create=True))
            calibration = calibration_for(found, folder)
            return load(found, one, calibration), found, calibration.hits

        new = not remote and not (library / DATABASE).is_file()
        ask, main, hits = opened(library)
        names = partial(names_of_collections, library)
        shelf = Shelf(Remembered(names) if remote else names, lambda name: opened(collection_path(library, name)))
        app = create_app(ask, main, hits=hits, keys=known, shelf=shelf, origins=allow_origin or ())

        def warm_up() -> None:
            warm_up_search(main)
            warm_up_reader(one)

        with logging_to(sys.stderr, log_format, log_questions):
            if new:
                write_state("there was no library, and an empty one was made", library=str(library))
            run(app, host, port, warm_up)
