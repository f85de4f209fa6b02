"""`pullquote eval --tune`: settings chosen on gold questions, shown with what they gain, and kept with the library."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from index.embed import Runtime
from index.library import DENSE_WEIGHT_SETTING, AnyLibrary
from qa.cli_options import err, open_library, out, print_json
from qa.confidence import calibration_for, note_calibration
from qa.reader import load_reader, reader_folder

if TYPE_CHECKING:
    from eval.gold import GoldQuestion
    from eval.tune import Choice, Tuning


def tune_library(
    library: Path,
    embedder: str | None,
    reader: str,
    runtime: Runtime | None,
    questions: "Callable[[AnyLibrary], Sequence[GoldQuestion]]",
    *,
    keep: bool,
    as_json: bool,
) -> None:
    """Choose, show, and unless told otherwise keep what does not answer fewer of the questions that had no part in the
    choice. `questions` are those for a library. Raises InvalidInput, LibraryBusy."""
    from rich.progress import track

    from eval.tune import Choice, tune

    def progress(items: "Sequence[GoldQuestion]", doing: str) -> Iterable[object]:
        return track(items, doing, console=err, disable=not err.is_terminal)

    folder = reader_folder(reader)
    with open_library(library, embedder, runtime) as opened:
        calibration = calibration_for(opened, folder)
        present = Choice(opened.dense_weight, calibration.hits, calibration.threshold)
        tuning = tune(opened, load_reader(reader, runtime), calibration, questions(opened), progress)
        choice = tuning.choice
        if kept := keep and tuning.gain >= 0:
            opened.note(DENSE_WEIGHT_SETTING, str(choice.dense_weight))
            note_calibration(opened, folder, replace(calibration, hits=choice.hits, threshold=choice.threshold))
    if as_json:
        print_json({"present": asdict(present), **asdict(tuning), "gain": tuning.gain, "kept": kept})
    else:
        _print(present, tuning, kept)


def _print(present: "Choice", tuning: "Tuning", kept: bool) -> None:
    choice, before, after = tuning.choice, tuning.before, tuning.after
    settings = Table(box=None, pad_edge=False)
    figures = Table(box=None, pad_edge=False)
    for table, first, others in (
        (settings, "", ("present", "chosen")),
        (figures, "on questions that had no part in the choice", ("present", "chosen")),
    ):
        table.add_column(first)
        for name in others:
            table.add_column(name, justify="right")
    settings.add_row("weight of meaning", f"{present.dense_weight:.1f}", f"{choice.dense_weight:.1f}")
    settings.add_row("passages read, at most", f"{present.hits}", f"{choice.hits}")
    settings.add_row("withheld below", f"{present.threshold:.0%}", f"{choice.threshold:.0%}")
    for label, old, new in (
        ("answer in what is read", before.recall, after.recall),
        ("exact match", before.exact_match, after.exact_match),
        ("F1", before.f1, after.f1),
    ):
        figures.add_row(label, f"{old:.1%}", f"{new:.1%}")
    interval = f"{100 * tuning.low:+.1f} to {100 * tuning.high:+.1f}"
    told = f"gain in exact match {100 * tuning.gain:+.1f} (95 % interval {interval})"
    out.print(settings, "", figures, "", Text(told), sep="\n")
    why = " since these would answer fewer questions" if tuning.gain < 0 else ""
    out.print("kept with the library" if kept else f"nothing was kept{why}", style="dim")
