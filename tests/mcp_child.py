"""`pullquote` with a toy embedder and the reader that `--reader` names, as a process.

python -m tests.mcp_child --library LIBRARY mcp --reader knowing|printing|failing|missing|waiting:PIPE
"""

from collections.abc import Sequence
from pathlib import Path

from index.errors import ModelNotFound
from index.passage import Passage
from qa import cli, cli_mcp, cli_options, confidence
from qa.confidence import Calibration
from qa.reader import Reader, Span
from tests.conftest import ToyEmbedder

ANSWER = "Castle FC"


class Knowing:
    """Finds its one answer, wherever it begins a passage."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        return [
            [Span(one, one.start, one.start + len(ANSWER), 3.0)] if one.text.startswith(ANSWER) else []
            for one in passages
        ]


class Printing(Knowing):
    """Says on standard output what it does."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        print("reading", question)
        return super().read(question, passages)


class Failing(Knowing):
    """Goes wrong at every question but that of its loading."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        if question != "What was asked?":
            raise RuntimeError(f"nothing is known of {question}")
        return super().read(question, passages)


class Missing(Knowing):
    """Cannot be loaded."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        raise ModelNotFound("there is no such reader")


class Waiting(Knowing):
    """Is loaded when somebody has written to a named pipe."""

    def __init__(self, pipe: str) -> None:
        self._waits = [Path(pipe)]

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        while self._waits:
            self._waits.pop().read_bytes()
        return super().read(question, passages)


def reader_named(name: str, runtime: object) -> Reader:
    kind, _, argument = name.partition(":")
    kinds = {"knowing": Knowing, "printing": Printing, "failing": Failing, "missing": Missing}
    return Waiting(argument) if kind == "waiting" else kinds[kind]()


if __name__ == "__main__":
    cli_options.load_embedder = lambda name, runtime: ToyEmbedder()
    cli_mcp.load_reader = reader_named
    cli_mcp.reader_folder = Path
    confidence.load_calibration = lambda folder: Calibration()
    cli.main()
