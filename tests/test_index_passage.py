"""Passages are slices that lose nothing, respect the budget and end where sentences end, whatever the text."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from index.article import make_article
from index.passage import CHARACTERS_PER_TOKEN, Passage, Splitter, TokenSpans, sentences

WORDS = st.sampled_from(
    [
        *["a", "I", "Oslo", "42", "3.5", "U.S.", "Dr.", "e.g.", "No.", "...", "--", "(", ")", "“", "”", "'", "&", "#"],
        "The",
        "unbelievably",
        "donaudampfschifffahrt" * 3,
        "x" * 130,
        "İstanbul",
        "ﬁve",
        "naı̈ve",
        "e\u0301" * 5,
        "a" + "\u0301" * 40,
        "שלום",
        "مرحبا",
        "\u202eabc\u202c",
        "👩\u200d👩\u200d👧",
        "𝒳𝒴",
        "日本語の文章です。",
        "ไทย",
        "\u200b",
        "\ufffd",
        "\x07",
        "\x1c",
        "\xad",
    ]
)
GAPS = st.sampled_from(
    [
        " ",
        " ",
        " ",
        "",
        ". ",
        "? ",
        "! ",
        ".\n",
        "\n",
        "\r\n",
        "\n\n",
        "\r\n\r\n",
        "\n \t\n",
        "\r",
        "\t",
        "\xa0",
        "\u2028",
        "\x85",
    ]
)
PROSE = st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=60).map(lambda pairs: "".join(map("".join, pairs)))
ANY = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=200)
LONG_LINES = st.builds(lambda word, times: word * times, st.text(min_size=1, max_size=4), st.integers(1, 400))
TEXTS = st.one_of(PROSE, ANY, LONG_LINES, st.tuples(PROSE, LONG_LINES, PROSE).map("".join))
BUDGETS = st.sampled_from([1, 2, 8, 13, 40, 160])


def split(text: str, token_spans: TokenSpans, budget: int = 160, overlap: int = 1) -> list[Passage]:
    return Splitter(token_spans, "test", budget, overlap).split(make_article(text))


def visible(text: str) -> set[int]:
    """Where a text has characters that are no space."""
    return {place for place, character in enumerate(text) if not character.isspace()}


class TestAnyText:
    @settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
    @given(text=TEXTS.filter(lambda text: text.strip()), budget=BUDGETS)
    @example(text="x" * 120 + " End.", budget=8)
    @example(text="0" * 101, budget=2)  # parts of a word that the tokenizer knows only as a whole
    @example(text="\x1c\x1c a \x85", budget=8)
    def test_properties(self, text: str, budget: int, word_pieces: TokenSpans) -> None:
        passages = split(text, word_pieces, budget)
        text = passages[0].article.text
        places = [(passage.start, passage.end) for passage in passages]
        assert visible(text) <= {place for start, end in places for place in range(start, end)}
        for passage in passages:
            assert passage.text == text[passage.start : passage.end]
            assert passage.text.strip() == passage.text != ""
            if len(passage.text) > 1:
                assert len(word_pieces([passage.text])[0]) <= budget
                assert len(passage.text) <= budget * CHARACTERS_PER_TOKEN
        slices = sentences(text)
        for (start, end), (next_start, next_end) in pairwise(places):
            assert start < next_start
            assert end < next_end
            shared = [s for s in slices if s[0] < end and s[1] > next_start] if next_start < end else []
            assert len(shared) <= 1

    @settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
    @given(text=TEXTS.filter(lambda text: text.strip()), budget=BUDGETS)
    def test_without_overlap_nothing_is_shared(self, text: str, budget: int, word_pieces: TokenSpans) -> None:
        passages = split(text, word_pieces, budget, overlap=0)
        assert all(one.end <= other.start for one, other in pairwise(passages))

    @settings(max_examples=100)
    @given(text=TEXTS)
    def test_sentences_are_in_order_and_lose_nothing(self, text: str) -> None:
        slices = sentences(text)
        ends = [0, *(end for _, end in slices)]
        assert all(before <= start < end for before, (start, end) in zip(ends, slices, strict=False))
        assert visible(text) <= {place for start, end in slices for place in range(start, end)}
        assert all(text[start:end] == text[start:end].strip() for start, end in slices)


class TestSentences:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", []),
            (" \n\n ", []),
            ("One. Two? Three!", ["One.", "Two?", "Three!"]),
            ("A title\n\nIts text goes on", ["A title", "Its text goes on"]),
            ("A title\r\n\r\nIts text goes on", ["A title", "Its text goes on"]),
            ("A title\n \t\nIts text goes on", ["A title", "Its text goes on"]),
            ("\n\n\nA title\n\n\n\nIts text\n\n", ["A title", "Its text"]),
            ("It goes on\nin the next line.", ["It goes on\nin the next line."]),
            ("Dr. Rook met Mr. Pawn in the U.S. on Monday.", ["Dr. Rook met Mr. Pawn in the U.S. on Monday."]),
            ("It cost $3.50 at 9.30 a.m. sharp. Then more.", ["It cost $3.50 at 9.30 a.m. sharp.", "Then more."]),
        ],
    )
    def test_examples(self, text: str, found: list[str]) -> None:
        assert [text[start:end] for start, end in sentences(text)] == found

    @pytest.mark.parametrize(
        ("language", "text", "found"),
        [
            (
                "de",
                "Am 3. Mai kam Dr. Rook, z.B. um 9 Uhr. Es war spät.",
                ["Am 3. Mai kam Dr. Rook, z.B. um 9 Uhr.", "Es war spät."],
            ),
            ("fr", "Il a dit : « Venez ! » Puis il partit.", ["Il a dit : « Venez ! »", "Puis il partit."]),
            ("ja", "彼は言った。そして去った。本当？", ["彼は言った。", "そして去った。", "本当？"]),
            ("hi", "वह गया। फिर लौटा।", ["वह गया।", "फिर लौटा।"]),
            ("ar", "قال ذلك. هل ذهب؟ نعم.", ["قال ذلك.", "هل ذهب؟", "نعم."]),
            ("de", "Ein Titel\n\nUnd sein Text. Er geht\nweiter.", ["Ein Titel", "Und sein Text.", "Er geht\nweiter."]),
            ("qq", "One. Two!", ["One.", "Two!"]),
            (None, "वह गया। फिर लौटा।", ["वह गया। फिर लौटा।"]),
            ("en", "He met Mr. Pawn. Then left.", ["He met Mr. Pawn.", "Then left."]),
        ],
    )
    def test_other_languages(self, language: str | None, text: str, found: list[str]) -> None:
        assert [text[start:end] for start, end in sentences(text, language)] == found

    @pytest.mark.parametrize("language", ["de", "ja"])
    @pytest.mark.parametrize(
        ("unit", "times", "count"), [("日。", 20_000, 20_000), ("„", 40_000, 20), ("Er ging. ", 9_000, 9_000)]
    )
    def test_long_paragraphs_take_no_longer_each(self, language: str, unit: str, times: int, count: int) -> None:
        found = sentences(unit * times, language)
        assert len(found) == count
        assert sum(end - start for start, end in found) == len((unit * times).replace(" ", "")) + (
            count if unit == "Er ging. " else 0
        )

    @settings(max_examples=200)
    @given(
        st.lists(
            st.sampled_from([*"aBД日न0.。!?؟ \n\r\x85\xa0\u2028\u3000„“»)😀", "Dr.", "z.B.", "3. ", "т.е."])
            | st.characters(exclude_categories=["Cs"])
        ).map("".join),
        st.sampled_from(["de", "fr", "ja", "zh", "ar", "hi", "ru", "th", "my", "el", "da", "kk", "qq"]),
    )
    @example("B\x85. ", "de")  # at which sentencex panics
    def test_sentences_of_other_languages_lose_nothing(self, text: str, language: str) -> None:
        slices = sentences(text, language)
        ends = [0, *(end for _, end in slices)]
        assert all(before <= start < end for before, (start, end) in zip(ends, slices, strict=False))
        assert visible(text) <= {place for start, end in slices for place in range(start, end)}
        assert all(text[start:end] == text[start:end].strip() for start, end in slices)


class TestSplitter:
    def test_short_text_is_one_passage(self, word_pieces: TokenSpans) -> None:
        assert [passage.text for passage in split("\n One. Two. \n", word_pieces)] == ["One. Two."]

    def test_last_sentence_is_repeated(self, word_pieces: TokenSpans) -> None:
        text = "One is here. Two is here. Three is here. Four is here. Five is here."  # four tokens each
        assert [passage.text for passage in split(text, word_pieces, budget=12)] == [
            "One is here. Two is here. Three is here.",
            "Three is here. Four is here. Five is here.",
        ]

    def test_overlap_is_left_out_where_it_does_not_fit(self, word_pieces: TokenSpans) -> None:
        text = "One is here. Two is a much longer sentence. Three is short."
        assert [passage.text for passage in split(text, word_pieces, budget=10)] == [
            "One is here.",
            "Two is a much longer sentence.",
            "Three is short.",
        ]

    def test_budget_is_met_exactly(self, word_pieces: TokenSpans) -> None:
        text = "One is here. Two is here."
        assert [passage.text for passage in split(text, word_pieces, budget=8)] == [text]
        assert [passage.text for passage in split(text, word_pieces, budget=7)] == ["One is here.", "Two is here."]

    def test_long_sentence_is_cut_between_words(self, word_pieces: TokenSpans) -> None:
        text = "one two three four five six seven eight nine ten"
        assert [passage.text for passage in split(text, word_pieces, budget=4, overlap=0)] == [
            "one two three four",
            "five six seven eight",
            "nine ten",
        ]

    @pytest.mark.parametrize(("unit", "times"), [("x", 1_000_000), ("a ", 200_000), ("é", 200_000), ("日", 100_000)])
    def test_one_long_line(self, unit: str, times: int, word_pieces: TokenSpans) -> None:
        text = unit * times
        passages = split(text, word_pieces)
        assert re.sub(r"\s", "", "".join(passage.text for passage in passages)).count(unit[0]) >= text.count(unit[0])
        assert max(len(passage.text) for passage in passages) <= 160 * CHARACTERS_PER_TOKEN
        assert max(map(len, word_pieces([passage.text for passage in passages]))) <= 160

    def test_an_article_is_cut_as_its_language_is(self, word_pieces: TokenSpans) -> None:
        article = make_article("वह गया। फिर लौटा।")
        cut = Splitter(word_pieces, "toy", 8, 0)
        hindi = [passage.text for passage in cut.split(replace(article, language="hi"))]
        assert hindi[0] == "वह गया।"
        assert [passage.text for passage in cut.split(article)] != hindi

    def test_passages_share_their_article(self, word_pieces: TokenSpans) -> None:
        passages = split("One is here. Two is here.", word_pieces, budget=4)
        assert passages[0].article is passages[1].article

    def test_fingerprint_tells_what_cuts_differently(self, word_pieces: TokenSpans) -> None:
        fingerprints = {
            Splitter(word_pieces, name, budget, overlap).fingerprint
            for name, budget, overlap in [("a", 160, 1), ("b", 160, 1), ("a", 150, 1), ("a", 160, 0)]
        }
        assert len(fingerprints) == 4
        assert Splitter(word_pieces, "a").fingerprint == Splitter(word_pieces, "a", 160, 1).fingerprint
