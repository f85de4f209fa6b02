"""Files that other programs made: how many articles, what they say of themselves, where they begin and end."""

from pathlib import Path

import pytest

from index.article import Article
from index.formats import read_file

FILES = Path(__file__).parent / "files"
AUTHORS = ("Ann Example", "Bo Sample")
SWANS = "The swans of Lindenmark"
SCRATCH = "With a new scratch across the swan’s neck."
ACCIDENTS = "Two accidents and a drought"


def of_file(name: str) -> list[Article]:
    found = list(read_file(FILES / name))
    assert all(isinstance(item, Article) for item in found), found
    return [item for item in found if isinstance(item, Article)]


@pytest.mark.parametrize(
    ("name", "articles", "title", "authors", "published", "first", "last"),
    [
        ("pandoc-coins.docx", 1, SWANS, AUTHORS, "2024-11-22T10:00:00Z", SWANS, SCRATCH),
        ("libreoffice-coins.docx", 1, SWANS, AUTHORS, "2024-11-22T10:00:00Z", SWANS, SCRATCH),
        ("pandoc-coins.html", 1, SWANS, AUTHORS, "2024-11-22", SWANS, SCRATCH),
        (
            "pandoc-coins.md",
            1,
            SWANS,
            AUTHORS,
            "2024-11-22",
            "Thieves take seven gold coins",
            "scratch across the swan's neck.",
        ),
        ("pandoc-coins.epub", 2, "Thieves take seven gold coins", AUTHORS, "2024-11-22", "Thieves take", SCRATCH),
        ("libreoffice-coins.epub", 3, "Section 1", AUTHORS, None, SWANS, SCRATCH),
        ("libreoffice-review.html", 1, ACCIDENTS, ("Ann Example",), "2024-03-09", ACCIDENTS, "At the prices of 2022."),
        (
            "libreoffice-review.xhtml",
            1,
            ACCIDENTS,
            ("Ann Example",),
            "2024-03-09T10:00:00Z",
            ACCIDENTS,
            "At the prices of 2022.",
        ),
        ("zstd-review.html.zst", 1, ACCIDENTS, ("Ann Example",), "2024-03-09", ACCIDENTS, "At the prices of 2022."),
        (
            "groff-news.html",
            1,
            "Inquiry opens into ferry accident",
            (),
            None,
            "Inquiry opens into",
            "the local co-operative.",
        ),
        (
            "docutils-bridge.html",
            1,
            "Saltgate bridge reopens",
            ("Ann Example",),
            "2024-03-12",
            "Saltgate bridge",
            "seen by a fisherman.",
        ),
        (
            "chromium-app.html",
            1,
            "Storm Quill: 9,300 homes still without electricity",
            ("Ida Marsh",),
            "2023-11-18T07:30:00Z",
            "Storm Quill: 9,300",
            "the flower-growing district around Farrow.",
        ),
        ("chromium-long.pdf", 1, "Der Sturm und das Netz", (), None, "Der Sturm", "Monats war alles wieder heil."),
        ("chromium-hebrew.pdf", 1, "הגשר נפתח מחדש", (), None, "הגשר נפתח מחדש", "הגשר הבא ייבדק באביב."),
        (
            "pdftex-columns.pdf",
            1,
            "Efficient offices",
            ("Bo Sample",),
            "2024-11-22T10:00:00Z",
            "The office",
            "and the flag came down.",
        ),
        (
            "git-patches.mbox",
            2,
            "[PATCH 1/2] Say that the bridge is shut – for six weeks",
            ("Žofie Lund",),
            "2024-03-07T09:30:00Z",
            "The council’s engineers found cracks",
            "+Ferries run every twenty minutes.\n-- \n2.39.5",
        ),
        (
            "sqlite-news.csv",
            2,
            "Saltgate bridge shut",
            ("Ann Example",),
            "2024-03-04",
            "The bridge at Saltgate,",
            "from dawn to dusk.",
        ),
        (
            "sqlite-news.json",
            2,
            "Saltgate bridge shut",
            ("Ann Example",),
            "2024-03-04",
            "The bridge at",
            "every twenty minutes.",
        ),
        (
            "infozip-bridge.zip",
            3,
            "Saltgate Bridge will stay closed until late June",
            (),
            "2024-04-16",
            "Drivers in Merrowick",
            "wner of a café beside the northern ramp.",
        ),
        (
            "gnutar-storm.tar.xz",
            2,
            "Storm Quill leaves 41,000 homes in the dark",
            (),
            "2023-11-17",
            "Storm Quill cut off",
            "district around Farrow.",
        ),
    ],
)
def test_what_is_in_it(
    name: str, articles: int, title: str, authors: tuple[str, ...], published: str | None, first: str, last: str
) -> None:
    found = of_file(name)
    assert len(found) == articles
    assert (found[0].title, found[0].authors, found[0].published) == (title, authors, published)
    assert found[0].text[: len(first)] == first
    assert found[-1].text[-len(last) :] == last


@pytest.mark.parametrize("name", ["pandoc-coins.docx", "libreoffice-coins.docx", "pandoc-coins.html"])
def test_headings_tables_lists_and_notes_of_a_document(name: str) -> None:
    assert (
        "telephone for €80,000.\n\nThe pieces\n\nCoin | Year | Found\n\nDouble florin | 1362 | no\n\n"
        "Swan ducat | 1371 | yes\n\nSwan ducat | 1387 | yes\n\nThree people are held:\n\na roofer, aged 34,\n\n"
        "his brother,\n\na former night guard:\n\nleft his job in May,\n\nis said to have supplied a plan of the alarm."
        "\n\nDr.\xa0Amsel’s law\n\nA hoard is worth n² times what its insurer says, or H2O."
    ) in of_file(name)[0].text


@pytest.mark.parametrize("name", ["libreoffice-review.html", "libreoffice-review.xhtml"])
def test_pages_of_word_processors_lose_nothing(name: str) -> None:
    text = of_file(name)[0].text
    assert "\n\nVallaré records its hottest day at 43.8°C\n\nThe inland town of Vallaré reached" in text
    assert "a day later. One person, a deckhand, is still in hospital with a fractured pelvis.\n\nAccording to" in text
    assert "Speed of the ferry | 9 knots\n\nLimit in the harbour | 6 knots\n\n" in text
    assert "a review of the year" not in text
    assert "page 2" not in text


def test_a_page_made_by_its_script_has_no_menu() -> None:
    text = of_file("chromium-app.html")[0].text
    assert [word for word in ("Home", "Sport", "cookies", "JavaScript", "Please wait") if word in text] == []


def test_columns_are_read_one_after_the_other_and_the_heading_below_behind_them() -> None:
    text = of_file("pdftex-columns.pdf")[0].text
    assert (
        "Every twenty minutes one of them flits across the firth, offering coffee and muffins to shuffling, baffled "
        "commuters."
    ) in text
    assert "and the official traffic reflectors insufficient.\n\nAfterwards\n\nThe bridge reopened" in text


def test_running_heads_and_addresses_of_a_print_are_left_out() -> None:
    text = of_file("chromium-long.pdf")[0].text
    assert text.count("Die Netzbetreibergesellschaft schickte") == text.count("Haushalte ohne Strom") == 18
    assert [words for words in ("file:", "11/25/26", "1/2", "\xad") if words in text] == []


def test_hebrew_is_read_from_right_to_left() -> None:
    assert "המועצה אמרה כי התיקון עלה 240 אלף לירות.\n\nשלוש מעבורות" in of_file("chromium-hebrew.pdf")[0].text
