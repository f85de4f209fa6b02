"""What a site asks of programs that visit it: its robots.txt (RFC 9309), by protego."""

from protego import Protego

AGENT = "Pullquote"
"""The name by which a robots.txt means this program."""

MAX_ROBOTS_BYTES = 512 * 1024
"""RFC 9309 wants at least 500 KiB to be read."""

ROBOTS_PATH = "/robots.txt"

_UNAVAILABLE = range(400, 500)
_BUSY = 429


class Rules:
    """What the robots.txt with this text asks for; an empty one asks for nothing."""

    def __init__(self, text: str = "") -> None:
        self._rules = Protego.parse(text)

    def allow(self, address: str) -> bool:
        return self._rules.can_fetch(address, AGENT)

    @property
    def delay(self) -> float:
        """Seconds wanted between two visits."""
        return self._rules.crawl_delay(AGENT) or 0.0


def is_missing(status: int) -> bool:
    """Whether a status says that a site has no robots.txt, so that all may be fetched; any other than 200 says that it
    cannot tell, so that nothing may."""
    return status in _UNAVAILABLE and status != _BUSY
