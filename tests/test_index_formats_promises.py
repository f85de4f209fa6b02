"""What holds of every article of every format: of all files made by other programs, and of those written here."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from conftest import Add
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.bench_formats import FILES, fixtures
from eval.written import written
from index.article import Article, make_article
from index.errors import UnreadableArticle
from index.formats import NAMED, Item, format_of, read, read_file
from index.library import Library, Outcome
from index.passage import CHARACTERS_PER_TOKEN, Splitter, TokenSpans, sentences
from index.verification import Validity, verify

NAMES = sorted(file.name for files in fixtures().values() for file in files)
READABLE = sorted({*NAMES} - {"encrypted.pdf", "scanned.pdf"})
ENDINGS = sorted(written([]))
KEPT = {".txt", ".json", ".jsonl", ".csv", ".tsv", ".parquet", ".gz", ".zst"}
"""Written so, any text is read as it was."""

TAGS = {".md", ".zip", ".tar.gz"}
"""Markdown takes what looks like a tag for one."""

BLOCKS = st.lists(
    st.text(st.sampled_from("aäß漢ש👩\u200d\u0301 .,’“”<&;|*_#-\"'1"), min_size=1, max_size=60)
    .map(lambda text: f"{' '.join(text.split())} Fin.")
    .map(str.strip),
    min_size=1,
    max_size=5,
)


def articles_of(items: list[Item]) -> list[Article]:
    return [item for item in items if isinstance(item, Article)]


@pytest.fixture(scope="module")
def split(word_pieces: TokenSpans) -> Splitter:
    return Splitter(word_pieces, "test")


def check_offsets(article: Article, split: Splitter) -> None:
    """Passages and sentences are slices in order that lose nothing, and what is cited of them stands."""
    text = article.text
    assert re.search("[\0\ud800-\udfff]", text) is None
    assert text.encode().decode() == text
    visible = {place for place, letter in enumerate(text) if not letter.isspace()}
    passages = [(passage.start, passage.end) for passage in split.split(article)]
    slices = sentences(text)
    for found in (passages, slices):
        assert visible <= {place for start, end in found for place in range(start, end)}
        assert all(0 <= start < end <= len(text) for start, end in found)
        assert all(one < other for one, other in pairwise(found))
        for start, end in found:
            assert text[start:end].strip() == text[start:end]
            assert verify(article, start, end, text[start:end], article.sha256).validity == Validity.VALID
    for start, end in passages:
        assert len(split.token_spans([text[start:end]])[0]) <= split.budget
        assert end - start <= split.budget * CHARACTERS_PER_TOKEN


@pytest.mark.parametrize("name", READABLE)
def test_offsets_of_files(name: str, split: Splitter) -> None:
    found = articles_of(list(read_file(FILES / name)))
    assert found
    for article in found:
        check_offsets(article, split)


@pytest.mark.parametrize("name", NAMES)
def test_reading_apart_and_here_gives_the_same(name: str) -> None:
    data = (FILES / name).read_bytes()
    format = format_of(name, data)
    apart = list(read(data, name, replace(format, apart=True)))
    here = list(read(data, name, replace(format, apart=False)))
    assert articles_of(apart) == articles_of(here)
    assert [str(item) for item in apart if isinstance(item, UnreadableArticle)] == [
        str(item) for item in here if isinstance(item, UnreadableArticle)
    ]


@pytest.mark.parametrize("name", READABLE)
def test_adding_a_file_again_changes_nothing(name: str, library: Library, add: Add) -> None:
    first = add(library, *articles_of(list(read_file(FILES / name))))
    counts = library.counts()
    again = add(library, *articles_of(list(read_file(FILES / name))))
    assert again == [(id, Outcome.UNCHANGED) for id, _ in first] != []
    assert library.counts() == counts == (len({id for id, _ in first}), counts[1])


def test_every_format_is_among_the_files() -> None:
    files = {name: (FILES / name).read_bytes() for name in NAMES}
    for made in written([make_article("A.")]).values():
        files |= made
    assert {format_of(name, data).module for name, data in files.items()} == set(NAMED)


def read_written(ending: str, articles: list[Article]) -> list[Article]:
    """The articles read of the files that those articles make, in this process."""
    items: list[Item] = []
    for name, data in written(articles)[ending].items():
        items += read(data, name, replace(format_of(name, data), apart=False))
    assert not [item for item in items if isinstance(item, UnreadableArticle)]
    return articles_of(items)


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=20)
@given(blocks=BLOCKS)
def test_offsets_of_any_text(ending: str, blocks: list[str], split: Splitter) -> None:
    article = make_article("\n\n".join(blocks), id="a", title="A title", url="https://post.example/a")
    for found in read_written(ending, [article]):
        check_offsets(found, split)
        if ending in KEPT:
            assert found.text == article.text


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read(ending: str) -> None:
    paragraphs = [
        "The bridge at Saltgate was shut on Monday after engineers found cracks – “hairs” – in the deck.",
        "Łódź sent 5 € & <love> to all 27,000 drivers, a 👩 among them, said the council in a statement.",
        "The repair is expected to take six weeks, and ferries will run every twenty minutes until it is done.",
    ]
    made = make_article(
        "\n\n".join(paragraphs), title="Bridge shut", url="https://post.example/bridge", published="2023-07-28"
    )
    [found] = read_written(ending, [made])
    places = [
        found.text.find(paragraph.replace("<love>", "" if ending in TAGS else "<love>")) for paragraph in paragraphs
    ]
    assert -1 < places[0] < places[1] < places[2]
    if ending != ".txt":
        assert (found.title, (found.published or "")[:10]) == ("Bridge shut", "2023-07-28")
