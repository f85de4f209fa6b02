"""Text fragments."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.article import make_article
from qa.link import text_fragment

URL = "https://news.example/a"


def link(text: str, quote: str, url: str = URL, occurrence: int = 0) -> str:
    """The link to the quote's `occurrence` in the text, counted from 0."""
    start = [match.start() for match in re.finditer(re.escape(quote), text)][occurrence]
    return text_fragment(make_article(text, url=url), start, start + len(quote))


def test_unique_quote_stands_alone() -> None:
    assert link("The parade was in Oslo on Friday.", "in Oslo") == f"{URL}#:~:text=in%20Oslo"


def test_repeated_quote_gets_the_words_around_it() -> None:
    text = "He came to Oslo in May. Years before he had left Oslo by boat at night."
    assert link(text, "Oslo") == f"{URL}#:~:text=He%20came%20to-,Oslo,-in%20May.%20Years%20before"
    assert link(text, "Oslo", occurrence=1) == f"{URL}#:~:text=before%20he%20had%20left-,Oslo,-by%20boat%20at%20night."


def test_context_does_not_leave_the_paragraph() -> None:
    text = "A first line.\n\nOslo\n\nOslo is here.\n\nThe end"
    assert link(text, "Oslo") == f"{URL}#:~:text=Oslo"
    assert link(text, "Oslo", occurrence=1) == f"{URL}#:~:text=Oslo,-is%20here."


@pytest.mark.parametrize(
    ("quote", "encoded"),
    [
        ("Hwasong-17", "Hwasong%2D17"),
        ("12,400", "12%2C400"),
        ("Sound & Skerries", "Sound%20%26%20Skerries"),
        ("Brünnhafen", "Br%C3%BCnnhafen"),
        ("4–3", "4%E2%80%933"),
        ("50%", "50%25"),
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("😀", "%F0%9F%98%80"),
    ],
)
def test_quote_is_percent_encoded(quote: str, encoded: str) -> None:
    assert link(f"It says: {quote} there.", quote) == f"{URL}#:~:text={encoded}"


def test_context_is_percent_encoded_too() -> None:
    assert (
        link("A & B, well-known: x. Not x.", "x") == f"{URL}#:~:text=A%20%26%20B%2C%20well%2Dknown%3A-,x,-.%20Not%20x."
    )


def test_url_with_a_fragment_of_its_own() -> None:
    assert link("In Oslo.", "Oslo", url=f"{URL}#top") == f"{URL}#top:~:text=Oslo"


def test_long_quote_is_given_by_its_first_and_last_words() -> None:
    quote = "one two three four " + "and so on " * 30 + "six seven eight nine"
    assert link(f"It says {quote}.", quote) == f"{URL}#:~:text=one%20two%20three%20four,six%20seven%20eight%20nine"


def test_white_space_within_a_quote_is_one_space() -> None:
    assert link("See Kim\r\n  Il Sung.", "Kim\r\n  Il Sung") == f"{URL}#:~:text=Kim%20Il%20Sung"


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=40))
def test_unique_quote_can_be_read_back(text: str) -> None:
    found = text_fragment(make_article(f"< {text} >", url=URL), 2, 2 + len(text))
    *_, exact = [part for part in found.partition("text=")[2].split(",") if not part.startswith("-")]
    assert unquote(exact) == text
