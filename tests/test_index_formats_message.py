"""What a parser says: everything arrives as it was, and nothing is believed that is none of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.article import Article, make_article
from index.errors import UnreadableArticle
from index.formats.message import Begun, Done, Message, from_line, to_line


@given(
    st.text().filter(str.strip), st.text(), st.text(), st.dictionaries(st.text(), st.none() | st.integers() | st.text())
)
def test_articles_arrive_as_they_were(text: str, title: str, author: str, metadata: dict[str, object]) -> None:
    article = make_article(text, title=title, authors=(author, "B"), published="2023-07-28", metadata=metadata)
    assert from_line(to_line(article)) == article


@pytest.mark.parametrize("message", [Begun((), "x"), Begun((3, 17), "a!b\n\udcff"), Done()])
def test_messages_arrive_as_they_were(message: Message) -> None:
    line = to_line(message)
    assert line.count(b"\n") == 1
    assert from_line(line) == message


def test_errors_arrive_as_they_were() -> None:
    error = from_line(to_line(UnreadableArticle("a\n\udcff", "it is\nempty")))
    assert isinstance(error, UnreadableArticle)
    assert (error.where, error.reason) == ("a\n\udcff", "it is\nempty")


def article_line(**changed: Any) -> bytes:
    _, content = json.loads(to_line(make_article("A.", id="a")))
    return json.dumps(["Article", content | changed]).encode()


def test_articles_are_made_anew() -> None:
    article = from_line(article_line(text="A\0", title="a\nb", published="soon", metadata={"n": "\ud800"}))
    assert isinstance(article, Article)
    assert (article.text, article.title, article.published) == ("A\ufffd", "a b", None)
    assert article.metadata == {"n": "\ufffd", "published": "soon"}
    error = from_line(article_line(text=" "))
    assert str(error) == "a: the article has no text"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"7",
        b"[]",
        b'["Article", 7]',
        b'["Nothing", {}]',
        b'["Article", {}]',
        article_line(more=1),
        article_line(text=7),
        article_line(authors=7),
        article_line(published=7),
        article_line(metadata=7),
        b'["UnreadableArticle", {}]',
        b'["Begun", {"path": 7, "where": "x"}]',
        b'["Begun", {"path": ["a"], "where": "x"}]',
        b"[" * 100_000,
        b'["Article"',
    ],
)
def test_what_is_no_message(line: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError, RecursionError)):
        from_line(line)
