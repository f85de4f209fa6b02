"""Web archives to articles; damage costs only what it is in."""

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.article import Article
from index.errors import UnreadableArticle
from index.formats import Item, warc
from index.formats.warc import read

FILES = Path(__file__).parent / "files"
PAGE = (
    "<!DOCTYPE html><html><head><title>{0}</title></head><body><article><h1>{0}</h1><p>The bridge at Saltgate was shut"
    " on Monday after engineers found cracks in the deck, the council said.</p><p>“We could not let lorries cross,” "
    "said Renée Berg, and nobody did. The repair is expected to take six weeks.</p></article></body></html>"
)
SHUT = PAGE.format("Shut").encode()
HTML = "Content-Type: text/html; charset=utf-8\r\n"


def items(data: bytes) -> list[Item]:
    return list(read(io.BytesIO(data), "x"))


def told(data: bytes) -> list[str | None]:
    """The titles of the articles and what else is told, in order."""
    return [item.title if isinstance(item, Article) else str(item) for item in items(data)]


def record(
    body: bytes | str,
    headers: str = HTML,
    address: str = "https://post.example/a",
    kind: str = "response",
    status: str = "200 OK",
    more: str = "",
) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    block = f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + body
    lines = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {address}\r\nWARC-Date: 2023-07-31T10:00:00Z\r\n"
        f"Content-Type: application/http;msgtype=response\r\n{more}Content-Length: {len(block)}\r\n\r\n"
    )
    return lines.encode() + block + b"\r\n\r\n"


class TestArchives:
    @pytest.mark.parametrize("name", ["crawl.warc", "crawl.warc.gz"])
    def test_what_wget_writes(self, name: str) -> None:
        found = [item for item in items((FILES / name).read_bytes()) if isinstance(item, Article)]
        home, bridge, ferry, cafe, times = found
        assert home.url == "http://www.post.example/"
        assert (bridge.id, bridge.title) == ("d7b90087d78f359c", "Bridge shut")
        assert bridge.text == (
            "Bridge shut\n\n"
            "The bridge at Saltgate was shut on Monday after engineers found cracks in the deck, the council said.\n\n"
            "Castle FC & her team inspected the girders for nine hours. “We could not let lorries cross,” she said.\n\n"
            "The repair is expected to take six weeks, and ferries will run every twenty minutes until it is done."
        )
        assert (bridge.url, bridge.source) == ("http://www.post.example/bridge.html", "Harbour Post")
        assert bridge.published == "2023-07-30T22:30:00Z"
        assert (ferry.published, set(ferry.metadata)) == (None, {"fetched"})
        assert "Those have to take the long way round by Lindenmark" in ferry.text
        assert "“Nobody comes on foot,” she said – and" in cafe.text
        assert (times.text, times.url) == (
            "Ferry times\n\nEvery twenty minutes from 05:00 to 23:00.\n",
            "http://www.post.example/times.txt",
        )

    def test_fields(self) -> None:
        [article] = items(record(PAGE.format("Shut")))
        assert isinstance(article, Article)
        assert (article.title, article.url) == ("Shut", "https://post.example/a")
        assert article.metadata == {"fetched": "2023-07-31T10:00:00Z"}

    @pytest.mark.parametrize(
        "skipped",
        [
            record("", kind="revisit"),
            record("", kind="request"),
            record(PAGE.format("No"), kind="metadata"),
            record(PAGE.format("No"), status="404 Not Found"),
            record("", headers="Location: /b\r\n", status="301 Moved"),
            record(b"\x89PNG", headers="Content-Type: image/png\r\n"),
            record(b"nonsense", headers="Content-Type: image/png\r\nContent-Encoding: br\r\n"),
            record("User-agent: *", headers="Content-Type: text/plain\r\n", address="https://post.example/robots.txt"),
            record("No type.", headers=""),
            record("x", kind="response").replace(b"application/http;msgtype=response", b"text/dns"),
        ],
    )
    def test_what_is_no_page_is_passed_over(self, skipped: bytes) -> None:
        assert told(skipped + record(PAGE.format("Yes")) + skipped) == ["Yes"]

    def test_page_without_an_article(self) -> None:
        assert told(record("<html><body></body></html>")) == [
            "x, https://post.example/a: no article text was found in the page"
        ]


class TestContent:
    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (gzip.compress(SHUT), "Content-Encoding: gzip\r\n"),
            (b"7\r\n<html>\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(SHUT), SHUT), "Transfer-Encoding: chunked\r\n"),
            (SHUT, "Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n"),
            (SHUT, "Content-Encoding: unheard\r\n"),
        ],
    )  # fmt: skip
    def test_packed(self, body: bytes, headers: str) -> None:
        assert told(record(body, HTML + headers)) == ["Shut"]

    @pytest.mark.parametrize(
        ("charset", "encoding"),
        [
            ("iso-8859-1", "cp1252"),
            ('"windows-1252"', "cp1252"),
            ("utf-8", "utf-8"),
            ("unheard", "utf-8"),
            ("iso-8859-15", "iso-8859-15"),
        ],
    )
    def test_charset_of_the_header(self, charset: str, encoding: str) -> None:
        text = "Renée Berg’s café" if encoding != "iso-8859-15" else "Renée’s 5 €".replace("’", "'")
        [article] = items(record(text.encode(encoding), f"Content-Type: text/plain; charset={charset}\r\n"))
        assert isinstance(article, Article)
        assert article.text == text

    @pytest.mark.parametrize(
        ("body", "headers", "reason"),
        [
            (b"\x1f\x8bnonsense", "Content-Encoding: gzip\r\n", "Gzip decompression error: data error"),
            (b"zz\r\nnonsense", "Transfer-Encoding: chunked\r\n", "Invalid chunk header: 'zz'"),
            (b"\0\1\2\3\4\5\6\7", "", "no article text was found in the page"),
            (gzip.compress(b" " * (33 << 20)), "Content-Encoding: gzip\r\n", "its content is larger than 32 MiB"),
        ],
    )
    def test_broken_among_others(self, body: bytes, headers: str, reason: str) -> None:
        data = record(PAGE.format("One")) + record(body, HTML + headers) + record(PAGE.format("Two"))
        assert told(data) == ["One", f"x, https://post.example/a: {reason}", "Two"]

    def test_large_record_among_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(warc, "MAX_RECORD_BYTES", 1 << 20)
        data = record("x" * (1 << 20)) + record(PAGE.format("Two"))
        assert told(data) == ["x, https://post.example/a: the record is larger than 1 MiB", "Two"]

    def test_digest(self) -> None:
        wrong = record(PAGE.format("One"), more="WARC-Block-Digest: sha1:" + "A" * 32 + "\r\n")
        right = record(PAGE.format("Two"), more="WARC-Block-Digest: sha256:" + "A" * 32 + "\r\n")
        assert told(wrong + right) == [
            "x, https://post.example/a: the record is damaged: its content is not what its digest is of",
            "Two",
        ]


class TestDamage:
    RECORDS = [record(PAGE.format(title), address=f"https://post.example/{title}") for title in "ABCD"]  # noqa: RUF012

    def test_of_a_compressed_record(self) -> None:
        a, b, c, d = map(gzip.compress, self.RECORDS)
        data = a + b[:100] + b"\0\0\0\0" + b[104:] + c + d
        assert told(data) == ["A", "x: it is damaged behind byte 0: Gzip decompression error: data error", "C", "D"]

    def test_of_a_header(self) -> None:
        a, b, c, d = self.RECORDS
        data = a + b + c.replace(b"WARC/1.1", b"WORC/1.1") + d
        assert told(data) == ["A", "B", f"x: it is damaged behind byte {len(a)}: Invalid WARC header", "D"]

    def test_in_several_places(self) -> None:
        a, b, c, d = self.RECORDS
        found = told(a + b"noise" * 9 + b + c + b"noise" + d)
        assert [title for title in found if title in "ABCD"] == ["A", "B", "C", "D"]
        assert len(found) == 6

    def test_false_beginnings(self) -> None:
        data = b"noise" + b"\x1f\x8b\x08" * 300 + b"".join(map(gzip.compress, self.RECORDS))
        assert told(data) == ["x: it is damaged behind byte 0: Invalid WARC header", "A", "B", "C", "D"]

    @pytest.mark.parametrize("packed", [False, True])
    def test_cut_anywhere(self, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(warc, "_item", lambda response, place: UnreadableArticle(place, "whole"))
        records = [gzip.compress(one) if packed else one for one in self.RECORDS[:2]]
        data = b"".join(records)
        for length in range(1, len(data)):
            if length != len(records[0]):
                broken = [item.reason for item in items(data[:length]) if isinstance(item, UnreadableArticle)]
                assert broken[-1] != "whole", length
        assert [str(item) for item in items(data)] == [f"x, https://post.example/{title}: whole" for title in "AB"]

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "it is empty"),
            (b"Some text.\n" * 100, "it is damaged behind byte 0: Invalid WARC header"),
            (gzip.compress(b"Some text."), "it is damaged behind byte 0: Invalid WARC header"),
            (b"WARC/1.0\r\nWARC-Type: resp", "it breaks off behind byte 0; get it again"),
        ],
    )
    def test_no_archive(self, data: bytes, reason: str) -> None:
        assert told(data) == [f"x: {reason}"]

    def test_packed_as_a_whole(self) -> None:
        assert told(gzip.compress(b"".join(self.RECORDS))) == ["A", "B", "C", "D"]

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_damage_is_reported_or_read(self, data: st.DataObject) -> None:
        archive = bytearray((FILES / data.draw(st.sampled_from(["crawl.warc", "crawl.warc.gz"]))).read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(archive) - 1))
            archive[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
        assert all(isinstance(item, Article | UnreadableArticle) for item in items(bytes(archive)))
