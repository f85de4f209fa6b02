"""What a page says of itself, whom to believe where it contradicts itself, and pieces of HTML as text."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.article import Article
from index.errors import InvalidInput, UnreadableArticle
from index.formats.html import article_of, read, text_of

BODY = """<article><h1>A heading</h1>
<p>The bridge at Saltgate was shut on Monday after engineers found cracks in the deck, the council said.</p>
<p>Castle FC &amp; her team inspected the girders for nine hours. “We could not let lorries cross,” she said.</p>
<p>The repair is expected to take six weeks, and ferries will run every twenty minutes until it is done.</p>
</article>"""
NEWS = {
    "@type": "NewsArticle",
    "headline": "Bridge &amp; ferry",
    "datePublished": "2023-07-28T00:30:00+02:00",
    "author": [{"@type": "Person", "name": "Ruth van der Berg"}, {"name": "desk of Foreign Affairs"}],
    "articleSection": ["Local", "News"],
    "inLanguage": "en-GB",
    "url": "https://post.example/bridge",
}


def page(head: str = "", lang: str = "") -> Article:
    """The article of a page with that head."""
    [item] = read(f"<!DOCTYPE html><html{lang}><head>{head}</head><body>{BODY}</body></html>", "x")
    assert isinstance(item, Article), item
    return item


def json_ld(data: object) -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    return f'<script type="application/ld+json">{text}</script>'


def meta(**contents: str) -> str:
    return "".join(f'<meta name="{name.replace("_", ":")}" content="{content}">' for name, content in contents.items())


class TestJSONLD:
    @pytest.mark.parametrize(
        "data",
        [
            NEWS,
            [NEWS],
            [{"@type": "Organization", "name": "Post"}, NEWS, {"@type": "NewsArticle", "headline": "Another"}],
            {"@context": "https://schema.org", "@graph": [{"@type": "WebSite", "name": "Post"}, NEWS]},
            {"@type": "WebPage", "name": "The page", "mainEntity": NEWS},
            NEWS | {"@type": ["Thing", "BlogPosting"]},
            NEWS | {"@type": "ReportageNewsArticle"},
            NEWS | {"url": None, "mainEntityOfPage": {"@type": "WebPage", "@id": "https://post.example/bridge"}},
            NEWS | {"headline": None, "name": "Bridge & ferry"},
        ],
    )
    def test_in_all_its_forms(self, data: object) -> None:
        article = page(json_ld(data))
        assert (article.title, article.url) == ("Bridge & ferry", "https://post.example/bridge")
        assert article.published == "2023-07-27T22:30:00Z"
        assert article.authors == ("Ruth van der Berg", "desk of Foreign Affairs")
        assert article.metadata == {"section": "Local", "language": "en-GB"}

    @pytest.mark.parametrize(
        ("author", "authors"),
        [
            ("Jo Lund", ("Jo Lund",)),
            (["Jo Lund", "R. Berg"], ("Jo Lund", "R. Berg")),
            ({"name": ["Jo Lund", "R. Berg"]}, ("Jo Lund", "R. Berg")),
            ([{"name": "Jo Lund", "url": "https://post.example/jo"}, "https://post.example/r"], ("Jo Lund",)),
            ({"@type": "Organization", "name": "Reuters"}, ("Reuters",)),
            (7, ()),
            (None, ()),
            ([{"url": "https://post.example/jo"}], ()),
        ],
    )
    def test_authors(self, author: object, authors: tuple[str, ...]) -> None:
        assert page(json_ld(NEWS | {"author": author})).authors == authors

    @pytest.mark.parametrize(
        "data",
        ['{"@type": "NewsArticle", broken', "", "7", "null", "[[[{}]]]", "[" * 100_000, '{"@type": 7}', "{}"],
    )
    def test_broken_leaves_the_rest(self, data: str) -> None:
        article = page(json_ld(data) + json_ld(NEWS))
        assert article.title == "Bridge & ferry"

    def test_line_feeds_in_strings(self) -> None:
        assert page(json_ld('{"@type": "Article", "headline": "One\ntwo"}')).title == "One two"

    @settings(max_examples=100, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NEWS, "@graph", "name"]), inner)
            ),
            max_leaves=8,
        )
    )
    def test_any_json_is_an_article(self, data: object) -> None:
        assert "Saltgate" in page(json_ld(json.dumps(data).replace("</", ""))).text


class TestTrust:
    def test_json_ld_before_opengraph_before_meta(self) -> None:
        opengraph = '<meta property="og:title" content="Graph"><meta property="article:section" content="Sport">'
        assert page(json_ld(NEWS) + opengraph + meta(headline="Meta")).title == "Bridge & ferry"
        assert page(opengraph + meta(headline="Meta")).title == "Graph"
        assert page(opengraph).metadata["section"] == "Sport"
        assert page(meta(headline="Meta")).title == "Meta"
        assert page().title == "A heading"

    def test_canonical_link_before_all(self) -> None:
        head = (
            '<link rel="canonical" href="//post.example/c"><meta property="og:url" content="https://post.example/og">'
        )
        article = page(head + json_ld(NEWS))
        assert article.url == "https://post.example/c"
        assert article.metadata["conflicts"] == {
            "url": {
                "link": "https://post.example/c",
                "json-ld": "https://post.example/bridge",
                "opengraph": "https://post.example/og",
            }
        }

    @pytest.mark.parametrize("url", ["javascript:alert(1)", "/bridge", "http://[x", "", "file:///etc/passwd"])
    def test_what_is_no_address_is_no_url(self, url: str) -> None:
        assert page(f'<link rel="canonical" href="{url}"><base href="https://post.example/base/">').url is None

    def test_where_it_was_found_comes_first(self) -> None:
        text = f'<html><head><link rel="canonical" href="/bridge"></head><body>{BODY}</body></html>'
        article = article_of(text, "x", "https://post.example/bridge?from=home", {"fetched": "2023-07-29"})
        assert isinstance(article, Article)
        assert article.url == "https://post.example/bridge?from=home"
        assert article.metadata == {
            "conflicts": {
                "url": {
                    "address": "https://post.example/bridge?from=home",
                    "link": "https://post.example/bridge",
                }
            },
            "fetched": "2023-07-29",
        }

    @pytest.mark.parametrize(
        ("one", "other", "published", "agree"),
        [
            ("2023-07-28T09:30:00+02:00", "2023-07-28T07:30:00Z", "2023-07-28T07:30:00Z", True),
            ("2023-07-28T00:30:00+02:00", "2023-07-28", "2023-07-27T22:30:00Z", True),
            ("2023-07-28", "2023-07-28T00:30:00+02:00", "2023-07-28", True),
            ("2023-07-28T00:30:00+02:00", "2023-07-27", "2023-07-27T22:30:00Z", False),
            ("2023-07-28", "2023-07-29", "2023-07-28", False),
            ("soon", "2023-07-29T10:00:00-05:00", "2023-07-29T15:00:00Z", True),
            ("Fri, 28 Jul 2023 09:30:00 +0200", "2023/07/28", "2023-07-28T07:30:00Z", True),
        ],
    )
    def test_dates(self, one: str, other: str, published: str, agree: bool) -> None:
        head = f'<meta property="article:published_time" content="{other}">'
        article = page(json_ld({"@type": "Article", "datePublished": one}) + head)
        assert article.published == published
        assert article.metadata == ({} if agree else {"conflicts": {"published": {"json-ld": one, "opengraph": other}}})

    @pytest.mark.parametrize(
        ("head", "authors"),
        [
            ('<meta name="citation_author" content="Berg, Anna"><meta name="citation_author" content="Lund, Jo">',
             ("Berg, Anna", "Lund, Jo")),
            ('<meta name="author" content="Reuters">', ("Reuters",)),
            ('<meta name="author" content="By Anna Berg and Jo Lund">', ("Anna Berg", "Jo Lund")),
            ('<meta name="author" content="https://social.example/anna">', ()),
            ('<meta name="author" content="bell hooks">', ("bell hooks",)),
        ],
    )  # fmt: skip
    def test_authors_in_meta_elements(self, head: str, authors: tuple[str, ...]) -> None:
        assert page(head).authors == authors

    @pytest.mark.parametrize(
        ("head", "lang", "language"),
        [
            ('<meta property="og:locale" content="de_AT">', ' lang="de"', "de-AT"),
            ("", ' lang="fr"', "fr"),
            ('<meta http-equiv="Content-Language" content="nb">', "", "nb"),
            (json_ld(NEWS | {"inLanguage": {"@type": "Language", "name": "English"}}), ' lang="en"', "en"),
            ("", ' lang="{{lang}}"', None),
        ],
    )
    def test_language(self, head: str, lang: str, language: str | None) -> None:
        assert page(head, lang).metadata.get("language") == language

    def test_languages_that_differ(self) -> None:
        article = page('<meta property="og:locale" content="en_US">', ' lang="de"')
        assert article.metadata["conflicts"] == {"language": {"opengraph": "en-US", "html": "de"}}

    def test_time_element(self) -> None:
        head = '<meta itemprop="datePublished" content="2023-07-28T09:30:00+02:00">'
        assert page(head).published == "2023-07-28T07:30:00Z"
        text = (
            f'<html><body>{BODY}<time itemprop="datePublished" datetime="2023-07-28T09:30Z">Friday</time></body></html>'
        )
        [article] = read(text, "x")
        assert isinstance(article, Article)
        assert article.published == "2023-07-28T09:30:00Z"


def test_nothing_is_lost_behind_what_cannot_be_stored() -> None:
    body = BODY.replace("cracks", "cr\ud800acks").replace("nine", "ni\0ne")
    [article] = read(f"<html><body>{body}</body></html>", "x")
    assert isinstance(article, Article)
    assert "found cr\ufffdacks in the deck" in article.text
    assert "for ni\ufffdne hours" in article.text
    assert "six weeks" in article.text


class TestDepth:
    @pytest.mark.parametrize("depth", [300, 10_000])
    def test_page_that_is_cut_short_is_reported(self, depth: int) -> None:
        [error] = read(f"<html><body>{BODY}{'<div>' * depth}Lost.", "x")
        assert isinstance(error, UnreadableArticle)
        assert error.reason == (
            "not all of its HTML can be read: it is nested deeper than 250 elements, or has 10 MB of text in one"
        )

    def test_deep_but_whole(self) -> None:
        [article] = read(f"<html><body>{'<div>' * 200}{BODY}", "x")
        assert isinstance(article, Article)
        assert "six weeks" in article.text

    def test_one_page_after_another(self) -> None:
        list(read(f"<html><body>{'<div>' * 1000}", "x"))
        assert page().title == "A heading"


class TestTextOf:
    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("plain & text", "plain & text"),
            ("", ""),
            ("a<br>b<p>c <b> d</b></p>tail", "a\nb\n\nc d\n\ntail"),
            ("<ul><li>one<li>two <i>x</i>, y</ul>", "one\n\ntwo x, y"),
            ("<pre>x\n  y\n\n z</pre>", "x\n  y\n\nz"),
            ("<p style='display: none'>no</p>yes&nbsp;no", "yes no"),
            ("<style>p {}</style><script>x</script><!-- no --><title>no</title>yes", "yes"),
            ("<table><tr><td>a<td>b</table>", "a\n\nb"),
            ("<?xml version='1.0' encoding='latin-1'?><p>ü", "ü"),
            ("<html><head><title>no</title></head><body><p>yes</body></html>", "yes"),
            ("a\ud800b\0c\x01d", "a\ufffdb\ufffdc\x01d"),
            ("<a>x</a> <br> y", "x\ny"),
            ("5 < 6 > 4 &lt;b&gt; &unheard; &#128640;", "5 < 6 > 4 <b> &unheard; 🚀"),
            ("<p>a\n b</p>\n\n<p>c</p>", "a b\n\nc"),
            ("</div></body>after", "after"),
            ("<unheard>a</unheard>b", "a\n\nb"),
        ],
    )
    def test_blocks_become_paragraphs(self, html: str, text: str) -> None:
        assert text_of(html) == text

    @pytest.mark.parametrize("html", ["<div>" * 10_000 + "Lost.", "x" * 11_000_000])
    def test_what_cannot_all_be_read(self, html: str) -> None:
        with pytest.raises(InvalidInput, match="not all of its HTML can be read"):
            text_of(html)

    @settings(max_examples=200)
    @given(st.text(st.sampled_from("<>/pbr &;#x\0\n \ud800\x01![-]")))
    def test_anything_is_text(self, html: str) -> None:
        assert isinstance(text_of(html), str)


class TestText:
    PARAGRAPHS = (
        "The bridge at <b>Saltgate</b> was shut on Monday after\nengineers found cracks\n in the deck, people said.",
        "Castle FC was shut out of its ground as well, in February 2022 as now,\nand <i>could not</i> say until when.",
    )

    def of(self, body: str, head: str = "") -> Article:
        [item] = read(f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>", "x")
        assert isinstance(item, Article), item
        return item

    def test_ends_of_lines_within_a_paragraph_are_spaces(self) -> None:
        body = "".join(f"<p>{paragraph}</p>" for paragraph in self.PARAGRAPHS)
        assert self.of(f"<article>{body}<pre>a\n  b</pre></article>").text == (
            "The bridge at Saltgate was shut on Monday after engineers found cracks in the deck, people said.\n\n"
            "Castle FC was shut out of its ground as well, in February 2022 as now, and could not say until when.\n\n"
            "a\n\n  b"
        )

    @pytest.mark.parametrize("control", ["\x01", "\x0c", "\x1f", "&#1;", "\ufffe", "\uffff"])
    def test_control_characters_cost_nothing_but_themselves(self, control: str) -> None:
        text = self.of(f"<article><p>{control}{self.PARAGRAPHS[0]}{control}</p><p>{self.PARAGRAPHS[1]}</p>").text
        assert re.sub(r"[^\S\n]+", " ", text).startswith("The bridge at Saltgate was shut on Monday after engineers")
        assert text.endswith("say until when.")

    def test_tables_are_as_in_other_formats(self) -> None:
        table = "<table><tr><th>Part<th>Cost</tr><tr><td>Deck<td>£4</tr></table>"
        text = self.of(f"<article><p>{self.PARAGRAPHS[0]}</p>{table}<p>{self.PARAGRAPHS[1]}</p></article>").text
        assert "said.\n\nPart | Cost\n\nDeck | £4\n\nCastle" in text

    def test_years_in_the_text_are_no_date_of_it(self) -> None:
        assert self.of("".join(f"<p>{paragraph}</p>" for paragraph in self.PARAGRAPHS)).published is None

    @pytest.mark.parametrize(
        "maker",
        ["pandoc", "LibreOffice 7.4 (Linux)", "Docutils 0.19: https://d.example/", "Microsoft Word 15 (filtered)"],
    )
    def test_all_of_a_page_made_of_a_document_is_text(self, maker: str) -> None:
        body = f"<h1>Shut</h1><p>{self.PARAGRAPHS[0]}<a href='#_ftn1'>[1]</a></p><h2>List</h2><ul><li>One<li>Two</ul>"
        heads = "<div title='header'><p>page 2</p></div>"
        assert self.of(heads + body, f"<meta name='Generator' content='{maker}'>").text == (
            "Shut\n\nThe bridge at Saltgate was shut on Monday after engineers found cracks in the deck, people "
            "said.\n\nList\n\nOne\n\nTwo"
        )
