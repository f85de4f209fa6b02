"""Documents that mean harm (row C8 of the reliability matrix): nothing is fetched, and the next one is read."""

import gzip
import socket
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from time import perf_counter

import pytest
from lxml import etree

from index.article import Article
from index.formats import NAMED, read
from index.formats.parsing import Limits

LIMITS = Limits(seconds=20, memory=1 << 29)
CANARY = "canary-9f2c"
XML = '<?xml version="1.0"?>'
LAUGHS = "<!DOCTYPE x [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{number} '{f'&a{number - 1};' * 10}'>" for number in range(1, 12)
)
QUADRATIC = f"<!DOCTYPE x [<!ENTITY a '{'ha' * 50_000}'>"
BODIES = {
    "feed": '<rss version="2.0"><channel><item><title>T</title><description>{}</description></item></channel></rss>',
    "mediawiki": "<mediawiki><page><title>T</title><ns>0</ns><revision><text>{}</text></revision></page></mediawiki>",
    "html": "<html><body><article><p>The bridge was shut on Monday, the council said. {}</p></article></body></html>",
}


def texts(data: bytes, name: str) -> str:
    """All that comes of it, articles and errors; a plain page is read after it, by the same parser or the next."""
    items = list(read(data, "x", NAMED[name], LIMITS))
    [after] = read(
        b"<html><article><p>It was shut on Monday, the council said.</p></article>", "y", NAMED["html"], LIMITS
    )
    assert isinstance(after, Article)
    assert after.text == "It was shut on Monday, the council said."
    return "\n".join(f"{item.title}\n{item.text}" if isinstance(item, Article) else str(item) for item in items)


def document(xml: str) -> bytes:
    """A Word document with that XML as its text."""
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("[Content_Types].xml", f"{XML}<Types/>")
        made.writestr("word/document.xml", xml)
    return data.getvalue()


def book(xml: str) -> bytes:
    """A book with that XML as what says where its parts are."""
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("mimetype", "application/epub+zip")
        made.writestr("META-INF/container.xml", xml)
    return data.getvalue()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Hears of whoever fetches anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


def hostile(dtd: str, entity: str) -> Iterator[tuple[str, bytes]]:
    for name, body in BODIES.items():
        yield name, f"{XML}{dtd}]>{body.format(entity)}".encode()
    yield "docx", document(f"{XML}{dtd}]><x>{entity}</x>")
    yield "epub", book(f"{XML}{dtd}]><x>{entity}</x>")


@pytest.mark.parametrize("dtd", [LAUGHS, QUADRATIC], ids=["laughs", "quadratic"])
def test_bombs_of_entities(dtd: str) -> None:
    entity = "&a11;" if dtd is LAUGHS else "&a;" * 10_000
    for name, data in hostile(dtd, entity):
        began = perf_counter()
        assert len(texts(data, name)) < 1_000_000, name
        assert perf_counter() - began < LIMITS.seconds, name


def test_files_and_addresses_in_entities(tmp_path: Path, listener: socket.socket) -> None:
    (tmp_path / "secret").write_text(CANARY)
    port = listener.getsockname()[1]
    for target in (f"file://{tmp_path}/secret", f"{tmp_path}/secret", f"http://127.0.0.1:{port}/{CANARY}"):
        for dtd in (f'<!DOCTYPE x [<!ENTITY a SYSTEM "{target}">', f'<!DOCTYPE x SYSTEM "{target}" [<!ENTITY a "b">'):
            for name, data in hostile(dtd, "&a;"):
                assert CANARY not in texts(data, name), (name, target)
        page = f'<html><head><base href="{target}"><link rel=stylesheet href="{target}"></head><body>'
        page += f'<img src="{target}"><iframe src="{target}"></iframe><object data="{target}"></object><p>Seen.</p>'
        assert CANARY not in texts(page.encode(), "html")


def test_the_canary_is_seen_by_a_parser_that_resolves_entities(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(CANARY)
    data = f'{XML}<!DOCTYPE x [<!ENTITY a SYSTEM "file://{tmp_path}/secret">]><x>&a;</x>'.encode()
    assert etree.fromstring(data, etree.XMLParser(resolve_entities=True)).text == CANARY


@pytest.mark.parametrize(
    "page",
    [
        "<p>" + "The bridge was shut. " * 200_000,
        "<div>" * 200_000 + "Text",
        "<p>" + "<b><i>" * 50_000,
        "<a " + "x" * 2_000_000,
        "<" * 1_000_000,
        "<!--" * 200_000,
        "<table><tr><td>" * 20_000,
        "<p>" + "e\u0301" + "\u0301" * 200_000,
        "<p>" + "x" * 3_000_000,
        "&" * 1_000_000,
        "<p title='" + "&lt;" * 300_000 + "'>Text",
    ],
    ids=["long", "deep", "open", "attribute", "brackets", "comments", "tables", "marks", "word", "entities", "title"],
)
def test_pages_that_are_hard_to_parse(page: str) -> None:
    began = perf_counter()
    texts(f"<html><body><article>{page}".encode(), "html")
    assert perf_counter() - began < 3 * LIMITS.seconds


def test_an_archive_in_itself_and_a_bomb_in_a_page() -> None:
    data = b"<html><p>Deep.</p>"
    for _ in range(20):
        data = gzip.compress(data)
    assert "archives lie more than 3 deep" in texts(data, "archive")
    assert "it unfolds to more than 100 times its size" in texts(
        gzip.compress(b"<html><p>" + bytes(200 << 20)), "archive"
    )
