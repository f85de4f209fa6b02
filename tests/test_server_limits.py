import pytest

from server import limits as module
from server.errors import Refusal
from server.keys import Key, Right
from server.limits import Limits


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def key(per_minute: int, id: str = "a") -> Key:
    return Key(id, "desk", "", Right.READ, (), per_minute, "")


def refused(limits: Limits, one: Key, requests: int = 1) -> str | None:
    """What `Retry-After` says; None where it was let in."""
    try:
        limits.spend(one, requests)
    except Refusal as refusal:
        return f"{(refusal.headers or {})['Retry-After']}" if refusal.code == "too_many_requests" else refusal.code
    return None


def test_a_minute_has_so_many_and_fills_again_evenly(clock: Clock) -> None:
    limits = Limits()
    assert [refused(limits, key(3)) for _ in range(5)] == [None, None, None, "21", "21"]
    clock.now += 20
    assert [refused(limits, key(3)) for _ in range(2)] == [None, "21"]
    clock.now += 3_600
    assert [refused(limits, key(3)) for _ in range(4)] == [None, None, None, "21"]


def test_each_key_has_its_own(clock: Clock) -> None:
    limits = Limits()
    assert [refused(limits, key(1, id)) for id in "abab"] == [None, None, "61", "61"]


def test_many_at_once_are_paid_for(clock: Clock) -> None:
    limits = Limits()
    assert refused(limits, key(60), 100) is None  # more than a minute has: when it is full
    assert refused(limits, key(60)) == "42"
    clock.now += 41
    assert refused(limits, key(60)) is None
    assert refused(limits, key(60), 100) == "61"


def test_the_time_of_day_has_no_say(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits()
    assert refused(limits, key(1)) is None
    monkeypatch.setattr("time.time", lambda: 0.0)
    clock.now += 60
    assert refused(limits, key(1)) is None
