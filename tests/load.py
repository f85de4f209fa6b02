"""A real server under load, and what becomes of it: python -m tests.load [NAME ...].

Without names all scenarios are run. Requests go to 127.0.0.1 alone, and every server that was started is ended. Let
nothing else run meanwhile, and look at the generator's lag before the other figures.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from index.embed import load_embedder
from server.connection import IDLE_SECONDS
from tests.faults import Impossible
from tests.figures import Figure, line, table
from tests.load_asking import Rig, abort, capacity, cold, overload, slow
from tests.load_living import sigterm, soak
from tests.served import PULLQUOTE, ROOT, real

_SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the reliability matrix. `amount` is how long it goes on, in seconds, or how often it is done."""

    title: str
    run: Callable[[Rig, float], Sequence[Figure]]
    amount: float
    timed: bool


SCENARIOS: Mapping[str, Scenario] = {
    "capacity": Scenario("Capacity", capacity, 30, timed=True),
    "overload": Scenario("B1: ten times as many questions as can be answered", overload, 600, timed=True),
    "slow": Scenario("B2: slow clients", lambda rig, clients: slow(rig, int(clients), IDLE_SECONDS), 200, timed=False),
    "abort": Scenario("B3: clients who leave", lambda rig, times: abort(rig, int(times)), 1_000, timed=False),
    "cold": Scenario("B6: questions while loading", lambda rig, requests: cold(rig, int(requests)), 50, timed=False),
    "sigterm": Scenario(
        "B4: told to end", lambda rig, times: sigterm(rig, int(times), load_embedder()), 50, timed=False
    ),
    "soak": Scenario("B5: all that is done to a server", soak, 1_800, timed=True),
}


def run(rig: Rig, name: str, amount: float) -> list[Figure]:
    """The scenario of that name, and how long it took."""
    began = perf_counter()
    figures = SCENARIOS[name].run(rig, amount)
    return [*figures, Figure("s that this took", perf_counter() - began)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--minutes", type=float, help="of what goes on for a time: capacity, overload, soak")
    parser.add_argument("--seconds", type=float, help="the same")
    parser.add_argument("--times", type=int, help="of what is done so often: slow, abort, cold, sigterm")
    parser.add_argument("--library", type=Path, help="a copy of it is served (default: the articles in seeds/)")
    parser.add_argument("--gold", type=Path, default=ROOT / "seeds/questions.jsonl", help="JSON Lines; what is asked")
    parser.add_argument("--pin", action="store_true", help="the server on one core, the generator on another")
    parser.add_argument("--json", action="store_true", help="a line for each, for programs")
    given = parser.parse_args()
    if unknown := set(given.names) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    if given.library and not given.library.is_dir():
        parser.error(f"there is no library in {given.library}")
    seconds = given.seconds if given.minutes is None else given.minutes * _SECONDS_PER_MINUTE
    if any(amount is not None and amount <= 0 for amount in (seconds, given.times)):
        parser.error("nothing can go on for no time, nor be done less than once")
    questions = [json.loads(text)["question"] for text in given.gold.read_text(encoding="utf-8").splitlines()]
    with TemporaryDirectory(prefix="pullquote-load-") as directory:
        scratch = Path(directory)
        rig = Rig(scratch, _library(scratch, given.library), real, questions, given.pin)
        missed = 0
        for name in given.names or SCENARIOS:
            scenario = SCENARIOS[name]
            amount = (seconds if scenario.timed else given.times) or scenario.amount
            figures = run(rig, name, amount)
            print(line(scenario.title, figures) if given.json else f"{table(scenario.title, figures)}\n", flush=True)
            missed += sum(not figure.met for figure in figures)
    return int(missed > 0)


def _library(scratch: Path, given: Path | None) -> Path:
    """A library of our own: that of the seeds, or a copy of the one given."""
    library = scratch / "library"
    if given is None:
        command = [*PULLQUOTE, "--library", str(library), "add", str(ROOT / "seeds/articles")]
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
    else:
        shutil.copytree(given, library)
    return library


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no server outlives this
    try:
        sys.exit(main())
    except Impossible as reason:
        sys.exit(f"skipped, since {reason}")
