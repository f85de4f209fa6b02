import random
from itertools import islice

import numpy as np
import pytest

from eval.bench_scale import in_milvus
from eval.scale import Units, bursts, quantile, replicas_for, size_of, steady, waits
from index.article import make_article
from index.passage import Passage

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


@pytest.mark.parametrize("process", [steady, bursts])
def test_so_many_arrive_a_second(process: object) -> None:
    times = list(islice(process(20.0, random.Random(1)), 60_000))  # type: ignore[operator]
    assert len(times) / times[-1] == pytest.approx(20, rel=0.03)
    assert times == sorted(times)


def test_in_a_burst_three_times_as_many_come() -> None:
    times = np.array(list(islice(bursts(20.0, random.Random(1)), 60_000)))
    inside = times % 60 < 10
    assert (inside.sum() / 10) / ((~inside).sum() / 50) == pytest.approx(3, rel=0.05)


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
    for bursty in (False, True):
        needed = replicas_for(20, service, bursty=bursty)
        assert needed is not None
        assert quantile(20, service, needed, bursty=bursty) <= 1 < quantile(20, service, needed - 1, bursty=bursty)


def test_no_number_helps_where_one_question_takes_too_long() -> None:
    assert replicas_for(1, [0.1, 1.5]) is None
