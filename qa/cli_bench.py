"""`pullquote bench`: how fast a library is on this machine."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from index.embed import DEFAULT_EMBEDDER, load_embedder
from index.errors import InvalidInput
from qa import cli_show as show
from qa.answer import Question
from qa.cli_options import (
    EmbedderOption,
    HitsOption,
    JSONOption,
    LibraryOption,
    ReaderOption,
    RuntimeOption,
    Stoppable,
    err,
    open_answers,
    open_articles,
    out,
    print_json,
)
from qa.confidence import calibration_for
from qa.reader import DEFAULT_READER, reader_folder

if TYPE_CHECKING:  # what is imported here, every command waits for
    from eval.bench import Bench

_STAGES = {"search": "search", "encode": "  of it the question's vector", "read": "read", "total": "total"}
_HOUR = 3_600
_SHOWN_PACKAGES = ("pullquote", "onnxruntime", "faiss-cpu")


def bench(
    library: LibraryOption,
    gold: Annotated[
        Path | None,
        typer.Argument(metavar="GOLD", help="Gold questions to ask.", show_default="beginnings of passages"),
    ] = None,
    count: Annotated[int, typer.Option("--questions", min=1, help="Different questions to ask, at most.")] = 100,
    seconds: Annotated[
        float,
        typer.Option(min=0, max=_HOUR, help="How long to measure; everything is done once, however little that is."),
    ] = 40,
    hits: HitsOption = None,
    reader: ReaderOption = DEFAULT_READER,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
    as_json: JSONOption = False,
) -> None:
    """Measure how fast the library answers and takes articles on this machine.

    Questions are asked one after the other, as by `ask`, then by 1, 2, 4 and 8 people at once, as of `serve`, where one
    question is answered at a time and the others wait. Articles are added to a library that is removed again; nothing
    is added to yours. Let nothing else run meanwhile.
    """
    from eval.bench import bench as measure
    from eval.bench import drawn, operations_of, questions_of
    from eval.gold import read_gold

    texts = [] if gold is None else [one.question for one in drawn(read_gold(gold), count)]
    with open_articles(library) as unembedded:
        articles, passages = unembedded.counts()
    if not passages:
        raise InvalidInput(f"{library} has no articles to ask about; add some with: pullquote add FILES")
    with Stoppable() as stopped, open_answers(library, embedder, reader, runtime) as (opened, answers):
        encoder = load_embedder(embedder or opened.embedder_name or DEFAULT_EMBEDDER, runtime)
        hits = calibration_for(opened, reader_folder(reader)).hits if hits is None else hits
        encoder.encode([""])  # loads it: the library has one of its own
        with err.status("Measuring …") as status:
            questions = [Question(text, hits) for text in texts or questions_of(opened, encoder, count)]
            measured = measure(
                *(opened, answers, encoder, operations_of(reader_folder(reader)), questions, seconds),
                lambda text: status.update(f"Measuring: {text} …"),
            )
    if stopped.code is not None:
        raise typer.Exit(stopped.code)
    _print(measured, articles, passages, questions[0].k, as_json)


def _print(measured: "Bench", articles: int, passages: int, hits: int | None, as_json: bool) -> None:
    from eval.machine import machine, versions

    if as_json:
        about = {"machine": machine(), "versions": versions(), "articles": articles, "passages": passages, "hits": hits}
        print_json({**about, **asdict(measured), "matrix_share": measured.matrix_share})
        return
    told, installed = machine(), versions()
    made = ", ".join(f"{name} {installed[name]}" for name in _SHOWN_PACKAGES)
    out.print(show.safe(f"{told['processor']}, {told['cores']} cores; {told['system']}; {made}"), soft_wrap=True)
    out.print(f"{articles:,} articles, {passages:,} passages\n")
    out.print(_tables(measured, hits))


def _tables(measured: "Bench", hits: int | None) -> RenderableType:
    asking, indexing = measured.asking, measured.indexing
    stages = _table(f"milliseconds of {asking.questions:,} questions", "p50", "p95", "p99")
    for stage, label in _STAGES.items():
        times = asking.milliseconds[stage]
        stages.add_row(label, _number(times.p50), _number(times.p95), _number(times.p99))
    together = _table("asking at once", "questions/s", "p50 ms", "p95 ms")
    for one in measured.together:
        waits = one.milliseconds
        together.add_row(f"{one.askers}", _number(one.questions_per_second), _number(waits.p50), _number(waits.p95))
    adding = _table("adding", "", "a second")
    for name in ("articles", "passages", "tokens"):
        adding.add_row(name, f"{getattr(indexing, name):,}", _number(getattr(indexing, f"{name}_per_second")))
    read = f"{asking.passages_read:.1f} of at most {hits} passages read, until the rest could not change the answer"
    return Group(
        *(stages, Text(read, "dim"), ""),
        *(together, Text("one question is answered at a time, as in pullquote serve; HTTP is not in it", "dim"), ""),
        *(adding, ""),
        *(_matrix_products(measured), Text("a reader in 8 bits may reach over 100%", "dim")),
    )


def _matrix_products(measured: "Bench") -> Table:
    table = _table("matrix products", "GFLOPS", "")
    table.add_row("this machine, in fp32", _number(measured.matrix_gflops), "")
    if measured.asking.gflops is not None and measured.matrix_share is not None:
        table.add_row("the reader, as it reads", _number(measured.asking.gflops), f"{measured.matrix_share:.0%}")
    else:
        table.add_row("the reader", "–", "unknown: its config.json names no sizes as BERT's does")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _number(value: float) -> str:
    """With a digit behind the point where it is small."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
