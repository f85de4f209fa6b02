"""`Fetcher`: pages and feeds out of the web, one after another, within limits and as their sites ask for it."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib import metadata

from httpcore2 import NetworkError, ProtocolError, TimeoutException
from httpx2 import URL, InvalidURL

from index.errors import InvalidInput, NotFetched
from index.fetch.address import web_address
from index.fetch.guard import Deadline, Guard, GuardedNetwork, Refused
from index.fetch.kinds import KINDS, format_of_page
from index.fetch.response import Response, Unusable, opened
from index.fetch.robots import AGENT, MAX_ROBOTS_BYTES, ROBOTS_PATH, Rules, is_missing
from index.formats import Format

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE)
_SENDABLE = re.compile(r"[ -~\xa0-\xff]{1,1000}")

_PAUSE = 1.0
"""Seconds between two visits of a host: what a person who reads does not undercut either."""

_LONGEST_PAUSE = 60.0
"""Seconds; a host that wants more between two visits gets this."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one fetch may take: `bytes` of content, unpacked, as many as a book with pictures has; `seconds`, from the
    first connection to the last byte, in which that comes at half a megabyte a second, beside what the name system
    takes; and `redirects`, of which honest sites need three. For a site's robots.txt it is the same again."""

    bytes: int = 32 * 1024 * 1024
    seconds: float = 60
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Version:
    """By what a server tells one version of a page from the next: its ETag, and when it was last modified."""

    etag: str | None = None
    modified: str | None = None

    @classmethod
    def among(cls, facts: Mapping[str, object]) -> "Version":
        """What is said of it among other facts, without what is no line that can be sent to a server."""
        said = {name: facts.get(name) for name in ("etag", "modified")}
        return cls(**{name: one for name, one in said.items() if isinstance(one, str) and _SENDABLE.fullmatch(one)})


@dataclass(frozen=True, slots=True)
class Page:
    """What a server gave, as it came. `address` is where the redirects led; `fresh`, for how many seconds it wants not
    to be asked again."""

    address: str
    format: Format
    charset: str | None
    content: bytes
    version: Version
    fresh: int


class Fetcher:
    """Fetches one page at a time and remembers what each site's robots.txt says. `guard` and `sleep` are for tests."""

    def __init__(
        self, limits: Limits = Limits(), guard: Guard = Guard(), sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._limits = limits
        self._guard = guard
        self._sleep = sleep
        self._rules: dict[str, Rules | NotFetched] = {}
        self._visited: dict[str, float] = {}
        self._agent = f"{AGENT}/{metadata.version('pullquote')}"

    def fetch(self, address: str, known: Version = Version()) -> Page | None:
        """What is at an address of the web; None where it is still the version that is known. Raises NotFetched."""
        asked = {"If-None-Match": known.etag, "If-Modified-Since": known.modified}
        headers = {"Accept": ", ".join(KINDS), **{name: value for name, value in asked.items() if value}}
        with _understood(address, self._limits):
            url = web_address(address)
            self._wait(url, self._rules_of(url, Deadline(self._limits.seconds)))
            deadline = Deadline(self._limits.seconds)
            try:
                with self._response(url, headers, deadline, lambda hop: self._check(hop, deadline)) as (end, response):
                    return self._page(str(end), response, bool(known.etag or known.modified))
            finally:
                self._visited[url.host] = time.monotonic()

    def _page(self, address: str, response: Response, conditional: bool) -> Page | None:
        headers = response.headers
        if response.status == HTTPStatus.NOT_MODIFIED and conditional:
            return None
        if response.status != HTTPStatus.OK:
            raise NotFetched(address, f"its server says: {_status(response.status)}", _wanted_wait(headers))
        kind = headers.get("content-type", "")
        if (name := kind.partition(";")[0].strip().lower()) not in KINDS:
            raise Unusable(f"it is {name!r}, which no format reads" if name else "its server does not say what it is")
        content = response.content(self._limits.bytes)
        charset = _CHARSET.search(kind)
        fresh = _MAX_AGE.search(headers.get("cache-control", ""))
        return Page(
            address,
            format_of_page(name, address, content),
            charset[1] if charset else None,
            content,
            Version(headers.get("etag"), headers.get("last-modified")),
            int(fresh[1]) if fresh else 0,
        )

    @contextmanager
    def _response(
        self, url: URL, headers: Mapping[str, str], deadline: Deadline, check: Callable[[URL], None]
    ) -> Iterator[tuple[URL, Response]]:
        """The response that is no redirect, and whence it came; every address is checked before it is asked."""
        network = GuardedNetwork(self._guard, deadline)
        sent = {"User-Agent": self._agent, "Accept-Encoding": "gzip", "Connection": "close", **headers}
        for _ in range(1 + self._limits.redirects):
            check(url)
            with opened(url, sent, network) as response:
                if response.status not in _REDIRECTS or not (location := response.headers.get("location")):
                    yield url, response
                    return
            url = _next(url, location)
        raise Unusable(f"it leads from one address to the next, more than {self._limits.redirects} times")

    def _check(self, url: URL, deadline: Deadline) -> None:
        self._visited[url.host] = time.monotonic()
        if not self._rules_of(url, deadline).allow(str(url)):
            raise Unusable(f"the robots.txt of {url.host} keeps {AGENT} from it")

    def _rules_of(self, url: URL, deadline: Deadline) -> Rules:
        """Of the site, which is asked once. Raises Unusable where it does not tell."""
        site = str(url.copy_with(raw_path=ROBOTS_PATH.encode()))
        if site not in self._rules:
            self._rules[site] = self._asked_rules(site, deadline)
        if isinstance(rules := self._rules[site], NotFetched):
            raise Unusable(f"its robots.txt cannot be had: {rules.reason}")
        return rules

    def _asked_rules(self, site: str, deadline: Deadline) -> Rules | NotFetched:
        try:
            with (
                _understood(site, self._limits),
                self._response(URL(site), {}, deadline, lambda hop: None) as (_, response),
            ):
                if is_missing(response.status):
                    return Rules()
                if response.status != HTTPStatus.OK:
                    raise Unusable(f"its server says: {_status(response.status)}")
                return Rules(response.content(MAX_ROBOTS_BYTES).decode(errors="replace"))
        except NotFetched as error:
            return error

    def _wait(self, url: URL, rules: Rules) -> None:
        """Until the host may be visited again."""
        if (last := self._visited.get(url.host)) is not None:
            pause = min(max(_PAUSE, rules.delay), _LONGEST_PAUSE)
            if (left := last + pause - time.monotonic()) > 0:
                self._sleep(left)


def _next(url: URL, location: str) -> URL:
    """Where a redirect leads. Raises Unusable."""
    with suppress(UnicodeDecodeError):
        location = location.encode("latin-1").decode()  # as browsers take it
    try:
        return web_address(str(url.join(location)))
    except (InvalidURL, InvalidInput) as error:
        raise Unusable(f"it leads to {location}: {error}") from None


@contextmanager
def _understood(where: str, limits: Limits) -> Iterator[None]:
    """All that can go wrong as NotFetched."""
    try:
        yield
    except (InvalidInput, Refused, Unusable) as error:
        raise NotFetched(where, str(error)) from None
    except TimeoutException:
        raise NotFetched(where, f"it has not come within {limits.seconds:g} seconds") from None
    except NetworkError as error:
        raise NotFetched(where, f"its server cannot be reached: {error}") from None
    except ProtocolError as error:
        raise NotFetched(where, f"its server does not keep to HTTP: {error}") from None


def _status(status: int) -> str:
    known = status in HTTPStatus.__members__.values()
    return f"{status} {HTTPStatus(status).phrase}" if known else str(status)


def _wanted_wait(headers: Mapping[str, str]) -> int | None:
    """Seconds after which a server wants to be asked again."""
    said = headers.get("retry-after", "").strip()
    if said.isdecimal():
        return int(said[:9])
    try:
        when = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0, int((when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()))
