"""What `pullquote eval` prints for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # what is imported here, every command waits for
    from eval.compare import Comparison
    from eval.record import Run
    from eval.scores import Score

_SHOWN = (
    *("em", "f1", "answerable_em", "answerable_f1", "best_em", "best_f1", "exact_span"),
    *("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10"),
    *("answered", "answered_em", "no_answer_precision", "no_answer_recall", "no_answer_auroc"),
    *("ece", "brier", "aurc", "coverage@80%", "coverage@90%", "coverage@95%"),
    *("passages_read", "search_p50", "read_p50", "total_p50", "total_p95", "total_p99"),
)
"""Metrics in the order they are shown; the others are in `--json`, the run file and the report."""

_SIGNIFICANT = 0.05


def run(of: "Run", found: "Mapping[str, Score]") -> RenderableType:
    """Figures with their intervals, where the misses come from, and what perfect stages would give."""
    from eval.scores import METRICS, misses, oracles

    records = of.records
    answerable, quotes = sum(record.answerable for record in records), sum(record.quotes for record in records)
    misplaced = sum(record.misplaced for record in records)
    figures = _table("", "", "95 % interval")
    for name in _SHOWN:
        score, metric = found[name], METRICS[name]
        if score.value is not None:
            figures.add_row(metric.label, _number(score.value, metric.unit), _interval(score, metric.unit))
    missed = sum(record.exact_match == 0 for record in records)
    labels = _table("questions missed, by what went wrong", f"{missed:,}", "")
    for label, count in misses(records).items():
        labels.add_row(f"  {label.value}", f"{count:,}", f"{count / len(records):.1%}")
    perfect = _table("exact match if it were perfect", "", "")
    for stage, share in oracles(records).items():
        perfect.add_row(f"  {stage}", _number(share, "%"), f"+{100 * share - 100 * (found['em'].value or 0):.1f}")
    told = (
        f"{len(records):,} questions, {answerable:,} of them answerable; {quotes:,} quotes checked, {misplaced:,} not "
        f"at their place; peak memory {of.about['peak_memory_mib']:,} MiB"
    )
    return Group(figures, "", labels, "", perfect, "", Text(told, style="dim"))


def comparison(found: "Comparison", unlike: "Sequence[tuple[str, str, str]]") -> RenderableType:
    """What changed since the baseline, whether that is more than chance, and what the two were not made with alike."""
    from eval.scores import METRICS

    table = _table("against the baseline", "before", "now", "change", "95 % interval", "p")
    for name in _SHOWN:
        change, unit = found.changes[name], METRICS[name].unit
        if change.difference is None or change.p is None:
            continue
        better = (change.difference > 0) == METRICS[name].higher_is_better
        style = "" if change.p >= _SIGNIFICANT or not change.difference else "green" if better else "red"
        table.add_row(
            METRICS[name].label,
            _number(change.before or 0, unit),
            _number(change.after or 0, unit),
            Text(_signed(change.difference, unit), style=style),
            f"{_signed(change.low or 0, unit)} to {_signed(change.high or 0, unit)}",
            f"{change.p:.3f}",
        )
    told = f"{found.wins:,} better answered, {found.losses:,} worse, {found.ties:,} alike"
    left_out = f"; {found.left_out:,} asked in one run only or with other answers, left out" if found.left_out else ""
    parts: list[RenderableType] = ["", table, "", Text(told + left_out, style="dim")]
    if unlike:
        made = "; ".join(f"{name}: {before}, now {now}" for name, before, now in unlike)
        parts.append(Text(f"made with something else: {made}", style="dim"))
    if not found.tells:
        parts.append(Text("too few questions to tell a change from chance, however large", style="yellow"))
    if found.worse:
        names = ", ".join(METRICS[name].label for name in found.worse)
        parts.append(Text(f"significantly worse than the baseline: {names}", style="bold red"))
    return Group(*parts)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=bool(first or any(others)))
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _interval(score: "Score", unit: str) -> Text:
    edges: Iterable[float] = (score.low or 0, score.high or 0)
    return Text(" to ".join(_number(edge, unit, named=False) for edge in edges), style="dim")


def _number(value: float, unit: str, *, named: bool = True) -> str:
    shown = f"{100 * value:.1f}" if unit == "%" else f"{value:,.0f}" if unit == "ms" else f"{value:.1f}"
    return f"{shown} {unit}".strip() if named else shown


def _signed(value: float, unit: str) -> str:
    return f"{100 * value if unit == '%' else value:+.1f}"
