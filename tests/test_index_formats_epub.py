"""EPUB to articles: chapters in order, named as the book names them; covers and tables of contents left out."""

import re
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.article import Article
from index.errors import UnreadableArticle
from index.formats import epub, package
from index.formats.format import Item
from index.passage import Splitter

FILES = Path(__file__).parent / "files"
BOOKS = ["pandoc-ferry", "pandoc-ferry-2", "libreoffice-review"]
XHTML = 'xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'
CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="O/book.opf"/></rootfiles></container>'
)
TITLE = "<dc:title>The Book of Mud</dc:title>"


def items(data: bytes) -> list[Item]:
    return list(epub.read(BytesIO(data), "x"))


def articles(data: bytes) -> list[Article]:
    found = items(data)
    assert all(isinstance(item, Article) for item in found), found
    return [item for item in found if isinstance(item, Article)]


def of_file(name: str) -> list[Article]:
    return articles((FILES / f"{name}.epub").read_bytes())


def errors(data: bytes) -> list[str]:
    return [str(item) for item in items(data) if isinstance(item, UnreadableArticle)]


def made(
    *pages: str | bytes, facts: str = TITLE, nav: str = "", guide: str = "", others: dict[str, str] | None = None
) -> bytes:
    """A book of these pages, `O/p0.xhtml` and on, each the inside of a body if it is no whole file."""
    manifest = "".join(
        f'<item id="p{number}" href="p{number}.xhtml" media-type="application/xhtml+xml"/>'
        for number in range(len(pages))
    )
    if nav:
        manifest += '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    spine = "".join(f'<itemref idref="p{number}"/>' for number in range(len(pages)))
    files: dict[str, str | bytes] = {
        "META-INF/container.xml": CONTAINER,
        "O/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"{facts}</metadata><manifest>{manifest}</manifest><spine>{spine}</spine>{guide}</package>",
        "O/nav.xhtml": f'<html {XHTML}><body><nav epub:type="toc"><ol>{nav}</ol></nav></body></html>',
    }
    for number, page in enumerate(pages):
        whole = isinstance(page, bytes) or page.startswith("<!") or page.startswith("<html")
        files[f"O/p{number}.xhtml"] = page if whole else f"<html {XHTML}><body>{page}</body></html>"
    data = BytesIO()
    with ZipFile(data, "w", ZIP_DEFLATED) as archive:
        for name, text in (files | (others or {})).items():
            archive.writestr(name, text)
    return data.getvalue()


def entry(number: int, title: str) -> str:
    return f'<li><a href="p{number}.xhtml#top">{title}</a></li>'


class TestFilesOfPrograms:
    @pytest.mark.parametrize(
        ("name", "title", "book", "authors", "published", "chapters"),
        [
            (
                name,
                "Inquiry opens into Norhaven ferry accident as injured count reaches 27",
                "The ferry and the wall",
                ("Ann Example", "Bo Sample"),
                "2024-03-08",
                2,
            )
            for name in ("pandoc-ferry", "pandoc-ferry-2")
        ]
        + [
            (
                "libreoffice-review",
                "Inquiry opens into Norhaven ferry accident as injured count reaches 27",
                "Two accidents and a drought",
                ("Ann Example",),
                None,
                4,
            )
        ],
    )
    def test_chapters(
        self, name: str, title: str, book: str, authors: tuple[str, ...], published: str | None, chapters: int
    ) -> None:
        found = of_file(name)
        first = found[0]
        assert (first.title, first.source, first.authors, first.published) == (title, book, authors, published)
        assert [dict(article.metadata) for article in found] == [
            {"book": book, "chapter": number, "language": "en-GB"} for number in range(1, chapters + 1)
        ]

    @pytest.mark.parametrize("name", ["pandoc-ferry", "pandoc-ferry-2"])
    def test_text(self, name: str) -> None:
        first, second = (article.text for article in of_file(name))
        assert first.startswith(
            "Inquiry opens into Norhaven ferry accident as injured count reaches 27\n\nInvestigators said on Wednesday"
        )
        assert "is still in hospital with a fractured pelvis.\n\nAccording to the bureau," in first
        assert (
            "In figures\n\nWhat | How much\n\nSpeed | 9 knots\n\nRefit | £2.3 million\n\nA deckhand in hospital\n\n"
            "Two ferries laid up:\n\nGrey Goose\n\nGrey Gull\n\n“It had stuck,” the bureau said.\n\n"
            "See the bureau’s page.\n\nThe control unit had been replaced" in first
        )
        assert first.endswith("feed twice a week.\n\nEarlier counts left out those treated on board.")
        assert second.startswith("Tarnwick celebrates opening of battery plant\n\nBrass bands and a queue of 300")

    def test_text_of_libreoffice(self) -> None:
        found = of_file("libreoffice-review")
        assert [article.title for article in found[1:]] == [
            "Vallaré records its hottest day at 43.8°C",
            "Tarnwick celebrates opening of battery plant",
            "Mud from Lake Hollin holds 9,000 years of floods",
        ]
        assert "23 a day later. One person, a deckhand," in found[0].text
        assert found[0].text.endswith("laid up.\n\nEarlier counts left out those who were treated on board.")

    @pytest.mark.parametrize("name", BOOKS)
    def test_passages_are_slices(self, name: str) -> None:
        splitter = Splitter(lambda texts: [[m.span() for m in re.finditer(r"\S+", text)] for text in texts], "words")
        for article in of_file(name):
            covered = {offset for p in splitter.split(article) for offset in range(p.start, p.end)}
            assert [at for at, letter in enumerate(article.text) if not letter.isspace() and at not in covered] == []


class TestChapters:
    def test_titles_are_those_of_the_table_of_contents_else_the_first_heading(self) -> None:
        nav = entry(0, "One: <i>Mud</i>") + entry(0, "Later in it")
        found = articles(made("<h1>I</h1><p>Mud.</p>", "<h2>II</h2><p>Sand.</p>", nav=nav))
        assert [(article.title, article.text) for article in found] == [
            ("One: Mud", "I\n\nMud."),
            ("II", "II\n\nSand."),
        ]

    def test_page_without_a_heading_or_an_entry_goes_on_with_its_chapter(self) -> None:
        pages = ["<p>Before.</p>", "<p>Mud.</p>", "<p>And more mud.</p>", "<p>Sand.</p>"]
        found = articles(made(*pages, nav=entry(1, "Mud") + entry(3, "Sand")))
        assert [(article.title, article.text, article.metadata["chapter"]) for article in found] == [
            ("The Book of Mud", "Before.", 1),
            ("Mud", "Mud.\n\nAnd more mud.", 2),
            ("Sand", "Sand.", 3),
        ]

    def test_without_a_table_of_contents_each_page_is_a_chapter(self) -> None:
        assert [article.text for article in articles(made("<p>Mud.</p>", "<p>Sand.</p>"))] == ["Mud.", "Sand."]

    def test_empty_table_of_contents(self) -> None:
        nav = entry(0, "Other")
        found = articles(made("<h1>I</h1><p>Mud.</p>", nav=nav, others={"O/nav.xhtml": ""}))
        assert [article.title for article in found] == ["I"]

    def test_order_is_that_of_the_spine(self) -> None:
        data = made("<p>Mud.</p>", "<p>Sand.</p>")
        swapped = BytesIO()
        with ZipFile(BytesIO(data)) as old, ZipFile(swapped, "w") as new:
            for name in old.namelist():
                text = old.read(name).decode()
                new.writestr(name, re.sub(r'(<itemref idref="p0"/>)(<itemref idref="p1"/>)', r"\2\1\2", text))
        assert [article.text for article in articles(swapped.getvalue())] == ["Sand.", "Mud."]

    @pytest.mark.parametrize(
        "page",
        [
            '<section epub:type="cover"><p>Mud! A book.</p></section>',
            f'<html {XHTML}><body epub:type="titlepage"><p>Mud! A book.</p></body></html>',
            '<div><section role="doc-toc"><p>Chapter 1</p></section></div>',
            '<nav epub:type="toc"><ol><li>Chapter 1</li></ol></nav>',
            "<h1>The Book of Mud</h1><p>Ann Example</p>",
            "<img src='cover.jpg' alt='The Book of Mud'/>",
            "",
        ],
    )
    def test_pages_that_are_no_chapters(self, page: str) -> None:
        facts = f"{TITLE}<dc:creator>Ann Example</dc:creator>"
        found = articles(made(page, "<p>Mud.</p>", facts=facts))
        assert [(article.text, article.metadata["chapter"]) for article in found] == [("Mud.", 1)]

    def test_guide_of_older_books(self) -> None:
        guide = '<guide><reference type="Cover" href="p0.xhtml"/><reference type="text" href="p1.xhtml"/></guide>'
        assert [article.text for article in articles(made("<p>Buy!</p>", "<p>Mud.</p>", guide=guide))] == ["Mud."]

    @pytest.mark.parametrize(
        ("facts", "published"),
        [
            ("<dc:date>2024-03-08</dc:date>", "2024-03-08"),
            ("<dc:date>2024-03-08T10:00:00+02:00</dc:date>", "2024-03-08T08:00:00Z"),
            (
                '<dc:date opf:event="creation" xmlns:opf="http://www.idpf.org/2007/opf">2020-01-01</dc:date>'
                '<dc:date opf:event="publication" xmlns:opf="http://www.idpf.org/2007/opf">2024-03-08</dc:date>',
                "2024-03-08",
            ),
            ("", None),
        ],
    )
    def test_date(self, facts: str, published: str | None) -> None:
        assert articles(made("<p>Mud.</p>", facts=TITLE + facts))[0].published == published

    def test_names_with_spaces_and_folders(self) -> None:
        data = BytesIO()
        with ZipFile(BytesIO(made("<p>Mud.</p>"))) as old, ZipFile(data, "w") as new:
            for name in old.namelist():
                text = old.read(name).decode().replace('href="p0.xhtml"', 'href="../T%20X/p%C3%A9.xhtml"')
                new.writestr("T X/pé.xhtml" if name == "O/p0.xhtml" else name, text)
        assert [article.text for article in articles(data.getvalue())] == ["Mud."]


class TestText:
    @pytest.mark.parametrize(
        ("page", "text"),
        [
            ("<p>a&nbsp;b &eacute;&hellip; &lt;c&gt; &amp;amp; &#x1F600;</p>", "a\u00a0b é… <c> &amp; 😀"),
            ("<p>ac\u00adci&shy;dent</p>", "accident"),
            ("<p>One\n  line  of <b>two</b><i> words</i></p><p>\n</p>", "One line of two words"),
            ("<p>Quay 4<br/>Norhaven</p>", "Quay 4\nNorhaven"),
            ("<pre>a\n  b</pre>", "a\n  b"),
            ("Bare<p>within</p>bare", "Bare\n\nwithin\n\nbare"),
            ("<ul><li>one<ul><li>two</li></ul>three</li></ul>", "one\n\ntwo\n\nthree"),
            (
                "<p>seen<script>not</script><style>not</style><!-- not --><svg><text>not</text></svg> seen</p>",
                "seen seen",
            ),
            ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>字", "漢字"),
            ('<p>said.<a epub:type="noteref" href="#n1">1</a> So</p>', "said. So"),
            ('<p>said.<sup><a href="n.xhtml#n1">12</a></sup> So</p>', "said. So"),
            ('<p>said.<a href="#n1"><sup>*</sup></a> So</p>', "said. So"),
            ('<p>see page <a href="p3.xhtml#top">3</a> there</p>', "see page 3 there"),
            ('<p>see <a href="#note">the note</a></p>', "see the note"),
            ('<p>m<sup>2</sup> and <a href="http://bureau.example/">here</a></p>', "m2 and here"),
        ],
    )
    def test_of_a_page(self, page: str, text: str) -> None:
        assert articles(made(page))[0].text == text

    @pytest.mark.parametrize(
        "page",
        [
            f"<html {XHTML}><head><title/><script src='x'/></head><body><a id='x'/><p>Mud.</p></body></html>",
            "<!DOCTYPE html><html><head><title>x</title></head><body><p>Mud.<br></body></html>",
            '<html><body><span=class="a">Mud.</span></p></body></html>',
            '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "http://www.w3.org/TR/xhtml11/DTD/xhtml11.dtd">'
            f"<html {XHTML}><body><p>Mud.</p></body></html>",
            f'<?xml version="1.0" encoding="utf-16"?><html {XHTML}><body><p>Mud.</p></body></html>'.encode("utf-16"),
            f'<?xml version="1.0" encoding="iso-8859-1"?><html {XHTML}><body><p>Mud.</p></body></html>'.encode(
                "latin-1"
            ),
        ],
    )
    def test_pages_of_all_kinds(self, page: str | bytes) -> None:
        assert [article.text for article in articles(made(page))] == ["Mud."]

    def test_entities_of_a_dtd_bring_nothing(self) -> None:
        dtd = '<!DOCTYPE html [<!ENTITY a "boo"><!ENTITY b "&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'
        page = f"{dtd}<html {XHTML}><body><p>M&a;u&b;d&c;.</p></body></html>"
        assert [article.text for article in articles(made(page))] == ["Mud."]

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1), min_size=1, max_size=4))
    def test_any_paragraphs(self, texts: list[str]) -> None:
        escaped = [text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for text in texts]
        page = "".join(f"<p>{text}</p>" for text in escaped)
        assert [article.text for article in articles(made(page, facts=""))] == ["\n\n".join(texts)]


class TestWhatCannotBeRead:
    @pytest.mark.parametrize("data", [b"", b"Some text.", made("<p>Mud.</p>")[:300]])
    def test_no_archive(self, data: bytes) -> None:
        assert errors(data) == ["x: it is no zip archive, or a damaged one"]

    def test_other_archives(self) -> None:
        data = (FILES / "pandoc-ferry.docx").read_bytes()
        assert errors(data) == ["x: META-INF/container.xml is not in it"]

    @pytest.mark.parametrize(
        ("others", "reason"),
        [
            ({"META-INF/container.xml": "<container/>"}, "META-INF/container.xml in it names no book"),
            ({"META-INF/container.xml": "<container>"}, "META-INF/container.xml in it is no valid XML"),
            ({"O/book.opf": "<package>"}, "O/book.opf in it is no valid XML"),
            ({"O/book.opf": "<package/>"}, "no chapter in it has text: it seems to be made of pictures"),
        ],
    )
    def test_damaged_inside(self, others: dict[str, str], reason: str) -> None:
        assert errors(made("<p>Mud.</p>", others=others)) == [f"x: {reason}"]

    def test_pictures_alone(self) -> None:
        assert errors(made("<img src='1.jpg'/>")) == ["x: no chapter in it has text: it seems to be made of pictures"]

    def test_a_missing_page_is_reported_while_the_others_come(self) -> None:
        data = made("<p>Mud.</p>", "<p>Sand.</p>").replace(b"O/p0.xhtml", b"O/q0.xhtml")
        found = items(data)
        assert [str(item) for item in found if isinstance(item, UnreadableArticle)] == [
            "x, O/p0.xhtml: O/p0.xhtml is not in it"
        ]
        assert [item.text for item in found if isinstance(item, Article)] == ["Sand."]

    @pytest.mark.parametrize(
        ("algorithm", "uri", "locked"),
        [
            ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "O/p0.xhtml", True),
            ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "O/font.otf", False),
            ("http://www.idpf.org/2008/embedding", "O/p0.xhtml", False),
        ],
    )
    def test_protection_against_copying(self, algorithm: str, uri: str, locked: bool) -> None:
        encryption = (
            '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
            'xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
            f'<enc:EncryptionMethod Algorithm="{algorithm}"/><enc:CipherData><enc:CipherReference URI="{uri}"/>'
            "</enc:CipherData></enc:EncryptedData></encryption>"
        )
        data = made("<p>Mud.</p>", others={"META-INF/encryption.xml": encryption})
        reported = ["x: it is protected against copying (DRM); only the shop's reader opens it"]
        assert errors(data) == (reported if locked else [])

    def test_bounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = made(f"<p>{'a' * 3_000_000}</p>", "<p>Sand.</p>")
        monkeypatch.setattr(package, "MAX_MEMBER_BYTES", 2 << 20)
        assert errors(data) == ["x, O/p0.xhtml: O/p0.xhtml in it is larger than 2 MiB"]
        monkeypatch.setattr(package, "MAX_MEMBER_BYTES", 4 << 20)
        monkeypatch.setattr(package, "MAX_BYTES", 2 << 20)
        assert errors(data) == ["x, O/p0.xhtml: it is larger than 2 MiB when unpacked"]

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 7_400), st.binary(min_size=1, max_size=40))
    def test_any_damage_is_articles_or_errors(self, at: int, junk: bytes) -> None:
        good = (FILES / "pandoc-ferry.epub").read_bytes()
        found = items(good[:at] + junk + good[at + len(junk) :])
        assert found
        assert all(isinstance(item, Article | UnreadableArticle) for item in found)
