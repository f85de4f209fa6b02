"""Feeds in each dialect to articles; what is broken or hostile is reported."""

import io
import json
from pathlib import Path

import feedparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.article import Article, make_article
from index.errors import UnreadableArticle
from index.formats import Item
from index.formats.feed import read

FILES = Path(__file__).parent / "files"


def items(data: bytes | str) -> list[Item]:
    return list(read(io.BytesIO(data.encode() if isinstance(data, str) else data), "x"))


def of_file(name: str) -> list[Item]:
    return items((FILES / name).read_bytes())


def one(data: bytes | str) -> Article:
    """The one article in the data."""
    [item] = items(data)
    assert isinstance(item, Article), item
    return item


def rss(item: str, channel: str = "") -> str:
    return f"<rss version='2.0'><channel>{channel}<item>{item}</item></channel></rss>"


class TestDialects:
    def test_rss(self) -> None:
        bridge, ferry, picture, note = of_file("rss.xml")
        assert bridge == Article(
            id="b9ad84475d0dea45",
            text="The bridge at Saltgate was shut on Monday after engineers found cracks in the deck.\n\n"
            "The bridge on Monday\n\nLorries: 9 < 12 tons\n\nCars: none\n\n"
            "“We could not let\nlorries cross,” said Ruth & her team.",
            title="Bridge shut after cracks & rust found",
            url="https://www.post.example/2023/07/bridge-shut?a=1&b=2",
            published="2023-07-30T22:30:00Z",
            source="Harbour Post & Mail",
            authors=("Ruth van der Berg",),
            metadata={"language": "en-GB", "tags": ["Bridges", "Saltgate"]},
        )
        assert isinstance(ferry, Article)
        assert (ferry.text, ferry.url) == (
            "A ferry every 20 minutes & more: 5 < 6.",
            "https://www.post.example/?p=12",
        )
        assert ferry.published == "2023-07-30T13:00:00Z"
        assert str(picture) == "x, entry 3: the article has no text"
        assert isinstance(note, Article)
        assert (note.id, note.title, note.url, note.published) == ("https://www.post.example/#note-1", None, None, None)
        assert note.authors == ("Jo Lund",)

    def test_atom(self) -> None:
        three, brief, elsewhere = of_file("atom.xml")
        assert three == Article(
            id="f8bcbbc928444f8b",
            text="Counting\n\nThree is less than five.\n\nFive & six are ﬁne: 6 > 5.",
            title="Why 3 < 5 & more",
            url="https://notes.example/blog/three",
            published="2023-08-02T03:30:00Z",
            source="Castle <Notes>",
            authors=("Castle FC",),
            metadata={"updated": "2023-08-02T10:00:00.123Z", "language": "en", "tags": ["Numbers"]},
        )
        assert brief == Article(
            id="tag:notes.example,2023:2",
            text="Die Brücke ist zu.\nSie heißt <b>Salztor</b>.",
            title="Nur Text",
            published="2023-08-01T06:00:00Z",
            source="Castle <Notes>",
            authors=("Jo Lund", "R. Berg"),
            metadata={"language": "de"},
        )
        assert isinstance(elsewhere, Article)
        assert (elsewhere.text, elsewhere.source) == ("One.\n\nTwo & a half.", "Harbour Post")
        assert elsewhere.authors == ("Jo of the Post",)

    def test_rss_of_1999_in_latin_1(self) -> None:
        [article] = of_file("rdf.xml")
        assert isinstance(article, Article)
        assert article.text == "Le pont a été fermé à Besançon."
        assert (article.title, article.url) == ("Le pont est fermé", "https://old.example/1")
        assert (article.published, article.source, article.authors) == (
            "2003-07-28T07:30:00Z",
            "Old Gazette",
            ("Zoé Martin",),
        )
        assert article.metadata == {"language": "fr", "tags": ["ponts"]}

    def test_json_feed(self) -> None:
        bridge, note, picture, nothing = of_file("feed.json")
        assert isinstance(bridge, Article)
        assert bridge.text == "The bridge was shut.\n\nIt reopened & stayed open."
        assert (bridge.url, bridge.title) == ("https://notes.example/1", "The bridge")
        assert (bridge.published, bridge.source) == ("2023-07-28T07:30:00Z", "Harbour Notes")
        assert bridge.authors == ("Castle FC",)
        assert bridge.metadata == {
            "updated": "2023-07-29T09:30:00+02:00",
            "language": "en",
            "tags": ["bridges", "saltgate"],
        }
        assert isinstance(note, Article)
        assert (note.id, note.text) == ("https://notes.example/#2", "A note, with a < in it.\nAnd a second line.")
        assert (note.authors, note.metadata) == (("Jo Lund",), {"language": "en-GB"})
        assert str(picture) == "x, entry 3: the article has no text"
        assert str(nothing) == "x, entry 4: it is no JSON object"

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
    def test_json_feed_in_other_encodings(self, encoding: str) -> None:
        data = (FILES / "feed.json").read_text().encode(encoding)
        assert [item.title for item in items(data) if isinstance(item, Article)] == ["The bridge", None]

    def test_utf16(self) -> None:
        data = (FILES / "rss.xml").read_text().replace("UTF-8", "UTF-16").encode("utf-16")
        assert list(map(repr, items(data))) == list(map(repr, of_file("rss.xml")))


class TestFields:
    @pytest.mark.parametrize(
        ("author", "authors"),
        [
            ("Jo Lund", ("Jo Lund",)),
            ("Lund, Jo", ("Lund, Jo",)),
            ("jo@post.example (Jo Lund)", ("Jo Lund",)),
            ("Jo Lund &lt;jo@post.london>", ("Jo Lund",)),
            ("jo@post.example", ("jo@post.example",)),
            ("", ()),
        ],
    )
    def test_author_of_rss(self, author: str, authors: tuple[str, ...]) -> None:
        assert one(rss(f"<author>{author}</author><description>A.</description>")).authors == authors

    def test_several_creators(self) -> None:
        creators = "".join(f"<dc:creator>{name}</dc:creator>" for name in ("R. Berg", "Jo Lund"))
        data = rss(creators + "<description>A.</description>")
        data = data.replace("<rss ", "<rss xmlns:dc='http://purl.org/dc/elements/1.1/' ")
        assert one(data).authors == ("R. Berg", "Jo Lund")

    @pytest.mark.parametrize(
        ("date", "published"),
        [
            ("Mon, 31 Jul 2023 23:30:00 -0700", "2023-08-01T06:30:00Z"),
            ("Mon, 31 Jul 2023 09:30:00 GMT", "2023-07-31T09:30:00Z"),
            ("31 Jul 2023 09:30 PDT", "2023-07-31T16:30:00Z"),
            ("2023-07-31T09:30:00+05:30", "2023-07-31T04:00:00Z"),
            ("2023-07-31", "2023-07-31"),
            ("yesterday", None),
        ],
    )
    def test_date(self, date: str, published: str | None) -> None:
        article = one(rss(f"<pubDate>{date}</pubDate><description>A.</description>"))
        assert article.published == published
        assert article.metadata == ({} if published else {"published": date})

    @pytest.mark.parametrize("link", ["javascript:alert(1)", "mailto:a@b.example", "http://[x", "/relative", "feed"])
    def test_what_is_no_address_of_the_web_is_no_url(self, link: str) -> None:
        article = one(rss(f"<link>{link}</link><guid isPermaLink='false'>g</guid><description>A.</description>"))
        assert (article.url, article.id) == (None, "g")

    @pytest.mark.parametrize(
        ("link", "url"),
        [
            ("<link>/a</link>", "https://post.example/a"),
            ("<link>b?c</link><guid>g</guid>", "https://post.example/news/b?c"),
            ("<link>https://other.example/</link>", "https://other.example/"),
            ("<guid>g</guid>", None),
            ("<link/>", None),
            ("<link>javascript:alert(1)</link>", None),
        ],
    )
    def test_links_are_relative_to_where_the_feed_was_found(self, link: str, url: str | None) -> None:
        data = rss(f"{link}<description>A.</description>")
        [article] = read(io.BytesIO(data.encode()), "x", "https://post.example/news/feed")
        assert isinstance(article, Article)
        assert article.url == url

    @pytest.mark.parametrize(("link", "url"), [("/a", "https://post.example/a"), ("", None), (None, None), (7, None)])
    def test_links_of_json_are_relative_to_where_the_feed_was_found(self, link: object, url: str | None) -> None:
        data = {"version": "https://jsonfeed.org/version/1.1", "items": [{"url": link, "content_text": "A."}]}
        [article] = read(io.BytesIO(json.dumps(data).encode()), "x", "https://post.example/news/feed")
        assert isinstance(article, Article)
        assert article.url == url

    @pytest.mark.parametrize(
        ("item", "text"),
        [
            ("<title>T</title><link>https://post.example/a</link>", "T"),
            ("<link>https://post.example/a</link>", "https://post.example/a"),
            ("<title>T</title><description>A.</description>", "A."),
        ],
    )
    def test_an_entry_without_a_text_may_be_what_it_links_to(self, item: str, text: str) -> None:
        [article] = read(io.BytesIO(rss(item).encode()), "x", follow=True)
        assert isinstance(article, Article)
        assert article.text == text

    def test_the_same_page_has_the_same_id_in_feed_and_page(self) -> None:
        article = one(rss("<link>https://post.example/a</link><guid>g</guid><description>A.</description>"))
        assert article.id == make_article("The page.", url="https://post.example/a").id

    def test_html_is_left_as_it_is_until_it_becomes_text(self) -> None:
        html = "&lt;object>Kept.&lt;/object>&lt;p style='x'>&lt;unheard>Also&lt;/unheard> &amp;lt;kept&amp;gt;&lt;/p>"
        assert one(rss(f"<description>{html}</description>")).text == "Kept.\n\nAlso\n\n<kept>"

    def test_empty_content_gives_way_to_the_summary(self) -> None:
        data = (
            "<feed xmlns='http://www.w3.org/2005/Atom'><entry><content type='html'> </content>"
            "<summary>A.</summary></entry></feed>"
        )
        assert one(data).text == "A."

    def test_content_that_is_no_text(self) -> None:
        data = (
            "<feed xmlns='http://www.w3.org/2005/Atom'><entry><content type='image/png'>iVBORw0KGgo=</content>"
            "<summary>A.</summary></entry></feed>"
        )
        assert one(data).text == "A."


class TestBroken:
    @pytest.mark.parametrize("data", ["", " ", "Text", "<", "<html><body><p>A.</p></body></html>", "<?xml?><a/>", "{}"])
    def test_no_feed(self, data: str) -> None:
        assert [str(item) for item in items(data)] == ["x: it is no feed: neither RSS, Atom nor JSON Feed"]

    @pytest.mark.parametrize("version", [None, 7, "1.0", ["https://jsonfeed.org/version/1"]])
    def test_json_that_is_no_feed(self, version: object) -> None:
        [error] = items(json.dumps({"version": version, "items": {}}))
        assert str(error) == "x: it is no feed: neither RSS, Atom nor JSON Feed"

    @pytest.mark.parametrize("data", ["{", '{"version": ' + "[" * 100_000, '{"a": "\\ud8'])
    def test_broken_json(self, data: str) -> None:
        [error] = items(data)
        assert str(error).startswith("x: it is no valid JSON: ")

    def test_feed_without_entries(self) -> None:
        assert items("<rss version='2.0'><channel><title>T</title></channel></rss>") == []

    def test_the_entries_before_a_break_come_and_the_break_is_told(self) -> None:
        data = (FILES / "rss.xml").read_bytes()
        found = items(data[: data.index(b"<title>Only")])
        assert [item.title for item in found if isinstance(item, Article)] == [
            "Bridge shut after cracks & rust found",
            "Ferry times",
        ]
        assert str(found[-1]) == "x: the feed breaks off before its end; get it again"

    def test_undeclared_entity_is_no_break(self) -> None:
        assert one(rss("<title>A&nbsp;b &eacute;</title><description>A & b</description>")).title == "A b é"

    @pytest.mark.parametrize("reference", ["&#99999999999;", "&#x110000;"])
    def test_number_that_no_character_has(self, reference: str) -> None:
        [error] = items(f"<rss version='2.0'><channel><item><title>{reference}</title>")
        assert str(error).startswith("x: the feed cannot be read: ")


class TestHostile:
    def test_no_file_is_read_for_an_entity(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("SECRET")
        doctype = f"<!DOCTYPE rss [<!ENTITY a SYSTEM '{(tmp_path / 'secret').as_uri()}'>]>"
        assert one(doctype + rss("<description>v &a; w</description>")).text == "v &a; w"

    def test_entities_are_not_multiplied(self) -> None:
        entities = "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefghi", "bcdefghij", strict=True))
        doctype = f"<!DOCTYPE rss [<!ENTITY a 'lol'>{entities}]>"
        assert one(doctype + rss("<description>v &j; w</description>")).text == "v &j; w"

    def test_bytes_are_no_file_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "feed").write_text(rss("<description>SECRET</description>"))
        [error] = items(bytes(tmp_path / "feed"))
        assert str(error) == "x: it is no feed: neither RSS, Atom nor JSON Feed"

    def test_address_is_not_fetched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feedparser.http, "get", lambda *_: pytest.fail("fetched"))
        [error] = items("http://post.example/feed")
        assert str(error) == "x: it is no feed: neither RSS, Atom nor JSON Feed"

    def test_deep_html(self) -> None:
        [error] = items(rss(f"<description>{'&lt;div>' * 10_000}A.</description>"))
        assert str(error).startswith("x, entry 1: not all of its HTML can be read")

    def test_deep_xml(self) -> None:
        content = f"<content type='xhtml'>{'<div>' * 10_000}A.{'</div>' * 10_000}</content>"
        [error] = items(f"<feed xmlns='http://www.w3.org/2005/Atom'><entry>{content}</entry></feed>")
        assert str(error).startswith("x, entry 1: not all of its HTML can be read")

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_damage_is_reported_or_read(self, data: st.DataObject) -> None:
        feed = bytearray(
            (FILES / data.draw(st.sampled_from(["rss.xml", "atom.xml", "rdf.xml", "feed.json"]))).read_bytes()
        )
        for _ in range(data.draw(st.integers(1, 5))):
            at = data.draw(st.integers(0, len(feed) - 1))
            feed[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
        assert all(isinstance(item, Article | UnreadableArticle) for item in items(bytes(feed)))
