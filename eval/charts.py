"""Charts of a run, as SVG for the inside of a page: they take its font, and its colours in light and dark."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.typing import RcKeyType

from eval.metrics import risk_coverage
from eval.record import Record
from eval.scores import STAGES, Columns, columns

BINS = 10
"""Of confidence, as the expected calibration error has them."""

_INCHES = (4.4, 3.1)
_POINTS = 9
"""Size of the text: 10 pixels where a phone shows the chart, 13 where two stand side by side."""

_INK, _SOFT, _RULE, _ACCENT = "#010101", "#020202", "#030303", "#040404"
_COLOURS = {_INK: "var(--ink)", _SOFT: "var(--soft)", _RULE: "var(--rule)", _ACCENT: "var(--accent)"}
"""What is drawn in the first is shown in the second: a style's variable, which follows light and dark."""

_STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pullquote",
    "font.size": _POINTS,
    "text.color": _INK,
    "axes.edgecolor": _SOFT,
    "axes.facecolor": "none",
    "axes.labelcolor": _SOFT,
    "axes.labelsize": _POINTS,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.labelsize": _POINTS,
    "ytick.labelsize": _POINTS,
    "xtick.major.width": 0.6,
    "ytick.major.size": 0,
}

_BOX = (25, 75)
_WHISKERS = (5, 95)
_FAR = 99
"""Percentiles of a stage's times."""

_BOX_HEIGHT = 0.42
"""Of the distance between two stages."""

_MOST_MARKS = 20
"""Points of a line that are marked: more would touch."""

_LEAST_RISK = 0.1
"""Share wrong that the axis reaches at least, lest a few errors look like many."""

_RISK = (
    "The share that would be wrong if only the most confident candidates were given, by how many those are. "
    "The dot marks those that were answered."
)
_RELIABILITY = (
    "The share that is right, by the confidence that was stated: on the dotted line both agree. Below, how many "
    "questions stand behind each point."
)
_RECALL = "The share of answerable questions of which one of the first k passages holds the answer."
_LATENCY = (
    "Milliseconds a question. The line is the median, the box holds half of the questions, the whiskers reach from the "
    f"{_WHISKERS[0]}th to the {_WHISKERS[1]}th percentile, the dot is the {_FAR}th."
)


@dataclass(frozen=True, slots=True)
class Chart:
    """`name` begins all ids in the `svg`, which is None where there is nothing to draw; it holds no text of a run."""

    name: str
    title: str
    caption: str
    svg: str | None


def charts(records: Sequence[Record]) -> list[Chart]:
    """Of at least one record; the same SVG for the same records."""
    table, hits = columns(records), max(record.hits for record in records)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the machine's matplotlibrc says
        matplotlib.rcParams.update(_STYLE)
        return [
            _chart("risk", "Risk and coverage", _RISK, lambda figure: _draw_risk(figure, table)),
            _chart("reliability", "Calibration", _RELIABILITY, lambda figure: _draw_reliability(figure, table)),
            _chart("recall", "Recall", _RECALL, lambda figure: _draw_recall(figure, table, hits)),
            _chart("latency", "Time by stage", _LATENCY, lambda figure: _draw_latency(figure, table)),
        ]


def _chart(name: str, title: str, caption: str, draw: Callable[[Figure], str | None]) -> Chart:
    """`draw` returns the chart in words, with its figures, or None where there is nothing to draw."""
    figure = Figure(figsize=_INCHES, layout="constrained")
    words = draw(figure)
    if words is None:
        return Chart(name, title, caption, None)
    file = StringIO()
    figure.savefig(file, format="svg")
    return Chart(name, title, caption, _inside_page(file.getvalue(), name, title, words))


def _inside_page(svg: str, name: str, title: str, words: str) -> str:
    """matplotlib's file as an element among others: no rule of style that reaches the page, no date, no id of another
    chart, no font, colour or size of its own."""
    content = re.sub(r"<style.*?</style>|<metadata.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    content = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", content.replace("xlink:href", "href"))
    content = re.sub(r"font-family: [^;\"]*", "font-family: inherit", content)
    for drawn, shown in _COLOURS.items():
        content = content.replace(drawn, shown)
    box = re.search(r'viewBox="[^"]*"', content)
    head = f'<svg {box[0] if box else ""} role="img" aria-labelledby="{name}-title {name}-words">'
    told = f'<title id="{name}-title">{title}</title><desc id="{name}-words">{words}</desc>'
    return head + told + content[content.index(">") + 1 :].strip()


def _draw_risk(figure: Figure, table: Columns) -> str:
    axes = figure.add_subplot()
    risk = risk_coverage(table.confidence, table.right)
    coverage = np.arange(1, len(risk) + 1) / len(risk)
    if len(risk) == 1:
        axes.plot(coverage, risk, "o", color=_ACCENT)
    axes.plot(coverage, risk, color=_ACCENT)
    given = float(table.given.mean())
    words = f"Of all {len(risk):,} questions {risk[-1]:.1%} would be wrong."
    if given:
        wrong = 1 - float(table.exact_match[table.given].mean())
        axes.plot(given, wrong, "o", color=_INK, clip_on=False, zorder=3)
        words += f" {given:.1%} are answered, and {wrong:.1%} of these are wrong."
    axes.set(xlim=(0, 1), ylim=(0, max(_LEAST_RISK, 1.05 * float(risk.max()))), xlabel="coverage", ylabel="share wrong")
    _percent(axes.xaxis, axes.yaxis)
    axes.grid(axis="y")
    return words


def _draw_reliability(figure: Figure, table: Columns) -> str:
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    numbers = np.minimum((table.confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(numbers, minlength=BINS)
    filled = np.flatnonzero(counts)
    confidence = [float(table.confidence[numbers == number].mean()) for number in filled]
    right = [float(table.right[numbers == number].mean()) for number in filled]
    above.plot((0, 1), (0, 1), ":", color=_SOFT, linewidth=1)
    above.plot(confidence, right, "o-", color=_ACCENT, clip_on=False)
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="share right")
    above.grid(axis="y")
    _percent(above.yaxis)
    below.bar((filled + 0.5) / BINS, counts[filled], width=0.8 / BINS, color=_SOFT)
    for number in filled:
        place = ((number + 0.5) / BINS, counts[number])
        below.annotate(f"{counts[number]:,}", place, (0, 1.5), textcoords="offset points", ha="center", va="bottom")
    below.set(ylim=(0, 1.5 * float(counts.max())), yticks=[], ylabel="questions", xlabel="confidence")
    below.spines["left"].set_visible(False)
    _percent(below.xaxis)
    points = zip(confidence, right, counts[filled], strict=True)
    return "; ".join(f"confidence {stated:.0%}: {share:.0%} right of {count:,}" for stated, share, count in points)


def _draw_recall(figure: Figure, table: Columns, hits: int) -> str | None:
    ranks = table.rank[table.answerable]
    if not len(ranks) or not hits:
        return None
    axes = figure.add_subplot()
    ks = np.arange(1, hits + 1)
    recall = (ranks[:, None] <= ks).mean(axis=0)
    axes.plot(ks, recall, "o-" if hits <= _MOST_MARKS else "-", color=_ACCENT, clip_on=False)
    axes.set(xlim=(0.5, hits + 0.5), ylim=(0, 1), xlabel="k", ylabel="recall@k")
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    axes.grid(axis="y")
    _percent(axes.yaxis)
    return f"Recall@1 is {recall[0]:.1%}, recall@{hits} {recall[-1]:.1%}."


def _draw_latency(figure: Figure, table: Columns) -> str:
    axes = figure.add_subplot()
    labels, words = [], []
    for row, stage in enumerate(STAGES):
        times = getattr(table, f"{stage}_ms")
        (left, right), (low, high) = np.percentile(times, _BOX), np.percentile(times, _WHISKERS)
        median, far = np.percentile(times, (50, _FAR))
        axes.plot((low, high), (row, row), color=_SOFT, linewidth=1)
        axes.barh(
            row, right - left, left=left, height=_BOX_HEIGHT, color=_RULE, edgecolor=_SOFT, linewidth=0.8, zorder=2
        )
        axes.plot(
            (median, median), (row - _BOX_HEIGHT / 2, row + _BOX_HEIGHT / 2), color=_ACCENT, linewidth=2.4, zorder=3
        )
        axes.plot(far, row, "o", color=_SOFT, markersize=3.5, clip_on=False)
        labels.append(f"{stage}\n{median:,.0f} ms")
        words.append(f"{stage}: half take at most {median:,.0f} ms, {_WHISKERS[1]} in 100 at most {high:,.0f} ms")
    _, longest = axes.get_xlim()
    axes.set(xlim=(0, longest), ylim=(len(STAGES) - 0.4, -0.6), xlabel="milliseconds")
    axes.set_yticks(range(len(STAGES)), labels)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    return "; ".join(words)


def _percent(*sides: Axis) -> None:
    for side in sides:
        side.set_major_formatter(PercentFormatter(1, decimals=0, symbol="\N{NO-BREAK SPACE}%"))
