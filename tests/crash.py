"""Kill -9 while a library is written to, many times, and errors of the disk: python -m tests.crash [--kills 200]."""

import argparse
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

from index.embed import load_embedder
from tests.conftest import ToyEmbedder
from tests.crash_child import POINTS, Task
from tests.faults import Impossible
from tests.invariants import Findings, Ledger, check
from tests.traces import ORDERED, Call, acknowledged_unsynced, traced

ROOT = Path(__file__).parent.parent
ERA = 20
"""Kills that one library lives through."""

_WAIT_SECONDS = 60
"""After this a process has failed to get where it should."""

_LATEST_INSTANT_SECONDS = 0.6
"""After the child's start: time for some dozens of acknowledgements."""


# Killing


def command(task: Task) -> list[str]:
    """What runs a child, in ROOT."""
    return [sys.executable, "-B", "-m", "tests.crash_child", json.dumps(asdict(task))]


def environment(task: Task) -> dict[str, str]:
    """What it leaves in its directory for temporary files goes with the journal's."""
    return {**os.environ, "TMPDIR": str(Path(task.journal).parent)}


def start(task: Task, until: str) -> subprocess.Popen[str]:
    """A child in a process group of its own that has come to a point ("start" is one). Raises RuntimeError where it
    does not get there."""
    journal, sign = Path(task.journal), json.dumps({"at": until}).encode()
    journal.touch()
    deadline = time.monotonic() + _WAIT_SECONDS
    process = subprocess.Popen(
        command(task), cwd=ROOT, env=environment(task), start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    while sign not in journal.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"never came to {until!r}: {kill(process)}")
        time.sleep(0.002)
    return process


def kill(process: subprocess.Popen[str]) -> str:
    """Kill all of its group; returns what it has written to standard error, which is nothing unless it failed."""
    with suppress(ProcessLookupError):  # it is over already
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[1]


@dataclass(frozen=True, slots=True)
class Round:
    """One kill: at which point, how much was acknowledged before it, and what was found after it."""

    point: str | None
    acknowledged: int
    findings: Findings


class Subject:
    """A library that is killed again and again, with all that is known of it."""

    def __init__(self, path: Path, *, real: bool) -> None:
        self.path = path
        self.real = real
        self.embedder = load_embedder() if real else ToyEmbedder()
        self.ledger = Ledger()

    def suffer(self, point: str | None, random: Random, keep: Path) -> Round:
        """One kill at the point, None being any instant, and a look at what it leaves.

        Every other time a copy is looked at, so that the next child meets what this one left. Where anything is wrong
        the other of the two is kept, with the journal and what was expected.
        """
        copy, journal = self.path.with_name("copy"), self.path.with_name("journal")
        task = Task(
            str(self.path),
            str(journal),
            random.randrange(1 << 30),
            point=point,
            skip=random.randrange(6),
            real=self.real,
        )
        problems = _killed(task, random.uniform(0, _LATEST_INSTANT_SECONDS))
        ledger, before = self.ledger, self.ledger.acknowledged
        ledger.read(journal.read_bytes())
        self.path.mkdir(exist_ok=True)
        shutil.copytree(self.path, copy)
        seen, other = (self.path, copy) if random.random() < 0.5 else (copy, self.path)
        findings = check(seen, ledger, self.embedder)
        findings = replace(findings, violations=[*problems, *ledger.errors, *ledger.bugs, *findings.violations])
        if findings.violations:
            self._keep(other, journal, keep, findings.violations)
        ledger.settle(findings.versions)
        shutil.rmtree(copy)
        journal.unlink()
        return Round(point, ledger.acknowledged - before, findings)

    def _keep(self, library: Path, journal: Path, keep: Path, violations: Sequence[str]) -> None:
        shutil.rmtree(keep, ignore_errors=True)
        shutil.copytree(library, keep / "library")
        shutil.copy(journal, keep / "journal")
        possible = {id: sorted(versions) for id, versions in self.ledger.possible.items()}
        about = {"real": self.real, "possible": possible, "violations": violations}
        (keep / "expected.json").write_text(json.dumps(about, indent=1))


def _killed(task: Task, seconds: float) -> list[str]:
    """Let a child live until its point, or so long; what went wrong with it."""
    try:
        process = start(task, until=task.point or "start")
    except RuntimeError as error:
        return [str(error)]
    if task.point is None:
        time.sleep(seconds)
    died = kill(process)
    return [f"the child failed: {died}"] if died else []


def campaign(plan: Sequence[str | None], seed: int, keep: Path, *, real: bool = False) -> Iterator[Round]:
    """One kill for each point of the plan. With `real` one library in ten has the real embedder."""
    random, healthy = Random(seed), False
    with TemporaryDirectory(prefix="pullquote-crash-") as scratch:
        for number, point in enumerate(plan):
            if number % ERA == 0 or not healthy:
                path = Path(scratch, str(number), "library")
                path.parent.mkdir()
                subject = Subject(path, real=real and number // ERA % 10 == 9)
            done = subject.suffer(point, random, keep / f"seed-{seed}-kill-{number}")
            healthy = not done.findings.violations
            yield done


def check_kept(keep: Path) -> Findings:
    """Look again at what a failed round has left."""
    about = json.loads((keep / "expected.json").read_text())
    ledger = Ledger({id: set(versions) for id, versions in about["possible"].items()}, acknowledged=1)
    with TemporaryDirectory() as scratch:
        copy = Path(scratch, "library")
        shutil.copytree(keep / "library", copy)
        return check(copy, ledger, load_embedder() if about["real"] else ToyEmbedder())


# Errors of the disk


def write_traced(task: Task, fault: str | None = None) -> list[Call]:
    """What a child calls, to the end of its sessions. Raises Impossible; CalledProcessError where it fails."""
    return traced(command(task), ORDERED, fault, cwd=ROOT, env=environment(task))


FAULTS = (
    "fdatasync:error=EIO",
    "fsync:error=EIO",
    "pwrite64:error=EIO",
    "pwrite64:error=ENOSPC",
    "write:error=ENOSPC",
    "rename:error=EIO",
)
SESSIONS = 2


@dataclass(frozen=True, slots=True)
class Site:
    """One call of the system that failed, and what came of it."""

    fault: str
    findings: Findings


def disk_errors(seed: int, most: int) -> Iterator[Site]:
    """Let the Nth call of a kind fail, for each kind at most so many N out of all there are. Raises Impossible."""
    random = Random(seed)
    with TemporaryDirectory(prefix="pullquote-crash-") as scratch:
        first = Path(scratch, "first")
        task = Task(str(first), f"{first}-journal", seed, SESSIONS)
        subprocess.run(command(task), cwd=ROOT, env=environment(task), check=True)
        calls, _ = _with_fault(first, Path(scratch, "none"), None, seed + 1)
        counts = Counter(call.name for call in calls if call.thread == calls[0].thread)
        for fault in FAULTS:
            sites = range(1, counts[fault.partition(":")[0]] + 1)
            for number in sorted(random.sample(sites, min(most, len(sites)))):
                rule = f"{fault}:when={number}"
                path = Path(scratch, rule)
                yield Site(rule, _with_fault(first, path, rule, seed + 1)[1])
                shutil.rmtree(path)


def _with_fault(first: Path, path: Path, rule: str | None, seed: int) -> tuple[list[Call], Findings]:
    """What the child does to a copy of the first library, and what comes of it."""
    shutil.copytree(first, path)
    journal = path.with_name(f"{path.name}-journal")
    ledger = Ledger()
    ledger.read(first.with_name(f"{first.name}-journal").read_bytes())
    try:
        calls = write_traced(Task(str(path), str(journal), seed, SESSIONS), rule)
        problems = acknowledged_unsynced(calls, path, journal)
    except subprocess.CalledProcessError as error:
        calls, problems = [], [f"the child failed: {error.stderr.decode()}"]
    ledger.read(journal.read_bytes())
    findings = check(path, ledger, ToyEmbedder())
    return calls, replace(findings, violations=[*problems, *ledger.bugs, *findings.violations])


# The figures


def table(rounds: Sequence[Round]) -> str:
    """Acknowledged, lost, orphans, violations and milliseconds to recover, by the point of the kill."""
    lines = [
        f"{'killed':46}{'kills':>7}{'acked':>8}{'lost':>6}{'orphans':>9}{'violations':>12}{'p50 ms':>8}{'max ms':>8}"
    ]
    for point in (None, *POINTS):
        if among := [round for round in rounds if round.point == point]:
            lines.append(_line(point or "at any instant", among))
    return "\n".join([*lines, _line("all", rounds)])


def _line(name: str, rounds: Sequence[Round]) -> str:
    found = [round.findings for round in rounds]
    milliseconds = [1000 * findings.seconds for findings in found]
    return (
        f"{name:46}{len(rounds):7}{sum(round.acknowledged for round in rounds):8}{sum(f.lost for f in found):6}"
        f"{sum(f.orphans for f in found):9}{sum(len(f.violations) for f in found):12}"
        f"{median(milliseconds):8.0f}{max(milliseconds):8.0f}"
    )


def plan(kills: int) -> list[str | None]:
    """Every fifth kill at a named point, each in its turn; the others at any instant."""
    points = itertools.cycle(POINTS)
    return [next(points) if number % 5 == 4 else None for number in range(kills)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--sites", type=int, default=10, help="of each kind of disk error (default: 10)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("build/crash"), help="where what failed is kept")
    parser.add_argument("--check", type=Path, help="look again at what was kept in this directory")
    given = parser.parse_args()
    if given.check:
        violations = check_kept(given.check).violations
        print("\n".join(violations) or "nothing is wrong")
        return bool(violations)
    rounds = []
    for number, round in enumerate(campaign(plan(given.kills), given.seed, given.keep, real=True)):
        rounds.append(round)
        print(f"\r{number + 1} of {given.kills} kills", end="", file=sys.stderr, flush=True)
        if round.findings.violations:
            kept = given.keep / f"seed-{given.seed}-kill-{number}"
            print(f"\nkill {number}, {round.point}:", *round.findings.violations, sep="\n  ")
            print(f"look again: python -m tests.crash --check {kept}")
    print(file=sys.stderr)
    print(table(rounds))
    print(f"seed {given.seed}; where none is lost, at most {3 / given.kills:.1%} of kills lose one (95 % bound)")
    failed = any(round.findings.violations for round in rounds)
    return int(_print_disk_errors(given.seed, given.sites) or failed)


def _print_disk_errors(seed: int, most: int) -> bool:
    """Whether anything was wrong."""
    try:
        sites = list(disk_errors(seed, most))
    except Impossible as reason:
        print(f"disk errors: skipped, since {reason}")
        return False
    for site in sites:
        if site.findings.violations:
            print(f"{site.fault}:", *site.findings.violations, sep="\n  ")
    wrong = sum(bool(site.findings.violations) for site in sites)
    print(
        f"disk errors: {len(sites)} calls failed, {sum(s.findings.lost for s in sites)} lost, {wrong} with violations"
    )
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
