"""Fetching: from where it must not be, within which limits, and what sites ask for. Servers are on this machine."""

import gzip
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path

import httpcore2
import pytest
from web_site import BRIDGE, GUARD, HOST, PAGE, TRUSTED, Handler, Site, serving

from index.article import Article
from index.errors import InvalidInput, NotFetched, UnreadableArticle
from index.fetch import Fetcher, Guard, Limits, Page, Version, read_page, web_address
from index.fetch.guard import Address, Deadline, GuardedNetwork, Refused, is_public
from index.formats.format import FEED, HTML, PDF, RECORDS, TEXT, Format

LIMITS = Limits(bytes=1 << 20, seconds=20, redirects=3)
NOT_PUBLIC = "in a network that is not public"
REFUSED = f"{NOT_PUBLIC}|that is not written as one|Invalid IPv4 address|is not known"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as one:
        yield one


@pytest.fixture
def canary() -> Iterator[Site]:
    """A site on this machine that nobody may reach."""
    with serving() as one:
        one.has("/", "A secret of this machine.", "text/plain")
        one.has("/robots.txt", "", "text/plain")
        yield one


@pytest.fixture
def sleeps() -> list[float]:
    return []


@pytest.fixture
def fetcher(sleeps: list[float]) -> Fetcher:
    return Fetcher(LIMITS, GUARD, sleeps.append)


def got(fetcher: Fetcher, address: str) -> Page:
    page = fetcher.fetch(address)
    assert page is not None
    return page


# Where it must not be fetched from (SSRF)

HERE = (
    *("localhost", "localhost.", "127.0.0.1", "127.1.2.3", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
    *("2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "0", "127.0.0.1."),
)
ELSEWHERE = (
    *("169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "224.0.0.1", "255.255.255.255"),
    *("[fe80::1]", "[fc00::1]", "[ff02::1]", "[fec0::1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
)


@pytest.mark.parametrize("host", [*HERE, *ELSEWHERE])
def test_what_is_not_public_is_not_reached(host: str, canary: Site) -> None:
    with pytest.raises(NotFetched, match=REFUSED):
        Fetcher(LIMITS).fetch(f"http://{host}:{canary.port}/")
    assert canary.asked == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_canary_sings(host: str, canary: Site) -> None:
    everything = Guard(lambda address: True)
    assert got(Fetcher(LIMITS, everything), f"http://{host}:{canary.port}/").content == b"A secret of this machine."
    assert canary.asked == ["/robots.txt", "/"]


@pytest.mark.parametrize("host", [*HERE, *ELSEWHERE])
@pytest.mark.parametrize("path", ["/", "/robots.txt"])
def test_what_is_not_public_is_not_reached_by_redirects(
    host: str, path: str, site: Site, canary: Site, fetcher: Fetcher
) -> None:
    site.has("/")
    site.has(path, b"", status=302, Location=f"http://{host}:{canary.port}/")
    with pytest.raises(NotFetched, match=REFUSED):
        fetcher.fetch(site.address("/"))
    assert (site.asked, canary.asked) == ([path], [])


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("file:///etc/passwd", "only addresses with http and https"),
        ("gopher://site.example/_x", "only addresses with http and https"),
        ("http://a:b@site.example/", "no name and password"),
        ("http://site.example:25/", "no server of the web has the port 25"),
        ("http://[::1/", "it leads to"),
        ("http://a\x7fb/", "it leads to"),
    ],
)
def test_redirects_to_what_is_no_address_of_the_web(location: str, said: str, site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(NotFetched, match=said):
        fetcher.fetch(site.has("/", b"", status=301, Location=location))
    assert site.asked == ["/"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("file:///etc/passwd", "only addresses with http and https are fetched"),
        ("ftp://site.example/x", "only addresses with http and https are fetched"),
        ("gopher://site.example/x", "only addresses with http and https are fetched"),
        ("data:text/plain,x", "only addresses with http and https are fetched"),
        ("site.example/x", "only addresses with http and https are fetched"),
        ("http://user:pass@site.example/", "no name and password are sent to a server; leave them out of the address"),
        ("http://user@site.example/", "no name and password are sent to a server; leave them out of the address"),
        ("http:///x", "it is no address of the web: it has no host"),
        ("http://site.example:22/", "no server of the web has the port 22"),
        ("http://site.example:99999/", "no server of the web has the port 99999"),
        ("http://[::1/", "it is no address of the web: Invalid port: ':1'"),
    ],
)
def test_addresses_that_are_none_of_the_web(address: str, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        web_address(address)
    assert str(raised.value) == said
    with pytest.raises(NotFetched) as missed:
        Fetcher(LIMITS, Guard(lambda address: True)).fetch(address)
    assert str(missed.value) == f"{address}: {said}"


@pytest.mark.parametrize(
    ("address", "whole"),
    [
        (" HTTP://Bücher.example/ä b?q=ü#there ", "http://xn--bcher-kva.example/%C3%A4%20b?q=%C3%BC"),
        ("https://site.example?q", "https://site.example/?q"),
        ("https://site.example:8443/a", "https://site.example:8443/a"),
    ],
)
def test_addresses_of_the_web(address: str, whole: str) -> None:
    assert str(web_address(address)) == whole


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        ("198.18.0.1", False),
        ("192.0.2.1", False),
        ("240.0.0.1", False),
        ("::7f00:1", False),
        ("2001:db8::1", False),
        ("2001:0:1::1", False),
        ("64:ff9b:1::1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0x7f.1", "017700000001", "127.1", "a.0x7f", "1.2.3.4.5"])
def test_addresses_that_are_not_written_as_such_are_refused(host: str) -> None:
    with pytest.raises(Refused, match=f"{host} is an address of IPv4 that is not written as one"):
        Guard(lambda address: True, lambda host, port: [TRUSTED]).addresses(host, 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "a1.example", "a.0xg"])
def test_names_and_addresses_that_are_written_as_such(host: str) -> None:
    assert Guard(lambda address: True, lambda host, port: [TRUSTED]).addresses(host, 80) == [TRUSTED]


def test_a_name_with_one_address_that_is_not_public_is_refused(site: Site) -> None:
    guard = Guard(GUARD.allowed, lambda host, port: [TRUSTED, ip_address("10.0.0.1")])
    with pytest.raises(NotFetched, match=NOT_PUBLIC):
        Fetcher(LIMITS, guard).fetch(site.has("/"))
    assert site.asked == []


class Rebinding:
    """Answers as a name server does that is up to no good: first with a public address, then with one of this
    machine's own."""

    def __init__(self, honest: int) -> None:
        self.honest = honest
        self.asked = 0

    def __call__(self, host: str, port: int) -> list[Address]:
        self.asked += 1
        return [TRUSTED if self.asked <= self.honest else ip_address("127.0.0.1")]


def test_a_name_is_resolved_once_for_a_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.has("/robots.txt", "", "text/plain")
    looked_up: list[object] = []
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: looked_up.append(host) or real(host, *rest))
    rebinding = Rebinding(honest=2)
    page = got(Fetcher(LIMITS, Guard(GUARD.allowed, rebinding)), site.has("/"))
    assert page.content == PAGE.encode()
    assert (rebinding.asked, looked_up) == (2, ["127.0.0.1", "127.0.0.1"])
    assert [headers["host"] for headers in site.headers] == [f"{HOST}:{site.port}"] * 2


def test_a_name_that_is_resolved_to_this_machine_later_is_refused_then(site: Site) -> None:
    site.has("/robots.txt", "", "text/plain")
    with pytest.raises(NotFetched, match=NOT_PUBLIC):
        Fetcher(LIMITS, Guard(GUARD.allowed, Rebinding(honest=1))).fetch(site.has("/"))
    assert site.asked == ["/robots.txt"]


def test_other_addresses_of_a_name_are_tried(site: Site) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        network = GuardedNetwork(
            Guard(lambda address: True, lambda host, port: [ip_address("::1"), TRUSTED]), Deadline(9)
        )
        stream = network.connect_tcp(HOST, site.port)
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        stream.close()
        with pytest.raises(httpcore2.ConnectError):
            network.connect_tcp(HOST, closed.getsockname()[1])


def test_proxies_of_the_environment_are_not_used(site: Site, canary: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    assert got(Fetcher(LIMITS, GUARD), site.has("/")).content == PAGE.encode()
    assert canary.asked == []


# TLS


@pytest.fixture
def secure() -> Iterator[Site]:
    with serving(tls=True) as one:
        one.has("/")
        yield one


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Path(__file__).parent / "files/tls/ca.pem"))


@pytest.mark.usefixtures("authority")
def test_tls_is_held_to_the_name(secure: Site) -> None:
    guard = Guard(GUARD.allowed, lambda host, port: [TRUSTED])
    assert got(Fetcher(LIMITS, guard), secure.address("/")).content == PAGE.encode()
    with pytest.raises(NotFetched, match=r"certificate is not valid for 'other\.example'"):
        Fetcher(LIMITS, guard).fetch(f"https://other.example:{secure.port}/")
    assert secure.asked == ["/"]


def test_tls_wants_an_authority(secure: Site, fetcher: Fetcher) -> None:
    with pytest.raises(NotFetched, match="certificate verify failed"):
        fetcher.fetch(secure.address("/"))
    assert secure.asked == []


# Limits


def streamed(handler: Handler, pieces: Callable[[], Iterator[bytes]], **headers: str) -> None:
    """Send without a length, until there is no more or nobody listens."""
    handler.respond(200, {"Content-Type": "text/html", **headers})
    for piece in pieces():
        handler.wfile.write(piece)


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 65_536


def test_an_endless_page(site: Site, fetcher: Fetcher) -> None:
    site.paths["/"] = lambda handler: streamed(handler, endless)
    with pytest.raises(NotFetched, match="it is larger than 1 MiB"):
        fetcher.fetch(site.address("/"))


def test_a_page_that_says_it_is_too_large(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(NotFetched, match="it is larger than 1 MiB"):
        fetcher.fetch(site.has("/", b"", Content_Length=str(10**19)))


def test_a_page_without_a_length(site: Site, fetcher: Fetcher) -> None:
    site.paths["/"] = lambda handler: streamed(handler, lambda: iter([PAGE.encode()]))
    assert got(fetcher, site.address("/")).content == PAGE.encode()


def test_a_page_in_gzip(site: Site, fetcher: Fetcher) -> None:
    page = got(fetcher, site.has("/", gzip.compress(PAGE.encode()), Content_Encoding="gzip"))
    assert page.content == PAGE.encode()


def bomb() -> Iterator[bytes]:
    """A gigabyte of nothing, a thousandth of that packed."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    for _ in range(1_024):
        yield packer.compress(bytes(1 << 20))
    yield packer.flush()


def test_a_bomb_in_gzip(site: Site, fetcher: Fetcher) -> None:
    site.paths["/"] = lambda handler: streamed(handler, bomb, **{"Content-Encoding": "gzip"})
    with pytest.raises(NotFetched, match="it is larger than 1 MiB"):
        fetcher.fetch(site.address("/"))


@pytest.mark.parametrize(
    ("content", "headers", "said"),
    [
        (PAGE, {"Content-Encoding": "br"}, "it came packed as 'br', which was not asked for"),
        (PAGE, {"Content-Encoding": "gzip"}, "it cannot be unpacked: .*incorrect header check"),
        (gzip.compress(PAGE.encode())[:-9], {"Content-Encoding": "gzip"}, "it breaks off before its end"),
        (PAGE, {"Content-Length": "9999"}, "its server does not keep to HTTP: .*without sending complete message body"),
        (PAGE, {"Content-Type": "image/png"}, "it is 'image/png', which no format reads"),
        (PAGE, {"Content-Type": ""}, "its server does not say what it is"),
        (PAGE, {"X-Long": "x" * 200_000}, "its server does not keep to HTTP"),
    ],
)
def test_content_that_is_of_no_use(
    content: str | bytes, headers: dict[str, str], said: str, site: Site, fetcher: Fetcher
) -> None:
    with pytest.raises(NotFetched, match=f"^{site.address('/')}: {said}"):
        fetcher.fetch(site.has("/", content, None, **{"Content-Type": "text/html", **headers}))


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"])
def test_a_server_that_says_a_byte_at_a_time(before: bytes, site: Site) -> None:
    over = threading.Event()

    def dribble(handler: Handler) -> None:
        handler.wfile.write(before)
        for byte in b"HTTP/1.1 200 OK\r\n" + b"x" * 10_000:
            handler.wfile.write(bytes([byte]))
            if over.wait(0.01):
                return

    site.paths["/"] = dribble
    with pytest.raises(NotFetched, match=r"it has not come within 0\.3 seconds"):
        Fetcher(Limits(seconds=0.3), GUARD).fetch(site.address("/"))
    over.set()


def test_redirects(site: Site, fetcher: Fetcher) -> None:
    site.has("/1", b"", status=301, Location="/2")
    site.has("/2", b"", status=302, Location="deeper/3?x=ü")
    site.has("/deeper/3?x=%C3%BC", b"", status=308, Location=f"//{HOST}:{site.port}/4#there")
    site.has("/4")
    assert got(fetcher, site.address("/1")).address == site.address("/4")
    assert site.asked == ["/1", "/2", "/deeper/3?x=%C3%BC", "/4"]


@pytest.mark.parametrize("location", ["/\xfc", "/ü".encode().decode("latin-1"), "/%C3%BC"])
def test_a_redirect_that_is_not_escaped(location: str, site: Site, fetcher: Fetcher) -> None:
    site.has("/%C3%BC")
    page = got(fetcher, site.has("/", b"", status=302, Location=location))
    assert page.address == site.address("/%C3%BC")


def test_redirects_without_an_end(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(NotFetched, match="leads from one address to the next, more than 3 times"):
        fetcher.fetch(site.has("/", b"", status=302, Location="/"))
    assert site.asked == ["/"] * 4


def test_a_server_that_says_no(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(NotFetched) as raised:
        fetcher.fetch(site.has("/", status=503, Retry_After="120"))
    assert (str(raised.value), raised.value.wait) == (
        f"{site.address('/')}: its server says: 503 Service Unavailable",
        120,
    )


@pytest.mark.parametrize(("hours", "low", "high"), [(9, 8 * 3600, 9 * 3600), (-9, 0, 0)])
def test_a_server_that_says_until_when(hours: int, low: int, high: int, site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(NotFetched) as raised:
        fetcher.fetch(
            site.has("/", status=429, Retry_After=format_datetime(datetime.now(UTC) + timedelta(hours=hours)))
        )
    assert raised.value.wait is not None
    assert low <= raised.value.wait <= high


@pytest.mark.parametrize("said", ["soon", "", "-1", "1e9"])
def test_a_server_that_says_nothing_sensible_of_when(said: str, site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(NotFetched, match="599") as raised:
        fetcher.fetch(site.has("/", status=599, Retry_After=said))
    assert raised.value.wait is None


def test_nobody_there(fetcher: Fetcher) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(NotFetched, match="its server cannot be reached"):
            fetcher.fetch(f"http://{HOST}:{closed.getsockname()[1]}/")


# Manners


@pytest.mark.parametrize(
    ("robots", "path", "allowed"),
    [
        ("User-agent: *\nDisallow: /", "/a", False),
        ("User-agent: *\nDisallow: /private", "/a", True),
        ("User-agent: *\nDisallow: /private", "/private/a", False),
        ("User-agent: *\nDisallow: /*?print=", "/a?print=1", False),
        ("User-agent: *\nDisallow: /a$", "/ab", True),
        ("User-agent: *\nDisallow: /\nAllow: /a", "/ab", True),
        ("User-agent: Other\nDisallow: /", "/a", True),
        ("User-agent: pullquote\nDisallow: /\n\nUser-agent: *\nAllow: /", "/a", False),
        ("User-agent: Pullquote\nAllow: /\n\nUser-agent: *\nDisallow: /", "/a", True),
        ("<html>No such page</html>", "/a", True),
        ("\0\xff", "/a", True),
    ],
)
def test_robots(robots: str, path: str, allowed: bool, site: Site, fetcher: Fetcher) -> None:
    site.has("/robots.txt", robots.encode("latin-1"), "text/plain")
    if allowed:
        assert got(fetcher, site.has(path)).content == PAGE.encode()
    else:
        with pytest.raises(NotFetched, match=r"the robots\.txt of site\.example keeps Pullquote from it"):
            fetcher.fetch(site.has(path))
    assert site.asked == ["/robots.txt", *([path] if allowed else [])]


@pytest.mark.parametrize(("status", "allowed"), [(403, True), (410, True), (429, False), (500, False), (503, False)])
def test_a_site_that_does_not_give_its_robots_txt(status: int, allowed: bool, site: Site, fetcher: Fetcher) -> None:
    site.has("/")
    site.has("/robots.txt", "User-agent: *\nDisallow: /", status=status)
    for _ in range(2):
        if allowed:
            assert got(fetcher, site.address("/")).content == PAGE.encode()
        else:
            with pytest.raises(NotFetched, match=f"{site.address('/')}: its robots.txt cannot be had: .* {status} "):
                fetcher.fetch(site.address("/"))
    assert site.asked == ["/robots.txt", *(["/", "/"] if allowed else [])]


def test_robots_of_where_a_redirect_leads(site: Site, fetcher: Fetcher) -> None:
    with serving() as other:
        other.has("/robots.txt", "User-agent: *\nDisallow: /secret", "text/plain")
        other.has("/secret")
        with pytest.raises(NotFetched, match="keeps Pullquote from it"):
            fetcher.fetch(site.has("/", b"", status=302, Location=other.address("/secret")))
        assert other.asked == ["/robots.txt"]


def test_robots_txt_that_is_somewhere_else(site: Site, fetcher: Fetcher) -> None:
    site.has("/robots.txt", b"", status=301, Location="/other.txt")
    site.has("/other.txt", "User-agent: *\nDisallow: /", "text/plain")
    with pytest.raises(NotFetched, match="keeps Pullquote from it"):
        fetcher.fetch(site.has("/"))


def test_a_large_robots_txt(site: Site, fetcher: Fetcher) -> None:
    site.has("/robots.txt", "#" * (512 * 1024 + 1), "text/plain")
    with pytest.raises(NotFetched, match=r"its robots\.txt cannot be had: it is larger than 0\.5 MiB"):
        fetcher.fetch(site.has("/"))


@pytest.mark.parametrize(("robots", "least", "most"), [("", 0, 1), ("User-agent: *\nCrawl-delay: 40", 20, 40)])
def test_pauses(robots: str, least: float, most: float, site: Site, fetcher: Fetcher, sleeps: list[float]) -> None:
    site.has("/robots.txt", robots, "text/plain")
    fetcher.fetch(site.has("/1"))
    assert sleeps == []
    fetcher.fetch(site.has("/2"))
    [slept] = sleeps
    assert least < slept <= most


def test_a_pause_is_never_longer_than_a_minute(site: Site, fetcher: Fetcher, sleeps: list[float]) -> None:
    site.has("/robots.txt", "User-agent: *\nCrawl-delay: 1e9", "text/plain")
    fetcher.fetch(site.has("/1"))
    fetcher.fetch(site.has("/2"))
    assert [slept <= 60 for slept in sleeps] == [True]


def test_what_is_sent(site: Site, fetcher: Fetcher) -> None:
    fetcher.fetch(site.has("/"), Version('"abc"', "Mon, 06 Jan 2025 10:00:00 GMT"))
    [sent] = site.headers
    assert sent.pop("user-agent").startswith("Pullquote/")
    assert sent.pop("accept").startswith("text/html, application/xhtml+xml, ")
    assert sent == {
        "host": f"{HOST}:{site.port}",
        "accept-encoding": "gzip",
        "connection": "close",
        "if-none-match": '"abc"',
        "if-modified-since": "Mon, 06 Jan 2025 10:00:00 GMT",
    }


def test_what_has_not_changed(site: Site, fetcher: Fetcher) -> None:
    address = site.has("/", b"", None, 304)
    assert fetcher.fetch(address, Version('"abc"')) is None
    with pytest.raises(NotFetched, match="304 Not Modified"):
        fetcher.fetch(address)


def test_versions_of_a_page(site: Site, fetcher: Fetcher) -> None:
    page = got(fetcher, site.has("/", ETag='W/"ü"'.encode().decode("latin-1"), Cache_Control="public, max-age=600"))
    assert (page.version, page.fresh) == (Version('W/"Ã¼"'), 600)
    fetcher.fetch(site.address("/"), page.version)
    assert site.headers[-1]["if-none-match"] == 'W/"Ã¼"'


@pytest.mark.parametrize("etag", ["a\r\nHost: b", "", "x" * 1_001, "漢", 7, None, ["a"]])
def test_what_cannot_be_sent_is_no_version(etag: object) -> None:
    assert Version.among({"etag": etag, "modified": "Mon"}) == Version(None, "Mon")


# What becomes of it


@pytest.mark.parametrize(
    ("path", "kind", "content", "format"),
    [
        ("/", "text/html; charset=utf-8", PAGE, HTML),
        ("/a.pdf", "text/HTML", PAGE, HTML),
        ("/a", "application/octet-stream", b"%PDF-1.7", PDF),
        ("/a", "text/xml", "<rss version='2.0'/>", FEED),
        ("/a.xml", "application/xml", "<rss version='2.0'/>", FEED),
        ("/a.xml", "application/xml", PAGE, HTML),
        ("/a", "application/json", "{}", RECORDS),
        ("/a.txt", "text/plain", "{}", TEXT),
    ],
)
def test_formats(path: str, kind: str, content: str | bytes, format: Format, site: Site, fetcher: Fetcher) -> None:
    assert got(fetcher, site.has(path, content, kind)).format == format


def read(page: Page) -> Article:
    [item] = read_page(page)
    assert isinstance(item, Article)
    return item


def page(content: bytes, format: Format, charset: str | None = None, version: Version = Version()) -> Page:
    return Page("https://site.example/news/a", format, charset, content, version, 0)


def test_a_page_of_html() -> None:
    html = PAGE.replace("<head>", "<head><link rel='canonical' href='/b'>").replace("deck", "Däck").encode("cp1252")
    article = read(page(html, HTML, "iso-8859-1", Version('"1"', "Mon")))
    assert (article.text, article.title, article.source) == (BRIDGE.replace("deck", "Däck"), "Bridge shut", HOST)
    assert article.url == "https://site.example/news/a"
    assert (article.metadata["etag"], article.metadata["modified"]) == ('"1"', "Mon")


def test_a_page_of_text() -> None:
    article = read(page("Brücke.".encode("cp1252"), TEXT, "ISO-8859-1", Version('"1"')))
    assert (article.text, article.url, dict(article.metadata)) == (
        "Brücke.",
        "https://site.example/news/a",
        {"etag": '"1"'},
    )
    assert article.id == read(page(b"Other.", TEXT)).id


def test_a_record_keeps_its_own_address() -> None:
    content = b'{"text": "A line.", "url": "https://post.example/1", "id": "one"}'
    [item] = read_page(page(content, RECORDS, version=Version('"1"')))
    assert isinstance(item, Article)
    assert (item.id, item.url, dict(item.metadata)) == ("one", "https://post.example/1", {})


@pytest.mark.parametrize(
    ("content", "format", "said"),
    [
        (b" \n", HTML, "it is empty"),
        (b"\0\1\2\3" * 9, TEXT, "it is a binary file"),
        (b"%PDF-1.7", PDF, ""),
        (b"<html></html>", HTML, "no article text was found in the page"),
    ],
)
def test_pages_that_cannot_be_read(content: bytes, format: Format, said: str) -> None:
    [item] = read_page(page(content, format))
    assert isinstance(item, UnreadableArticle)
    assert str(item).startswith(f"https://site.example/news/a: {said}")
