"""Rows B1 to B6 of the reliability matrix in short: what is counted is right; how long it takes is for `make load`."""

import asyncio
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import pytest
from conftest import ToyEmbedder

from index.article import make_article
from index.library import Library
from tests import load
from tests.figures import Figure, at_least, at_most, counted, exactly, line, table
from tests.load_asking import PLACES, Rig, abort, capacity, cold, overload, slow
from tests.load_living import Ending, Sample, growth, sigterm, soak
from tests.served import toy
from tests.traffic import BROKEN, Client, Reply, counts, open_loop, request

RigOf = Callable[..., Rig]


@pytest.fixture
def rig(tmp_path: Path) -> RigOf:
    """What starts servers with toy models, changed in some ways."""
    with Library(tmp_path / "library", ToyEmbedder(), create=True) as library:
        library.add([make_article("The ferry hit the breakwater in fog. Nobody was killed.", id="ferry")])

    def make(*changes: str) -> Rig:
        return Rig(tmp_path, tmp_path / "library", toy(*changes), ["What did the ferry hit?"])

    return make


def values(figures: Sequence[Figure]) -> dict[str, float | str]:
    return {figure.name: figure.value for figure in figures}


def test_capacity(rig: RigOf) -> None:
    found = values(capacity(rig(), 0.1))
    assert [found[f"{clients} clients: not answered"] for clients in (1, 8, 32)] == [0, 0, 0]
    assert found["tracebacks in the server's log"] == 0


def test_in_an_overload_what_is_too_much_is_refused(rig: RigOf) -> None:
    found = values(overload(rig("slow"), 0.3))
    assert found["neither 200 nor 429"] == found["health not told"] == found["tracebacks in the server's log"] == 0
    assert "429 overloaded" in str(found["responses"])


def test_a_queue_without_bounds_is_noticed(rig: RigOf) -> None:
    missed = [figure.name for figure in overload(rig("slow", "unbounded queue"), 0.3) if not figure.met]
    assert "accepted, p99 s; wanted: the queue at least goodput, and the p99 of one client" in missed


def test_slow_clients_are_closed(rig: RigOf) -> None:
    found = values(slow(rig("impatient"), 30, 1.0))
    assert float(found["connections and other files open together"]) >= 30
    assert found["files left open"] == found["others not answered"] == found["tracebacks in the server's log"] == 0


def test_endless_patience_is_noticed(rig: RigOf) -> None:
    assert float(values(slow(rig("patient without end"), 30, 0.5))["files left open"]) >= 30


def test_places_return_from_clients_who_leave(rig: RigOf) -> None:
    found = values(abort(rig("slow"), 40))
    assert found["places that did not return"] == 0
    assert found[f"then {PLACES} at once"] == f"200: {PLACES}"


def test_places_that_do_not_return_are_noticed(rig: RigOf) -> None:
    assert float(values(abort(rig("slow", "places kept", "no grace"), 20))["places that did not return"]) > 0


def test_while_loading_all_are_refused(rig: RigOf) -> None:
    found = values(cold(rig("loading"), 10))
    assert (found["while loading"], found["afterwards"]) == ("503 loading: 10", 200)


def test_told_to_end_nothing_is_dropped(rig: RigOf) -> None:
    found = sigterm(rig("slow"), 2, ToyEmbedder())
    assert [figure for figure in found if not figure.met] == []


def test_what_is_given_up_at_the_end_is_noticed(rig: RigOf) -> None:
    assert float(values(sigterm(rig("very slow", "no grace"), 1, ToyEmbedder()))["of these dropped"]) > 0


def test_nothing_fails_in_a_soak(rig: RigOf) -> None:
    found = values(soak(rig(), 1))
    assert found["5xx or broken off"] == found["tracebacks in the server's log"] == 0


def test_growth_is_told_by_the_hour() -> None:
    samples = [Sample(at=10.0 * number, memory=100 + number % 2, files=7, threads=number, wal=0) for number in range(5)]
    assert growth(samples, "files") == pytest.approx((0, 0), abs=1e-6)
    assert growth(samples, "threads") == pytest.approx((360, 0), abs=1e-6)
    assert growth(samples, "memory") == pytest.approx((0, 2 * math.sqrt(1.2 / 3 / 1_000) * 3_600), abs=1e-6)


@pytest.mark.parametrize(
    ("status", "done", "dropped"),
    [(200, 20.0, 0), (429, 10.1, 0), (503, 10.1, 0), (503, 12.1, 1), (500, 10.1, 1), (BROKEN, 10.1, 1)],
)
def test_what_counts_as_dropped(status: int, done: float, dropped: int) -> None:
    ending = Ending(0, 1.0, 503, [Reply(9.9, 9.9, done, status, "")], [], told=10.0)
    assert ending.dropped == dropped


def test_time_is_counted_from_when_a_request_was_due() -> None:
    """A generator that is held up sends late, and says so."""

    class Late(Client):
        async def send(self, content: bytes, due: float | None = None) -> Reply:
            assert due is not None
            return Reply(due, due + 2, due + 3, 200, "")

    async def main() -> list[Reply]:
        return await open_loop(Late(0), lambda: b"", rate=1_000, seconds=0.02)

    began = perf_counter()
    replies = asyncio.run(main())
    assert {round(reply.seconds, 6) for reply in replies} == {3.0}
    assert all(began < reply.due for reply in replies)
    assert [reply.due for reply in replies] == sorted(reply.due for reply in replies)


def test_what_nothing_answers_is_broken_off() -> None:
    reply = asyncio.run(Client(1).send(request("GET", "/")))  # a port at which nothing listens
    assert (reply.status, reply.code) == (BROKEN, "")
    assert counts([reply]) == {"broken off": 1}


FIGURES = [
    at_most("slow", 3.14159, 3),
    at_least("fast", 1_234.5, 1_000),
    exactly("lost", 0, 0),
    counted("seen", {"b": 2, "a": 1_000}),
    counted("unseen", {}),
]


def test_figures_as_a_table() -> None:
    assert table("B1", FIGURES).splitlines() == [
        "| B1 | measured | wanted |",
        "|---|---|---|",
        "| slow | 3.14 | ≤ 3 **missed** |",
        "| fast | 1,234 | ≥ 1,000 |",
        "| lost | 0 | 0 |",
        "| seen | a: 1,000, b: 2 |  |",
        "| unseen | none |  |",
    ]


def test_figures_for_programs() -> None:
    told = json.loads(line("B1", FIGURES))
    assert told["title"] == "B1"
    assert told["figures"][0] == {"name": "slow", "value": 3.14159, "wanted": "≤ 3", "met": False}


@pytest.mark.parametrize(("value", "code"), [(0, 0), (1, 1)])
def test_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: int, code: int
) -> None:
    given = []

    def scenario(rig: Rig, amount: float) -> list[Figure]:
        given.append((rig.questions[0], amount))
        return [exactly("lost", value, 0)]

    monkeypatch.setattr(load, "_library", lambda scratch, given: scratch)
    monkeypatch.setattr(load, "SCENARIOS", {"soak": load.Scenario("B5", scenario, 1_800, timed=True)})
    monkeypatch.setattr(sys, "argv", ["load", "soak", "--minutes", "2"])
    assert load.main() == code
    assert given == [("What is North Korea's name for the anniversary of the end of the Korean War?", 120)]
    assert capsys.readouterr().out.splitlines()[2] == f"| lost | {value} | 0{' **missed**' * code} |"


@pytest.mark.parametrize("arguments", [["nothing"], ["soak", "--seconds", "0"], ["soak", "--library", "/nowhere"]])
def test_what_cannot_be_run(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["load", *arguments])
    with pytest.raises(SystemExit, match="2"):
        load.main()
