"""What a library of any size takes, and how many replicas answer in time: `python -m eval.bench_scale`.

Unit costs are measured on a library on this machine, with nothing else running; all else is arithmetic and simulation.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from eval.bench import ask_in_turn, drawn, index_copies, questions_of, some_articles
from eval.benchmark import BUILD
from eval.scale import (
    QUANTILE,
    WITHIN_SECONDS,
    Process,
    Units,
    bursts,
    logged,
    quantile,
    replayed,
    replicas_for,
    size_of,
    steady,
)
from index.embed import load_embedder
from index.files import derived_files, size
from index.lexical import Terms
from index.library import DATABASE, Library
from index.passage import Passage, Splitter
from qa.answer import Answer, Question, load
from qa.confidence import calibration_for
from qa.reader import load_reader, reader_folder

GIB = 2**30

SIZES = (1e6, 1e8, 1e10)
RATES = (1, 10, 100, 1_000, 10_000)
_QUESTIONS = 300
_ASKING_SECONDS, _INDEXING_SECONDS = 60.0, 30.0
_SAMPLE_ARTICLES, _SAMPLE_PASSAGES = 100, 1_000
_FLOAT_BYTES = 4
_SPARSE_BYTES = 8
"""Of a term of a passage: its number and its weight."""

_LINKS = 2 * 32
"""Of a vector in the lowest layer of a graph (HNSW with M = 32); the others add a thirty-second."""

_CODED_BYTES = 13
"""Of a term as `index.milvus_rows` writes it, with a space."""

_NAMES_BYTES = 150
"""Of what else is in a passage's row: its key, its article's, its source, date, language and place."""

_SHARE_OF_MEMORY = 0.75
"""The rest is the models', the system's cache and room."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eval.bench_scale", description=__doc__)
    parser.add_argument("--library", type=Path, default=BUILD / "squad", help="a library in a directory")
    parser.add_argument("--memory", type=float, default=24, help="GiB of a machine")
    parser.add_argument("--disk", type=float, default=500, help="GiB of a machine")
    parser.add_argument("--service", type=Path, help="seconds that questions took, as tests.replicas --service wrote")
    parser.add_argument("--arrivals", type=Path, help="a server's log in JSON: let questions come as they did there")
    options = parser.parse_args()
    processes: dict[str, Process] = {"steady": steady, "in bursts": bursts}
    if options.arrivals:
        processes["as logged"] = replayed(logged(options.arrivals.read_text(encoding="utf-8").splitlines()))
    local, milvus = measure(options.library)
    _print_sizes(local, milvus, _SHARE_OF_MEMORY * options.memory * GIB, options.disk * GIB)
    if options.service:
        _print_replicas(json.loads(options.service.read_text()), f"as {options.service} has it", processes)
    else:
        _print_replicas(local.seconds_to_answer, "within this process, of the library in a directory", processes)


def _print_sizes(local: Units, milvus: Units, machine_memory: float, machine_disk: float) -> None:
    print("| of a passage | directory | Milvus |\n|---|---|---|")
    print(f"| bytes on the disk | {local.disk_bytes:,.0f} | {milvus.disk_bytes:,.0f} |")
    print(f"| bytes in memory | {local.memory_bytes:,.0f} | {milvus.memory_bytes:,.0f} |")
    print(f"| added a second by a machine | {local.passages_per_second:,.1f} | the same |\n")
    print("| passages | kept in | embedding, machine days | disk | memory | machines |\n|---|---|---|---|---|---|")
    for passages in SIZES:
        for name, units in (("directory", local), ("Milvus", milvus)):
            one = size_of(units, passages, machine_memory, machine_disk)
            print(
                f"| {passages:,.0f} | {name} | {one.embed_days:,.1f} | {one.disk / 1e9:,.0f} GB "
                f"| {one.memory / 1e9:,.0f} GB | {one.machines:,} |"
            )


def _print_replicas(service: Sequence[float], asked: str, processes: Mapping[str, Process]) -> None:
    """`asked` says how the questions were that took these seconds."""
    print(
        f"\nA question takes {1000 * fmean(service):,.0f} ms, the slowest of a hundred "
        f"{1000 * _last(service):,.0f} ms, {asked}.\n"
    )
    print(f"Replicas of two cores for {QUANTILE:.0%} of answers within {WITHIN_SECONDS:g} s:\n")
    heads = ["questions a second", *processes, "busy, steady", "p99 with one replica less"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for rate in RATES:
        needed = {name: replicas_for(rate, service, process) for name, process in processes.items()}
        least = needed["steady"]
        busy = f"{rate * fmean(service) / least:.0%}" if least else "-"
        less = f"{quantile(rate, service, least - 1):,.2f} s" if least and least > 1 else "-"
        counts = [str(count or "none will do") for count in needed.values()]
        print(f"| {' | '.join([f'{rate:,}', *counts, busy, less])} |", flush=True)


def measure(path: Path) -> tuple[Units, Units]:
    """In a directory, and in Milvus."""
    embedder, folder = load_embedder(), reader_folder()
    with Library(path, embedder) as library:
        _, passages = library.counts()
        ask = load(library, load_reader(), calibration_for(library, folder))
        texts = questions_of(library, embedder, _QUESTIONS)
        service: list[float] = []

        def noted(question: Question) -> Answer:
            answer = ask(question)
            service.append(answer.milliseconds["total"] / 1000)
            return answer

        ask(Question(texts[0]))
        ask_in_turn(noted, embedder, [Question(text) for text in texts], _ASKING_SECONDS, None)
        rate = index_copies(library, embedder, _INDEXING_SECONDS).passages_per_second
        indexes = sum(_bytes(one) for one in derived_files(path))
        stored = _bytes(path / DATABASE)
        splitter = Splitter(embedder.token_spans, embedder.fingerprint)
        sample = [one for article in some_articles(library, _SAMPLE_ARTICLES) for one in splitter.split(article)]
    dense = _bytes_of("dense-*", path)
    local = Units(rate, stored / passages, indexes / passages, dense / passages, tuple(service))
    width = embedder.encode(["?"]).shape[1] * _FLOAT_BYTES
    return local, in_milvus(local, drawn(sample, _SAMPLE_PASSAGES), width)


def in_milvus(local: Units, sample: Sequence[Passage], width: int) -> Units:
    """Of passages whose vectors have so many bytes, counted by what their rows hold: a server was not at hand. It
    searches in memory, and has the fields there too, unless it is told to map files (mmap): all but the vectors, which
    are in their index."""
    terms = Terms()
    found = [terms.of_passage(one) for one in sample]
    sparse = fmean(sum(len(set(one)) for one in fields.values()) for fields in found) * _SPARSE_BYTES
    words = fmean(sum(map(len, fields.values())) for fields in found) * _CODED_BYTES
    fields = fmean(len(one.text.encode()) for one in sample) + words + _NAMES_BYTES
    index = width + _LINKS * _FLOAT_BYTES * 33 / 32 + sparse
    return replace(local, database_bytes=fields + width, index_bytes=index, memory_bytes=fields + index)


def _last(service: Sequence[float]) -> float:
    return sorted(service)[int(QUANTILE * (len(service) - 1))]


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else size(path)


def _bytes_of(pattern: str, path: Path) -> int:
    return sum(_bytes(one) for one in path.glob(pattern))


if __name__ == "__main__":
    main()
