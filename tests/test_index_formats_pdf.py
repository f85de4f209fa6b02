"""PDF to text: reading order, words and paragraphs mended, and the page of every place."""

import re
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import pages
from index.article import Article, make_article
from index.errors import UnreadableArticle
from index.formats import layout, paragraphs, pdf
from index.formats.format import Item
from index.formats.hyphens import joined, words_of
from index.formats.layout import Line
from index.formats.titles import sensible
from index.pages import page_of
from index.passage import Splitter, sentences

FILES = Path(__file__).parent / "files"
PROGRAMS = [
    "chromium-columns",
    "chromium-page",
    "ghostscript-news",
    "groff-news",
    "landscape",
    "latex-paper",
    "libreoffice-columns",
    "libreoffice-review",
    "restricted",
    "turned",
]


def items(data: bytes) -> list[Item]:
    return list(pdf.read(BytesIO(data), "x"))


def one(data: bytes) -> Article:
    [item] = items(data)
    assert isinstance(item, Article), item
    return item


def of_file(name: str) -> Article:
    return one((FILES / f"{name}.pdf").read_bytes())


def errors(data: bytes) -> list[str]:
    return [str(item) for item in items(data) if isinstance(item, UnreadableArticle)]


Placed = tuple[float, float, str]
"""x, y from the bottom, text."""


def made(*content: list[Placed], size: int = 10, info: str = "", catalog: str = "") -> bytes:
    """A PDF with a page for each list of placed lines."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(content)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(content)} /MediaBox [0 0 400 600]"
        " /Resources << /Font << /F1 3 0 R >> >> >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in enumerate(content):
        escaped = [(x, y, re.sub(r"([\\()])", r"\\\1", text)) for x, y, text in lines]
        stream = "\n".join(f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET" for x, y, text in escaped)
        objects.append(f"<< /Type /Page /Parent 2 0 R /Contents {5 + 2 * number} 0 R >>")
        objects.append(f"<< /Length {len(stream.encode('cp1252'))} >>\nstream\n{stream}\nendstream")
    objects.append(f"<< {info} >>")
    data = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    start = len(data)
    trailer = f"<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>"
    tail = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n{trailer}\nstartxref\n{start}\n%%EOF\n"
    return data + tail.encode("ascii")


def column(x: float, *lines: str, y: float = 500) -> list[Placed]:
    return [(x, y - 12 * number, line) for number, line in enumerate(lines)]


class TestFilesOfPrograms:
    @pytest.mark.parametrize(
        ("name", "title", "authors", "published"),
        [
            ("chromium-columns", "Two reports of a summer", (), None),
            ("chromium-page", "Mud from Lake Hollin holds 9,000 years of floods | Northern Science Review", (), None),
            (
                "latex-paper",
                "Nine thousand years of floods in Lake Hollin",
                ("Ann Example and Bo Sample",),
                "2024-06-27T10:00:00Z",
            ),
            ("libreoffice-review", "Two accidents and a drought", ("Ann Example",), "2026-11-25T00:30:57Z"),
            ("groff-news", "Inquiry opens into ferry accident", (), "2024-06-27T10:00:00Z"),
            ("landscape", None, (), "2026-11-25T00:37:33Z"),
        ],
    )
    def test_what_it_says_of_itself(
        self, name: str, title: str | None, authors: tuple[str, ...], published: str | None
    ) -> None:
        article = of_file(name)
        assert (article.title, article.authors, article.published) == (title, authors, published)

    @pytest.mark.parametrize(
        ("name", "passage"),
        [
            (  # from the left column into the right one, over soft hyphens
                "chromium-columns",
                "floods\n\nA column of mud 14 metres long, drawn from the bed of Lake Hollin, has given researchers a "
                "record of floods reaching back 9,000 years.\n\nThe team from the University of Aldermoor counted "
                "1,146 pale layers in the core, each left by a flood that washed fine sand down from the hills. The "
                "layers cluster in four periods, the longest of which ran from about 3400 to 2900 BC.\n\nTo date",
            ),
            (
                "chromium-page",
                "What was found\n\nFour periods of floods\n\nTwo bands of volcanic ash, thin but well preserved in the "
                "deepest part of the core, where the mud had not been stirred\n\n63 leaf fragments\n\n"
                "Period Layers Thickest\n\n3400 to 2900 BC 412 31 mm\n\nsince 1950 11 9 mm\n\nWhat surprised",
            ),
            (  # title over both columns, authors beside each other
                "latex-paper",
                "Nine thousand years of floods in Lake Hollin\n\nAnn Example Bo Sample\n\n27 June 2024\n\n"
                "A column of mud 14 metres long, drawn",
            ),
            (  # hyphens mended, a note's mark and the note left out of the sentence that goes on in the next column
                "latex-paper",
                "The efficient flow of first floods is different.\n\nTo date the mud, the scientists used radiocarbon "
                "measurements on 63 leaf fragments and two thin bands of volcanic ash. The age of most layers is known "
                "to within 20 years, they write.\n\nWhat surprised them was the recent part. Since 1950 the lake has "
                "recorded a major flood every 6.5 years on average, compared with one every eleven years over the",
            ),
            (
                "latex-paper",
                "dawn.\n\n• A second winch was brought by lorry from the coast, after long negotiations.\n",
            ),
            ("latex-paper", "A well-known long-term study found a well-known state-of-the-art method of"),
            (
                "latex-paper",
                "expects the heat to break on Friday.\n\nLayers thinner than a millimetre were not counted.",
            ),
            (
                "libreoffice-review",
                "Until then the council is paying for a barge to bring in food, heating oil and animal feed twice a "
                "week.\n\nSpeed of the ferry 9 knots\n\nLimit in the harbour 6 knots\n\nCost of the refit "
                "£2.3 million\n\n• A deckhand is in hospital.\n\n• Two ferries are laid up.\n\nVallaré records its "
                "hottest day at 43.8°C\n\nThe inland town of",
            ),
            ("libreoffice-review", "a day later. One person, a deckhand, is still in hospital"),
            (
                "libreoffice-review",
                "dates from 1932.\n\nEarlier counts left out those who were treated on board.\n\n"
                "At the prices of 2022.",
            ),
            ("libreoffice-columns", "the highest temperature since measurements began there in 1886.\n\nThe reading"),
            (  # from page 1 to page 2
                "groff-news",
                "Since 1950 the lake has recorded a major flood every 6.5 years on average, compared with one every "
                "eleven years over the preceding millennium.",
            ),
            ("ghostscript-news", "the ferry Grey Heron failed to slow down before Monday’s accident at Norhaven"),
            ("restricted", "the ferry Grey Heron failed to slow down before Monday’s accident at Norhaven"),
            (
                "landscape",
                "next one.\n\nThe second page lies on its side. The Grey Heron carries 320 passengers and 45 cars; the "
                "Grey Goose, which is older, 280 passengers and no cars at all.",
            ),
        ],
    )
    def test_text(self, name: str, passage: str) -> None:
        assert passage in of_file(name).text

    def test_a_turned_page_reads_like_one_that_is_not(self) -> None:
        assert of_file("turned").text == of_file("ghostscript-news").text

    @pytest.mark.parametrize(
        ("name", "running"),
        [
            ("chromium-columns", ["Northern Science Review", "Page 1"]),
            ("latex-paper", ["FLOODS IN LAKE HOLLIN"]),
            ("libreoffice-review", ["a review of the year", "page 1", "page 4"]),
            ("groff-news", ["Norhaven Courier", "6 March 2024", "− 1 −", "-1-"]),
        ],
    )
    def test_running_heads_are_left_out(self, name: str, running: list[str]) -> None:
        text = of_file(name).text
        assert [words for words in running if words in text] == []

    @pytest.mark.parametrize(
        ("name", "quote", "page"),
        [
            ("chromium-columns", "Two reports of a summer", "1"),
            ("chromium-columns", "animal feed twice a week", "2"),
            ("latex-paper", "Nine thousand", "i"),
            ("latex-paper", "low-temperature measurement", "ii"),
            ("latex-paper", "weather station", "1"),
            ("latex-paper", "Layers thinner than a millimetre", "i"),  # a note, behind the text
            ("libreoffice-review", "At the prices of 2022.", "2"),
            ("libreoffice-review", "dates from 1932", "4"),
            ("landscape", "320 passengers", "2"),
        ],
    )
    def test_page(self, name: str, quote: str, page: str) -> None:
        article = of_file(name)
        assert page_of(article, article.text.index(quote)) == page

    @pytest.mark.parametrize("name", PROGRAMS)
    def test_passages_and_sentences_are_slices(self, name: str) -> None:
        article = of_file(name)
        splitter = Splitter(lambda texts: [[m.span() for m in re.finditer(r"\S+", text)] for text in texts], "words")
        passages = splitter.split(article)
        assert {passage.text for passage in passages} <= {article.text[p.start : p.end] for p in passages}
        covered = {offset for p in passages for offset in range(p.start, p.end)}
        assert [at for at, letter in enumerate(article.text) if not letter.isspace() and at not in covered] == []
        assert all(article.text[start:end].strip() for start, end in sentences(article.text))

    @pytest.mark.parametrize("name", PROGRAMS)
    def test_pages_begin_where_text_does(self, name: str) -> None:
        article = of_file(name)
        found = article.metadata["pages"]
        assert isinstance(found, dict)
        starts = [int(start) for start in found]
        assert starts == sorted(set(starts))
        assert starts[0] == 0
        assert all(not article.text[start].isspace() for start in starts)


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("scanned", "no text in it: it seems to be scanned; run OCR first, e.g. ocrmypdf"),
            ("encrypted", "it is encrypted; save it without its password"),
        ],
    )
    def test_files_of_programs(self, name: str, reason: str) -> None:
        assert errors((FILES / f"{name}.pdf").read_bytes()) == [f"x: {reason}"]

    @pytest.mark.parametrize(
        "data", [b"", b"%PDF-1.4\n", b"Some text.", b"\0" * 5000, made(), made(column(50, "A."))[:120]]
    )
    def test_no_pdf(self, data: bytes) -> None:
        assert errors(data) == ["x: it is no PDF, or a damaged one"]

    def test_more_pages_than_there_is_room_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pdf, "MAX_PAGES", 1)
        assert errors(made([], [])) == ["x: it has 2 pages, more than 1; split it"]

    def test_letters_of_no_meaning(self) -> None:
        data = made(column(50, "\x01\x03\x04\x05 \x06\x07\x08\x0b ab"))
        assert errors(data) == ["x: its fonts do not tell which letters they show; run OCR, e.g. ocrmypdf --force-ocr"]

    def test_a_damaged_page_is_reported_while_the_others_come(self) -> None:
        good = made(column(50, "The first."), column(50, "The second."), column(50, "The third."))
        damaged = good.replace(b"6 0 obj\n<< /Type /Page ", b"6 0 obj\n<< /Type /Oops ", 1)
        found = items(damaged)
        assert [str(item) for item in found if isinstance(item, UnreadableArticle)] == [
            "x, page 2: the page is damaged, and left out"
        ]
        article = found[-1]
        assert isinstance(article, Article)
        assert (article.text, dict(article.metadata)) == (
            "The first.\n\nThe third.",
            {"pages": {"0": "1", "12": "3"}},
        )

    @settings(max_examples=60, deadline=None)
    @given(st.integers(9, 1400), st.binary(min_size=1, max_size=40))
    def test_any_damage_is_articles_or_errors(self, at: int, junk: bytes) -> None:
        good = made(column(50, "The first of two lines", "and the second."), column(50, "Another page."))
        found = items(good[:at] + junk + good[at + len(junk) :])
        assert all(isinstance(item, Article | UnreadableArticle) for item in found)


class TestReadingOrder:
    LEFT = ("The left column of the page is", "read from its top to its foot", "before the right one is begun.")
    RIGHT = ("The right column of this page", "comes after it, whatever the order", "in which the file has them.")
    ORDERED = (
        "The left column of the page is read from its top to its foot before the right one is begun.\n\n"
        "The right column of this page comes after it, whatever the order in which the file has them."
    )

    def test_file_written_line_by_line_across_the_columns(self) -> None:
        across = [line for pair in zip(column(40, *self.LEFT), column(220, *self.RIGHT), strict=True) for line in pair]
        assert one(made(across)).text == self.ORDERED

    def test_file_written_backwards(self) -> None:
        lines = column(40, *self.LEFT) + column(220, *self.RIGHT)
        assert one(made(lines[::-1])).text == self.ORDERED

    def test_what_spans_the_columns_parts_them(self) -> None:
        above = column(40, *self.LEFT) + column(220, *self.RIGHT)
        heading = [(40, 440, "A heading that goes over both of the columns, from edge to edge")]
        below = column(40, *self.LEFT, y=400) + column(220, *self.RIGHT, y=400)
        whole = f"{self.ORDERED}\n\nA heading that goes over both of the columns, from edge to edge\n\n{self.ORDERED}"
        assert one(made(below + heading + above)).text == whole

    def test_three_columns(self) -> None:
        lines = [
            *column(20, "Of three columns this", "is the first, and it has", "three lines of its own."),
            *column(150, "This one stands in the", "middle, and is read as", "the second of them."),
            *column(280, "The last one stands at", "the right, where the", "page comes to its end."),
        ]
        assert one(made(sorted(lines, key=lambda line: -line[1]))).text == (
            "Of three columns this is the first, and it has three lines of its own.\n\n"
            "This one stands in the middle, and is read as the second of them.\n\n"
            "The last one stands at the right, where the page comes to its end."
        )

    def test_columns_of_a_table_are_read_by_rows(self) -> None:
        rows = [("Year", "Cars"), ("2021", "4,310"), ("2022", "5,120"), ("2023", "5,900")]
        lines = [
            (x, 500 - 14 * at, cell) for at, row in enumerate(rows) for x, cell in zip((40, 240), row, strict=True)
        ]
        assert one(made(lines)).text == "Year Cars\n\n2021 4,310\n\n2022 5,120\n\n2023 5,900"

    @settings(max_examples=40, deadline=None)
    @given(
        st.permutations(range(6)), st.lists(st.sampled_from(["flood", "mud", "core", "winch"]), min_size=6, max_size=6)
    )
    def test_no_word_is_lost_in_whatever_order_they_stand(self, order: list[int], words: list[str]) -> None:
        placed = [(40 + 130 * (at % 3), 500 - 40 * (at // 3), f"{word}{at}") for at, word in enumerate(words)]
        text = one(made([placed[at] for at in order])).text
        assert text.split() == [text for _, _, text in placed]


class TestRunningHeads:
    WORDS = ("one", "two", "three", "four")
    BARE = "These words are of page one.\n\nThese words are of page two.\n\nThese words are of page three."

    def page(self, number: int, *ends: Placed) -> list[Placed]:
        return [*ends, *column(50, f"These words are of page {self.WORDS[number]}.")]

    def texts(self, *ends: list[Placed]) -> str:
        return one(made(*(self.page(number, *placed) for number, placed in enumerate(ends)))).text

    def test_head_and_numbers(self) -> None:
        assert self.texts(*([(50, 570, "The Book of Mud"), (200, 20, f"- {n} -")] for n in (1, 2, 3))) == self.BARE

    def test_numbers_that_begin_elsewhere(self) -> None:
        assert self.texts(*([(200, 20, f"Review 12 (2024), {n}")] for n in (431, 432, 433))) == self.BARE

    def test_heads_of_left_and_right_pages(self) -> None:
        heads = ["Ann Example", "The Book of Mud", "Ann Example", "The Book of Mud"]
        assert self.texts(*([(50, 570, head)] for head in heads)) == f"{self.BARE}\n\nThese words are of page four."

    def test_page_of_pages(self) -> None:
        assert self.texts(*([(50, 20, f"Page {n} of 3")] for n in (1, 2, 3))) == self.BARE

    def test_first_lines_that_differ_stay(self) -> None:
        text = self.texts([(50, 570, "Floods of 1950")], [(50, 570, "Floods of 1961")], [(50, 570, "Mud")])
        assert [line for line in ("Floods of 1950", "Floods of 1961", "Mud") if line in text] == [
            "Floods of 1950",
            "Floods of 1961",
            "Mud",
        ]

    def test_same_line_at_another_place_stays(self) -> None:
        assert self.texts([(50, 570, "Again.")], [(50, 540, "Again.")]).count("Again.") == 2

    def test_one_page_keeps_all_but_its_number(self) -> None:
        assert self.texts([(50, 570, "The Book of Mud"), (200, 20, "1")]) == (
            "The Book of Mud\n\nThese words are of page one."
        )


class TestLabels:
    def test_labels_of_the_file(self) -> None:
        labels = "/PageLabels << /Nums [0 << /S /r >> 2 << /S /D /St 1 /P (A-) >>] >>"
        article = one(made(*(column(50, f"Words {n}.") for n in "abcd"), catalog=labels))
        assert article.metadata["pages"] == {"0": "i", "10": "ii", "20": "A-1", "30": "A-2"}

    @pytest.mark.parametrize(
        ("offset", "page"), [(0, "1"), (9, "1"), (10, "2"), (19, "2"), (20, "3"), (28, "3"), (999, "3")]
    )
    def test_page_of(self, offset: int, page: str) -> None:
        assert page_of(one(made(*(column(50, f"Words {n}.") for n in "abc"))), offset) == page

    @pytest.mark.parametrize("found", [None, 7, [0, 7], {"first": 1}, {}, {"3": "1"}])
    def test_article_without_pages_of_this_kind(self, found: object) -> None:
        assert page_of(make_article("Words.", metadata={"pages": found}), 2) is None

    def test_order_of_the_metadata_does_not_matter(self) -> None:
        article = make_article("Words and words.", metadata={"pages": {"10": "3", "6": "2", "0": "1"}})
        assert [page_of(article, offset) for offset in (0, 5, 6, 9, 10)] == ["1", "1", "2", "2", "3"]

    def test_label_is_one_line(self) -> None:
        assert page_of(make_article("Words.", metadata={"pages": {"0": "4\n5"}}), 0) == "4 5"

    def test_page_that_begins_within_a_word(self) -> None:
        first = column(50, "The ferry struck the", "break-", y=60)
        article = one(made(first, column(50, "water at nine, and the", "breakwater held.")))
        assert article.text == "The ferry struck the breakwater at nine, and the breakwater held."
        assert article.metadata["pages"] == {"0": "1", "26": "2"}
        assert (page_of(article, 25), page_of(article, 26)) == ("1", "2")

    def test_the_bound_on_pages_fits_the_bound_on_metadata(self) -> None:
        starts = ((at, at % pages.MAX_PAGES) for at in range(2 * pages.MAX_PAGES))
        labels = [str(number) for number in range(pages.MAX_PAGES)]
        article = make_article("Words.", metadata={"pages": pages.page_starts(starts, labels), "language": "en"})
        assert len(article.metadata["pages"]) == 2 * pages.MAX_PAGES  # type: ignore[arg-type]


class TestParagraphs:
    @pytest.mark.parametrize(
        ("lines", "text"),
        [
            (  # closed by a line that had room for the next word
                column(50, "A paragraph ends where its line", "does.", "Another one begins without a", "space above."),
                "A paragraph ends where its line does.\n\nAnother one begins without a space above.",
            ),
            (  # by an indent
                [
                    *column(50, "The end of the first paragraph is."),
                    *column(65, "The next one", y=488),
                    *column(50, "is told by its indent, and goes on.", y=476),
                ],
                "The end of the first paragraph is.\n\nThe next one\nis told by its indent, and goes on.",
            ),
            (  # by a space
                [*column(50, "Two lines belong", "together here"), *column(50, "and these two lines", "do too", y=460)],
                "Two lines belong together here\n\nand these two lines do too",
            ),
            (
                column(50, "The list has three items", "• one of them", "• the other", "1. the last"),
                "The list has three items\n\n• one of them\n\n• the other\n\n1. the last",
            ),
            (  # lines of verse, or of an address, are no paragraphs of their own
                column(50, "The Marine Bureau", "Quay 4, Norhaven", "open from nine until five every day but Sunday"),
                "The Marine Bureau\nQuay 4, Norhaven\nopen from nine until five every day but Sunday",
            ),
        ],
    )
    def test_where_they_end(self, lines: list[Placed], text: str) -> None:
        assert one(made(lines)).text == text

    def test_item_goes_on_with_an_indent(self) -> None:
        item = [(50.0, 500.0, "• The raft was towed out on the lake at dawn."), (60.0, 488.0, "It came back at dusk.")]
        assert one(made(item)).text == "• The raft was towed out on the lake at dawn. It came back at dusk."

    def test_last_line_of_a_page_that_had_room_ends_its_paragraph(self) -> None:
        first = [(50.0, 100.0, "The words of the first page go on to its end, which is."), (50.0, 60.0, "Summary")]
        assert one(made(first, column(50, "The words of the next page."))).text == (
            "The words of the first page go on to its end, which is.\n\nSummary\n\nThe words of the next page."
        )

    def test_words_that_stand_apart_without_a_space(self) -> None:
        assert one(made([(50, 500, "Grey"), (76, 500, "Heron"), (110, 500, "sails.")])).text == "Grey Heron sails."

    def test_soft_hyphen_that_is_seen(self) -> None:
        data = made([(50, 500, "A well\u00adknown bridge.")])
        encoding = b"/Encoding << /BaseEncoding /WinAnsiEncoding /Differences [173 /sfthyphen] >>"
        data = data.replace(b"/Encoding /WinAnsiEncoding", encoding)
        assert one(data).text == "A well-known bridge."

    def test_a_letter_on_its_own_is_part_of_its_word(self) -> None:
        assert one(made([(50, 500, "Gre"), (67.8, 500, "y Heron")])).text == "Grey Heron"


def line(text: str, left: float, top: float, size: float = 10, width: float = 100) -> Line:
    return Line(text, left, top, left + width, top + size, size)


class TestLayout:
    def test_words_written_from_right_to_left_keep_the_order_of_the_file(self) -> None:
        words = [line("הספינה", 300, 50, width=40), line("פגעה", 267, 50, width=30), line("בקיר", 234, 50, width=30)]
        assert [piece.text for piece in layout.pieces(words)] == ["הספינה פגעה בקיר"]

    NOTES = (line("1 Layers thinner than a", 50, 80, 8), line("millimetre were not counted.", 50, 90, 8))

    def test_small_print_under_the_text_is_notes(self) -> None:
        body = [line("The layers cluster", 50, 50), line("in four periods.", 50, 62)]
        assert paragraphs.notes_apart([*body, *self.NOTES], 10) == (body, list(self.NOTES))
        assert [[part.text for part in note] for note in paragraphs.note_paragraphs(self.NOTES)] == [
            ["Layers thinner than a", "millimetre were not counted."]
        ]

    def test_small_print_that_is_a_whole_column_is_text(self) -> None:
        assert paragraphs.notes_apart(self.NOTES, 10) == (list(self.NOTES), [])

    def test_small_print_without_a_mark_is_text(self) -> None:
        lines = [line("The layers cluster.", 50, 50), line("Photograph by Ann Example", 50, 80, 8)]
        assert paragraphs.notes_apart(lines, 10) == (lines, [])


class TestHyphens:
    @pytest.mark.parametrize(
        ("before", "after", "elsewhere", "whole"),
        [
            ("the acci-", "dent was", "", "the accident was"),
            ("the acci\u00ad", "dent was", "acci-dent", "the accident was"),
            ("the acci\u2010", "dent was", "", "the accident was"),
            ("a well-", "known man", "a well-known one", "a well-known man"),
            ("a re-", "form of", "the re-form, the reform, a reform", "a reform of"),
            ("the low-", "temperature run", "low and temperature", "the low-temperature run"),
            ("be-", "fore noon", "be fore", "before noon"),
            ("Anglo-", "American", "", "Anglo-American"),
            ("COVID-", "19", "", "COVID-19"),
            ("NATO-", "led", "", "NATO-led"),
            ("state-of-the-", "art", "", "state-of-the-art"),
            ("low-", "and high-water", "", "low- and high-water"),
            ("ten-", "year plan", "a year", "ten-year plan"),
            ("ten-", "ant law", "a year", "tenant law"),
            ("1990-", "95", "", "1990-95"),
            ("err-", "and was", "an errand", "errand was"),
            ("桥梁周一", "关闭。", "", "桥梁周一关闭。"),
            ("关闭。The", "桥", "", "关闭。The 桥"),
            ("the end -", "and more", "", "the end - and more"),
            ("the end—", "and more", "", "the end—and more"),
            ("the end —", "and more", "", "the end — and more"),
            ("see page-", "“five”", "", "see page- “five”"),
            ("a bridge", "shut", "", "a bridge shut"),
        ],
    )
    def test_words_parted_at_line_ends(self, before: str, after: str, elsewhere: str, whole: str) -> None:
        words = words_of([elsewhere, before, after])
        assert joined(before, after, words) + after == whole

    def test_text_that_parts_no_words_keeps_hyphens_of_words_it_knows(self) -> None:
        lines = ["no line but this ends so, in any year"] * 99 + ["a nine-and-ninety-", "year wait, and a fifteen-"]
        words = words_of([*lines, "year one"])
        assert (words.hyphenated, joined("a fifteen-", "year", words)) == (False, "a fifteen-")
        assert joined("proportion-", "alities", words) == "proportion"

    def test_parts_of_words_are_no_words(self) -> None:
        assert words_of(["deep-", "est water"]).counts == {"water": 1}


class TestFacts:
    @pytest.mark.parametrize(
        ("title", "found"),
        [
            ("Floods in Lake Hollin", "Floods in Lake Hollin"),
            ("Microsoft Word - Floods in Lake Hollin", "Floods in Lake Hollin"),
            ("Microsoft Word - floods_final2.doc", None),
            ("floods.tex", None),
            ("untitled", None),
            ("Document1", None),
            ("Slide 1", None),
            ("", None),
            (None, None),
        ],
    )
    def test_titles(self, title: str | None, found: str | None) -> None:
        assert sensible(title) == found

    @pytest.mark.parametrize(
        ("date", "published"),
        [
            ("D:20240627103000+02'00'", "2024-06-27T08:30:00Z"),
            ("D:20240627003000+02'00", "2024-06-26T22:30:00Z"),
            ("D:20240627103000-0500", "2024-06-27T15:30:00Z"),
            ("D:20240627103000Z", "2024-06-27T10:30:00Z"),
            ("D:20240627103000Z00'00'", "2024-06-27T10:30:00Z"),
            ("D:20240627103000", "2024-06-27"),
            ("20240627", "2024-06-27"),
            ("D:2024", None),
            ("Thursday", None),
            ("", None),
        ],
    )
    def test_dates(self, date: str, published: str | None) -> None:
        assert one(made(column(50, "Words."), info=f"/CreationDate ({date})")).published == published

    def test_date_of_no_calendar(self) -> None:
        article = one(made(column(50, "Words."), info="/CreationDate (D:20241327103000Z)"))
        assert (article.published, article.metadata["published"]) == (None, "2024-13-27T10:30:00+00:00")

    def test_day_on_which_a_browser_printed_a_page_is_not_that_of_the_page(self) -> None:
        info = "/Creator (Mozilla/5.0 \\(X11\\)) /CreationDate (D:20240627103000Z)"
        assert one(made(column(50, "Words."), info=info)).published is None

    def test_title_from_the_largest_line(self) -> None:
        assert of_file("groff-news").title == "Inquiry opens into ferry accident"
        assert one(made(column(50, "All letters are", "of one size."), size=20)).title is None

    def test_title_that_is_a_file_name_gives_way(self) -> None:
        assert one(made(column(50, "Words."), info="/Title (words.doc) /Author (Ann Example; Bo Sample)")).title is None

    def test_authors(self) -> None:
        article = one(made(column(50, "Words."), info="/Author (Ann Example; Bo Sample)"))
        assert article.authors == ("Ann Example", "Bo Sample")
