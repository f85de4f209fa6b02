"""DOCX to text: what a reader of the document sees, and what the file says of itself."""

import re
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.article import Article
from index.errors import UnreadableArticle
from index.formats import docx, package
from index.formats.format import Item
from index.passage import Splitter

FILES = Path(__file__).parent / "files"
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">{}</cp:coreProperties>'
)


def items(data: bytes) -> list[Item]:
    return list(docx.read(BytesIO(data), "x"))


def one(data: bytes) -> Article:
    [item] = items(data)
    assert isinstance(item, Article), item
    return item


def of_file(name: str) -> Article:
    return one((FILES / f"{name}.docx").read_bytes())


def errors(data: bytes) -> list[str]:
    return [str(item) for item in items(data) if isinstance(item, UnreadableArticle)]


def made(body: str, core: str = "", **others: str) -> bytes:
    """A document with that body, those properties, and other files by their names."""
    files = {"word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>"} | others
    if core:
        files["docProps/core.xml"] = CORE.format(core)
    data = BytesIO()
    with ZipFile(data, "w", ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


def paragraph(text: str, style: str = "") -> str:
    named = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{named}<w:r><w:t xml:space='preserve'>{text}</w:t></w:r></w:p>"


class TestFilesOfPrograms:
    @pytest.mark.parametrize(
        ("name", "title", "authors", "published", "language"),
        [
            ("pandoc-ferry", "The ferry and the wall", ("Ann Example", "Bo Sample"), "2024-03-08T08:00:00Z", "en-GB"),
            ("libreoffice-review", "Two accidents and a drought", ("Ann Example",), "2024-03-09T10:00:00Z", "en-GB"),
        ],
    )
    def test_what_it_says_of_itself(
        self, name: str, title: str, authors: tuple[str, ...], published: str, language: str
    ) -> None:
        article = of_file(name)
        assert (article.title, article.authors, article.published) == (title, authors, published)
        assert article.metadata == {"language": language}

    @pytest.mark.parametrize(
        ("name", "passage"),
        [
            ("pandoc-ferry", "The ferry and the wall\n\nAnn Example\n\nBo Sample\n\n2024-03-08\n\nInquiry opens into"),
            (
                "pandoc-ferry",
                "In figures\n\nWhat | How much\n\nSpeed | 9 knots\n\nRefit | £2.3 million\n\nA deckhand in hospital\n\n"
                "Two ferries laid up:\n\nGrey Goose\n\nGrey Gull\n\n“It had stuck,” the bureau said.\n\n"
                "See the bureau’s page.\n\nThe control unit had been replaced",
            ),
            ("pandoc-ferry", "twelve years.\n\nEarlier counts left out those treated on board."),
            ("libreoffice-review", "23 a day later. One person, a deckhand, is still in hospital"),
            (
                "libreoffice-review",
                "twice a week.\n\nSpeed of the ferry | 9 knots\n\nLimit in the harbour | 6 knots\n\nCost of the "
                "refit | £2.3 million\n\nA deckhand is in hospital.\n\nTwo ferries are laid up.\n\nVallaré records its",
            ),
            (
                "libreoffice-review",
                "dates from 1932.\n\nEarlier counts left out those who were treated on board.\n\n"
                "At the prices of 2022.",
            ),
        ],
    )
    def test_text(self, name: str, passage: str) -> None:
        assert passage in of_file(name).text

    @pytest.mark.parametrize("name", ["pandoc-ferry", "libreoffice-review"])
    def test_passages_are_slices(self, name: str) -> None:
        article = of_file(name)
        splitter = Splitter(lambda texts: [[m.span() for m in re.finditer(r"\S+", text)] for text in texts], "words")
        covered = {offset for p in splitter.split(article) for offset in range(p.start, p.end)}
        assert [at for at, letter in enumerate(article.text) if not letter.isspace() and at not in covered] == []


class TestText:
    def test_what_has_been_deleted_is_no_text_and_what_has_been_added_is(self) -> None:
        body = (
            "<w:p><w:r><w:t>The ferry </w:t></w:r><w:del><w:r><w:delText>sank</w:delText></w:r></w:del>"
            "<w:ins><w:r><w:t>struck the wall</w:t></w:r></w:ins><w:r><w:t>.</w:t></w:r></w:p>"
        )
        assert one(made(body)).text == "The ferry struck the wall."

    def test_line_breaks_and_empty_paragraphs(self) -> None:
        body = "<w:p><w:r><w:t>Quay 4</w:t><w:br/><w:t>Norhaven</w:t></w:r></w:p><w:p/>" + paragraph("Open.")
        assert one(made(body)).text == "Quay 4\nNorhaven\n\nOpen."

    def test_cells_of_several_paragraphs_and_empty_ones(self) -> None:
        cells = [paragraph("One") + paragraph("two"), "<w:p/>", paragraph("three")]
        row = "".join(f"<w:tc>{cell}</w:tc>" for cell in cells)
        assert one(made(f"<w:tbl><w:tr>{row}</w:tr></w:tbl>{paragraph('After.')}")).text == (
            "One two |  | three\n\nAfter."
        )

    def test_table_within_a_table_is_text_of_its_cell(self) -> None:
        inner = f"<w:tbl><w:tr><w:tc>{paragraph('a')}</w:tc><w:tc>{paragraph('b')}</w:tc></w:tr></w:tbl>"
        outer = f"<w:tbl><w:tr><w:tc>{inner}<w:p/></w:tc><w:tc>{paragraph('c')}</w:tc></w:tr></w:tbl>"
        assert one(made(outer)).text == "a b | c"

    def test_characters_that_html_and_xml_write_otherwise(self) -> None:
        assert one(made(paragraph("a &lt;b&gt; &amp;amp; “c” 😀 \u00a0d"))).text == "a <b> &amp; “c” 😀 \u00a0d"

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1), min_size=1, max_size=4))
    def test_any_paragraphs(self, texts: list[str]) -> None:
        escaped = [text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for text in texts]
        assert one(made("".join(map(paragraph, escaped)))).text == "\n\n".join(texts)


class TestFacts:
    def test_title_from_the_first_heading(self) -> None:
        assert one(made(paragraph("Floods", "Heading1") + paragraph("They rose."))).title == "Floods"
        assert one(made(paragraph("They rose."))).title is None

    def test_title_from_a_paragraph_in_the_style_of_one(self) -> None:
        styles = (
            f'<w:styles {W}><w:style w:type="paragraph" w:styleId="Titel"><w:name w:val="Title"/></w:style></w:styles>'
        )
        body = paragraph("By Ann Example") + paragraph("Floods", "Titel")
        assert one(made(body, **{"word/styles.xml": styles})).title == "Floods"

    def test_title_that_is_none_gives_way(self) -> None:
        body = paragraph("Floods", "Heading1")
        assert one(made(body, "<dc:title>Document1</dc:title>")).title == "Floods"
        assert one(made(body, "<dc:title> Mud </dc:title>")).title == "Mud"

    @pytest.mark.parametrize(
        ("created", "published"),
        [
            ("2024-03-08T08:00:00Z", "2024-03-08T08:00:00Z"),
            ("2024-03-08T08:00:00+02:00", "2024-03-08T06:00:00Z"),
            ("2024-03-08", "2024-03-08"),
            ("", None),
        ],
    )
    def test_date(self, created: str, published: str | None) -> None:
        core = f"<dcterms:created>{created}</dcterms:created>"
        assert one(made(paragraph("Words."), core)).published == published

    def test_authors(self) -> None:
        core = "<dc:creator>Ann Example; Bo Sample</dc:creator>"
        assert one(made(paragraph("Words."), core)).authors == ("Ann Example", "Bo Sample")

    def test_template_of_python_docx_says_nothing(self) -> None:
        core = (
            "<dc:title>Word Document</dc:title><dc:creator>python-docx</dc:creator>"
            "<dc:description>generated by python-docx</dc:description>"
            "<dcterms:created>2013-12-23T23:15:00Z</dcterms:created>"
        )
        article = one(made(paragraph("Words."), core))
        assert (article.title, article.authors, article.published) == (None, (), None)


class TestWhatCannotBeRead:
    DAMAGED = "x: it is no zip archive, or a damaged one"
    NO_WORD = "x: it is no Word document, or a damaged one"

    @pytest.mark.parametrize("data", [b"", b"Some text.", made(paragraph("A."))[:200], b"PK\3\4" + b"\0" * 200])
    def test_no_archive(self, data: bytes) -> None:
        assert errors(data) == [self.DAMAGED]

    def test_old_word(self) -> None:
        assert errors(bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600) == [
            "x: it is locked with a password, or a .doc of Word before 2007; save it as .docx without one"
        ]

    def test_other_archives(self) -> None:
        data = BytesIO()
        with ZipFile(data, "w") as archive:
            archive.writestr("a.txt", "Words.")
        assert errors(data.getvalue()) == [self.NO_WORD]
        assert errors((FILES / "pandoc-ferry.epub").read_bytes()) == [
            "x: it is no Word document: EPUB/nav.xhtml in it has a DTD"
        ]

    @pytest.mark.parametrize("body", ["<w:p>", "<w:p></w:q></w:p>", "&nbsp;", "<w:p>" * 5000 + "</w:p>" * 5000])
    def test_damaged_inside(self, body: str) -> None:
        assert errors(made(body)) == [self.NO_WORD]

    def test_no_text(self) -> None:
        assert errors(made("<w:p/>")) == ["x: the article has no text"]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_entities_are_refused(self, encoding: str) -> None:
        bomb = (
            f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY b "boo"><!ENTITY c "&b;&b;&b;">]>'
            f"<w:document {W}><w:body>{paragraph('&c;')}</w:body></w:document>"
        )
        data = BytesIO()
        with ZipFile(data, "w") as archive:
            archive.writestr("word/document.xml", bomb.encode(encoding))
        assert errors(data.getvalue()) == ["x: it is no Word document: word/document.xml in it has a DTD"]

    def test_entities_of_the_properties_bring_nothing(self) -> None:
        core = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + CORE.format("<dc:title>Mud &b;</dc:title>")
        assert errors(made(paragraph("Words."), **{"docProps/core.xml": core})) == [
            "x: it is no Word document: docProps/core.xml in it has a DTD"
        ]

    def test_files_of_any_name_are_checked(self) -> None:
        relation = (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
            'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Id="r1" '
            'Target="word/media/a.png"/></Relationships>'
        )
        document = f"<w:document {W}><w:body>{paragraph('Words.')}</w:body></w:document>"
        others = {"_rels/.rels": relation, "word/media/a.png": document, "word/media/b.png": "\x89PNG <!DOCTYPE"}
        assert one(made(paragraph("Others."), **others)).text == "Words."
        assert errors(made(paragraph("Others."), **others | {"word/media/a.png": "<!DOCTYPE a>" + document})) == [
            "x: it is no Word document: word/media/a.png in it has a DTD"
        ]

    def test_bounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = made(paragraph("a" * 3_000_000))
        monkeypatch.setattr(package, "MAX_MEMBER_BYTES", 2 << 20)
        assert errors(data) == ["x: word/document.xml in it is larger than 2 MiB"]
        monkeypatch.setattr(package, "MAX_MEMBER_BYTES", 4 << 20)
        monkeypatch.setattr(package, "MAX_BYTES", 2 << 20)
        assert errors(data) == ["x: it is larger than 2 MiB when unpacked"]

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 12_000), st.binary(min_size=1, max_size=40))
    def test_any_damage_is_articles_or_errors(self, at: int, junk: bytes) -> None:
        good = (FILES / "pandoc-ferry.docx").read_bytes()
        found = items(good[:at] + junk + good[at + len(junk) :])
        assert [type(item) for item in found] in ([Article], [UnreadableArticle])
