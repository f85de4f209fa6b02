"""Figures of a library in Milvus: `python -m eval.bench_milvus answers`.

It makes its libraries anew, in a temporary directory: one there, and a copy in Milvus Lite, or where `--milvus` says.
"""

import argparse
from collections import Counter
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from eval.gold import GoldQuestion, read_gold
from index.article import Article
from index.base import AnyLibrary
from index.copying import copy
from index.embed import load_embedder
from index.formats import find_files, read_file
from index.library import Library
from index.opening import open_at
from qa.alike import ask_both, quoted
from qa.answer import Answer, Ask, load
from qa.confidence import load_calibration
from qa.reader import DEFAULT_READER, load_reader, reader_folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eval.bench_milvus", description=__doc__)
    parser.add_argument("part", choices=["answers"])
    parser.add_argument("--articles", type=Path, default=Path("seeds/articles"))
    parser.add_argument("--questions", type=Path, default=Path("seeds/questions.jsonl"))
    parser.add_argument("--milvus", help="a server, as milvus://HOST:PORT; Milvus Lite by default")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="pullquote-") as folder:
        there = Path(f"{options.milvus}/bench_{token_hex(4)}") if options.milvus else Path(folder) / "bench.milvus"
        answers(Path(folder) / "library", there, options.articles, read_gold(options.questions))


def answers(here: Path, there: Path, articles: Path, questions: list[GoldQuestion]) -> None:
    """How many questions a library in a directory and one in Milvus answer alike, and which they do not."""
    embedder = load_embedder()
    with Library(here, embedder, create=True) as local, open_at(there, embedder, create=True) as milvus:
        read = [item for path in find_files([articles]) if isinstance(path, Path) for item in read_file(path)]
        local.add(item for item in read if isinstance(item, Article))
        print(copy(local, milvus))
        milvus.settle()
        pairs = ask_both(_ask(local), _ask(milvus), [gold.question for gold in questions])
    for gold, pair in zip(questions, pairs, strict=True):
        if not pair.alike:
            print(f"{gold.question}\n  here {_said(pair.one)}\n  there {_said(pair.other)}")
    counts = Counter({"alike": sum(pair.alike for pair in pairs), "same hits": sum(pair.same_hits for pair in pairs)})
    print(f"{counts} of {len(pairs)}")


def _ask(library: AnyLibrary) -> Ask:
    return load(library, load_reader(DEFAULT_READER), load_calibration(reader_folder(DEFAULT_READER)))


def _said(answer: Answer) -> str:
    return f"{quoted(answer)} {answer.text!r} {answer.confidence:.2f}"


if __name__ == "__main__":
    main()
