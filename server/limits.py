"""How often a key may ask."""

from time import monotonic

from server.errors import Refusal
from server.keys import Key

SECONDS = 60


class Limits:
    """A bucket for every key: it holds a minute's requests, every request takes one out, and it fills again evenly.

    By a clock that nobody sets, which the packages for this do not use: after a step back of the time of day they
    refuse for as long as it was. For use on the event loop only.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def spend(self, key: Key, requests: int = 1, paid: int = 0) -> None:
        """Of these requests, `paid` were spent before. Raises Refusal (429), which says when there is enough again.
        More at once than a minute has are refused until the bucket is full, and then leave it less than empty."""
        now = monotonic()
        left, at = self._buckets.get(key.id, (float(key.per_minute), now))
        left = min(key.per_minute, left + (now - at) * key.per_minute / SECONDS)
        needed = min(requests, key.per_minute) - paid
        if left < needed:
            seconds = int((needed - left) * SECONDS / key.per_minute) + 1
            raise Refusal(
                429,
                "too_many_requests",
                f"this key may send {key.per_minute:,} requests a minute; send this again in {seconds} s",
                {"Retry-After": str(seconds)},
            )
        self._buckets[key.id] = left - (requests - paid), now
