"""Dumps of MediaWiki to articles, as a stream, and its markup to sentences."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.article import Article
from index.errors import UnreadableArticle
from index.formats import Item
from index.formats.mediawiki import MAX_PAGE_CHARACTERS, read, text_of

FILES = Path(__file__).parent / "files"
DUMP = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="en">{}</mediawiki>'
BASE = "<siteinfo><sitename>W</sitename><base>{}</base></siteinfo>"


def items(data: bytes | str) -> list[Item]:
    return list(read(io.BytesIO(data.encode() if isinstance(data, str) else data), "x"))


def page(text: str = "A.", title: str = "T", more: str = "<ns>0</ns>") -> str:
    return f"<page><title>{title}</title>{more}<revision><text>{text}</text></revision></page>"


def one(*content: str) -> Article:
    """The one article in a dump of that content."""
    [item] = items(DUMP.format("".join(content)))
    assert isinstance(item, Article), item
    return item


class TestDump:
    def test_as_mediawiki_writes_it(self) -> None:
        bridge, box, ferry = items((FILES / "dump.xml").read_bytes())
        assert bridge == Article(
            id="252902d9a768fe6a",
            text="The Saltgate Bridge (built 1931) is a bridge over the Norhaven. It carries 9 000 cars a day.\n\n"
            "History\n\n"
            "It was shut on 31 July 2023 after engineers found cracks.\n\n"
            "Repair\n\n"
            "The deck was replaced\n\n"
            "Girders:\n\n"
            "nine of them\n\n"
            "Ferries ran meanwhile\n\n"
            "The load is H2O, [[as it is]].",
            title="Saltgate Bridge",
            url="https://wiki.harbour.example/wiki/Saltgate_Bridge",
            source="Hafenwiki",
            metadata={"revised": "2023-08-01T10:30:00Z", "language": "de"},
        )
        assert str(box) == "x, Only a box: the article has no text"
        assert isinstance(ferry, Article)
        assert ferry.url == "https://wiki.harbour.example/wiki/C%2B%2B_%26_F%C3%A4hre/Zeiten%3F"
        assert (ferry.title, ferry.text) == ("C++ & Fähre/Zeiten?", "The ferry runs.")

    @pytest.mark.parametrize(
        ("base", "url"),
        [
            ("https://w.example/wiki/Main_Page", "https://w.example/wiki/T"),
            ("https://w.example/wiki/", "https://w.example/wiki/T"),
            ("https://w.example/index.php?title=Main_Page", "https://w.example/index.php?title=T"),
            ("", None),
        ],
    )
    def test_address(self, base: str, url: str | None) -> None:
        assert one(BASE.format(base), page()).url == url

    def test_before_namespaces_and_redirects_were_told(self) -> None:
        old = DUMP.replace("0.11", "0.3").format(page("#Redirect [[T]]", more="") + page("A.", more=""))
        assert [item.text for item in items(old) if isinstance(item, Article)] == ["A."]

    def test_without_a_namespace_of_xml(self) -> None:
        assert [item.text for item in items(f"<mediawiki>{page()}</mediawiki>") if isinstance(item, Article)] == ["A."]

    @pytest.mark.parametrize("hidden", ["<text deleted='deleted' />", ""])
    def test_deleted_text(self, hidden: str) -> None:
        [error] = items(DUMP.format(f"<page><title>T</title><ns>0</ns><revision>{hidden}</revision></page>"))
        assert isinstance(error, UnreadableArticle)
        assert error.where == "x, T"

    def test_large_page_among_others(self) -> None:
        large, small = items(DUMP.format(page("x" * (MAX_PAGE_CHARACTERS + 1)) + page()))
        assert str(large) == "x, T: the page has more than 2,097,152 characters"
        assert isinstance(small, Article)

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            ("", "it breaks off, or is no valid XML: no element found"),
            ("Text.", "it breaks off, or is no valid XML: Start tag expected, '<' not found, line 1, column 1"),
            ("<html/>", "there are no articles of a wiki in it"),
            (DUMP.format(page(more="<ns>1</ns>")), "there are no articles of a wiki in it"),
        ],
    )
    def test_no_dump(self, data: str, reason: str) -> None:
        assert [str(item) for item in items(data)] == [f"x: {reason}"]

    def test_the_pages_before_a_break_come(self) -> None:
        data = (FILES / "dump.xml").read_bytes()
        bridge, broken = items(data[: data.index(b"<title>Data")])
        assert isinstance(bridge, Article)
        assert str(broken).startswith("x: it breaks off, or is no valid XML: ")

    def test_memory_stays_flat(self) -> None:
        """The most that 20,000 pages take is what 2,000 take, in a process of its own since it only ever grows."""
        script = """
import resource, sys
from index.formats.mediawiki import read
from tests.test_index_formats_mediawiki import Made

for pages in (2_000, 20_000):
    count = sum(1 for _ in read(Made(pages), "x"))
    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
        root = Path(__file__).parent.parent
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
        (few, before), (many, after) = (map(int, line.split()) for line in done.stdout.splitlines())
        assert (few, many) == (2_000, 20_000)
        assert after - before < 4 * 1024  # KiB, while the dump has 40 MiB more


class Made(io.RawIOBase):
    """A dump of so many pages of 2 KiB, each with an older revision, made while it is read."""

    def __init__(self, pages: int) -> None:
        self._pages = iter(range(pages))
        self._held = DUMP.partition("{}")[0].encode()
        self._end = b"</mediawiki>"

    def read(self, size: int = -1) -> bytes:
        while len(self._held) < size and (number := next(self._pages, None)) is not None:
            old = "<revision><text>Old.</text></revision>"
            self._held += page("{{Box}} word " + "x" * 2_000, f"Page {number}", f"<ns>0</ns>{old}").encode()
        if not self._held:
            self._held, self._end = self._end, b""
        data, self._held = self._held[:size], self._held[size:]
        return data


class TestHostile:
    LAUGHS = "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefghi", "bcdefghij", strict=True))

    def test_no_file_is_read_for_an_entity(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("SECRET")
        doctype = f"<!DOCTYPE x [<!ENTITY a SYSTEM '{(tmp_path / 'secret').as_uri()}'>]>"
        assert [str(item) for item in items(doctype + DUMP.format(page("v &a; w")))] == [
            "x, T: it has no text, or one that has XML in it"
        ]

    @pytest.mark.parametrize(
        "content", [page("v &j; w"), page(title="&j;"), f"<page a='&j;'/>{page()}", BASE.format("&j;")]
    )
    def test_entities_are_not_multiplied(self, content: str) -> None:
        found = items(f"<!DOCTYPE x [<!ENTITY a 'lol'>{self.LAUGHS}]>" + DUMP.format(content))
        assert all(isinstance(item, UnreadableArticle) for item in found)
        assert "Maximum entity amplification" in str(found[-1])

    def test_no_document_type_is_loaded(self, tmp_path: Path) -> None:
        (tmp_path / "x.dtd").write_text("<!nonsense, which would be an error")
        doctype = f"<!DOCTYPE x SYSTEM '{(tmp_path / 'x.dtd').as_uri()}'>"
        assert [item.text for item in items(doctype + DUMP.format(page())) if isinstance(item, Article)] == ["A."]

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("<a>" * 100_000, "Excessive depth in document: 256"),
            (page("x" * 11_000_000), "Text node too long"),
            ("<page/>", "it has no text, or one that has XML in it"),
            ("<page>", "Opening and ending tag mismatch"),
        ],
    )
    def test_shape(self, content: str, reason: str) -> None:
        [error] = items(DUMP.format(content))
        assert isinstance(error, UnreadableArticle)
        assert reason in error.reason

    def test_namespace_with_braces(self) -> None:
        article, error = items("<mediawiki xmlns='} { }'>" + page() + "</mediawiki>")
        assert isinstance(article, Article)
        assert "is not a valid URI" in str(error)

    def test_root_that_is_a_page(self) -> None:
        assert [str(item) for item in items("<page/>")] == ["x, : it has no text, or one that has XML in it"]

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_damage_is_reported_or_read(self, data: st.DataObject) -> None:
        dump = bytearray((FILES / "dump.xml").read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            at = data.draw(st.integers(0, len(dump) - 1))
            dump[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
        assert all(isinstance(item, Article | UnreadableArticle) for item in items(bytes(dump)))


class TestMarkup:
    @pytest.mark.parametrize(
        ("markup", "text"),
        [
            ("One\ntwo.\n\nThree\n\n\n\nfour.", "One two.\n\nThree\n\nfour."),
            ("== H ==\nText.\n=== ''I'' ===\n", "H\n\nText.\n\nI"),
            ("'''b''' ''i'' '''''bi'''''", "b i bi"),
            ("[[A]] [[A|b]] [[A (x)|]] [[#C]] [[:Category:D]] [[:de:E]]", "A b A (x) #C Category:D de:E"),
            ("x [[Category:A]] [[File:B.jpg|thumb|''c'' [[d]]]] [[image:e.png]] [[de:F]] y", "x y"),
            ("[[wikt:a|b]] [[de:A|b]] [[A{{!}}b]]", "b b Ab"),
            ("[http://x.example y ''z''] [http://x.example] http://x.example", "y z http://x.example"),
            ("a{{t|b|c={{d}}}}e {{{f|g}}} {{#if:h|i}}", "ae"),
            ("a<ref>b</ref>c<ref name=d/>e<references/>", "ace"),
            ("{|\n! a\n|-\n| b\n|}\nc", "c"),
            ("* a\n** b\n# c\n; d : e\n: f", "a\n\nb\n\nc\n\nd\n\ne\n\nf"),
            ("a<br>b<br />c", "a\nb\nc"),
            ("<poem>\na\n  b\n\nc\n</poem>", "a\nb\nc"),
            ("<syntaxhighlight lang='py'>\nx = 1\ny = 2\n</syntaxhighlight>", "x = 1\ny = 2"),
            ("<div>a</div><blockquote>b</blockquote><span>c</span><sub>d</sub>", "a\n\nb\n\ncd"),
            ("<nowiki>''a'' [[b]]</nowiki> <math>c</math><gallery>\nd.jpg\n</gallery>", "''a'' [[b]]"),
            ("a&nbsp;b &lt;c&gt; &#x2013; &unheard; &#0;", "a b <c> – &unheard; &#0;"),
            ("a<!-- b -->c", "ac"),
            ("a __NOTOC__ b __a", "a b __a"),
            ("a ({{t}}) b ({{t}}; c) d() ({{t}}, {{t}})", "a b (c) d()"),
            ("a.\n{{Clear}}\nb.", "a.\n\nb."),
            ("a\n----\nb", "a\n\nb"),
            ("<ref>a", "<ref>a"),
            ("[[a", "[[a"),
            ("", ""),
        ],
    )
    def test_what_is_seen(self, markup: str, text: str) -> None:
        assert text_of(markup) == text

    @pytest.mark.parametrize(
        "markup",
        ["{{" * 50_000, "[[" * 50_000, "''" * 20_001, "{|" * 5_000, "[[a|" * 1_000, "{{a|" * 500, "\n*" * 5_000],
    )
    def test_pathological(self, markup: str) -> None:
        assert isinstance(text_of(markup), str)

    @settings(max_examples=200, deadline=None)
    @given(st.text(st.sampled_from("[]{}|'=*#:;<>/ref!-&\n ab0\v")))
    def test_anything_is_text(self, markup: str) -> None:
        assert re.search(r"\n{3}|\v|\A\s|\s\Z", text_of(markup)) is None
