"""`pullquote eval`: gold questions asked, scored, explained and compared with an earlier run."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from index.article import storable
from index.embed import Runtime, choose_runtime, model_fingerprint
from index.errors import ArticleNotFound, InvalidInput
from index.library import AnyLibrary, Validity
from index.onnx import GRAPH, read_about
from qa import cli_eval_show as show_eval
from qa import cli_show as show
from qa.answer import Ask, Question
from qa.cli_options import (
    EmbedderOption,
    GoldArgument,
    HitsOption,
    JSONOption,
    LibraryOption,
    ReaderOption,
    RuntimeOption,
    Stoppable,
    err,
    open_answers,
    out,
    print_json,
)
from qa.cli_tune import tune_library
from qa.cli_verify import citation_fields
from qa.confidence import calibration_for
from qa.reader import DEFAULT_READER, reader_folder
from qa.wire import CitationJSON

if TYPE_CHECKING:
    from eval.compare import Comparison
    from eval.gold import GoldQuestion
    from eval.record import Record, Run

WORSE = 3
"""Exit code where the run is significantly worse than its baseline."""

_MAX_PROBLEMS = 20


def evaluate_gold(
    gold: GoldArgument,
    library: LibraryOption,
    hits: HitsOption = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Ask only this many, chosen at random.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="As in `ask`.", show_default="fitted")] = None,
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help="As in `ask`.")] = False,
    budget_ms: Annotated[float | None, typer.Option(metavar="MS", help="As in `ask`.")] = None,
    to: Annotated[Path | None, typer.Option("--out", metavar="RUN", help="Keep the run in this JSON file.")] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Compare with a run kept by `--out`; exit code 3 where it is worse."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page (HTML) with figures, charts and every miss.")
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune", help="Choose weight of meaning, passages to read and threshold on GOLD; keep what gains."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With `--tune`: only show the figures.")] = False,
    reader: ReaderOption = DEFAULT_READER,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
    as_json: JSONOption = False,
) -> None:
    """Ask gold questions: how many answers are right, what went wrong with the others, and what to mend.

    Every metric has its 95 % interval. Every wrong answer has one label: the first stage that lost the right one. With
    `--baseline` the difference to an earlier run is tested, question by question. For example:

    `pullquote eval gold.jsonl --out before.json`, a change, then
    `pullquote eval gold.jsonl --baseline before.json --report report.html`
    """
    from eval.compare import compare
    from eval.gold import read_gold, sampled
    from eval.record import Run, read_run

    others = (hits, threshold, exhaustive or None, budget_ms, to, baseline, report)
    if tune and any(one is not None for one in others):
        raise InvalidInput(
            "--tune chooses and keeps settings, nothing else; to ask with them, run eval again without it"
        )
    if dry_run and not tune:
        raise InvalidInput("--dry-run is for --tune; without it eval changes nothing anyway")
    for file in filter(None, (to, report)):
        if not file.parent.is_dir():  # better now than after an hour's questions
            raise InvalidInput(f"{file}: there is no folder {file.parent}")
    earlier = None if baseline is None else read_run(baseline)
    everything = read_gold(gold)
    questions = sampled(everything, sample, seed)
    if tune:
        tune_library(library, embedder, reader, runtime, partial(_placed, questions), keep=not dry_run, as_json=as_json)
        return
    how = Question("", hits, threshold=threshold, budget_ms=budget_ms, exhaustive=exhaustive)
    with open_answers(library, embedder, reader, runtime) as (opened, answers):
        began = time.perf_counter()
        records, stopped = _records(answers, opened, _placed(questions, opened), how)
        seconds = round(time.perf_counter() - began, 1)
        about = {**_about(opened, reader_folder(reader), runtime, how), "seconds": seconds}
    if not records:
        raise typer.Exit(stopped or 1)
    asked = {
        "file": storable(gold.name),
        "sha256": sha256(gold.read_bytes()).hexdigest(),
        "of": len(everything),
        "seed": seed,
    }
    run = Run({**about, "gold": {**asked, "asked": len(records)}}, tuple(records))
    comparison = None if earlier is None else compare(earlier.records, run.records)
    _keep(run, to, earlier, comparison, report)
    _print(run, earlier, comparison, as_json)
    if earlier is not None and comparison is None:
        raise InvalidInput(f"{baseline} has none of these questions: there is nothing to compare with")
    if stopped is not None:
        err.print(f"Interrupted. The figures are of the first {len(records):,} of {len(questions):,} questions.")
        raise typer.Exit(stopped)
    if comparison is not None and comparison.worse:
        raise typer.Exit(WORSE)


def _records(
    ask: Ask, library: AnyLibrary, questions: "Sequence[GoldQuestion]", how: Question
) -> "tuple[list[Record], int | None]":
    """Of all questions, or of those answered before an interruption, with its exit code."""
    from rich.progress import track

    from eval.run import evaluate

    def verify(cited: CitationJSON) -> Validity:
        return library.verify(*citation_fields(cited)).validity

    records: list[Record] = []
    with Stoppable() as stopped:
        asked = track(questions, "Asking", console=err, disable=not err.is_terminal)
        for record in evaluate(ask, asked, library, verify, how):
            records.append(record)  # one by one, so that those before an interruption are kept
    return records, stopped.code


def _placed(questions: "Sequence[GoldQuestion]", library: AnyLibrary) -> "Sequence[GoldQuestion]":
    """Without places that are none in this library, of which a word is said."""
    from eval.gold import checked

    placed, problems = checked(questions, partial(_text, library))
    _tell(problems)
    return placed


def _text(library: AnyLibrary, id: str) -> str | None:
    try:
        return library.article(id).text
    except ArticleNotFound:
        return None


def _tell(problems: Sequence[str]) -> None:
    for problem in problems[:_MAX_PROBLEMS]:
        err.print(show.safe(problem), soft_wrap=True)
    if len(problems) > _MAX_PROBLEMS:
        err.print(f"… and {len(problems) - _MAX_PROBLEMS:,} more places that do not match")


def _about(library: AnyLibrary, folder: Path, runtime: Runtime | None, how: Question) -> dict[str, Any]:
    """What makes a run what it is: two that differ here may differ in their figures."""
    from eval.machine import machine, peak_memory, versions

    articles, passages = library.counts()
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "models": {
            "reader": f"{folder.name} {model_fingerprint(folder)} {_run_by(folder, runtime)}",
            "embedder": f"{library.embedder_name} {library.setting('embedder')}",
        },
        "library": {"fingerprint": library.fingerprint(), "articles": articles, "passages": passages},
        "settings": {
            "dense_weight": library.dense_weight,
            "hits": how.k,
            "threshold": how.threshold,
            "budget_ms": how.budget_ms,
            "exhaustive": how.exhaustive,
            "calibration": calibration_for(library, folder).json(),
        },
        "machine": machine(),
        "peak_memory_mib": peak_memory() >> 20,
    }


def _run_by(folder: Path, runtime: Runtime | None) -> str:
    """What runs the reader, and which graph: in 8 bits one answers otherwise."""
    graph = folder / GRAPH
    if choose_runtime(folder.name, graph, runtime) is Runtime.TORCH:
        return "by torch"
    return f"by onnx {read_about(graph, folder).graph_sha256[:16]}"


def _keep(
    run: "Run", to: Path | None, earlier: "Run | None", comparison: "Comparison | None", report: Path | None
) -> None:
    """In the files that were asked for."""
    from eval.record import write_run

    if to is not None:
        write_run(to, run)
    if report is not None:
        from eval.report import html  # takes a second

        try:
            report.write_text(html(run, earlier, comparison), encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{report}: {error.strerror}") from None


def _print(run: "Run", earlier: "Run | None", comparison: "Comparison | None", as_json: bool) -> None:
    from eval.record import unlike
    from eval.scores import misses, oracles, scores

    changed = [] if earlier is None else list(unlike(earlier.about, run.about))

    found = scores(run.records)
    if not as_json:
        out.print(show_eval.run(run, found))
        if comparison is not None:
            out.print(show_eval.comparison(comparison, changed))
        return
    print_json(
        {
            "questions": len(run.records),
            "answerable": sum(record.answerable for record in run.records),
            "metrics": {name: asdict(score) for name, score in found.items()},
            "misses": {label.value: count for label, count in misses(run.records).items()},
            "oracles": oracles(run.records),
            "quotes": sum(record.quotes for record in run.records),
            "quotes_misplaced": sum(record.misplaced for record in run.records),
            "comparison": comparison and {**_comparison_json(comparison), "unlike": _unlike_json(changed)},
            "about": run.about,
        }
    )


def _comparison_json(comparison: "Comparison") -> Mapping[str, Any]:
    return {**asdict(comparison), "ties": comparison.ties, "tells": comparison.tells, "worse": comparison.worse}


def _unlike_json(changed: "Sequence[tuple[str, str, str]]") -> Mapping[str, Mapping[str, str]]:
    return {name: {"before": before, "now": now} for name, before, now in changed}
