"""The commands that make what answers run on: calibrate, train, export."""

import importlib.util
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from index.embed import DEFAULT_EMBEDDER, export_embedder, model_folder
from index.errors import InvalidInput
from index.onnx import GRAPH
from qa import cli_show as show
from qa.cli_options import (
    EmbedderOption,
    GoldArgument,
    HitsOption,
    JSONOption,
    LibraryOption,
    ReaderOption,
    RuntimeOption,
    err,
    open_library,
    out,
    print_json,
    read_share,
)
from qa.confidence import calibration_for, note_calibration, write_calibration
from qa.reader import DEFAULT_READER, load_reader, reader_folder


def calibrate(
    gold: GoldArgument,
    library: LibraryOption,
    max_error: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Withhold so much that at most this share of the answers given is wrong, like 10%.",
            show_default="what handles most questions rightly",
        ),
    ] = None,
    hits: HitsOption = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Ask only this many, chosen at random.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the figures; keep nothing.")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Keep it in this file rather than with the library.")
    ] = None,
    reader: ReaderOption = DEFAULT_READER,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
    as_json: JSONOption = False,
) -> None:
    """Fit the confidence, and when to withhold an answer, on gold questions about this library.

    What is fitted is kept with the library and used from then on. The figures "after" are of questions that had no part
    in the fit: each fifth is judged by a fit on the other four. Questions without an answer belong into GOLD too, about
    as many as people will ask.
    """
    from rich.progress import track

    from eval.confidence import judged_report, readings
    from eval.gold import read_gold, sampled
    from qa.calibrate import cross_fit, fit, judge

    error = None if max_error is None else read_share(max_error)
    questions = sampled(read_gold(gold), sample, seed)
    folder = reader_folder(reader)
    with open_library(library, embedder, runtime) as opened:
        current = calibration_for(opened, folder)
        hits = current.hits if hits is None else hits
        asked = track(questions, "Reading", console=err, disable=not err.is_terminal)
        found = list(readings(opened, load_reader(reader, runtime), asked, hits))
        fitted = replace(fit(found, error), hits=hits)
        reports = {
            "before": judged_report([(one, current) for one in judge(found, current)]),
            "after": judged_report(cross_fit(found, error)),
        }
        if to is not None and not dry_run:
            write_calibration(to, fitted)
        elif not dry_run:
            note_calibration(opened, folder, fitted)
    if as_json:
        print_json({name: asdict(scores) for name, scores in reports.items()} | {"calibration": fitted.json()})
    else:
        out.print(show.calibration(reports, fitted))


def train(
    gold: Annotated[
        list[Path], typer.Argument(metavar="GOLD...", help="SQuAD 1.1/2.0 JSON, JSONL or CSV; see the README.")
    ],
    target: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the reader is written.")],
    library: LibraryOption,
    base: Annotated[
        str, typer.Option(metavar="NAME", help="What to begin with: a reader, an encoder or a folder of one.")
    ] = DEFAULT_READER,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Train for so long.", show_default="one pass")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the questions, at most.")] = None,
    rate: Annotated[float, typer.Option(help="Learning rate at its highest.")] = 2e-4,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    teacher: Annotated[
        str | None, typer.Option(metavar="NAME", help="A reader of the same vocabulary to learn from as well.")
    ] = None,
    held_out: Annotated[
        str, typer.Option(metavar="SHARE", help="Articles kept out of training, to measure with: 10% or 0.1.")
    ] = "5%",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint, if there is one.")] = False,
) -> None:
    """Train a reader on gold questions and measure it on articles held out.

    The articles of SQuAD files are in them; those that JSONL names must be in the library. The end is after
    `--minutes` or `--epochs`, whichever comes first; the learning rate falls to zero by then. Interrupt at any time
    and run the same command with `--resume` to go on.
    """
    from qa.cli_train import train_files  # here, since torch takes seconds that no other command waits for
    from qa.training.train import Settings

    passes = 1 if minutes is None and epochs is None else epochs
    settings = Settings(rate, seed, minutes, passes, read_share(held_out))
    raise typer.Exit(train_files(gold, base, teacher, target, library, settings, resume, out, err))


def export(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Folders, or names in the model cache, of readers and embedders."),
    ],
    int8: Annotated[
        bool, typer.Option("--int8", help="Products of 8-bit integers in a reader: faster, a little less exact.")
    ] = False,
) -> None:
    """Write the graph of a model beside its weights, so that it runs by onnxruntime rather than PyTorch.

    The graph names the weights in the safetensors and has none itself. It must be made again only when the model's
    shape changes, not when it is trained further. Needs: pip install 'pullquote[export]'
    """
    for name in models:
        with err.status(f"Exporting {name} …"):
            graph = export_model(name, int8)
        out.print(show.safe(f"{graph}: {graph.stat().st_size / 1000:.0f} KB"), soft_wrap=True)


def export_model(name: str, int8: bool) -> Path:
    """Returns where the graph is. Raises ModelNotFound, InvalidInput."""
    if importlib.util.find_spec("onnxscript") is None:
        raise InvalidInput("an export needs two more packages; run: pip install 'pullquote[export]'")
    if name == DEFAULT_EMBEDDER or (name != DEFAULT_READER and (model_folder(name) / "modules.json").is_file()):
        if int8:
            raise InvalidInput(
                f"{name} is an embedder; --int8 is for readers, since vectors of two precisions do not mix"
            )
        return export_embedder(name)
    from qa.torch_model import TorchModel  # takes seconds

    graph = reader_folder(name) / GRAPH
    TorchModel(graph.parent).export(graph, int8=int8)
    return graph
