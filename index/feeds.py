"""Feeds that a library keeps: when each may be polled, what its server said, and what of it is new.

A feed's state is a setting of the library, so that it is copied and backed up with it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from index.article import Article
from index.base import AnyLibrary
from index.errors import InvalidInput, LibraryCorrupt, NotFetched, UnreadableArticle
from index.fetch import Fetcher, Page, Version, read_page, web_address
from index.formats import Item, guess
from index.formats.format import FEED

_SETTING = "feed "
"""With its address behind it, the name of the setting with a feed's state."""

_LEAST_WAIT = timedelta(minutes=15)
"""Between two polls, whatever a feed allows: no reader of news is in more of a hurry."""

_MOST_WAIT = timedelta(days=1)
"""However long a feed wants to be left alone, and however often it failed."""

MAX_FOLLOWED = 100
"""Pages fetched at one poll; those of a host come a second apart. The rest has its turn at the next."""

_MOST_ENTRIES = 2_000
"""The first of a feed, beyond which no links are followed: their names fit into a setting in Milvus. Most feeds have
ten to a hundred."""

_TTL = re.compile(rb"<ttl>\s*(\d{1,6})\s*</ttl>", re.IGNORECASE)
_TTL_BYTES = 1 << 16
"""It stands before the entries. It is looked for here since its parser tells of articles alone."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed at `address`; `follow`: its articles are the pages that it links to, not its own entries.

    `polled` is when that was last done and `due` from when on it may be again, in ISO 8601 and UTC. `version` is what
    its server last gave, and for `wait` seconds it wanted to be left alone. After `failures` polls in a row without
    success, `trouble` says what was wrong with the last. `followed` names the entries it has now whose pages have been
    read.
    """

    address: str
    follow: bool = False
    version: Version = Version()
    polled: str | None = None
    due: str | None = None
    failures: int = 0
    trouble: str | None = None
    wait: int = 0
    followed: tuple[str, ...] = ()

    def is_due(self, now: datetime) -> bool:
        return self.due is None or self.due <= _iso(now)


@dataclass(frozen=True, slots=True)
class Polled:
    """How a poll went: the feed as it is to be kept, what was read, and whether there was anything new to read."""

    feed: Feed
    items: list[Item]
    changed: bool


def make_feed(address: str, *, follow: bool = False) -> Feed:
    """Raises InvalidInput where nothing can be fetched from such an address."""
    try:
        return Feed(str(web_address(address)), follow)
    except InvalidInput as error:
        raise InvalidInput(f"{address}: {error}") from None


def feeds(library: AnyLibrary) -> list[Feed]:
    """Those that a library keeps, by address. Raises LibraryCorrupt."""
    kept = sorted((name, value) for name, value in library.settings().items() if name.startswith(_SETTING))
    return [_feed(library, name, value) for name, value in kept]


def keep(library: AnyLibrary, feed: Feed) -> None:
    """Raises LibraryBusy."""
    library.note(_SETTING + feed.address, json.dumps(asdict(feed)))


def keep_state(library: AnyLibrary, feed: Feed) -> None:
    """The same, unless the feed was removed meanwhile."""
    if library.setting(_SETTING + feed.address) is not None:
        keep(library, feed)


def forget(library: AnyLibrary, feed: Feed) -> None:
    """Keep the feed no more; its articles stay. Raises LibraryBusy."""
    library.forget(_SETTING + feed.address)


def poll(feed: Feed, fetcher: Fetcher, now: datetime) -> Polled:
    """What has come in a feed since it was polled last. What cannot be read is among the items."""
    try:
        page = fetcher.fetch(feed.address, feed.version)
    except NotFetched as error:
        return _failed(feed, error, now)
    if page is None:
        return Polled(_succeeded(feed, now), [], changed=False)
    if FEED not in (page.format, guess(page.content)):  # some servers call all that they have HTML
        return _failed(feed, NotFetched(feed.address, "it is no feed, but a page; add it with: pullquote add"), now)
    polled = _succeeded(replace(feed, version=page.version, wait=_wait(page)), now)
    items = list(read_page(replace(page, format=FEED), follow=feed.follow))
    again = any(isinstance(item, UnreadableArticle) and item.where == page.address for item in items)
    if feed.follow:
        pages = _Pages(fetcher, feed.followed)
        items = list(pages.of(items))
        polled = replace(polled, followed=tuple(pages.read))
        again |= pages.left > 0
    if again:  # with its version, its server would say that it has not changed
        polled = replace(polled, version=Version())
    return Polled(polled, items, changed=True)


class _Pages:
    """The pages that entries link to, in place of those. `read` names the entries whose pages have been read, now or
    before; `left` more have to wait for the next poll."""

    def __init__(self, fetcher: Fetcher, followed: tuple[str, ...]) -> None:
        self.read: list[str] = []
        self.left = 0
        self._fetcher = fetcher
        self._followed = frozenset(followed)
        self._fetched = 0

    def of(self, items: list[Item]) -> Iterator[Item]:
        """An entry that links to no page stands for itself, as does one whose page cannot be read until the feed has
        changed and it is tried again."""
        for item in items:
            if not isinstance(item, Article) or item.url is None or len(self.read) >= _MOST_ENTRIES:
                yield item
            elif (name := _name(item)) in self._followed:
                self.read.append(name)
            elif self._fetched >= MAX_FOLLOWED:
                self.left += 1
            else:
                self._fetched += 1
                yield from self._page(item, item.url, name)

    def _page(self, entry: Article, address: str, name: str) -> Iterator[Item]:
        try:
            page = self._fetcher.fetch(address)
            found = [] if page is None else list(read_page(page))
        except NotFetched as error:
            found = [error]
        articles = [item for item in found if isinstance(item, Article)]
        yield from [_told_by(entry, articles[0])] if len(articles) == len(found) == 1 else found
        if articles:
            self.read.append(name)
        elif entry.text not in (entry.title, entry.url):  # else it has no text of its own
            yield entry


def _told_by(entry: Article, page: Article) -> Article:
    """The one article of a page, with what it does not say of itself and the entry that links to it does."""
    return replace(
        page,
        title=page.title or entry.title,
        published=page.published or entry.published,
        authors=page.authors or entry.authors,
    )


def _name(entry: Article) -> str:
    """Of an entry as it is: one that has changed is another."""
    return sha256(f"{entry.url} {entry.sha256}".encode()).hexdigest()[:16]


def _succeeded(feed: Feed, now: datetime) -> Feed:
    due = now + timedelta(seconds=max(feed.wait, _LEAST_WAIT.seconds))
    return replace(feed, polled=_iso(now), due=_iso(due), failures=0, trouble=None)


def _failed(feed: Feed, error: NotFetched, now: datetime) -> Polled:
    """Waiting twice as long after each failure in a row, and as long as the server wants."""
    wanted = timedelta(seconds=error.wait or 0)
    doubled = _LEAST_WAIT * 2 ** min(feed.failures, 10)  # by then it is the most anyway
    due = now + min(max(wanted, doubled), _MOST_WAIT)
    failed = replace(feed, polled=_iso(now), due=_iso(due), failures=feed.failures + 1, trouble=error.reason)
    return Polled(failed, [error], changed=False)


def _wait(page: Page) -> int:
    """Seconds for which a feed wants to be left alone: what it says itself or what its server does, the longer."""
    ttl = _TTL.search(page.content[:_TTL_BYTES])
    return min(max(60 * int(ttl[1]) if ttl else 0, page.fresh), int(_MOST_WAIT.total_seconds()))


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _feed(library: AnyLibrary, name: str, value: str) -> Feed:
    try:
        fields = json.loads(value)
        version = Version.among(fields.pop("version"))
        return Feed(**{**fields, "version": version, "followed": tuple(fields.pop("followed"))})
    except (ValueError, TypeError, AttributeError, KeyError):
        raise LibraryCorrupt(f"what {library.where} knows of the {name} cannot be read; add the feed anew") from None
