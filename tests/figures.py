"""What was measured, beside what was wanted, as Markdown or JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. `wanted` says what it should be, where anything is wanted of it."""

    name: str
    value: float | str
    wanted: str = ""
    met: bool = True


def at_most(name: str, value: float, limit: float) -> Figure:
    return Figure(name, value, f"≤ {_shown(limit)}", value <= limit)


def at_least(name: str, value: float, limit: float) -> Figure:
    return Figure(name, value, f"≥ {_shown(limit)}", value >= limit)


def exactly(name: str, value: float | str, wanted: float | str) -> Figure:
    return Figure(name, value, _shown(wanted), value == wanted)


def counted(name: str, counts: Mapping[str, int]) -> Figure:
    """How often each thing was."""
    return Figure(name, ", ".join(f"{what}: {number:,}" for what, number in sorted(counts.items())) or "none")


def table(title: str, figures: Sequence[Figure]) -> str:
    """As Markdown."""
    rows = [f"| {one.name} | {_shown(one.value)} | {one.wanted}{'' if one.met else ' **missed**'} |" for one in figures]
    return "\n".join([f"| {title} | measured | wanted |", "|---|---|---|", *rows])


def line(title: str, figures: Sequence[Figure]) -> str:
    """As a line of JSON."""
    return json.dumps({"title": title, "figures": [asdict(one) for one in figures]}, ensure_ascii=False)


def _shown(value: float | str) -> str:
    """Three digits are as much as such a measurement says, but a count is a count."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1_000 else f"{value:.3g}"
