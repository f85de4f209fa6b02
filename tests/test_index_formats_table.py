"""Tables: which column is which field, what is wrong with rows, and encodings as spreadsheets write them."""

import codecs
import csv
import io
from collections.abc import Mapping
from datetime import UTC, date, datetime
from io import BytesIO

import pyarrow
import pytest
from pyarrow import parquet

from index.article import Article
from index.errors import InvalidInput, UnreadableArticle
from index.formats import encoding, table
from index.formats.columns import FIELDS, names_of, read_columns
from index.formats.format import PARQUET, TABLE, Format, Item
from index.formats.reading import buffered, read_here, safely

NONE: Mapping[str, str] = {}


def items(data: bytes | str, columns: Mapping[str, str] = NONE, format: Format = TABLE) -> list[Item]:
    file = buffered(BytesIO(data.encode() if isinstance(data, str) else data))
    return list(safely(read_here(file, "x", format, columns), "x"))


def texts(data: bytes | str, columns: Mapping[str, str] = NONE, format: Format = TABLE) -> list[str]:
    """Texts, and errors."""
    return [item.text if isinstance(item, Article) else str(item) for item in items(data, columns, format)]


class TestColumns:
    @pytest.mark.parametrize(
        ("found", "names"),
        [
            (["text"], ["text"]),
            (["Headline", "Full Text", "publish_date", "By-line"], ["title", "text", "published", "authors"]),
            (["content", "body"], ["content", "text"]),
            (["body", "text", "TEXT"], ["body", "text", "TEXT"]),
            (["", "id", "text", "views"], ["", "id", "text", "views"]),
            (["url", "link", "text"], ["url", "link", "text"]),
        ],
    )
    def test_named(self, found: list[str], names: list[str]) -> None:
        assert names_of(found, NONE) == names

    @pytest.mark.parametrize(
        ("columns", "names"),
        [
            ({"text": "summary"}, ["text", "", "title", "id"]),
            ({"text": "summary", "title": "text"}, ["text", "title", "headline", "id"]),
            ({"id": ""}, ["summary", "text", "title", ""]),
            ({"source": "id"}, ["summary", "text", "title", "source"]),
        ],
    )
    def test_said(self, columns: dict[str, str], names: list[str]) -> None:
        assert names_of(["summary", "text", "headline", "id"], columns) == names

    @pytest.mark.parametrize(
        ("found", "columns", "reason"),
        [
            (
                ["a", "b c"],
                {},
                "none of its columns looks like the text of articles; say which to take, as in --columns",
            ),
            (["a", "b c"], {}, "It has: 'a', 'b c'"),
            ([], {}, "It has: none"),
            (["text"], {"title": "head"}, "it has no column 'head'; say which"),
            (["text"], {"text": ""}, "none of its columns looks like"),
        ],
    )
    def test_missing(self, found: list[str], columns: dict[str, str], reason: str) -> None:
        with pytest.raises(InvalidInput) as error:
            names_of(found, columns)
        assert reason in str(error.value)

    def test_option(self) -> None:
        assert read_columns("text = my body,id=") == {"text": "my body", "id": ""}
        assert read_columns("text=a=b") == {"text": "a=b"}
        for wrong in ("", "text", "body=text", "text=a,,title=b"):
            with pytest.raises(
                InvalidInput, match="names no column; write FIELD=COLUMN with one of the fields text, id"
            ):
                read_columns(wrong)

    def test_no_two_fields_have_a_name_in_common(self) -> None:
        names = [name for field, others in FIELDS.items() for name in (field, *others)]
        assert len(names) == len(set(names))


class TestTable:
    def test_fields_and_metadata(self) -> None:
        data = "id,Headline,Body,Date,Publication,Author,link,section,empty\r\n"
        data += '7,"Bridge, shut","It was\nshut.",2023-07-28,Post,"P. Desk; Castle FC",https://p.example/,Local,\r\n'
        [article] = items(data)
        assert isinstance(article, Article)
        assert (article.id, article.title, article.text) == ("7", "Bridge, shut", "It was\nshut.")
        assert (article.published, article.source, article.url) == ("2023-07-28", "Post", "https://p.example/")
        assert article.authors == ("P. Desk", "Castle FC")
        assert article.metadata == {"section": "Local"}

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_delimiters_and_ends_of_lines(self, delimiter: str, end: str) -> None:
        assert texts(
            f"title{delimiter}text{end}a{delimiter}A, b; c.{end}"
            if delimiter in "\t|"
            else f"title{delimiter}text{end}a{delimiter}A.{end}"
        ) == ["A, b; c." if delimiter in "\t|" else "A."]

    def test_text_is_kept_to_the_character(self) -> None:
        text = ' “Quoted”, "twice",\r\n\tand\ttabs\u2028 👩‍🚀 '
        data = io.StringIO(newline="")
        csv.writer(data).writerows([["text"], [text]])
        assert texts(data.getvalue()) == [text]

    def test_rows_that_are_wrong_while_the_others_come(self) -> None:
        rows = ["title,text", "a,A.", "b", "c,C.,c", "", 'd,"D" d', ",", 'e,"', 'E."', "f,", 'g,"G.']
        assert texts("\n".join(rows)) == [
            "A.",
            "x, line 3: the number of its cells is 1, that of the columns 2",
            "x, line 4: the number of its cells is 3, that of the columns 2",
            "x, line 6: it is no valid CSV: ',' expected after '\"'",
            "\nE.",
            "x, line 10: the article has no text",
            "x, line 11: it is no valid CSV: unexpected end of data",
        ]

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (
                "a,b\nc,d\n",
                "x: none of its columns looks like the text of articles; say which to take, as in --columns"
                " text=COLUMN. It has: 'a', 'b'",
            ),
            ("\x89PNG\0\0\0\x0d" * 3, "x: it is a binary file"),
            (b"\x89\xff\0PNG" * 3, "x: it is a binary file"),
        ],
    )
    def test_no_table_of_articles(self, data: bytes | str, reason: str) -> None:
        assert texts(data) == [reason]

    def test_columns_that_are_said(self) -> None:
        assert texts("summary,text\nS.,T.\n", {"text": "summary"}) == ["S."]

    @pytest.mark.parametrize(
        ("mark", "name"),
        [
            (b"", "utf-8"),
            (codecs.BOM_UTF8, "utf-8"),
            (codecs.BOM_UTF16_LE, "utf-16-le"),
            (codecs.BOM_UTF16_BE, "utf-16-be"),
            (codecs.BOM_UTF32_LE, "utf-32-le"),
            (b"", "cp1252"),
        ],
    )
    def test_encodings(self, mark: bytes, name: str) -> None:
        text = "“We are café owners — not banks,” the company’s chief said.\r\nNot so.\n"
        assert texts(mark + f'text\n"{text}"\n"{text}"\n'.encode(name)) == [text, text]

    def test_stray_bytes_far_behind_are_windows_1252(self) -> None:
        data = b"text\n" + b"Plain.\n" * 20_000 + "Très “bien” 👍".encode() + b"\nTr\xe8s \x93bien\x94\n"
        assert texts(data)[-2:] == ["Très “bien” 👍", "Très “bien”"]

    def test_nul(self) -> None:
        assert texts("text\nThe bridge\0 was shut and so was the ferry.\n") == [
            "The bridge\ufffd was shut and so was the ferry."
        ]

    def test_quote_that_is_never_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(table, "MAX_CHARACTERS", 100)
        found = texts('text\n"A.\n' + "B\n" * 60 + "C.\n")
        assert found[0] == "x, line 2: it is no valid CSV: field larger than field limit (100)"
        assert found[-1] == "C."

    def test_endless_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(encoding, "MAX_LINE_CHARACTERS", 1_000)
        assert texts("text\nA.\n" + "x" * 1_001) == ["A.", "x: it has a line of more than 1,000 characters"]


def written(rows: list[dict[str, object]], **options: int) -> bytes:
    data = BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), data, **options)
    return data.getvalue()


class TestParquet:
    def test_fields_and_metadata(self) -> None:
        row = {
            "id": 7,
            "Headline": "Bridge shut",
            "content": "It was shut.",
            "date": datetime(2023, 7, 28, 9, 30, tzinfo=UTC),
            "authors": ["P. Desk", "Castle FC"],
            "seen": date(2023, 7, 29),
            "more": {"words": 3},
        }
        [article] = items(written([row]), format=PARQUET)
        assert isinstance(article, Article)
        assert (article.id, article.title, article.text) == ("7", "Bridge shut", "It was shut.")
        assert (article.published, article.authors) == ("2023-07-28T09:30:00Z", ("P. Desk", "Castle FC"))
        assert article.metadata == {"seen": "2023-07-29", "more": {"words": 3}}

    def test_rows_are_numbered_through_all_groups(self) -> None:
        rows: list[dict[str, object]] = [{"text": str(number) if number % 100 else None} for number in range(1, 301)]
        found = texts(written(rows, row_group_size=90), format=PARQUET)
        assert len(found) == 300
        assert [text for text in found if text.startswith("x")] == [
            f"x, row {number}: the article has no text" for number in (100, 200, 300)
        ]

    def test_columns(self) -> None:
        data = written([{"a": "A.", "b": "B."}])
        assert texts(data, {"text": "b"}, PARQUET) == ["B."]
        [error] = texts(data, format=PARQUET)
        assert error.endswith("say which to take, as in --columns text=COLUMN. It has: 'a', 'b'")

    def test_no_text_in_the_column(self) -> None:
        assert texts(written([{"text": 7}]), format=PARQUET) == ['x, row 1: it has no "text", or one that is no string']

    @pytest.mark.parametrize("data", [b"PAR1", b"PAR1" * 10, written([{"text": "A."}])[:-9], b"x"])
    def test_damaged(self, data: bytes) -> None:
        [error] = items(data, format=PARQUET)
        assert isinstance(error, UnreadableArticle)

    def test_without_pyarrow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("index.formats.parquet.find_spec", lambda name: None)
        assert texts(b"PAR1", format=PARQUET) == [
            "x: Parquet needs one more package; run: pip install 'pullquote[parquet]'"
        ]
