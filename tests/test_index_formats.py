"""Bytes of every format to articles; what cannot be read is reported while the rest still comes."""

import codecs
import gzip
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.article import Article
from index.errors import UnreadableArticle
from index.formats import NAMED, Item, Skipped, encoding, find_files, format_of, guess, read, read_file, reading
from index.formats.encoding import NotText, decode
from index.formats.squad import paragraph_starts


def items(data: bytes | str, module: str | None = None) -> list[Item]:
    return list(read(data.encode() if isinstance(data, str) else data, "x", NAMED[module] if module else None))


def one(data: bytes | str, module: str | None = None) -> Article:
    """The one article in the data."""
    [item] = items(data, module)
    assert isinstance(item, Article), item
    return item


def errors(data: bytes | str, module: str | None = None) -> list[str]:
    return [str(item) for item in items(data, module) if isinstance(item, UnreadableArticle)]


class TestText:
    @pytest.mark.parametrize(
        "text",
        [
            "One line",
            "Ends.\n\n\n",
            "\n\n  Indented\r\nCRLF\r\n\r\n",
            "Old\rMac\r",
            "\t\x0cpage\x85\u2028",
            "ﬁ İ e\u0301 👩\u200d🚀",
        ],
    )
    def test_kept_to_the_character(self, text: str) -> None:
        assert one(text, "text").text == text

    @pytest.mark.parametrize(
        ("text", "title"),
        [
            ("Bridge shut\n\nIt was shut.", "Bridge shut"),
            ("\n\n Bridge shut \r\n \r\nIt was shut.", "Bridge shut"),
            ("Is the bridge shut?\n\nIt is.", "Is the bridge shut?"),
            ("The bridge was shut.\n\nIt was.", None),
            ("Bridge shut\nIt was shut.", None),
            ("Bridge shut\n\n", None),
            ("Bridge shut", None),
            (f"{'x' * 150}\n\nIt was.", "x" * 150),
            (f"{'x' * 151}\n\nIt was.", None),
        ],
    )
    def test_title(self, text: str, title: str | None) -> None:
        assert one(text, "text").title == title

    @pytest.mark.parametrize("module", ["text", "markdown", "html", "records", "lines", None])
    @pytest.mark.parametrize("data", [b"", b" \r\n\t"])
    def test_nothing_in_it(self, data: bytes, module: str | None) -> None:
        assert errors(data, module) == ["x: it is empty"]

    @pytest.mark.parametrize(
        "data", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF8 + b" \n", "\u3000".encode()]
    )
    def test_nothing_but_marks_and_spaces(self, data: bytes) -> None:
        assert errors(data, "text") == ["x: the article has no text"]

    @given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).filter(str.strip))
    def test_any_text_in_utf8(self, text: str) -> None:
        assert one(codecs.BOM_UTF8 + text.encode(), "text").text == text
        if not text.startswith("\ufeff"):
            assert one(text, "text").text == text


class TestEncodings:
    SAMPLE = "Café “Zürich” — 5 €\r\nLa fête fut très réussie à Besançon.\n"

    @pytest.mark.parametrize(
        ("mark", "encoding"),
        [
            (b"", "utf-8"),
            (codecs.BOM_UTF8, "utf-8"),
            (codecs.BOM_UTF16_LE, "utf-16-le"),
            (codecs.BOM_UTF16_BE, "utf-16-be"),
            (codecs.BOM_UTF32_LE, "utf-32-le"),
            (codecs.BOM_UTF32_BE, "utf-32-be"),
            (b"", "cp1252"),
        ],
    )
    def test_told(self, mark: bytes, encoding: str) -> None:
        assert decode(mark + self.SAMPLE.encode(encoding)) == self.SAMPLE

    @pytest.mark.parametrize(
        ("declaration", "encoding"),
        [
            ('<meta charset="iso-8859-2">', "iso-8859-2"),
            ("<meta http-equiv=Content-Type content='text/html; charset=windows-1250'>", "cp1250"),
            ('<?xml version="1.0" encoding="ISO-8859-2"?>', "iso-8859-2"),
        ],
    )
    def test_declared(self, declaration: str, encoding: str) -> None:
        text = f"{declaration}Łódź, żółw"
        assert decode(text.encode(encoding)) == text

    def test_declaration_comes_before_a_guess(self) -> None:
        text = "<meta charset=windows-1252>“Ÿ” — €ÀÉÎÕÜ"  # guessed, it is Russian capitals
        assert decode(text.encode("cp1252")) == text

    @pytest.mark.parametrize("name", ["nonsense", "hex", "undefined", "idna", "punycode", "utf-8", "ascii", "utf-16"])
    def test_declared_wrongly(self, name: str) -> None:
        text = (
            f'<html><meta charset="{name}"><p>“We are café owners — not banks,” the company’s chief said. Not so.</p>'
        )
        assert decode(text.encode("cp1252")) == text

    def test_utf8_wins_over_the_declaration(self) -> None:
        assert decode("<meta charset=latin-1>é".encode()) == "<meta charset=latin-1>é"

    def test_lone_surrogate_and_nul(self) -> None:
        assert decode(b"a\xed\xa0\x80b\0c" + b"x" * 10) == "a\ud800b\0c" + "x" * 10
        assert one(b"a\xed\xa0\x80b\0c" + b"x" * 10).text == "a\ufffdb\ufffdc" + "x" * 10

    def test_half_a_utf16_character(self) -> None:
        assert decode(codecs.BOM_UTF16_LE + "ab".encode("utf-16-le") + b"\x00\xd8") == "ab\ufffd"

    @pytest.mark.parametrize(
        "data",
        [
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0" + bytes(range(256)) * 4,
            b"\x7fELF\2\1\1" + b"\0" * 50,
            b"PK\3\4\x14\0\0\0\x08\0" + bytes(range(200, 256)) * 3,
            "UTF-16 without a mark".encode("utf-16-le"),
            b"\1\2\3\4\5\6\7",
        ],
    )
    def test_binary(self, data: bytes) -> None:
        with pytest.raises(NotText, match="it is a binary file"):
            decode(data)
        assert errors(data, "text") == ["x: it is a binary file"]

    @settings(max_examples=200)
    @given(st.binary(max_size=300))
    def test_any_bytes_are_text_or_not(self, data: bytes) -> None:
        with suppress(NotText):
            assert isinstance(decode(data), str)


FRONT = """---
id: bridge
title: Bridge shut
published: 2023-07-28
source: Harbour Post
url: https://post.example/bridge
authors: [Castle FC, P. Desk]
tags: [bridges, saltgate]
seen: 2023-07-29 10:00:00
---

The bridge was shut.
"""


class TestMarkdown:
    @pytest.mark.parametrize(
        ("markdown", "text"),
        [
            ("One\ntwo  \nthree\\\nfour", "One\ntwo\nthree\nfour"),
            ("# Title #\n\nText\n\nSub\n---\nMore", "Title\n\nText\n\nSub\n\nMore"),
            ("- one\n- two\n  1. three\n\n     four", "one\n\ntwo\n\nthree\n\nfour"),
            ("> said\n> she\n>\n> twice", "said\nshe\n\ntwice"),
            ("A *b* __c__ `d*e*` [f](https://g.example 'h') <https://i.example>", "A b c d*e* f https://i.example"),
            ("Look: ![a *red* kettle](k.png) here", "Look: a red kettle here"),
            ("a <b>bold</b> word<br>and &amp; &eacute; \\*", "a bold wordand & é *"),
            ("Before\n\n<div>\n<p>gone</p>\n</div>\n\nAfter", "Before\n\nAfter"),
            ("Before\n\n<!-- gone -->\n\nAfter", "Before\n\nAfter"),
            ("```python\nx = 1\n\ny = 2\n```\n\n    indented\n", "x = 1\n\ny = 2\n\nindented"),
            ("| a | b |\n|---|---|\n| 1 | *2* |\n| 3 |  |", "a | b\n\n1 | 2\n\n3 | "),
            ("Text\n\n***\n\nMore\r\n\r\nEnd", "Text\n\nMore\n\nEnd"),
            ("[a]: https://b.example\n\nSee [a].", "See a."),
            ("--- not front matter\n\nText", "--- not front matter\n\nText"),
        ],
    )
    def test_text_a_reader_sees(self, markdown: str, text: str) -> None:
        assert one(markdown, "markdown").text == text

    def test_front_matter(self) -> None:
        article = one(FRONT, "markdown")
        assert (article.id, article.title, article.published) == ("bridge", "Bridge shut", "2023-07-28")
        assert (article.source, article.url) == ("Harbour Post", "https://post.example/bridge")
        assert article.authors == ("Castle FC", "P. Desk")
        assert article.metadata == {"tags": ["bridges", "saltgate"], "seen": "2023-07-29 10:00:00"}
        assert article.text == "The bridge was shut."

    @pytest.mark.parametrize(
        ("matter", "published", "authors", "metadata"),
        [
            ("date: 2023-07-28\nauthor: Jo", "2023-07-28", ("Jo",), {}),
            ("date: 2023-07-28T09:30:00+02:00\nauthor: [A, B]", "2023-07-28T07:30:00Z", ("A", "B"), {}),
            ("date: 2023-07-28\npublished: 2023-07-29", "2023-07-29", (), {"date": "2023-07-28"}),
            ("author: {name: Jo}\ndate: [7]", None, (), {"author": {"name": "Jo"}, "date": [7]}),
        ],
    )
    def test_date_and_author_as_most_programs_call_them(
        self, matter: str, published: str | None, authors: tuple[str, ...], metadata: dict[str, object]
    ) -> None:
        article = one(f"---\n{matter}\n---\nText", "markdown")
        assert (article.published, article.authors, article.metadata) == (published, authors, metadata)

    @pytest.mark.parametrize(
        ("date", "published"),
        [
            ("2023-07-28", "2023-07-28"),
            ("2023-07-28 09:30:00", "2023-07-28T09:30:00Z"),
            ("2023-07-28T09:30:00+02:00", "2023-07-28T07:30:00Z"),
            ("'2023/07/28'", "2023-07-28"),
            ("20230728", "2023-07-28"),
            ("Fri, 28 Jul 2023 09:30:00 GMT", "2023-07-28T09:30:00Z"),
            ("last Friday", None),
            ("", None),
        ],
    )
    def test_date_in_front_matter(self, date: str, published: str | None) -> None:
        article = one(f"---\npublished: {date}\n---\nText", "markdown")
        assert article.published == published
        assert article.metadata == ({"published": date} if date and not published else {})

    @pytest.mark.parametrize(
        ("markdown", "title"),
        [
            ("Intro\n\n## Sub\n\n# The *title*\n\n# Other", "The title"),
            ("## Sub\n\nText", None),
            ("---\ntitle: Front\n---\n# Heading", "Front"),
            ("---\ntitle:\n---\n# Heading", "Heading"),
            ("---\ntitle: 7\n---\n# Heading", "7"),
        ],
    )
    def test_title(self, markdown: str, title: str | None) -> None:
        assert one(markdown, "markdown").title == title

    @pytest.mark.parametrize(
        "matter",
        [
            "title: a: b",
            "a: [",
            "\tx: y",
            "a: !!python/object:os.system x",
            "published: 2023-13-45",
            "n: !!int x",
            "a: &a [*a]",
            "a: " + "[" * 500,
            "a: &a [x,x,x,x,x,x,x,x]\n"
            + "\n".join(f"{b}: &{b} [{','.join(['*' + a] * 8)}]" for a, b in zip("abcde", "bcdef", strict=True)),
        ],
        ids=["colon", "bracket", "tab", "python", "date", "integer", "circle", "depth", "laughs"],
    )
    def test_front_matter_that_cannot_be_taken(self, matter: str) -> None:
        [error] = errors(f"---\n{matter}\n---\nText", "markdown")
        assert error.startswith(("x: its front matter is no YAML", "x: the article's metadata"))

    @pytest.mark.parametrize("matter", ["", "just text", "- a\n- b", "# comment"])
    def test_front_matter_that_says_nothing(self, matter: str) -> None:
        article = one(f"---\n{matter}\n---\nText", "markdown")
        assert (article.text, article.metadata) == ("Text", {})

    def test_text_of_the_front_matter_is_not_the_article(self) -> None:
        assert one("---\ntext: no\n---\nYes", "markdown").text == "Yes"

    def test_nothing_but_front_matter(self) -> None:
        assert errors("---\ntitle: a\n---\n", "markdown") == ["x: the article has no text"]

    def test_wrong_type_in_front_matter(self) -> None:
        assert errors("---\nid: [a]\n---\nText", "markdown") == ['x: its "id" is neither a string nor a number']

    def test_byte_order_mark_before_front_matter(self) -> None:
        assert one(codecs.BOM_UTF8 + FRONT.encode(), "markdown").id == "bridge"

    @pytest.mark.parametrize(
        "text", ["[" * 5_000, "*" * 5_000, "> " * 5_000 + "x", "`" * 20_001, "<" * 20_000, "- " * 5_000 + "x"]
    )
    def test_pathological(self, text: str) -> None:
        assert len(items(f"Text\n\n{text}", "markdown")) == 1


PAGE = """<!DOCTYPE html>
<html><head>
<title>Bridge shut after cracks found | Harbour Post</title>
<meta property="og:title" content="Bridge shut after cracks found">
<meta property="og:site_name" content="Harbour Post">
<meta name="author" content="Castle FC">
<meta property="article:published_time" content="2023-07-28T09:30:00Z">
<link rel="canonical" href="https://post.example/bridge-shut">
</head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/sport">Sport</a></li></ul></nav>
<article>
<h1>Bridge shut after cracks found</h1>
<p>The bridge at Saltgate was shut on Monday after engineers found cracks in the deck, the council said.</p>
<p>Castle FC &amp; her team inspected the girders for nine hours. “We could not let lorries cross,” she said.</p>
<p>The repair is expected to take six weeks, and ferries will run every twenty minutes until it is done.</p>
</article>
<aside>Subscribe to our newsletter!</aside>
<footer>Copyright Harbour Post</footer>
</body></html>
"""


class TestHTML:
    def test_article_of_a_page(self) -> None:
        article = one(PAGE, "html")
        assert article.title == "Bridge shut after cracks found"
        assert article.url == "https://post.example/bridge-shut"
        assert article.published == "2023-07-28T09:30:00Z"
        assert article.source == "Harbour Post"
        assert article.authors == ("Castle FC",)
        paragraphs = article.text.split("\n\n")
        assert paragraphs[-3].startswith("The bridge at Saltgate was shut on Monday")
        assert paragraphs[-2].startswith("Castle FC & her team")
        assert paragraphs[-1].startswith("The repair is expected")
        assert not any(word in article.text for word in ("Sport", "newsletter", "Copyright", "<"))

    def test_broken_html(self) -> None:
        broken = PAGE.replace("</p>", "").replace("</article>", "").replace("</body></html>", "<div><p")
        text = one(broken, "html").text
        assert "The bridge at Saltgate was shut on Monday" in text
        assert "six weeks" in text

    def test_declared_encoding(self) -> None:
        page = PAGE.replace("<head>", '<head><meta charset="iso-8859-1">').replace("“", "«").replace("”", "»")
        assert "«We could not let lorries cross,»" in one(page.encode("iso-8859-1"), "html").text

    @pytest.mark.parametrize(
        "page",
        [
            "<html></html>",
            "<!DOCTYPE html><script>var x = 1;</script>",
            "<html><body></body>",
            "<",
            "\ufeff<?xml version='1.0'?><a/>",
        ],
    )
    def test_page_without_an_article(self, page: str) -> None:
        assert errors(page, "html") == ["x: no article text was found in the page"]

    def test_nul_and_surrogates(self) -> None:
        page = PAGE.encode().replace(b"cracks in the deck", b"cr\0acks in\xed\xa0\x80 the deck")
        text = one(page, "html").text
        assert "The bridge at Saltgate" in text
        assert text == text.encode().decode()
        assert "\0" not in text

    def test_deep_nesting(self) -> None:
        assert len(items("<html><body>" + "<div>" * 20_000 + "Text", "html")) == 1


class TestRecords:
    def test_lines(self) -> None:
        data = '{"id": "a", "text": "A."}\r\n\r\n{"id": "b", "text": "B.\\u2028"}\n{"text": "C."}'
        found = items(data, "records")
        assert [item.text for item in found if isinstance(item, Article)] == ["A.", "B.\u2028", "C."]
        assert [item.id for item in found[:2] if isinstance(item, Article)] == ["a", "b"]

    def test_all_fields(self) -> None:
        record = {
            "id": "a",
            "url": "https://a.example/",
            "title": "T",
            "published": "2023-07-28",
            "source": "S",
            "authors": ["N", "V"],
            "text": "A.",
            "tags": ["x"],
            "n": 3,
        }
        article = one(json.dumps(record), "records")
        assert article == Article(
            "a", "A.", "T", "https://a.example/", "2023-07-28", "S", ("N", "V"), {"tags": ["x"], "n": 3}
        )
        assert article.origin is None

    def test_bad_lines_are_numbered_while_the_others_come(self) -> None:
        data = '{"id": "a", "text": "A."}\n{bad\n\n[1]\n"x"\n{"id": "b"}\n{"id": "c", "text": "C."}\n'
        found = items(data, "records")
        assert [item.id for item in found if isinstance(item, Article)] == ["a", "c"]
        assert [item.where for item in found if isinstance(item, UnreadableArticle)] == [
            "x, line 2",
            "x, line 4",
            "x, line 5",
            "x, line 6",
        ]
        assert [item.reason.split(":")[0] for item in found if isinstance(item, UnreadableArticle)] == [
            "it is no valid JSON",
            "it is no JSON object",
            "it is no JSON object",
            'it has no "text", or one that is no string',
        ]

    @pytest.mark.parametrize(
        "first", ["{bad", "", "\n", '{"text": "' + "x", "[" * 100_000, '{"text": ' + "[" * 100_000]
    )
    def test_first_line_may_be_the_bad_one(self, first: str) -> None:
        found = items(f'{first}\n{{"id": "b", "text": "B."}}\n{{"id": "c", "text": "C."}}\n', "records")
        assert [item.id for item in found if isinstance(item, Article)] == ["b", "c"]
        assert [item.where for item in found if isinstance(item, UnreadableArticle)] == ["x, line 1"] * bool(
            first.strip()
        )

    @pytest.mark.parametrize(
        ("fields", "attribute", "value"),
        [
            ({"id": 7}, "id", "7"),
            ({"id": 0}, "id", "0"),
            ({"id": 1.5}, "id", "1.5"),
            ({"title": 2023}, "title", "2023"),
            ({"title": None}, "title", None),
            ({"title": ""}, "title", None),
            ({"published": 20230728}, "published", "2023-07-28"),
            ({"published": "soon"}, "metadata", {"published": "soon"}),
            ({"authors": "Castle FC"}, "authors", ("Castle FC",)),
            ({"authors": None}, "authors", ()),
            ({"authors": [7, ""]}, "authors", ("7",)),
            ({"origin": "/etc/passwd"}, "metadata", {"origin": "/etc/passwd"}),
            ({"sha256": "x"}, "metadata", {"sha256": "x"}),
        ],
    )
    def test_types_that_will_do(self, fields: dict[str, object], attribute: str, value: object) -> None:
        assert getattr(one(json.dumps({"text": "A."} | fields), "records"), attribute) == value

    @pytest.mark.parametrize(
        ("record", "reason"),
        [
            ({"text": 7}, 'it has no "text", or one that is no string'),
            ({"text": None}, 'it has no "text", or one that is no string'),
            ({"text": ["a"]}, 'it has no "text", or one that is no string'),
            ({"text": " "}, "the article has no text"),
            ({"text": "A.", "id": {"a": 1}}, 'its "id" is neither a string nor a number'),
            ({"text": "A.", "url": ["a"]}, 'its "url" is neither a string nor a number'),
            ({"text": "A.", "authors": 7}, 'its "authors" is neither a string nor a list'),
            ({"text": "A.", "authors": {"a": 1}}, 'its "authors" is neither a string nor a list'),
            ({"text": "A.", "id": "x" * 513}, "the article's id has 513 characters, more than 512"),
            ({}, 'it has no "text", or one that is no string'),
        ],
    )
    def test_types_that_will_not_do(self, record: dict[str, object], reason: str) -> None:
        assert errors(json.dumps(record), "records") == [f"x: {reason}"]

    @pytest.mark.parametrize(
        "data",
        [
            '{"text": "A."}\n{"text": "B."}\n',
            '\n\r\n{"text": "A."}\r\n \n{"text": "B."}',
            '\ufeff{"text": "A."}\n{"text": "B."}\n',
            '[{"text": "A."},\n{"text": "B."}]',
            '{"articles": [\n{"text": "A."}, {"text": "B."}]}',
        ],
    )
    def test_files_of_lines(self, data: str) -> None:
        assert [item.text for item in items(data, "lines") if isinstance(item, Article)] == ["A.", "B."]
        assert [item.text for item in items(data, "records") if isinstance(item, Article)] == ["A.", "B."]

    def test_one_line(self) -> None:
        assert one('{"text": "A."}', "lines").text == "A."
        assert one('{\n"text": "A."\n}', "lines").text == "A."
        assert one(codecs.BOM_UTF16_LE + '{"text": "A."}\n'.encode("utf-16-le"), "lines").text == "A."

    def test_lines_are_numbered_and_come_one_by_one(self) -> None:
        data = '\n{"text": "A."}\n{"text"\n\n[1]\n' + '{"text": "B."}\n' * 100_000
        assert errors(data, "lines")[0].startswith("x, line 3: it is no valid JSON")
        assert errors(data, "lines")[1] == "x, line 5: it is no JSON object"
        assert len(items(data, "lines")) == 100_003

    def test_endless_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(encoding, "MAX_LINE_CHARACTERS", 1_000)
        found = items('{"text": "A."}\n' + "x" * 1_001 + '\n{"text": "B."}\n', "lines")
        assert [str(item) for item in found[1:]] == ["x: it has a line of more than 1,000 characters"]

    def test_surrogates_and_nul(self) -> None:
        article = one('{"text": "a\\ud800b\\u0000😀\\ud83d\\ude00", "id": "\\ud800", "k\\ud800": "\\udfff"}', "records")
        assert (article.text, article.id, article.metadata) == ("a\ufffdb\ufffd😀😀", "\ufffd", {"k\ufffd": "\ufffd"})

    @pytest.mark.parametrize("mark", [codecs.BOM_UTF8, b""])
    def test_byte_order_mark(self, mark: bytes) -> None:
        assert one(mark + b'{"text": "A."}\n', "records").text == "A."
        assert len(items(mark + b'{"text": "A."}\n{"text": "B."}\n', "records")) == 2

    @pytest.mark.parametrize("depth", [600, 900, 100_000])
    def test_deep_nesting(self, depth: int) -> None:
        nested = "[" * depth + "]" * depth
        bad = f'{{"id": "b", "text": "B.", "n": {nested}}}'
        assert len(errors(bad, "records")) == 1
        found = items(f'{{"id": "a", "text": "A."}}\n{bad}\n{{"id": "c", "text": "C."}}', "records")
        assert [item.id for item in found if isinstance(item, Article)] == ["a", "c"]
        assert [item.where for item in found if isinstance(item, UnreadableArticle)] == ["x, line 2"]

    def test_huge_number(self) -> None:
        assert len(errors('{"text": "A.", "n": ' + "9" * 5_000 + "}", "records")) == 1

    @pytest.mark.parametrize(
        ("data", "texts"),
        [
            ('{"text": "A."}', ["A."]),
            ('{\n  "text": "A."\n}\n', ["A."]),
            ('[{"text": "A."}, {"text": "B."}]', ["A.", "B."]),
            ('{"articles": [{"text": "A."}, {"text": "B."}]}', ["A.", "B."]),
            ('{"text": "A.", "articles": [1], "data": [2]}', ["A."]),
            ("[]", []),
            ('{"articles": []}', []),
        ],
    )
    def test_json(self, data: str, texts: list[str]) -> None:
        assert [item.text for item in items(data, "records") if isinstance(item, Article)] == texts

    def test_records_of_a_list_are_numbered(self) -> None:
        assert errors('[{"text": "A."}, 7, {"text": "B."}]', "records") == ["x, record 2: it is no JSON object"]

    @pytest.mark.parametrize("data", ["7", '"text"', "null", "true"])
    def test_json_without_articles(self, data: str) -> None:
        [error] = errors(data, "records")
        assert error == "x: it holds no articles: it is neither a record, a list of records nor SQuAD"

    @pytest.mark.parametrize(
        "data", ['{"text": "A."', "text", '[{"text": "A."},\n{"text": "B."},]', '{\n"text": "A.",\n}']
    )
    def test_broken_json_is_one_error(self, data: str) -> None:
        [error] = errors(data, "records")
        assert "it is no valid JSON" in error

    @settings(max_examples=60)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.text() | st.sampled_from(["text", "id", "articles", "data", "authors", "title"]), inner
                )
            ),
            max_leaves=12,
        )
    )
    def test_any_json_is_articles_or_errors(self, whole: object) -> None:
        assert all(isinstance(item, Article | UnreadableArticle) for item in items(json.dumps(whole), "records"))


class TestSquad:
    DATA: ClassVar = {
        "version": "v2.0",
        "data": [
            {
                "title": "Saltgate_Bridge",
                "paragraphs": [
                    {"context": " The bridge 🌉 opened.\n", "qas": [{"question": "What?", "answers": []}]},
                    {"context": "It was shut.", "qas": []},
                    {"context": "It re\u0000opened."},
                ],
            },
            {"title": "Ferry", "paragraphs": [{"context": "It sank."}]},
        ],
    }

    def test_paragraphs_become_an_article(self) -> None:
        bridge, ferry = items(json.dumps(self.DATA), "records")
        assert isinstance(bridge, Article)
        assert isinstance(ferry, Article)
        assert (bridge.id, bridge.title, ferry.id, ferry.title) == (
            "Saltgate_Bridge",
            "Saltgate Bridge",
            "Ferry",
            "Ferry",
        )
        assert bridge.text == " The bridge 🌉 opened.\n\n\nIt was shut.\n\nIt re\ufffdopened."
        assert ferry.text == "It sank."

    def test_offsets(self) -> None:
        contexts = [paragraph["context"] for paragraph in self.DATA["data"][0]["paragraphs"]]  # type: ignore[index]
        text = one(json.dumps({"data": self.DATA["data"][:1]}), "records").text
        starts = paragraph_starts(contexts)
        assert starts == [0, 24, 38]
        assert [text[start : start + 7] for start in starts] == [" The br", "It was ", "It re\ufffdo"]
        assert paragraph_starts([]) == []

    @pytest.mark.parametrize(
        "entry", [7, {}, {"title": "T"}, {"title": 7, "paragraphs": []}, {"title": "T", "paragraphs": [7]}]
    )
    def test_bad_entry_is_numbered_while_the_others_come(self, entry: object) -> None:
        found = items(json.dumps({"data": [entry, self.DATA["data"][1]]}), "records")  # type: ignore[index]
        assert isinstance(found[0], UnreadableArticle)
        assert found[0].where == "x, record 1"
        assert isinstance(found[1], Article)
        assert found[1].id == "Ferry"


class TestGuess:
    @pytest.mark.parametrize(
        ("data", "module"),
        [
            (b'{"text": "A."}', "records"),
            (b' \r\n\t{"text": "A."}', "records"),
            (b'[{"text": "A."}]', "records"),
            (b'[\n  {"text": "A."}\n]', "records"),
            (codecs.BOM_UTF8 + b'{"text": "A."}', "records"),
            (b"<!DOCTYPE html><p>A.", "html"),
            (b"\n<HTML lang=en>", "html"),
            (b'<?xml version="1.0"?><html>', "html"),
            (b'{"version": "https://jsonfeed.org/version/1.1", "items": []}', "feed"),
            (b'<?xml version="1.0"?>\n<!-- a --><?b?>\n<!DOCTYPE rss [<!ENTITY a "b">]><rss>', "feed"),
            (b'<feed xmlns="http://www.w3.org/2005/Atom">', "feed"),
            (codecs.BOM_UTF16_LE + "<rdf:RDF>".encode("utf-16-le"), "feed"),
            (b"<mediawiki xml:lang='en'>", "mediawiki"),
            (b'<?xml version="1.0"?><TEI>', "html"),
            (b"<article>A.", "text"),
            (b"<!--" * 1_000, "text"),
            (b"%PDF-1.7", "pdf"),
            (b"PK\3\4" + b"\0" * 26 + b"mimetypeapplication/epub+zip", "epub"),
            (b"PK\3\4" + b"\0" * 26 + b"[Content_Types].xml", "docx"),
            (b"PK\3\4" + b"\0" * 26 + b"a.txt", "archive"),
            (b"PK\5\6" + b"\0" * 18, "archive"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "docx"),
            (gzip.compress(b"A."), "archive"),
            (b"a.txt" + b"\0" * 252 + b"ustar", "archive"),
            (b"WARC/1.0\r\n", "warc"),
            (b"PAR1", "parquet"),
            (b"From a@b.example Mon Jul 31 09:00:00 2023\nFrom: a@b.example\n", "mail"),
            (b"Subject: Bridge\nDate: Mon, 31 Jul 2023 09:00:00 +0000\nFrom: a@b.example\n\nShut.", "mail"),
            (b"From the bridge at 9:30 in 2023\n", "text"),
            (b"From: the council\nTo: all\n\nShut.", "text"),
            (b"Some text.", "text"),
            (b"[1] Some text.", "text"),
            (b"# Some text.", "text"),
            (b"<p>Some text.", "text"),
        ],
    )
    def test_standard_input(self, data: bytes, module: str) -> None:
        assert guess(data).module == module

    @pytest.mark.parametrize(
        ("name", "data", "module"),
        [
            ("a.xml", b"<rss>", "feed"),
            ("a.xml", b"<mediawiki>", "mediawiki"),
            ("a.xml", b"<html>", "html"),
            ("a.xml", b'{"text": "A."}', "html"),
            ("a.json", b'{"version": "https://jsonfeed.org/version/1"}', "feed"),
            ("a.json", b"%PDF-1.7", "records"),
            ("a.txt", b"%PDF-1.7", "text"),
            ("a.PDF", b"text", "pdf"),
            ("a.tar.gz", b"", "archive"),
            ("a.WARC.gz", b"", "warc"),
            ("a", b"%PDF-1.7", "pdf"),
            ("a.", b"<rss>", "feed"),
        ],
    )
    def test_by_name_and_beginning(self, name: str, data: bytes, module: str) -> None:
        assert format_of(name, data).module == module

    def test_article_from_standard_input(self) -> None:
        [article] = read(b"Bridge shut\n\nIt was shut.\n", "stdin")
        assert isinstance(article, Article)
        assert (article.text, article.title, article.origin) == ("Bridge shut\n\nIt was shut.\n", "Bridge shut", None)

    def test_records_from_standard_input(self) -> None:
        found = list(read(b'{"text": "A."}\n{"text": 7}\n', "stdin"))
        assert isinstance(found[0], Article)
        assert found[0].text == "A."
        assert str(found[1]) == 'stdin, line 2: it has no "text", or one that is no string'

    def test_records_in_utf16_from_standard_input(self) -> None:
        assert one(codecs.BOM_UTF16_LE + '{"text": "A."}'.encode("utf-16-le")).text == "A."

    def test_page_from_standard_input(self) -> None:
        assert one(PAGE).title == "Bridge shut after cracks found"


class TestFindFiles:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        """A folder of all sorts of things."""
        tree = tmp_path / "tree"
        for name in [
            "b.txt",
            "A.MD",
            "picture.png",
            "README",
            ".hidden.txt",
            ".git/x.txt",
            "sub/z.html",
            "sub/a.jsonl",
            "sub/deeper/y.json",
            "another/x.markdown",
        ]:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text("Some text.")
        return tree

    def test_folder(self, tree: Path) -> None:
        assert find_files([tree]) == [
            tree / "A.MD",
            Skipped(tree / "README"),
            tree / "b.txt",
            Skipped(tree / "picture.png"),
            tree / "another/x.markdown",
            tree / "sub/a.jsonl",
            tree / "sub/z.html",
            tree / "sub/deeper/y.json",
        ]

    def test_named_files_are_never_skipped(self, tree: Path) -> None:
        named = [tree / "README", tree / ".hidden.txt", tree / "b.txt", tree / "README"]
        assert find_files(named) == named

    def test_hidden_folder_that_is_named(self, tree: Path) -> None:
        assert find_files([tree / ".git"]) == [tree / ".git/x.txt"]

    def test_missing_among_others(self, tree: Path) -> None:
        missing, found = find_files([tree / "nothing", tree / "b.txt"])
        assert str(missing) == f"{tree / 'nothing'}: there is no such file or folder"
        assert found == tree / "b.txt"

    def test_empty_folder(self, tmp_path: Path) -> None:
        assert find_files([tmp_path]) == []

    def test_links(self, tree: Path) -> None:
        (tree / "sub" / "loop").symlink_to(tree)
        (tree / "sub" / "broken.txt").symlink_to(tree / "nothing.txt")
        found = find_files([tree / "sub"])
        assert found == [tree / "sub" / name for name in ("a.jsonl", "broken.txt", "z.html", "deeper/y.json")]
        [error] = read_file(tree / "sub" / "broken.txt")
        assert isinstance(error, UnreadableArticle)

    def test_folder_that_cannot_be_listed_is_reported(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        scandir = os.scandir

        def refuse(path: str) -> object:
            if str(path).endswith("sub"):
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        errors = [str(item) for item in find_files([tree]) if isinstance(item, UnreadableArticle)]
        assert errors == [f"{tree / 'sub'}: Permission denied"]


class TestReadFile:
    @pytest.mark.parametrize(
        ("name", "data", "text", "remembered"),
        [
            ("a.txt", "# A", "# A", True),
            ("a.TEXT", "# A", "# A", True),
            ("a.md", "# A", "A", True),
            ("a.json", '{"text": "A"}', "A", False),
            ("a.jsonl", '{"text": "A"}', "A", False),
            ("a", '{"text": "A"}', "A", False),
            ("a.unheard", "A", "A", True),
        ],
    )
    def test_by_its_ending(self, tmp_path: Path, name: str, data: str, text: str, remembered: bool) -> None:
        (tmp_path / name).write_text(data)
        [article] = read_file(tmp_path / name)
        assert isinstance(article, Article)
        assert article.text == text
        assert article.origin == (str((tmp_path / name).resolve()) if remembered else None)

    def test_origin_is_the_same_by_any_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.txt").write_text("A")
        monkeypatch.chdir(tmp_path)
        origins = [getattr(item, "origin", None) for path in ("a.txt", "./a.txt") for item in read_file(Path(path))]
        assert origins == [str((tmp_path / "a.txt").resolve())] * 2

    def test_error_names_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").touch()
        [error] = read_file(tmp_path / "a.txt")
        assert str(error) == f"{tmp_path / 'a.txt'}: it is empty"

    @pytest.mark.parametrize("name", ["nothing.txt", "x" * 300 + ".txt", "\0.txt"])
    def test_missing(self, tmp_path: Path, name: str) -> None:
        [error] = read_file(tmp_path / name)
        assert isinstance(error, UnreadableArticle)

    def test_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.txt")
        [error] = read_file(tmp_path / "a.txt")
        assert str(error) == f"{tmp_path / 'a.txt'}: it is not a regular file"

    def test_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MAX_FILE_BYTES", 2 << 20)
        with open(tmp_path / "a.txt", "wb") as file:
            file.truncate((2 << 20) + 1)
        [error] = read_file(tmp_path / "a.txt")
        assert str(error) == f"{tmp_path / 'a.txt'}: it is larger than 2 MiB; split it"

    def test_unreadable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path, mode: str) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        (tmp_path / "a.txt").write_text("A")
        monkeypatch.setattr(Path, "open", refuse)
        [error] = read_file(tmp_path / "a.txt")
        assert str(error) == f"{tmp_path / 'a.txt'}: Permission denied"

    def test_seeds(self) -> None:
        seeds = find_files([Path(__file__).parent.parent / "seeds" / "articles"])
        articles = [item for path in seeds if isinstance(path, Path) for item in read_file(path)]
        assert all(isinstance(article, Article) for article in articles)
        assert len({article.id for article in articles if isinstance(article, Article)}) == len(seeds)


def test_format_libraries_wait_for_their_first_file() -> None:
    script = "import sys, index.formats; print({'trafilatura', 'markdown_it', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
