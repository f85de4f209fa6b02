"""Figures of a library in Milvus beside the same one in a directory: `python -m eval.bench_milvus answers` or `hits`.

The one in Milvus is made anew, in Milvus Lite, or on the server that `--milvus` names, where it stays. `hits`
needs the benchmark data beside the checkout, and the library that `python -m eval.benchmark` makes of it.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from time import perf_counter

from eval.bench_data import squad_sample
from eval.benchmark import BUILD
from eval.gold import GoldQuestion, read_gold
from eval.misses import holds
from index.article import Article
from index.base import AnyLibrary
from index.copying import copy
from index.embed import load_embedder
from index.formats import find_files, read_file
from index.library import Library
from index.opening import open_at
from index.search import Hit
from qa.alike import Pair, ask_both, quoted
from qa.answer import Answer, Ask, load
from qa.confidence import load_calibration
from qa.reader import DEFAULT_READER, load_reader, reader_folder

_QUESTIONS = 200
_CUTOFFS = (1, 5, 10)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eval.bench_milvus", description=__doc__)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--milvus", help="a server, as milvus://HOST:PORT; Milvus Lite by default")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="pullquote-") as folder:
        there = Path(f"{options.milvus}/bench_{token_hex(4)}") if options.milvus else Path(folder) / "bench.milvus"
        PARTS[options.part](Path(folder) / "library", there)


def answers(here: Path, there: Path) -> None:
    """How many of the questions in seeds/ both answer alike, and which they do not."""
    questions = read_gold(Path("seeds/questions.jsonl"))
    with Library(here, load_embedder(), create=True) as local:
        files = [path for path in find_files([Path("seeds/articles")]) if isinstance(path, Path)]
        local.add(item for file in files for item in read_file(file) if isinstance(item, Article))
        with _copied(local, there) as milvus:
            pairs = ask_both(_ask(local), _ask(milvus), [gold.question for gold in questions])
    print(told(pairs))


def hits(_: Path, there: Path) -> None:
    """Recall at 1, 5 and 10 of both on SQuAD, what of the first ten both have, and the time of a search; then how many
    of the questions both answer alike, and which they do not."""
    questions = [gold for gold in squad_sample(2 * _QUESTIONS) if gold.answerable][:_QUESTIONS]
    with Library(BUILD / "squad", load_embedder()) as local, _copied(local, there) as milvus:
        found = {"directory": _found(local, questions), "Milvus": _found(milvus, questions)}
        pairs = ask_both(_ask(local), _ask(milvus), [gold.question for gold in questions])
    for name, lists in found.items():
        recalls = [
            sum(any(holds(hit.passage, gold) for hit in some[:k]) for gold, some in zip(questions, lists, strict=True))
            for k in _CUTOFFS
        ]
        print(f"{name}: " + ", ".join(f"recall@{k} {recall}" for k, recall in zip(_CUTOFFS, recalls, strict=True)))
    one, other = ([_places(some) for some in all] for all in found.values())
    shared = sum(len({*first} & {*second}) for first, second in zip(one, other, strict=True))
    same = sum(first[0] == second[0] for first, second in zip(one, other, strict=True))
    print(
        f"of {len(questions)} questions {same} have the same first hit; {shared / 10 / len(questions):.1%} of ten hits"
    )
    print(told(pairs))


def told(pairs: Sequence[Pair]) -> str:
    """How many are alike; of each that is not both answers, and whether the passages that were read explain it."""
    lines = [f"{sum(pair.alike for pair in pairs)} of {len(pairs)} questions are answered alike"]
    for pair in pairs:
        if not pair.alike:
            lines += [f"  {pair.one.question}", f"    directory: {_said(pair.one)}", f"    Milvus: {_said(pair.other)}"]
            lines.append(f"    {_why(pair)}")
    return "\n".join(lines)


def _found(library: AnyLibrary, questions: list[GoldQuestion]) -> list[list[Hit]]:
    began = perf_counter()
    library.search("What was asked?")
    first, began = perf_counter() - began, perf_counter()
    found = [library.search(gold.question) for gold in questions]
    print(
        f"{library.where}: first search {first:.1f} s, then {1000 * (perf_counter() - began) / len(questions):.0f} ms"
    )
    return found


@contextmanager
def _copied(local: Library, there: Path) -> Iterator[AnyLibrary]:
    """The library, in Milvus."""
    with open_at(there, load_embedder(), create=True) as milvus:
        began = perf_counter()
        copied = copy(local, milvus)
        milvus.settle()
        print(f"{copied.passages:,} passages copied in {perf_counter() - began:,.0f} s")
        yield milvus


def _ask(library: AnyLibrary) -> Ask:
    return load(library, load_reader(DEFAULT_READER), load_calibration(reader_folder(DEFAULT_READER)))


def _why(pair: Pair) -> str:
    one, other = _places(pair.one.hits), _places(pair.other.hits)
    if one == other:
        return "the same hits in the same order"
    others = len({*one} - {*other})
    return f"{others} of {len(one)} hits are others" if others else "the same hits in another order"


def _places(hits: Sequence[Hit]) -> list[tuple[str, int]]:
    return [(hit.passage.article.id, hit.passage.start) for hit in hits]


def _said(answer: Answer) -> str:
    return f"{quoted(answer)} {answer.text!r}, {answer.confidence:.0%} sure"


PARTS: dict[str, Callable[[Path, Path], None]] = {"answers": answers, "hits": hits}

if __name__ == "__main__":
    main()
