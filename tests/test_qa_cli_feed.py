"""`pullquote add URL` and `pullquote feed`, with the network that is this machine."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import OpenLibrary, Run
from web_site import BRIDGE, GUARD, PAGE, Handler, Site, serving

from index import feeds as keeping
from index.article import Article
from index.errors import InvalidInput, LibraryCorrupt
from index.feeds import Feed, feeds, forget, keep, make_feed, poll
from index.fetch import Fetcher, Limits, Version
from index.lock import write_lock
from qa.reader import Reader, Span

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
FERRY = "The ferry hit the breakwater in fog. Nobody was killed, the harbour office said on Tuesday."
REFUSED = "error: nothing is fetched unless you allow it: say --allow-network, or set PULLQUOTE_ALLOW_NETWORK=1\n"


class NoReader:
    def read(self, question: str, passages: object) -> list[list[Span]]:
        raise AssertionError("nothing is to be read here")


@pytest.fixture
def reader() -> Reader:
    return NoReader()


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULLQUOTE_ALLOW_NETWORK", raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as one:
        yield one


@pytest.fixture
def sleeps() -> list[float]:
    return []


@pytest.fixture
def fetcher(sleeps: list[float]) -> Fetcher:
    return Fetcher(Limits(bytes=1 << 20, seconds=20), GUARD, sleeps.append)


@pytest.fixture
def online(run: Run, fetcher: Fetcher, offline: None, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line, with the network allowed."""
    monkeypatch.setenv("PULLQUOTE_ALLOW_NETWORK", "1")
    monkeypatch.setattr("index.fetch.Fetcher", lambda: fetcher)
    return run


def rss(*items: str, channel: str = "") -> str:
    entries = "".join(f"<item>{item}</item>" for item in items)
    return f"<rss version='2.0'><channel><title>Post</title>{channel}{entries}</channel></rss>"


def entry(title: str, link: str, text: str = "") -> str:
    return f"<title>{title}</title><link>{link}</link>" + (f"<description>{text}</description>" if text else "")


def with_feed(site: Site, *items: str, channel: str = "", **headers: str) -> str:
    return site.has("/feed", rss(*items, channel=channel), "application/rss+xml", **headers)


def texts(run: Run) -> dict[str, str]:
    """By title, all texts there are."""
    shown = [run("show", article["id"], "--json").lines[0] for article in run("list", "--json").lines]
    return {article["title"] or article["id"]: article["text"] for article in shown}


# add URL


def test_add_of_an_address_wants_to_be_allowed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A line.")
    ran = run("add", "a.txt", "https://site.example/")
    assert (ran.code, ran.out, ran.err) == (64, "", REFUSED)
    assert not (tmp_path / "library").exists()


def test_add_of_files_needs_nothing_that_fetches(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.fetch.Fetcher", None)
    (tmp_path / "http:").mkdir()
    (tmp_path / "http:" / "a.txt").write_text("A line.")
    assert run("add", "http:/a.txt", "--allow-network").out == "1 added, 0 replaced, 0 unchanged\n"


def test_add_addresses_and_files(online: Run, site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A line.")
    ran = online("add", "a.txt", site.has("/bridge"), with_feed(site, entry("Ferry", "/ferry", FERRY)))
    assert (ran.code, ran.out, ran.err) == (0, "3 added, 0 replaced, 0 unchanged\n", "")
    assert sorted(texts(online).values()) == ["A line.", BRIDGE, FERRY]


def test_add_what_is_not_there_with_what_is(online: Run, site: Site) -> None:
    picture = site.has("/picture", b"\x89PNG", "image/png")
    empty = site.has("/empty", "<html></html>")
    ran = online(
        "add", site.address("/gone"), picture, empty, "file:///etc/passwd", "http://127.0.0.1:1/", site.has("/")
    )
    assert (ran.code, ran.out) == (1, "1 added, 0 replaced, 0 unchanged\n")
    assert ran.err.splitlines() == [
        f"not read: {site.address('/gone')}: its server says: 404 Not Found",
        f"not read: {picture}: it is 'image/png', which no format reads",
        f"not read: {empty}: no article text was found in the page",
        "not read: file:///etc/passwd: only addresses with http and https are fetched",
        "not read: http://127.0.0.1:1/: no server of the web has the port 1",
    ]


def test_add_asks_for_what_has_changed(online: Run, site: Site) -> None:
    address = site.has("/", ETag='"1"', Last_Modified="Mon, 05 Jan 2026 10:00:00 GMT")
    assert online("add", address).out == "1 added, 0 replaced, 0 unchanged\n"
    site.has("/", b"", status=304)
    assert online("add", address).out == "0 added, 0 replaced, 1 unchanged\n"
    assert (site.headers[-1]["if-none-match"], site.headers[-1]["if-modified-since"]) == (
        '"1"',
        "Mon, 05 Jan 2026 10:00:00 GMT",
    )
    site.has("/", PAGE.replace("Monday", "Friday"), ETag='"2"')
    assert online("add", address).out == "0 added, 1 replaced, 0 unchanged\n"
    assert list(texts(online).values()) == [BRIDGE.replace("Monday", "Friday")]


def test_add_of_a_page_without_a_version_changes_nothing(online: Run, site: Site) -> None:
    address = site.has("/")
    online("add", address)
    assert online("add", address).out == "0 added, 0 replaced, 1 unchanged\n"


def test_add_takes_columns_of_tables(online: Run, site: Site) -> None:
    table = site.has("/table", "Nummer,Inhalt\n7,Eine Zeile.\n", "text/csv")
    assert online("add", table, "--columns", "id=Nummer,text=Inhalt").out == "1 added, 0 replaced, 0 unchanged\n"
    assert texts(online) == {"7": "Eine Zeile."}


def test_nothing_is_fetched_while_the_library_is_locked(online: Run, site: Site, tmp_path: Path) -> None:
    online("add", site.has("/"))
    free: list[bool] = []

    def look(handler: Handler) -> None:
        with write_lock(tmp_path / "library"):
            free.append(True)
        handler.respond(200, {"Content-Type": "text/html"}, PAGE.replace("Monday", "Friday").encode())

    site.paths["/"] = look
    assert online("add", site.address("/")).out == "0 added, 1 replaced, 0 unchanged\n"
    assert free == [True]


# feed add, list, remove


def test_feeds_are_kept(run: Run) -> None:
    assert run("feed", "add", "https://b.example/feed", "HTTPS://A.example/ü").out == "2 kept, 0 unchanged\n"
    assert run("feed", "add", "https://b.example/feed").out == "0 kept, 1 unchanged\n"
    assert run("feed", "list").out.splitlines() == [
        "https://a.example/%C3%BC  entries  never polled",
        "https://b.example/feed  entries  never polled",
    ]
    assert run("feed", "add", "https://b.example/feed", "--follow").out == "1 kept, 0 unchanged\n"
    assert run("feed", "list", "--json").lines[1] == {
        "url": "https://b.example/feed",
        "follow": True,
        "polled": None,
        "due": None,
        "failures": 0,
        "trouble": None,
    }


def test_feeds_are_removed(run: Run, open_library: OpenLibrary) -> None:
    run("feed", "add", "https://a.example/feed", "https://b.example/feed")
    ran = run("feed", "remove", "https://a.example/feed", "https://c.example/feed")
    said = "error: the library keeps no feed https://c.example/feed; see: pullquote feed list\n"
    assert (ran.code, ran.out, ran.err) == (64, "", said)
    assert run("feed", "remove", "https://a.example/feed").out == "removed 1\n"
    assert run("feed", "list").out == "https://b.example/feed  entries  never polled\n"
    with open_library() as library:
        assert "a.example" not in str(library.settings())
    assert run("feed", "add", "https://a.example/feed").out == "1 kept, 0 unchanged\n"


@pytest.mark.parametrize("address", ["/[/b]", "/[red]x", "/:smile:"])
def test_an_address_with_what_could_be_markup(address: str, online: Run, site: Site) -> None:
    online("feed", "add", site.address(address))
    ran = online("feed", "poll")
    assert (ran.code, ran.err) == (1, f"not read: {site.address(address)}: its server says: 404 Not Found\n")
    assert online("feed", "list").out.startswith(f"{site.address(address)}  entries  polled ")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("feed.xml", "only addresses with http and https are fetched"),
        ("https://a:b@c.example/", "no name and password are sent to a server; leave them out of the address"),
    ],
)
def test_what_is_no_feed_is_not_kept(address: str, said: str, run: Run) -> None:
    ran = run("feed", "add", "https://a.example/feed", address)
    assert (ran.code, ran.out, ran.err) == (64, "", f"error: {address}: {said}\n")
    with pytest.raises(InvalidInput, match=said):
        make_feed(address)


def test_a_feed_that_cannot_be_read_is_told(run: Run, open_library: OpenLibrary) -> None:
    run("feed", "add", "https://a.example/feed")
    with open_library() as library:
        for value in ("{", "[]", "{}", '{"address": 1, "version": {}}', '{"version": {}, "followed": [], "x": 1}'):
            library.note("feed https://a.example/feed", value)
            with pytest.raises(LibraryCorrupt, match="add the feed anew"):
                feeds(library)


# feed poll


def test_poll_wants_to_be_allowed(run: Run) -> None:
    run("feed", "add", "https://a.example/feed")
    ran = run("feed", "poll")
    assert (ran.code, ran.out, ran.err) == (64, "", REFUSED)


def test_poll(online: Run, site: Site) -> None:
    feed = with_feed(site, entry("Bridge", "/bridge", BRIDGE), entry("Ferry", "/ferry", FERRY), ETag='"1"')
    online("feed", "add", feed)
    ran = online("feed", "poll")
    assert (ran.code, ran.out, ran.err) == (0, f"{feed}: 2 added, 0 replaced, 0 unchanged\n", "")
    assert texts(online) == {"Bridge": BRIDGE, "Ferry": FERRY}
    assert [article["url"] for article in online("list", "--json").lines] == [
        site.address("/bridge"),
        site.address("/ferry"),
    ]
    assert site.asked == ["/feed"]


def test_poll_before_a_feed_is_due(online: Run, site: Site) -> None:
    feed = with_feed(site, entry("Bridge", "/bridge", BRIDGE), ETag='"1"')
    online("feed", "add", feed)
    online("feed", "poll")
    [kept] = online("feed", "list", "--json").lines
    assert online("feed", "poll").out == f"{feed}: not before {kept['due']}\n"
    assert site.asked == ["/feed"]
    site.has("/feed", b"", status=304)
    assert online("feed", "poll", feed, "--force").out == f"{feed}: nothing new\n"
    assert site.headers[-1]["if-none-match"] == '"1"'


def test_poll_of_what_fails(online: Run, site: Site) -> None:
    good = with_feed(site, entry("Bridge", "/bridge", BRIDGE))
    online("feed", "add", site.address("/404"), site.has("/page"), good)
    ran = online("feed", "poll")
    lines = {line["url"]: line for line in online("feed", "list", "--json").lines}
    gone, page = lines[site.address("/404")], lines[site.address("/page")]
    assert (ran.code, ran.out.splitlines()) == (
        1,
        [
            f"{gone['url']}: failed, not before {gone['due']}",
            f"{good}: 1 added, 0 replaced, 0 unchanged",
            f"{page['url']}: failed, not before {page['due']}",
        ],
    )
    assert ran.err.splitlines() == [
        f"not read: {gone['url']}: its server says: 404 Not Found",
        f"not read: {page['url']}: it is no feed, but a page; add it with: pullquote add",
    ]
    assert (gone["failures"], gone["trouble"]) == (1, "its server says: 404 Not Found")
    assert "  failures: 1, the last: its server says: 404 Not Found" in online("feed", "list").out


def test_poll_of_entries_that_cannot_be_read(online: Run, site: Site) -> None:
    feed = with_feed(site, entry("Bridge", "/bridge", BRIDGE), entry("Empty", "/empty"))
    online("feed", "add", feed)
    ran = online("feed", "poll")
    assert (ran.code, ran.out) == (1, f"{feed}: 1 added, 0 replaced, 0 unchanged\n")
    assert ran.err == f"not read: {feed}, entry 2: the article has no text\n"


def test_poll_of_what_is_not_kept(online: Run, site: Site) -> None:
    online("feed", "add", with_feed(site))
    ran = online("feed", "poll", site.address("/other"))
    assert (ran.code, ran.err) == (
        64,
        f"error: the library keeps no feed {site.address('/other')}; see: pullquote feed list\n",
    )
    assert site.asked == []


def test_poll_does_not_lock_the_library_while_it_fetches(online: Run, site: Site, tmp_path: Path) -> None:
    online("feed", "add", site.address("/feed"), "--follow")
    free: list[str] = []

    def look(handler: Handler) -> None:
        with write_lock(tmp_path / "library"):
            free.append(handler.path)
        kind, content = ("text/html", PAGE) if handler.path == "/a" else ("text/xml", rss(entry("A", "/a", "A.")))
        handler.respond(200, {"Content-Type": kind}, content.encode())

    site.paths |= {"/feed": look, "/a": look}
    assert online("feed", "poll").out == f"{site.address('/feed')}: 1 added, 0 replaced, 0 unchanged\n"
    assert free == ["/feed", "/a"]


def test_a_feed_that_is_removed_while_it_is_polled_stays_removed(
    online: Run, site: Site, open_library: OpenLibrary
) -> None:
    online("feed", "add", site.address("/feed"))

    def removed(handler: Handler) -> None:
        with open_library() as library:
            forget(library, make_feed(site.address("/feed")))
        handler.respond(200, {"Content-Type": "text/xml"}, rss(entry("Bridge", "/bridge", BRIDGE)).encode())

    site.paths["/feed"] = removed
    assert online("feed", "poll").out == f"{site.address('/feed')}: 1 added, 0 replaced, 0 unchanged\n"
    assert online("feed", "list").out == ""


def test_polls_follow_links(online: Run, site: Site) -> None:
    page = PAGE.replace("<title>Bridge shut</title>", "")
    site.has("/bridge", page)
    feed = with_feed(
        site,
        entry("Bridge", "/bridge", "The bridge is shut.") + "<pubDate>Mon, 05 Jan 2026 10:00:00 GMT</pubDate>",
        entry("Ferry", "/ferry", FERRY),
        entry("Only a link", "/nothing"),
        "<description>Without a link.</description>",
    )
    online("feed", "add", feed, "--follow")
    ran = online("feed", "poll")
    assert (ran.code, ran.out) == (1, f"{feed}: 3 added, 0 replaced, 0 unchanged\n")
    assert ran.err.splitlines() == [
        f"not read: {site.address('/ferry')}: its server says: 404 Not Found",
        f"not read: {site.address('/nothing')}: its server says: 404 Not Found",
    ]
    assert sorted(texts(online).values()) == [BRIDGE, FERRY, "Without a link."]
    [bridge] = [article for article in online("list", "--json").lines if article["title"] == "Bridge"]
    assert (bridge["url"], bridge["published"]) == (site.address("/bridge"), "2026-01-05T10:00:00Z")
    site.has("/nothing", PAGE.replace(BRIDGE, FERRY))
    site.asked.clear()
    assert online("feed", "poll", "--force").out == f"{feed}: 1 added, 0 replaced, 2 unchanged\n"
    assert site.asked == ["/feed", "/ferry", "/nothing"]


# How often


def state(fetcher: Fetcher, feed: Feed, now: datetime = NOW) -> Feed:
    return poll(feed, fetcher, now).feed


def waits(feed: Feed) -> timedelta:
    assert feed.due is not None
    return datetime.fromisoformat(feed.due) - NOW


@pytest.mark.parametrize(
    ("ttl", "cache", "wait"),
    [
        ("", "", timedelta(minutes=15)),
        ("<ttl>60</ttl>", "", timedelta(hours=1)),
        ("<ttl> 5 </ttl>", "max-age=60", timedelta(minutes=15)),
        ("<ttl>60</ttl>", "public, max-age=7200", timedelta(hours=2)),
        ("<ttl>999999</ttl>", "s-maxage=5, max-age=999999999", timedelta(days=1)),
        ("<ttl>-5</ttl>", "max-age=soon", timedelta(minutes=15)),
    ],
)
def test_when_a_feed_is_due(ttl: str, cache: str, wait: timedelta, site: Site, fetcher: Fetcher) -> None:
    feed = make_feed(with_feed(site, entry("Bridge", "/bridge", BRIDGE), channel=ttl, Cache_Control=cache))
    polled = state(fetcher, feed)
    assert (polled.polled, waits(polled)) == ("2026-01-05T12:00:00Z", wait)
    assert polled.is_due(NOW + wait)
    assert not polled.is_due(NOW + wait - timedelta(seconds=1))
    site.has("/feed", b"", status=304)
    assert waits(state(fetcher, Feed(feed.address, version=Version('"1"'), wait=polled.wait))) == wait


@pytest.mark.parametrize(
    ("failures", "after", "wait"),
    [
        (0, "", timedelta(minutes=15)),
        (1, "", timedelta(minutes=30)),
        (4, "", timedelta(hours=4)),
        (7, "", timedelta(days=1)),
        (10**6, "", timedelta(days=1)),
        (0, "7200", timedelta(hours=2)),
        (0, "999999999", timedelta(days=1)),
        (2, "1", timedelta(hours=1)),
    ],
)
def test_when_a_feed_that_failed_is_due(
    failures: int, after: str, wait: timedelta, site: Site, fetcher: Fetcher
) -> None:
    feed = Feed(site.has("/feed", status=503, Retry_After=after), failures=failures, version=Version('"1"'))
    failed = state(fetcher, feed)
    assert (failed.failures, failed.version, waits(failed)) == (failures + 1, Version('"1"'), wait)
    with_feed(site)
    assert (state(fetcher, failed).failures, state(fetcher, failed).trouble) == (0, None)


def test_a_feed_is_asked_for_less_than_all_pages_at_once(
    site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MAX_FOLLOWED", 2)
    links = [f"/{number}" for number in range(5)]
    for link in links:
        site.has(link)
    feed = make_feed(with_feed(site, *(entry(link, link) for link in links), ETag='"1"'), follow=True)
    versions, asked = [], []
    for _ in range(4):
        feed = state(fetcher, feed)
        versions.append(feed.version.etag)
        asked.append(site.asked[:])
        site.asked.clear()
    assert asked == [["/feed", "/0", "/1"], ["/feed", "/2", "/3"], ["/feed", "/4"], ["/feed"]]
    assert versions == [None, None, '"1"', '"1"']


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/octet-stream", "application/xml"])
def test_feeds_by_other_names(kind: str, site: Site, fetcher: Fetcher) -> None:
    feed = make_feed(site.has("/feed", "<?xml version='1.0'?>" + rss(entry("Bridge", "/bridge", BRIDGE)), kind))
    assert [item.text for item in poll(feed, fetcher, NOW).items if isinstance(item, Article)] == [BRIDGE]


@pytest.mark.parametrize(
    ("end", "etag"), [("</channel></rss>", '"1"'), ("<item></item></channel></rss>", '"1"'), ("<item><title>Br", None)]
)
def test_a_feed_that_breaks_off_is_got_again(end: str, etag: str | None, site: Site, fetcher: Fetcher) -> None:
    content = rss(entry("Bridge", "/bridge", BRIDGE)).replace("</channel></rss>", end)
    polled = poll(make_feed(site.has("/feed", content, "text/xml", ETag='"1"')), fetcher, NOW)
    assert [item.text for item in polled.items if isinstance(item, Article)] == [BRIDGE]
    assert polled.feed.version == Version(etag)


def test_links_are_followed_of_the_first_entries_alone(
    site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_MOST_ENTRIES", 1)
    site.has("/1")
    polled = poll(make_feed(with_feed(site, entry("1", "/1"), entry("2", "/2", FERRY)), follow=True), fetcher, NOW)
    assert [item.text for item in polled.items if isinstance(item, Article)] == [BRIDGE, FERRY]
    assert site.asked == ["/feed", "/1"]


def test_pages_of_entries_that_have_changed_are_fetched_again(site: Site, fetcher: Fetcher) -> None:
    site.has("/bridge")
    feed = state(fetcher, make_feed(with_feed(site, entry("Bridge", "/bridge", "Shut.")), follow=True))
    with_feed(site, entry("Bridge", "/bridge", "Open."))
    changed = state(fetcher, feed)
    assert site.asked == ["/feed", "/bridge", "/feed", "/bridge"]
    assert [len(one.followed) for one in (feed, changed)] == [1, 1]
    assert feed.followed != changed.followed


def test_hosts_are_visited_with_pauses(site: Site, fetcher: Fetcher, sleeps: list[float]) -> None:
    site.has("/robots.txt", "User-agent: *\nCrawl-delay: 40", "text/plain")
    for link in ("/1", "/2"):
        site.has(link)
    poll(make_feed(with_feed(site, entry("1", "/1"), entry("2", "/2")), follow=True), fetcher, NOW)
    assert [20 < slept <= 40 for slept in sleeps] == [True, True]


def test_state_is_kept(open_library: OpenLibrary) -> None:
    feed = Feed("https://a.example/ü", True, Version('"1"', "Mon"), "2026", "2027", 3, "no", 60, ("a", "b"))
    with open_library() as library:
        keep(library, feed)
        keep(library, make_feed("https://a.example"))
    with open_library() as library:
        assert feeds(library) == [Feed("https://a.example/"), feed]
