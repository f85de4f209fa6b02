"""The part of the benchmark about the reader: quality, speed and memory by what runs it, all in one run each."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

from eval.bench import operations_of
from eval.bench_data import (
    gold_paragraphs,
    library_of,
    news_halves,
    news_questions,
    squad_sample,
    write_distant_labels,
)
from eval.gold import GoldQuestion, sampled
from eval.machine import matrix_rate
from eval.metrics import auroc, exact_match, f1
from eval.record import Record
from eval.run import evaluate
from eval.scores import METRICS, Score, misses, oracles, scores
from index.article import make_article
from index.embed import Runtime
from index.library import Validity
from index.onnx import GRAPH, cores
from index.passage import Passage
from qa.answer import Question, load, warm_up_reader, warm_up_search
from qa.confidence import Calibration, load_calibration
from qa.reader import ModelReader, Reader, load_reader, reader_folder
from qa.wire import CitationJSON

KS = (5, 10, 20)
_TIMED_QUESTIONS = 40
_PAUSE_SECONDS = 0.25
_COLD_RUNS = 7
_DEMO = Path("seeds/articles")
_DEMO_QUESTION = "Which missiles were shown at the parade?"


def readers(folder: Path, scratch: Path) -> dict[str, Reader]:
    """The same weights, run in three ways."""
    from qa.torch_model import TorchModel

    for name, int8 in (("fp32", False), ("int8", True)):
        TorchModel(folder).export(scratch / name / GRAPH, int8=int8)
    return {
        "torch fp32": ModelReader(folder, Runtime.TORCH),
        "onnx fp32": ModelReader(folder, Runtime.ONNX, scratch / "fp32" / GRAPH),
        "onnx int8": ModelReader(folder, Runtime.ONNX, scratch / "int8" / GRAPH),
    }


def reader(libraries: Path, sample: int | None) -> None:
    """The reader alone: each question on the paragraph it was written for, which it reads whole."""
    with _scratch() as scratch:
        for name, one in readers(reader_folder(), scratch).items():
            scores = [_scored(one, context, gold) for context, gold in gold_paragraphs("dev-v1.1.json", sample)]
            em, mean_f1 = (100 * np.mean([getattr(score, field) for score in scores]) for field in ("em", "f1"))
            print(f"{name}: dev 1.1, {len(scores):,} questions: EM {em:.1f}, F1 {mean_f1:.1f}", flush=True)
            print(f"{name}: {_dev_2(one, sample)}", flush=True)


@dataclass(frozen=True, slots=True)
class _Scored:
    em: float
    f1: float
    score: float
    answerable: bool


def _scored(reader: Reader, context: str, gold: GoldQuestion) -> _Scored:
    article = make_article(context)
    spans = reader.read(gold.question, [Passage(article, 0, len(article.text))])[0]
    text = spans[0].text if spans else ""
    return _Scored(
        exact_match(text, gold.answers),
        f1(text, gold.answers),
        spans[0].score if spans else -np.inf,
        gold.answerable,
    )


def _dev_2(reader: Reader, sample: int | None) -> str:
    """Figures of SQuAD 2.0, answers withheld at scores below the threshold that is best for F1 on these questions (as
    its own evaluation has it), and below 0."""
    scores = [_scored(reader, context, gold) for context, gold in gold_paragraphs("dev-v2.0.json", sample)]
    values = np.array([one.score for one in scores])
    answerable = np.array([one.answerable for one in scores])
    f1s = np.array([one.f1 if one.answerable else 0.0 for one in scores])
    ems = np.array([one.em if one.answerable else 0.0 for one in scores])
    best = max(np.unique(values), key=lambda threshold: np.where(values >= threshold, f1s, ~answerable).mean())
    parts = [f"dev 2.0, {len(scores):,} questions, AUROC {100 * auroc(values, answerable):.1f}"]
    for name, threshold in (("best", best), ("0", 0.0)):
        em, mean_f1 = (100 * np.where(values >= threshold, kind, ~answerable).mean() for kind in (ems, f1s))
        has = 100 * np.where(values >= threshold, f1s, 0)[answerable].mean()
        none = 100 * (values < threshold)[~answerable].mean()
        parts.append(f"threshold {name}: EM {em:.1f}, F1 {mean_f1:.1f} (HasAns F1 {has:.1f}, NoAns {none:.1f})")
    return "; ".join(parts)


def squad(libraries: Path, sample: int | None) -> None:
    """SQuAD as an open-domain set: all articles one library, questions of the dev set."""
    _ask(libraries, "squad", squad_sample(sample))


def news(libraries: Path, sample: int | None) -> None:
    """Eight weeks of news, questions of a news quiz."""
    _ask(libraries, "news", news_questions())


def _ask(libraries: Path, name: str, questions: Sequence[GoldQuestion]) -> None:
    """Ask every question in every way, all passages read; and last as a user does, who does not wait for those that
    cannot change the answer."""
    library, texts = library_of(libraries, name)
    calibration = load_calibration(reader_folder())

    def verify(citation: CitationJSON) -> Validity:
        """Against the text of the file itself, not the library's copy of it."""
        quoted = texts.get(citation["article"], "")[citation["start"] : citation["end"]]
        return Validity.VALID if quoted == citation["quote"] else Validity.STALE

    with library, _scratch() as scratch:
        ways = [(way, one, True) for way, one in readers(reader_folder(), scratch).items()]
        for way, one, exhaustive in [*ways, ("as asked", load_reader(), False)]:
            warm_up_search(library)
            warm_up_reader(one)
            ask = load(library, one, calibration)
            records = list(evaluate(ask, questions, library, verify, Question("", exhaustive=exhaustive)))
            print(f"{way}:")
            _print(records)


def _print(records: Sequence[Record]) -> None:
    """Every metric with its interval, the misses by label, and what perfect stages would give."""
    for name, score in scores(records).items():
        if score.value is not None:
            print(f"  {METRICS[name].label}: {_told(name, score)}")
    print("  misses:", ", ".join(f"{label.value} {count}" for label, count in misses(records).items()))
    oracle = (f"{stage} {100 * em:.1f}" for stage, em in oracles(records).items())
    print("  exact match with a perfect stage:", ", ".join(oracle))
    misplaced = sum(record.misplaced for record in records)
    print(f"  quotes: {sum(record.quotes for record in records):,}, not at their place: {misplaced}", flush=True)


def _told(name: str, score: Score) -> str:
    scale = 100 if METRICS[name].unit == "%" else 1
    low, high = (float("nan") if edge is None else scale * edge for edge in (score.low, score.high))
    return f"{scale * (score.value or 0):,.1f} ({low:,.1f} to {high:,.1f})"


def speed(libraries: Path, sample: int | None) -> None:
    """Milliseconds to read for a question, in turns so that all ways have the same machine; and the share of its rate
    in matrix products. Nothing is stopped early."""
    questions = sampled(squad_sample(sample), _TIMED_QUESTIONS)
    library, _ = library_of(libraries, "squad")
    rate, operations = matrix_rate(), operations_of(reader_folder())
    assert operations is not None
    print(f"{rate:.0f} GFLOPS in matrix products of {cores()} cores")
    with library, _scratch() as scratch:
        ways = readers(reader_folder(), scratch)
        for one in ways.values():
            warm_up_search(library)
            warm_up_reader(one)
        for k in KS:
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            work = []
            for gold in questions:
                passages = [hit.passage for hit in library.search(gold.question, k)]
                work.append(operations(gold.question, passages))
                for way, one in ways.items():
                    sleep(_PAUSE_SECONDS)  # the threads of the one before go on spinning for a while
                    began = perf_counter()
                    one.read(gold.question, passages)
                    seconds[way].append(perf_counter() - began)
            for way, times in seconds.items():
                share = np.mean(work) / np.mean(times) / 1e9 / rate
                p50, p95 = (1000 * np.percentile(times, at) for at in (50, 95))
                print(f"k = {k:2}, {way}: {p50:.0f}/{p95:.0f} ms, {100 * share:.0f} % of the rate", flush=True)


def cold(libraries: Path, sample: int | None) -> None:
    """`pullquote ask` on the demo articles, the whole process, in turns: seconds and peak memory."""
    with _scratch() as scratch:
        command = _pullquote(scratch / "demo")
        subprocess.run([*command, "add", str(_DEMO)], check=True, stdout=subprocess.DEVNULL)
        exact = Path(shutil.copytree(reader_folder(), scratch / "fp32"))
        # in a process of its own, since one starts with as much memory as what starts it
        subprocess.run([*command, "export", str(exact)], check=True, stdout=subprocess.DEVNULL)
        ways = {
            "torch fp32": ["--runtime", "torch"],
            "onnx fp32": ["--reader", str(exact)],
            "onnx int8": ["--runtime", "onnx"],
        }
        runs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(_COLD_RUNS):
            for way, options in ways.items():
                runs[way].append(_run([*command, "ask", _DEMO_QUESTION, *options]))
    for way, measured in runs.items():
        seconds, mebibytes = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"{way}: {seconds:.2f} s, {mebibytes:,.0f} MiB at most; medians of {_COLD_RUNS}")


def news_training(libraries: Path, sample: int | None) -> None:
    """Does it help to train the shipped reader further on the earlier weeks' distant labels? Asked of the later ones,
    nothing withheld."""
    _, later = news_halves()
    answerable = [gold for gold in later if gold.answerable]
    library, _ = library_of(libraries, "news")
    with library, _scratch() as scratch:
        labels = scratch / "labels.jsonl"
        print(f"{write_distant_labels(labels)} labels; {len(answerable)} questions to measure with")
        command = [*_pullquote(libraries / "news"), "train", str(labels), "--out", str(scratch / "tuned")]
        subprocess.run([*command, "--rate", "3e-5", "--epochs", "2", "--held-out", "0"], check=True)
        for name, folder in (("shipped", reader_folder()), ("trained further", scratch / "tuned")):
            ask = load(library, load_reader(str(folder)), Calibration(threshold=0.0))
            how = Question("", exhaustive=True)
            records = list(evaluate(ask, answerable, library, lambda citation: Validity.VALID, how))
            em, mean_f1 = (
                100 * np.mean([getattr(record, name) for record in records]) for name in ("best_exact_match", "best_f1")
            )
            print(f"{name}: EM {em:.1f}, F1 {mean_f1:.1f}", flush=True)


def _pullquote(library: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("pullquote")), "--library", str(library)]


def _run(command: Sequence[str]) -> tuple[float, float]:
    """Seconds of a process and its peak memory in MiB."""
    began = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, usage.ru_maxrss / 1024


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pullquote-") as name:
        yield Path(name)
