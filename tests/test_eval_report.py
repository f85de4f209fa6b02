"""The page about a run: right figures, every miss, nothing from elsewhere, and text that stays text."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import lxml.html
import matplotlib
import pytest

from eval.compare import Change, Comparison, PartChange
from eval.misses import Miss
from eval.record import Card, Record, Run, SeenHit, Shown, unlike
from eval.report import MAX_CARDS, MAX_PARTS, html
from eval.scores import METRICS, scores
from tests.test_eval_scores import NONE, NOTHING, WRONG, made
from tests.test_eval_scores import RECORDS as PLAIN

CARD = Card(
    gold=Shown("ports", "Ports of the north", 40, "It was signed in ", "Oslo", " in May."),
    ours=Shown("towns", None, 7, "Then ", "Bergen", ", they said."),
    hits=(
        SeenHit("towns", None, 0, 90, 1.25, 0.5, 12.0, True, False),
        SeenHit("ports", "Ports of the north", 20, 80, 0.75, 0.25, 3.5, False, True),
    ),
)
EMPTY = Card(None, None, ())
RECORDS = [record if record.miss is None else replace(record, card=CARD) for record in PLAIN]
ABOUT = {"made": "2026-11-23", "settings": {"hits": 10, "exhaustive": False, "fit": {"stop": None, "at": [0.5, 2]}}}
VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = (
    "<script>alert(1)</script>",
    "</style></title><b>",
    "]]>--><!--",
    "\"'><img src=x onerror=y>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;&#x0;&",
    "\u0301\u0323 alone",
    "\u202eright to left\u2066",
    "שלום",
    "😀 𝔘",
    "javascript:alert(1)",
)


def page(*records: Record, about: dict[str, object] = ABOUT) -> str:
    return html(Run(about, records))


def tree(text: str) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(text.encode(), parser=lxml.html.HTMLParser(encoding="utf-8"))


def words(element: lxml.html.HtmlElement) -> str:
    return " ".join(element.text_content().split())


def rows(document: lxml.html.HtmlElement, path: str) -> list[list[str]]:
    return [[words(cell) for cell in row.xpath("th|td")] for row in document.xpath(f"{path}//tr")]


class Elements(HTMLParser):
    """All elements with their attributes; each that opens must close where it should."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def elements(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser.found


@pytest.fixture(scope="module", autouse=True)
def _few_resamples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eval.report.scores", lambda records: scores(records, 50))
        yield


@pytest.fixture(scope="module")
def text() -> str:
    return page(*RECORDS)


@pytest.fixture(scope="module")
def document(text: str) -> lxml.html.HtmlElement:
    return tree(text)


def test_headline_says_how_many_are_right(document: lxml.html.HtmlElement) -> None:
    assert words(document.xpath("//h1")[0]) == "2 of 6 questions handled rightly"
    assert words(document.xpath("//*[@class='deck']")[0]) == (
        "4 of them answerable from the articles, 2 not; 6 quotes checked, all at their place."
    )


def test_misplaced_quotes_are_told() -> None:
    document = tree(page(made("?", quotes=1_200, misplaced=3)))
    assert words(document.xpath("//*[@class='deck']")[0]) == (
        "1 of them answerable from the articles, 0 not; 1,200 quotes checked, 3 not at their place."
    )


@pytest.mark.parametrize(
    ("metric", "label", "value"),
    [
        ("em", "exact match", "33.3 %"),
        ("f1", "F1", "41.7 %"),
        ("answerable_em", "answerable: exact match", "25.0 %"),
        ("answerable_f1", "answerable: F1", "37.5 %"),
        ("recall@10", "recall@10", "75.0 %"),
        ("answered", "share answered", "50.0 %"),
        ("answered_em", "exact match where answered", "33.3 %"),
        ("no_answer_recall", "unanswerable: no answer given", "50.0 %"),
        ("total_p50", "total, 50th percentile", "10 ms"),
    ],
)
def test_headline_figures(document: lxml.html.HtmlElement, metric: str, label: str, value: str) -> None:
    figure = document.get_element_by_id(f"figure-{metric}")
    assert words(figure.xpath(".//dt")[0]) == label
    assert words(figure.xpath(".//*[@class='value']")[0]) == value
    assert re.fullmatch(r"[\d.]+ to [\d.]+", words(figure.xpath(".//*[@class='interval']")[0]))


def test_table_has_every_metric(document: lxml.html.HtmlElement) -> None:
    table = rows(document, "//*[@id='figures']//table")
    assert [row[0] for row in table[1:]] == [metric.label for metric in METRICS.values()]
    assert ["passages read", "3.0", "3.0 to 3.0", "lower"] in table


def test_misses_by_label_in_the_order_of_the_way(document: lxml.html.HtmlElement) -> None:
    labels, oracle = document.xpath("//*[@class='bars']")
    assert [row[:1] + row[2:] for row in rows(labels, ".")] == [
        ["not in the library", "0", "0.0 %"],
        ["split by passages", "0", "0.0 %"],
        ["not retrieved", "1", "16.7 %"],
        ["retrieved but not read", "0", "0.0 %"],
        ["lost to another passage", "1", "16.7 %"],
        ["wrong span in the right passage", "0", "0.0 %"],
        ["withheld though right", "1", "16.7 %"],
        ["answered though unanswerable", "1", "16.7 %"],
    ]
    assert [row[:1] + row[2:] for row in rows(oracle, ".")] == [
        ["as it is", "33.3 %", ""],
        ["retrieval", "100.0 %", "+66.7"],
        ["reading", "100.0 %", "+66.7"],
        ["ranking", "100.0 %", "+66.7"],
        ["abstaining", "83.3 %", "+50.0"],
    ]


def test_confusion_of_answered_and_withheld(document: lxml.html.HtmlElement) -> None:
    assert rows(document, "//*[@class='confusion']") == [
        ["", "answered right", "answered wrong", "no answer given"],
        ["answerable", "1 25.0 %", "1 25.0 %", "2 50.0 %"],
        ["unanswerable", "0 0.0 %", "1 50.0 %", "1 50.0 %"],
    ]
    right = document.xpath("//*[@class='confusion']//*[contains(@class, 'right')]")
    assert [cell.getparent().index(cell) for cell in right] == [1, 3]


def test_every_miss_has_its_card_under_its_label(document: lxml.html.HtmlElement) -> None:
    sections = document.xpath("//section[@class='label']")
    assert [(part.get("id"), [words(one) for one in part.xpath(".//*[@class='question']")]) for part in sections] == [
        ("not-retrieved", ["not found"]),
        ("lost-to-another-passage", ["wrong"]),
        ("withheld-though-right", ["withheld"]),
        ("answered-though-unanswerable", ["wrongly some"]),
    ]
    contents = [link.get("href") for link in document.xpath("//*[@class='contents']//a")]
    assert contents == [f"#{part.get('id')}" for part in sections]


def test_card_shows_both_places_and_the_hits() -> None:
    missed = made("Where?", **WRONG, tags=("hard",), miss=Miss.LOST, best="Bergen", given="Bergen", card=CARD)
    card = tree(page(missed)).xpath("//details[@class='card']")[0]
    assert words(card.xpath("summary")[0]) == "Where? “Bergen”, 75 % sure, given; right is “Oslo”"
    assert [words(place) for place in card.xpath(".//blockquote")] == [
        "It was signed in Oslo in May. Ports of the north at 40",
        "Then Bergen, they said. towns at 7",
    ]
    assert [words(mark) for mark in card.xpath(".//mark")] == ["Oslo", "Bergen"]
    assert rows(card, ".//*[@class='hits']")[1:] == [
        ["1", "towns 0 to 90", "1.250", "0.500", "12.00", "yes", "no"],
        ["2", "Ports of the north 20 to 80", "0.750", "0.250", "3.50", "no", "yes"],
    ]
    assert words(card.xpath(".//*[@class='tags']")[0]) == "hard"


def test_card_of_unknown_place_shows_the_accepted_answers() -> None:
    missed = made("Where?", **{**WRONG, **NOTHING}, answers=("Oslo", "in Oslo"), best=None, miss=Miss.LOST, card=EMPTY)
    card = tree(page(missed)).xpath("//details[@class='card']")[0]
    assert words(card.xpath("summary")[0]) == "Where? no candidate; right is “Oslo”"
    assert [words(told) for told in card.xpath(".//p")] == [
        "accepted, of unknown place: “Oslo”, “in Oslo”",
        "There was no candidate.",
    ]
    assert card.xpath(".//table") == []


def test_about_is_told_whatever_is_in_it(document: lxml.html.HtmlElement) -> None:
    assert [
        (words(fact.xpath("dt")[0]), words(fact.xpath("dd")[0])) for fact in document.xpath("//*[@id='about']//dl/div")
    ] == [
        ("made", "2026-11-23"),
        ("hits", "10"),
        ("exhaustive", "no"),
        ("fit, stop", "–"),
        ("fit, at", "0.5, 2"),
    ]


def test_slices_show_parts_of_several_questions() -> None:
    records = [
        made("Who?", source="A"),
        made("Who else?", **WRONG, source="A", miss=Miss.LOST, card=CARD),
        made("Why?"),
    ]
    tables = tree(page(*records)).xpath("//*[@class='slices']/div")
    assert [rows(table, ".") for table in tables] == [
        [["question word", "questions", "exact match", "F1"], ["who", "2", "50.0 %", "75.0 %"]],
        [["words of the answer", "questions", "exact match", "F1"], ["1", "3", "66.7 %", "83.3 %"]],
        [["source", "questions", "exact match", "F1"], ["A", "2", "50.0 %", "75.0 %"]],
    ]
    assert [[words(note) for note in table.xpath("p")] for table in tables] == [
        ["1 smaller left out."],
        [],
        ["1 smaller left out."],
    ]


def test_only_the_largest_parts_are_shown() -> None:
    records = [made("?", source=f"source {number:03}") for number in range(MAX_PARTS + 2) for _ in range(2)]
    *_, sources = tree(page(*records)).xpath("//*[@class='slices']/div")
    assert [row[0] for row in rows(sources, ".")[1:]] == [f"source {number:03}" for number in range(MAX_PARTS)]
    assert words(sources.xpath("p")[0]) == "2 smaller left out."


def test_charts_say_in_words_what_they_show(document: lxml.html.HtmlElement) -> None:
    charts = {words(figure.xpath("h3")[0]): figure for figure in document.xpath("//figure")}
    assert list(charts) == ["Risk and coverage", "Calibration", "Recall", "Time by stage"]
    told = {name: words(figure.xpath(".//*[local-name()='desc']")[0]) for name, figure in charts.items()}
    assert told["Risk and coverage"] == (
        "Of all 6 questions 66.7% would be wrong. 50.0% are answered, and 66.7% of these are wrong."
    )
    assert (
        told["Calibration"]
        == "confidence 5%: 0% right of 1; confidence 25%: 50% right of 2; confidence 75%: 33% right of 3"
    )
    assert told["Recall"] == "Recall@1 is 25.0%, recall@10 75.0%."
    assert told["Time by stage"].endswith("total: half take at most 10 ms, 95 in 100 at most 25 ms")
    for figure in charts.values():
        svg = figure.xpath(".//*[local-name()='svg']")[0]
        assert svg.get("role") == "img"
        assert [document.get_element_by_id(id).tag for id in svg.get("aria-labelledby").split()] == ["title", "desc"]


def test_charts_take_the_colours_of_the_page(text: str) -> None:
    style = text[text.index("<style>") : text.index("</style>")]
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, re.S))
    used = set(re.findall(r"var\((--[a-z]+)\)", drawn))
    assert used == {"--ink", "--soft", "--rule", "--accent"}
    assert all(f"{name}:" in style for name in used)
    assert re.findall(r"(?<!url\()#[0-9a-f]{6}", drawn) == []
    assert text.count("<style") == 1


def test_nothing_comes_from_elsewhere_and_nothing_runs(text: str) -> None:
    found = elements(text)
    assert {tag for tag, _ in found} & {"script", "link", "img", "iframe", "object", "embed", "base", "form"} == set()
    assert all(not name.startswith("on") for _, attributes in found for name in attributes)
    links = [
        attributes[name] for _, attributes in found for name in ("href", "src", "xlink:href") if name in attributes
    ]
    assert all(link and link.startswith("#") for link in links)
    assert re.findall(r"https?://|@import|(?<!\w)url\((?!#)", text) == []
    policies = [attributes["content"] for _, attributes in found if attributes.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_ids_are_unique_and_references_reach_one(text: str) -> None:
    found = elements(text)
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= set(ids)


def test_same_run_gives_the_same_page_whatever_matplotlib_is_told_elsewhere(text: str) -> None:
    with matplotlib.rc_context({"axes.grid": True, "lines.linestyle": "--", "xtick.top": True}):
        assert page(*RECORDS) == text


def hostile_record(text: str) -> Record:
    shown = Shown(text, text, 3, text, text, text)
    card = Card(shown, shown, (SeenHit(text, text, 0, 9, 1.0, 1.0, 1.0, True, True),))
    everywhere = {"answers": (text, text + "2"), "given": text, "best": text, "tags": (text,), "source": text}
    return made(text, **WRONG, **everywhere, miss=Miss.LOST, card=card)


def test_hostile_text_stays_text() -> None:
    about = {"topic": {text: text for text in HOSTILE}, **{text: [text] for text in HOSTILE}}
    found = page(*[hostile_record(text) for text in HOSTILE for _ in range(2)], about=about)
    harmless = page(*[hostile_record("harmless") for _ in range(2)])
    assert {tag for tag, _ in elements(found)} == {tag for tag, _ in elements(harmless)}
    document = tree(found)
    cards = document.xpath("//details[@class='card']")[::2]
    assert [card.xpath(".//*[@class='question']")[0].text_content() for card in cards] == list(HOSTILE)
    for path, times in (
        (".//mark", 1),
        (".//blockquote/p", 3),
        (".//cite", 1),
        (".//td[@class='title']/bdi", 1),
        (".//*[@class='tags']", 1),
    ):
        assert [card.xpath(path)[0].text_content() for card in cards] == [text * times for text in HOSTILE]
    assert {name.text_content() for name in document.xpath("//*[@class='slices']//bdi")} > set(HOSTILE)
    assert [value.text_content() for value in document.xpath("//*[@id='about']//dd")] == [*HOSTILE] * 2


def test_characters_that_no_page_may_hold_are_replaced() -> None:
    question = "a\0b\x1bc\x7fd\x85e\ud800f\uffffg\r\n\th"
    found = page(made(question, **WRONG, miss=Miss.LOST, card=CARD))
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", found) == []
    found.encode()
    assert tree(found).xpath("//*[@class='question']")[0].text_content() == "a�b�c�d�e�f�g�\n\th"


def test_run_without_misses() -> None:
    document = tree(page(made("one"), made("two")))
    assert words(document.xpath("//*[@id='cards']")[0]) == "Every miss There is none."
    assert document.xpath("//details[@class='card']") == []
    assert words(document.xpath("//h1")[0]) == "2 of 2 questions handled rightly"


def test_run_in_which_nothing_has_an_answer() -> None:
    records = [made("none", **{**NONE, "given": None, "best": None, "confidence": 0.0})] * 2
    document = tree(page(*records))
    assert words(document.get_element_by_id("figure-answerable_em").xpath(".//dd")[0]) == "– –"
    assert words(document.get_element_by_id("figure-recall@10").xpath(".//dd")[0]) == "– –"
    assert words(document.get_element_by_id("figure-no_answer_recall").xpath(".//dd")[0]) == "100.0 % 100.0 to 100.0"
    assert [len(figure.xpath(".//*[local-name()='svg']")) for figure in document.xpath("//figure")] == [1, 1, 0, 1]


@pytest.mark.parametrize(("hits", "told"), [(10, "Recall@1 is 0.0%, recall@10 0.0%."), (0, "Nothing to show")])
def test_run_in_which_nothing_was_found(hits: int, told: str) -> None:
    missed = {**WRONG, **NOTHING, "rank": None, "hits": hits, "read": 0, "miss": Miss.NOT_RETRIEVED, "card": EMPTY}
    assert told in page(made("Where?", **missed), made("When?", **missed))


def test_run_of_one_question() -> None:
    document = tree(page(made("Where?")))
    assert words(document.get_element_by_id("figure-em").xpath(".//dd")[0]) == "100.0 % 100.0 to 100.0"
    assert words(document.xpath("//*[@id='slices']")[0]) == "Slices No part has more than one question."


def test_more_misses_than_a_page_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.report.MAX_CARDS", 3)
    assert MAX_CARDS == 2_000
    lost = [made(f"lost {number}", **WRONG, miss=Miss.LOST, card=CARD) for number in range(4)]
    withheld = [made(f"withheld {number}", **NOTHING, miss=Miss.WITHHELD, card=CARD) for number in range(2)]
    document = tree(page(lost[0], withheld[0], *lost[1:], withheld[1]))
    assert [words(one) for one in document.xpath("//*[@class='question']")] == ["lost 0", "lost 1", "withheld 0"]
    assert [words(one) for one in document.xpath("//*[@class='label']/h3")] == [
        "lost to another passage 2 of 4",
        "withheld though right 1 of 2",
    ]
    assert "The first 3; 3 more are in the run file." in words(document.get_element_by_id("cards"))


def test_baseline_says_what_was_made_with_something_else() -> None:
    one = (made("Where?"),)
    before = {
        "made": "2026-11-22",
        "seconds": 5.1,
        "peak_memory_mib": 700,
        "settings": {"hits": 10, "exhaustive": True},
        "seed": 1,
    }
    after = {"made": "2026-11-23", "settings": {"hits": 10, "exhaustive": False}}
    assert rows(tree(html(Run(after, one), Run(before, one))), "//*[@class='unlike']") == [
        ["", "before", "now"],
        ["settings, exhaustive", "yes", "no"],
        ["seed", "1", "–"],
    ]
    near = [*unlike({"settings": {"threshold": 0.43211}}, {"settings": {"threshold": 0.43214}})]
    assert near == [("settings, threshold", "0.43211", "0.43214")]
    later = {**after, "made": "2026-11-24", "seconds": 6.2}
    assert "Both were made with the same." in html(Run(later, one), Run(after, one))


def test_comparison_shows_what_changed() -> None:
    nothing = Change(None, None, None, None, None)
    changes = {
        **dict.fromkeys(METRICS, nothing),
        "em": Change(0.5, 0.4, -0.15, -0.05, 0.001),
        "total_p50": Change(1200.0, 1300.0, -10.0, 210.0, 0.3),
    }
    run = Run(ABOUT, (made("Where?"),))
    part = PartChange(30, Change(0.5, 0.4, -0.2, 0.0, 0.04), Change(0.5, 0.45, -0.1, 0.0, 0.04))
    same = PartChange(7, *[Change(0.5, 0.5, -0.1, 0.1, 1.0)] * 2)
    parts = {"question word": {"who": part, "where": same}, "tag": {}}
    section = tree(html(run, run, Comparison(changes, parts, 40, 1_000, 2, 10, 110))).get_element_by_id("baseline")
    assert rows(section, ".//*[@class='slices']") == [
        ["question word", "questions", "exact match", "F1", "95 % interval"],
        ["who", "30", "−10.0", "−5.0", "−10.0 to +0.0"],
        ["where", "7", "+0.0", "+0.0", "−10.0 to +10.0"],
    ]
    assert rows(section, ".//*[@class='changes']")[1:] == [
        ["exact match", "50.0 %", "40.0 %", "−10.0", "−15.0 to −5.0", "0.001"],
        ["total, 50th percentile", "1,200 ms", "1,300 ms", "+100.0", "−10.0 to +210.0", "0.300"],
    ]
    assert [words(row.xpath("td")[0]) for row in section.xpath(".//*[@class='significant']")] == ["exact match", "who"]
    assert words(section.xpath("p")[0]).startswith(
        "Of 1,000 questions asked in both runs 10 are better answered, 110 worse, 880 alike; "
        "2 asked in one run only, or with other answers, are left out."
    )
    assert words(section.xpath(".//*[@class='worse']")[0]) == "Significantly worse: exact match."
    assert "Too few questions" not in words(section)
    assert "Too few questions" in html(run, run, Comparison(changes, {}, 7, 7, 0, 0, 7))


def test_without_a_baseline_nothing_is_said_of_one(document: lxml.html.HtmlElement) -> None:
    assert document.xpath("//*[@id='baseline'] | //a[@href='#baseline']") == []
