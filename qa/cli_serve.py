"""`pullquote serve`."""

import sys
from typing import Annotated, Literal

import typer

from qa.answer import load, warm_up_reader, warm_up_search
from qa.cli_options import EmbedderOption, LibraryOption, ReaderOption, RuntimeOption, open_library
from qa.confidence import calibration_for
from qa.reader import DEFAULT_READER, load_reader, reader_folder


def serve(
    library: LibraryOption,
    host: Annotated[str, typer.Option(help="Address to listen on; only this machine's own.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
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
    """
    from server.log import logging_to
    from server.run import run  # here, so that other commands do not wait for a web framework

    folder, one = reader_folder(reader), load_reader(reader, runtime)
    with open_library(library, embedder, runtime, create=True) as opened:
        calibration = calibration_for(opened, folder)

        def warm_up() -> None:
            warm_up_search(opened)
            warm_up_reader(one)

        with logging_to(sys.stderr, log_format, log_questions):
            run(load(opened, one, calibration), opened, host, port, warm_up, calibration.hits)
