import json
import random
import sys
from io import StringIO
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from eval import bench_scale
from eval.bench_scale import in_milvus
from eval.scale import Units, bursts, logged, quantile, replayed, replicas_for, size_of, steady, waits
from index.article import make_article
from index.errors import InvalidInput
from index.passage import Passage
from server.entry import Entry
from server.log import logging_to, write, write_state

UNITS = Units(40.0, 2_600.0, 1_300.0, 800.0, (0.1,))


def test_what_a_hundred_million_passages_take() -> None:
    size = size_of(UNITS, 1e8, machine_memory=20e9, machine_disk=100e9)
    assert (size.disk, size.memory) == (3.9e11, 8e10)
    assert size.machines == 4  # of memory 4, of disk 3.9
    assert size.embed_days == pytest.approx(28.9, abs=0.05)
    assert size_of(UNITS, 1, 1e9, 1e9).machines == 1


def test_in_milvus_all_is_in_memory_but_the_vectors_beside_their_index() -> None:
    article = make_article("The bridge was shut. " * 5)
    units = in_milvus(UNITS, [Passage(article, 0, len(article.text))], 1_536)
    assert units.disk_bytes - units.memory_bytes == 1_536
    assert units.memory_bytes - units.index_bytes > len(article.text)
    assert (units.passages_per_second, units.seconds_to_answer) == (40.0, (0.1,))


@pytest.mark.parametrize("process", [steady, bursts, replayed([7.0, 7.5, 7.6, 9.0])])
def test_so_many_arrive_a_second(process: object) -> None:
    times = list(islice(process(20.0, random.Random(1)), 60_000))  # type: ignore[operator]
    assert len(times) / times[-1] == pytest.approx(20, rel=0.03)
    assert times == sorted(times)


def test_in_a_burst_three_times_as_many_come() -> None:
    times = np.array(list(islice(bursts(20.0, random.Random(1)), 60_000)))
    inside = times % 60 < 10
    assert (inside.sum() / 10) / ((~inside).sum() / 50) == pytest.approx(3, rel=0.05)


def test_what_is_replayed_comes_as_it_did() -> None:
    came = replayed([100.0, 101.0, 105.0])(2.0, random.Random(0))  # at a fifth of that it would be as it was
    gaps = np.diff(list(islice(came, 5))).tolist()
    assert sorted(gaps) == pytest.approx([0.2, 0.2, 0.8, 0.8])
    assert gaps[0] != gaps[1]


def log(*lines: dict[str, object]) -> list[str]:
    told = {"event": "request", "route": "/v1/ask", "status": 200, "milliseconds": 0.0}
    return [json.dumps(told | line) for line in lines]


def test_questions_come_when_the_log_says_that_they_did() -> None:
    came = logged(
        log(
            {"event": "ready", "timestamp": "2026-01-05T12:00:00Z"},
            {"timestamp": "2026-01-05T12:00:03.250000Z", "milliseconds": 250.0},
            {"timestamp": "2026-01-05T12:00:03.500000Z", "milliseconds": 2_500.0, "status": 503},
            {"timestamp": "2026-01-05T12:00:04Z", "route": "/v1/ready"},
        )
    )
    assert [one - came[0] for one in came] == [0.0, 2.0]


def test_the_log_is_as_the_server_writes_it() -> None:
    written = StringIO()
    route = SimpleNamespace(path_format="/v1/ask")
    with logging_to(written, "json"):
        write_state("ready")
        for seconds in (3.0, 1.0):
            write(Entry({"method": "POST", "route": route}, seconds=seconds))
    came = logged(written.getvalue().splitlines())
    assert came[1] - came[0] >= 2.0  # it ended no sooner, and took two seconds less


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["listening"], "no log of a server in JSON"),
        (["[]"], "no log of a server in JSON"),
        (['{"event": "request"}'], "no log of a server in JSON: 'route'"),
        (log({"timestamp": "2026-01-05T12:00:00Z"}), "no two questions that came by /v1/ask"),
    ],
)
def test_what_is_no_log(lines: list[str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        logged(lines)


def test_seconds_and_arrivals_can_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_scale, "measure", lambda library: (UNITS, UNITS))
    monkeypatch.setattr(bench_scale, "RATES", (4,))
    service, came = tmp_path / "service.json", tmp_path / "log"
    service.write_text("[0.2]")
    times = ("12:00:00", "12:00:00", "12:00:00", "12:00:03")
    came.write_text("\n".join(log(*({"timestamp": f"2026-01-05T{time}Z"} for time in times))))
    monkeypatch.setattr(sys, "argv", ["bench_scale", "--service", str(service), "--arrivals", str(came)])
    bench_scale.main()
    told = capsys.readouterr().out
    assert f"A question takes 200 ms, the slowest of a hundred 200 ms, as {service} has it." in told
    assert "| questions a second | steady | in bursts | as logged | busy, steady | p99 with one replica less |" in told
    assert told.splitlines()[-1].startswith("| 4 | 2 | ")


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_replica_waits_as_the_formula_says(load: float) -> None:
    """Pollaczek and Khinchine: arrivals at random, and a service of always the same length."""
    arrivals = list(islice(steady(load, random.Random(2)), 200_000))
    taken = waits(arrivals, [1.0], 1, random.Random(3))
    assert np.mean(taken) - 1 == pytest.approx(load / (2 * (1 - load)), rel=0.05)


def test_two_replicas_wait_as_the_formula_says() -> None:
    """Erlang's C: two servers, service times drawn from an exponential distribution of mean 1, 1.5 arrivals a unit."""
    rng = random.Random(4)
    service = [rng.expovariate(1.0) for _ in range(100_000)]
    taken = waits(list(islice(steady(1.5, rng), 200_000)), service, 2, rng)
    assert np.mean(taken) - np.mean(service) == pytest.approx(0.643 / (2 - 1.5), rel=0.06)


def test_more_replicas_wait_less() -> None:
    times = [quantile(40, [0.1, 0.2], replicas) for replicas in (7, 8, 12)]
    assert times == sorted(times, reverse=True)
    assert times[2] < 0.4


def test_the_least_number_of_replicas_is_found() -> None:
    service = [0.1] * 9 + [0.4]
    for process in (steady, bursts, replayed([0.0, 0.0, 0.0, 1.0])):
        needed = replicas_for(20, service, process)
        assert needed is not None
        assert quantile(20, service, needed, process) <= 1 < quantile(20, service, needed - 1, process)


def test_no_number_helps_where_one_question_takes_too_long() -> None:
    assert replicas_for(1, [0.1, 1.5]) is None
