"""`pullquote mcp`."""

import sys

from qa.answer import load, warm_up_reader, warm_up_search
from qa.cli_options import EmbedderOption, LibraryOption, ReaderOption, RuntimeOption, open_library
from qa.confidence import calibration_for
from qa.reader import DEFAULT_READER, load_reader, reader_folder


def mcp(
    library: LibraryOption,
    reader: ReaderOption = DEFAULT_READER,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
) -> None:
    """Offer the library to an assistant as tools that ask, search and read, and change nothing.

    For the assistant to start: it speaks the Model Context Protocol over standard input and output, and ends with its
    input.
    """
    from server.log import logging_to  # here, so that other commands do not wait for a web framework
    from server.mcp import serve_input

    folder, one = reader_folder(reader), load_reader(reader, runtime)
    with open_library(library, embedder, runtime) as opened:
        calibration = calibration_for(opened, folder)

        def warm_up() -> None:
            warm_up_search(opened)
            warm_up_reader(one)

        with logging_to(sys.stderr):
            serve_input(load(opened, one, calibration), opened, warm_up, calibration.hits)
