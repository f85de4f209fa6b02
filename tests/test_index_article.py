"""An article's identity, and what becomes of text, dates and metadata that cannot be stored as they are."""

from datetime import UTC, date, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import article as article_module
from index.article import MAX_ID_CHARACTERS, make_article, parse_published, storable
from index.errors import InvalidInput


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


class TestIdentity:
    def test_given_id_wins(self) -> None:
        assert make_article("Text.", id=" bridge \n 7 ", url="https://a.example/").id == "bridge 7"

    def test_url_without_id(self) -> None:
        assert make_article("Text.", url=" https://a.example/ ").id == digest("https://a.example/")[:16]

    def test_text_without_id_or_url(self) -> None:
        assert make_article("Text.", title="Title").id == digest("Text.")[:16]

    @pytest.mark.parametrize("blank", ["", " \n"])
    def test_blank_id_is_none(self, blank: str) -> None:
        assert make_article("Text.", id=blank).id == digest("Text.")[:16]

    def test_longest_id(self) -> None:
        assert make_article("Text.", id="x" * MAX_ID_CHARACTERS).id == "x" * MAX_ID_CHARACTERS
        with pytest.raises(InvalidInput, match="id has 513 characters, more than 512"):
            make_article("Text.", id="x" * (MAX_ID_CHARACTERS + 1))

    def test_sha256_is_that_of_the_text(self) -> None:
        assert make_article("Añb\0", id="x").sha256 == digest("Añb\ufffd")

    def test_origin_is_no_part_of_equality(self) -> None:
        assert make_article("Text.", origin="/a.txt") == make_article("Text.", origin="/b.txt")
        assert make_article("Text.", title="a") != make_article("Text.", title="b")


class TestText:
    def test_kept_to_the_character(self) -> None:
        text = "\ufeff Titel\r\n\r\nﬁ İ e\u0301 👩\u200d🚀\n\n"
        assert make_article(text).text == text

    @pytest.mark.parametrize("text", ["", " \n\t\r\n", "\u2003\u3000"])
    def test_blank_is_no_article(self, text: str) -> None:
        with pytest.raises(InvalidInput, match="the article has no text"):
            make_article(text)

    def test_longest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(article_module, "MAX_CHARACTERS", 5)
        assert make_article("12345").text == "12345"
        with pytest.raises(InvalidInput, match="has 6 characters, more than 5; split it"):
            make_article("123456")

    def test_surrogates_and_nul_are_replaced_one_for_one(self) -> None:
        assert storable("a\ud800b\udfffc\0d😀") == "a\ufffdb\ufffdc\ufffdd😀"

    @given(st.text(st.characters(exclude_categories=())))
    def test_storable_keeps_length_and_can_be_encoded(self, text: str) -> None:
        clean = storable(text)
        assert len(clean) == len(text)
        assert clean.encode().decode() == clean
        assert "\0" not in clean

    def test_text_is_replaced_before_the_identity_is_made(self) -> None:
        assert make_article("a\ud800") == make_article("a\ufffd")


class TestPublished:
    @pytest.mark.parametrize(
        ("given", "parsed"),
        [
            ("2023-07-28", "2023-07-28"),
            (" 2023-07-28\n", "2023-07-28"),
            ("20230728", "2023-07-28"),
            ("2023/7/8", "2023-07-08"),
            ("8.7.2023", "2023-07-08"),
            ("2023-07-28T09:30:00Z", "2023-07-28T09:30:00Z"),
            ("2023-07-28 09:30", "2023-07-28T09:30:00Z"),
            ("2023-07-28T09:30:00.250+02:00", "2023-07-28T07:30:00Z"),
            ("2023-12-31T23:30:00-05:00", "2024-01-01T04:30:00Z"),
            ("Fri, 28 Jul 2023 09:30:00 +0200", "2023-07-28T07:30:00Z"),
            ("Fri, 28 Jul 2023 09:30:00 GMT", "2023-07-28T09:30:00Z"),
            ("28 Jul 2023 09:30:00 -0000", "2023-07-28T09:30:00Z"),
            ("0999-01-02T00:00:00Z", "0999-01-02T00:00:00Z"),
        ],
    )
    def test_dates_and_instants(self, given: str, parsed: str) -> None:
        assert parse_published(given) == parsed
        assert make_article("Text.", published=given).published == parsed

    @pytest.mark.parametrize(
        "garbage",
        [
            "last Tuesday",
            "2023-13-45",
            "2023/02/30",
            "30.02.2023",
            "07.28.2023",
            "2023",
            "0000-00-00",
            "٢٠٢٣/٠٧/٢٨",
            "\ud800",
            "9999-12-31T23:59:59-10:00",
            "0001-01-01T00:00:00+10:00",
            "Mon, 1 Jan 99999999999 00:00:00 +0000",
            "Mon, 1 Jan 2023 00:00:00 +99999999999999999999",
        ],
    )
    def test_garbage_goes_to_the_metadata(self, garbage: str) -> None:
        assert parse_published(garbage) is None
        article = make_article("Text.", published=garbage, metadata={"section": "News"})
        assert article.published is None
        assert article.metadata == {"section": "News", "published": storable(garbage)}

    def test_none_and_empty_leave_no_trace(self) -> None:
        assert make_article("Text.", published=None).metadata == {}
        assert make_article("Text.", published="").metadata == {}

    @given(
        st.text(st.characters(exclude_categories=()))
        | st.builds(
            "{} {} {} {}{}".format,
            st.integers(0, 99),
            st.sampled_from(["Jan", "Dec", "X"]),
            st.integers(-1, 10**12),
            st.sampled_from(["", "9:30:00 ", "25:61:61 ", "1:2:3:4 "]),
            st.sampled_from(["", "GMT", "A", "+0200", "+9999999", "-" + "9" * 30]),
        )
        | st.builds(
            "{:04}-{:02}-{:02}{}".format,
            st.integers(0, 10_000),
            st.integers(0, 13),
            st.integers(0, 32),
            st.sampled_from(["", "T", "T09:30", " 09:30:00Z", "T09:30:00+23:59", "T23:59:59-23:59", "T24:00"]),
        )
    )
    def test_any_text_is_a_date_or_none(self, text: str) -> None:
        parsed = parse_published(text)
        assert parsed is None or datetime.fromisoformat(parsed)

    @given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
    def test_order_of_strings_is_order_in_time(self, one: datetime, other: datetime) -> None:
        one, other = one.replace(microsecond=0), other.replace(microsecond=0)
        ones, others = parse_published(one.isoformat()), parse_published(other.isoformat())
        assert ones is not None
        assert others is not None
        assert (ones < others) == (one < other)

    @given(st.dates())
    def test_date_is_kept(self, day: date) -> None:
        assert parse_published(day.isoformat()) == day.isoformat()


class TestOtherFields:
    def test_single_lines(self) -> None:
        article = make_article("Text.", title=" A\r\n  title\0 ", url="\nhttps://a.example/", source=" ", authors=())
        assert (article.title, article.url, article.source) == ("A title\ufffd", "https://a.example/", None)

    def test_authors(self) -> None:
        authors = (" Castle\nFC ", "", "  ", "News \ud800desk")
        assert make_article("Text.", authors=authors).authors == ("Castle FC", "News \ufffddesk")

    def test_metadata_is_what_json_can_hold(self) -> None:
        given = {
            "a\0": "b\ud800",
            "day": date(2023, 7, 28),
            "list": [1, (2.5, None), True],
            "inner": {7: {"x"}},
            "": "",
        }
        assert make_article("Text.", metadata=given).metadata == {
            "a\ufffd": "b\ufffd",
            "day": "2023-07-28",
            "list": [1, [2.5, None], True],
            "inner": {"7": "{'x'}"},
            "": "",
        }

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_metadata_holds_no_number_that_json_has_not(self, number: float) -> None:
        assert make_article("Text.", metadata={"score": number}).metadata == {"score": str(number)}

    def test_metadata_nested_too_deep(self) -> None:
        nested: object = "x"
        for _ in range(100_000):
            nested = [nested]
        with pytest.raises(InvalidInput, match="metadata"):
            make_article("Text.", metadata={"nested": nested})

    def test_metadata_that_grows_when_written_out(self) -> None:
        laughs: list[object] = ["ha"] * 10
        for _ in range(5):  # a million values out of 60
            laughs = [laughs] * 10
        with pytest.raises(InvalidInput, match="metadata"):
            make_article("Text.", metadata={"laughs": laughs})

    def test_arguments_are_left_alone(self) -> None:
        metadata = {"list": ["a\0"]}
        make_article("Text.", published="one day", metadata=metadata)
        assert metadata == {"list": ["a\0"]}
