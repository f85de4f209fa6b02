"""Hostile and random requests to a server with toy models: python -m tests.fuzz [--cases 500]."""

import argparse
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults import Impossible
from tests.figures import Figure, counted, exactly, line, table
from tests.fuzz_described import Fuzzed, fuzz
from tests.fuzz_hostile import bodies, pathological
from tests.served import Served, serving, toy


def described(served: Served, cases: int, seed: int | None) -> tuple[Fuzzed, list[Figure]]:
    """C1: what schemathesis finds, and how much it sent."""
    _, description = served.get("/openapi.json")
    operations = sum(len(methods) for methods in description["paths"].values())
    fuzzed = fuzz(served.port, cases, seed)
    return fuzzed, [
        exactly("operations", len(fuzzed.operations), operations),
        Figure("requests", fuzzed.phases.total()),
        counted("by phase", fuzzed.phases),
        counted("by status", {str(status): number for status, number in fuzzed.statuses.items()}),
        exactly("failures", len(fuzzed.failures), 0),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=500, help="random requests for each operation (default: 500)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--characters", type=int, default=100_000, help="of a long text (default: 100,000)")
    parser.add_argument("--json", action="store_true", help="a line for each, for programs")
    given = parser.parse_args()
    if given.cases < 1 or given.characters < 1_000:
        parser.error("there is nothing to send")
    with (
        TemporaryDirectory(prefix="pullquote-fuzz-") as directory,
        serving(toy("real tokens"), Path(directory, "library"), Path(directory, "log")) as served,
    ):
        served.wait_until_ready()
        measured = {"C7: bodies": bodies(served), "C4: pathological texts": pathological(served, given.characters)}
        fuzzed, measured["C1: made from the description"] = described(served, given.cases, given.seed)
        measured["The server"] = [exactly("tracebacks in its log", served.tracebacks, 0)]
        for failure in fuzzed.failures:
            print(failure, end="\n\n", file=sys.stderr)
        for title, figures in measured.items():
            print(line(title, figures) if given.json else f"{table(title, figures)}\n")
        if served.tracebacks:
            print(served.log.read_text(errors="replace"), file=sys.stderr)
    return int(any(not figure.met for figures in measured.values() for figure in figures))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no server outlives this
    try:
        sys.exit(main())
    except Impossible as reason:
        sys.exit(f"skipped, since {reason}")
