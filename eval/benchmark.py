"""The figures of the README, reprinted: `python -m eval.benchmark`. Needs the benchmark data beside the checkout.

Libraries are built once, in `build/benchmark`, and used again as long as embedder and splitter are the same.
"""

import argparse
import json
import resource
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import numpy as np

from eval.gold import GoldQuestion, read_gold, sampled
from eval.metrics import exact_match, f1
from eval.run import Report, evaluate, holds, report
from index.article import Article, make_article
from index.embed import load_embedder
from index.formats import read_file
from index.library import CANDIDATES, Library, Outcome, Validity
from index.passage import Passage
from index.search import Hit, fuse
from qa.answer import load, warm_up
from qa.confidence import load_calibration
from qa.reader import load_reader, reader_folder
from qa.wire import CitationJSON

DATA = Path("../shared/data")
BUILD = Path("build/benchmark")
SAMPLE = 500
"""Questions asked of SQuAD's library for daily use: 95 % of samples are within 4 points of the whole."""

_GEMM_SECONDS = 3.0


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
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"({perf_counter() - began:,.0f} s, peak memory so far {peak:,.0f} MiB)\n", flush=True)


def machine(libraries: Path, sample: int | None) -> None:
    """What the processor does today, to read the times by: fp32 matrix products of the reader's shape."""
    import torch

    tokens, width, inner = 4096, 384, 1536
    left, right = torch.randn(tokens, width), torch.randn(inner, width)
    rounds, began = 0, perf_counter()
    while (seconds := perf_counter() - began) < _GEMM_SECONDS:
        torch.nn.functional.linear(left, right)
        rounds += 1
    rate = 2 * tokens * width * inner * rounds / seconds / 1e9
    print(f"{torch.get_num_threads()} threads, {rate:.0f} GFLOPS in matrix products")


def gold_paragraph(libraries: Path, sample: int | None) -> None:
    """The reader alone: each question on the paragraph it was written for, which it reads whole."""
    reader = load_reader()
    scores = []
    for context, gold in _squad_paragraphs(sample):
        article = make_article(context)
        spans = reader.read(gold.question, [Passage(article, 0, len(context))])[0]
        text = spans[0].text if spans else ""
        scores.append((exact_match(text, gold.answers), f1(text, gold.answers)))
    em, mean_f1 = (100 * value for value in np.mean(scores, axis=0))
    print(f"{len(scores):,} questions: EM {em:.1f}, F1 {mean_f1:.1f}")


def squad(libraries: Path, sample: int | None) -> None:
    """SQuAD as an open-domain set: all articles one library, questions of the dev set."""
    files = [DATA / "squad" / name for name in ("train-v1.1.json", "dev-v1.1.json")]
    _ask_all(libraries / "squad", files, _squad_sample(sample))


def news(libraries: Path, sample: int | None) -> None:
    """Eight weeks of news, questions of a news quiz."""
    _ask_all(libraries / "news", [DATA / "news" / "articles.jsonl"], _news_questions())


def fusion(libraries: Path, sample: int | None) -> None:
    """Recall@1, @5 and @10 of every way to fuse, on both sets: dense weight from 0 (BM25 alone) to 1, and RRF."""
    ways: dict[str, Callable[..., list[tuple[int, float]]]] = {
        f"linear, dense weight {weight:.1f}": lambda dense, lexical, weight=weight: fuse(dense, lexical, weight)
        for weight in np.linspace(0, 1, 11)
    }
    ways["reciprocal rank fusion, k = 60"] = reciprocal_rank
    for name, questions in (("squad", _squad_sample(sample)), ("news", _news_questions())):
        answerable = [gold for gold in questions if gold.answerable]
        with Library(libraries / name, load_embedder()) as library:
            ranks: dict[str, list[int]] = {way: [] for way in ways}
            for gold in answerable:
                dense, lexical = library.candidates(gold.question, CANDIDATES)
                for way, fused in ways.items():
                    keys = [key for key, _ in fused(dense, lexical)[:10]]
                    passages = library.passages(keys)
                    held = (i for i, key in enumerate(keys, start=1) if holds(Hit(passages[key], 0, 0, 0), gold))
                    ranks[way].append(next(held, sys.maxsize))
        print(f"{name}, {len(answerable):,} questions: recall@1, @5, @10")
        for way, found in ranks.items():
            print(f"  {way:32}", *(f"{100 * np.mean(np.array(found) <= k):6.1f}" for k in (1, 5, 10)))


def reciprocal_rank(
    dense: Mapping[int, float], lexical: Mapping[int, float], constant: int = 60
) -> list[tuple[int, float]]:
    """Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009), to compare with."""
    fused: dict[int, float] = {}
    for scores in (dense, lexical):
        for rank, key in enumerate(sorted(scores, key=lambda key: (-scores[key], key)), start=1):
            fused[key] = fused.get(key, 0.0) + 1 / (constant + rank)
    return sorted(fused.items(), key=lambda item: (-item[1], item[0]))


def _ask_all(path: Path, files: list[Path], questions: list[GoldQuestion]) -> None:
    library, texts = _library(path, files)
    with library:
        reader = load_reader()
        warm_up(library, reader)  # so that no question's time has the loading in it
        ask = load(library, reader, load_calibration(reader_folder()))
        results = evaluate(ask, questions)
        _print(report(results, lambda citation: _validity(citation, texts)))


def _library(path: Path, files: list[Path]) -> tuple[Library, dict[str, str]]:
    """The library of these files, built where it is not there yet, and the texts as the files have them."""
    items = [item for file in files for item in read_file(file)]
    articles = [item for item in items if isinstance(item, Article)]
    for failure in (item for item in items if not isinstance(item, Article)):
        print("not read:", failure)
    library = Library(path, load_embedder(), create=True)
    outcomes: Counter[Outcome] = Counter()

    def acknowledge(article: Article, outcome: Outcome) -> None:
        outcomes[outcome] += 1

    began = perf_counter()
    library.add(articles, acknowledge)
    seconds = perf_counter() - began
    if changed := outcomes[Outcome.ADDED] + outcomes[Outcome.REPLACED]:
        rate = changed / seconds
        print(f"indexed {changed:,} articles in {seconds:,.0f} s: {rate:.2f} articles/s")
    print(f"{library.counts()[0]:,} articles, {library.counts()[1]:,} passages")
    return library, {article.id: article.text for article in articles}


def _validity(citation: CitationJSON, texts: Mapping[str, str]) -> Validity:
    """Check a citation against the text of the file itself, not the library's copy of it."""
    text = texts.get(citation["article"], "")
    return Validity.VALID if text[citation["start"] : citation["end"]] == citation["quote"] else Validity.STALE


def _print(scores: Report) -> None:
    for name, value in asdict(scores).items():
        print(f"  {name:20}", f"{value:,.1f}" if isinstance(value, float) else value)


def _squad_sample(count: int | None) -> list[GoldQuestion]:
    return sampled(read_gold(DATA / "squad" / "dev-v1.1.json"), count)


def _squad_paragraphs(count: int | None) -> list[tuple[str, GoldQuestion]]:
    """The same questions as `_squad_sample`, each with its paragraph."""
    file = DATA / "squad" / "dev-v1.1.json"
    contexts = [
        paragraph["context"]
        for entry in json.loads(file.read_bytes())["data"]
        for paragraph in entry["paragraphs"]
        for _ in paragraph["qas"]
    ]
    return sampled(list(zip(contexts, read_gold(file), strict=True)), count)


def _news_questions() -> list[GoldQuestion]:
    """Questions whose answer is in no article that was found for them count as having none."""
    lines = (DATA / "news" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    records = map(json.loads, lines)
    return [
        GoldQuestion(record["question"], tuple(record["answers"]) if record["answer_in"] else ()) for record in records
    ]


PARTS: dict[str, Callable[[Path, int | None], None]] = {
    "machine": machine,
    "gold-paragraph": gold_paragraph,
    "squad": squad,
    "news": news,
    "fusion": fusion,
}

if __name__ == "__main__":
    main()
