"""A server whose log is looked at: it answers with toys, and goes wrong in the ways that its questions ask for.

python -m tests.log_child LIBRARY
"""

import logging
import sys
import warnings
from pathlib import Path

from index.library import Library
from qa.answer import Answer, NoAnswer, Question
from server.app import create_app
from server.keys import KeyFile, Right
from server.log import logging_to
from server.run import run
from tests.conftest import ToyEmbedder


def ask(question: Question) -> Answer:
    """No answer. Says on standard output that it reads, and waits for a line on standard input, where told to wait."""
    if "fail" in question.text:
        try:
            raise KeyError(question.text)
        except KeyError as error:
            raise RuntimeError(f"no answer to {question.text}") from error
    if "warn" in question.text:
        warnings.warn(f"{question.text} is odd", stacklevel=1)
        logging.getLogger("asyncio").error("lost: %s", question.text)
    if "wait" in question.text:
        print("reading", flush=True)
        sys.stdin.readline()
    return Answer(question.text, None, NoAnswer.NOTHING_ANSWERS, 0.25, (), (), 0, True, {"total": 1.0})


def main(path: Path) -> None:
    """The first line of standard output is a key. Whatever any library wants to say can be in the log."""
    logging.getLogger().setLevel(logging.DEBUG)
    with Library(path, ToyEmbedder(), create=True) as library:
        keys = KeyFile(path / "keys.json")
        print(keys.add("whoever looks", Right.ADMIN), flush=True)
        with logging_to(sys.stderr):
            run(create_app(ask, library, waiting=1, keys=keys), port=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
