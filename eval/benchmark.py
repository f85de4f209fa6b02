"""The figures of the README, reprinted: `python -m eval.benchmark`. Needs the benchmark data beside the checkout.

Libraries are built once, in `build/benchmark`, and used again as long as embedder and splitter are the same.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from eval import bench_reader
from eval.bench_data import DATA, SAMPLE, held_out_sample, news_halves, news_questions, squad_sample
from eval.confidence import judged_report, readings
from eval.machine import matrix_rate, peak_memory
from eval.misses import holds
from index.embed import load_embedder
from index.library import CANDIDATES, Library
from index.onnx import cores
from index.search import fuse
from qa.calibrate import Judged, Reading, cross_fit, fit, judge
from qa.confidence import Calibration, load_calibration
from qa.reader import load_reader, reader_folder

BUILD = Path("build/benchmark")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eval.benchmark", description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="SQuAD questions to ask; 0 for all 5,191")
    parser.add_argument("--libraries", type=Path, default=BUILD, help="where the libraries are kept")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    if not DATA.is_dir():
        sys.exit(f"skipped: the benchmark data is not at {DATA}")
    for part in options.parts:
        began = perf_counter()
        print(f"## {part}", flush=True)
        PARTS[part](options.libraries, options.sample or None)
        peak = peak_memory() / 2**20
        print(f"({perf_counter() - began:,.0f} s, peak memory so far {peak:,.0f} MiB)\n", flush=True)


def machine(libraries: Path, sample: int | None) -> None:
    """What the processor does today, to read the times by: fp32 matrix products of the reader's shape."""
    print(f"{cores()} cores, {matrix_rate():.0f} GFLOPS in matrix products")


def fusion(libraries: Path, sample: int | None) -> None:
    """Recall@1, @5 and @10 of every way to fuse, on both sets: dense weight from 0 (BM25 alone) to 1, and RRF."""
    ways: dict[str, Callable[..., list[tuple[int, float]]]] = {
        f"linear, dense weight {weight:.1f}": lambda dense, lexical, weight=weight: fuse(dense, lexical, weight)
        for weight in np.linspace(0, 1, 11)
    }
    ways["reciprocal rank fusion, k = 60"] = reciprocal_rank
    for name, questions in (("squad", squad_sample(sample)), ("news", news_questions())):
        answerable = [gold for gold in questions if gold.answerable]
        with Library(libraries / name, load_embedder()) as library:
            ranks: dict[str, list[int]] = {way: [] for way in ways}
            for gold in answerable:
                dense, lexical = library.candidates(gold.question, CANDIDATES)
                for way, fused in ways.items():
                    keys = [key for key, _ in fused(dense, lexical)[:10]]
                    passages = library.passages(keys)
                    held = (i for i, key in enumerate(keys, start=1) if holds(passages[key], gold))
                    ranks[way].append(next(held, sys.maxsize))
        print(f"{name}, {len(answerable):,} questions: recall@1, @5, @10")
        for way, found in ranks.items():
            print(f"  {way:32}", *(f"{100 * np.mean(np.array(found) <= k):6.1f}" for k in (1, 5, 10)))


def calibration(libraries: Path, sample: int | None) -> None:
    """Fit the shipped confidence, over both libraries: on SQuAD questions that the `squad` part does not ask and on the
    news questions of the earlier weeks. Judged on those, each fifth by a fit on the others, and on the later weeks."""
    earlier, later = news_halves()
    current = load_calibration(reader_folder())
    read: dict[str, list[Reading]] = {}
    for name, library, questions in (
        ("squad", "squad", held_out_sample(sample)),
        ("news, earlier", "news", earlier),
        ("news, later", "news", later),
    ):
        with Library(libraries / library, load_embedder()) as opened:
            read[name] = list(readings(opened, load_reader(), questions))
    alone = read["squad"] + read["news, earlier"]
    fitted = fit(alone)
    _show("squad and earlier news, shipped", [(one, current) for one in judge(alone, current)])
    _show("squad and earlier news, fitted on the other fifths", cross_fit(alone))
    for name, one in (("shipped", current), ("fitted on squad alone", fit(read["squad"])), ("fitted on both", fitted)):
        _show(f"later news, {name}", [(judged, one) for judged in judge(read["news, later"], one)])
    print(json.dumps(fitted.json()))


def _show(name: str, judged: Sequence[tuple[Judged, Calibration]]) -> None:
    print(f"{name}: {judged_report(judged)}", flush=True)


def reciprocal_rank(
    dense: Mapping[int, float], lexical: Mapping[int, float], constant: int = 60
) -> list[tuple[int, float]]:
    """Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009), to compare with."""
    fused: dict[int, float] = {}
    for scores in (dense, lexical):
        for rank, key in enumerate(sorted(scores, key=lambda key: (-scores[key], key)), start=1):
            fused[key] = fused.get(key, 0.0) + 1 / (constant + rank)
    return sorted(fused.items(), key=lambda item: (-item[1], item[0]))


PARTS: dict[str, Callable[[Path, int | None], None]] = {
    "machine": machine,
    "reader": bench_reader.reader,
    "speed": bench_reader.speed,
    "cold": bench_reader.cold,
    "squad": bench_reader.squad,
    "news": bench_reader.news,
    "fusion": fusion,
    "calibration": calibration,
    "news-training": bench_reader.news_training,
}

if __name__ == "__main__":
    main()
