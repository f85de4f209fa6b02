"""Feedback to gold: what counts, what is left out, and that what is written is read again."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.feedback import Gathered, Judged, gather, jsonl, squad
from eval.gold import GoldPlace, GoldQuestion, checked, read_gold
from index.article import Article
from index.errors import UnreadableArticle
from index.feedback import Feedback, Place, Verdict, make_feedback
from index.formats import read_file

TEXTS = {
    "bridge": "The bridge was shut on Monday.\r\nIt opened on Friday. 🌉 Nobody cried on Monday.",
    "ferry": "The ferry 🚢 sank\u2028in fog on Monday.",
}


def place(quote: str, article: str = "bridge", occurrence: int = 0) -> Place:
    start = -1
    for _ in range(occurrence + 1):
        start = TEXTS[article].index(quote, start + 1)
    return Place(article, start, start + len(quote), quote)


def said(*given: tuple[str, str, Place | None]) -> dict[int, Feedback]:
    """Feedback of consecutive days, with keys from 1."""
    return {
        key: make_feedback(question, Verdict(verdict), place, None, f"2026-11-{key:02}T09:30:00Z")
        for key, (question, verdict, place) in enumerate(given, start=1)
    }


def answers(*given: tuple[str, Place | None]) -> list[str] | None:
    """What is known of one question after these verdicts: the words of its answers; None where nothing is."""
    gathered = gather(said(*(("When?", *one) for one in given)), TEXTS.get)
    assert gathered.wrong == (not gathered.questions)
    return [one.quote for one in gathered.questions[0].places] if gathered.questions else None


MONDAY, FRIDAY, FOG = place("Monday"), place("Friday"), place("in fog", "ferry")
NOWHERE = Place("bridge", 4, 10, "Monday")
NOTHING: tuple[str, None] = ("unanswerable", None)


class TestWhatCounts:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ([("right", MONDAY)], ["Monday"]),
            ([("better", FRIDAY)], ["Friday"]),
            ([("wrong", MONDAY)], None),
            ([NOTHING], []),
            ([("unanswerable", MONDAY)], []),
            ([("right", MONDAY), ("better", FRIDAY)], ["Friday", "Monday"]),
            ([("right", MONDAY), ("wrong", FRIDAY)], ["Monday"]),
            ([("right", MONDAY), ("right", FRIDAY), ("right", MONDAY)], ["Monday", "Friday"]),
            ([("right", MONDAY), ("wrong", MONDAY)], None),
            ([("wrong", MONDAY), ("right", MONDAY)], ["Monday"]),
            ([("right", MONDAY), ("wrong", place("Monday", occurrence=1))], ["Monday"]),
            ([("right", MONDAY), NOTHING], []),
            ([NOTHING, ("right", MONDAY)], ["Monday"]),
            ([("right", FRIDAY), NOTHING, ("right", MONDAY)], ["Monday"]),
            ([NOTHING, ("wrong", MONDAY)], []),
            ([NOTHING, ("right", MONDAY), ("wrong", MONDAY)], []),
            ([("right", MONDAY), NOTHING, ("wrong", MONDAY)], []),
        ],
    )
    def test_of_one_question(self, given: list[tuple[str, Place | None]], expected: list[str] | None) -> None:
        assert answers(*given) == expected

    def test_each_question_by_itself(self) -> None:
        given = said(("When?", "right", MONDAY), ("Why?", "wrong", MONDAY), ("When?", "better", FRIDAY))
        assert gather(given, TEXTS.get) == Gathered(
            (Judged(3, "When?", "2026-11-03", (FRIDAY, MONDAY), "bridge"),), wrong=1, gone=0
        )

    def test_same_words_at_two_places(self) -> None:
        given = said(("When?", "right", MONDAY), ("When?", "right", place("Monday", "ferry")))
        [known] = gather(given, TEXTS.get).questions
        assert known == Judged(2, "When?", "2026-11-02", (place("Monday", "ferry"), MONDAY), "ferry")

    def test_no_answer_with_what_was_wrongly_given(self) -> None:
        given = said(("When?", "unanswerable", MONDAY))
        assert gather(given, TEXTS.get).questions == (Judged(1, "When?", "2026-11-01", (), "bridge"),)
        assert gather(given, {}.get).questions == (Judged(1, "When?", "2026-11-01", (), None),)

    def test_words_that_stand_there_no_more(self) -> None:
        given = said(
            ("When?", "right", MONDAY), ("When?", "better", NOWHERE), ("Why?", "right", FOG), ("Who?", "wrong", FOG)
        )
        texts = {"bridge": TEXTS["bridge"] + " And more."}
        gathered = gather(given, texts.get)
        assert gathered == Gathered((Judged(1, "When?", "2026-11-01", (MONDAY,), "bridge"),), wrong=1, gone=2)

    def test_an_earlier_verdict_does_not_come_back_with_the_article_gone(self) -> None:
        assert gather(said(("When?", *NOTHING), ("When?", "right", NOWHERE)), TEXTS.get) == Gathered((), 0, 1)


def written(gathered: Gathered, folder: Path) -> tuple[Path, Path]:
    lines, whole = folder / "gold.jsonl", folder / "gold.json"
    lines.write_bytes(jsonl(gathered.questions).encode())
    whole.write_bytes(squad(gathered.questions, TEXTS.get).encode())
    return lines, whole


@pytest.fixture
def gathered() -> Gathered:
    given = said(
        ("When was it “shut”?\nSay!", "right", MONDAY),
        ("When was it “shut”?\nSay!", "better", FRIDAY),
        ("Who cried?", "unanswerable", place("Nobody")),
        ("Who sank the ferry?", "unanswerable", None),
        ('What "sank"?', "right", place("ferry 🚢", "ferry")),
        ("Who paid?", "unanswerable", None),
    )
    return gather(given, TEXTS.get)


class TestFiles:
    def test_jsonl(self, gathered: Gathered) -> None:
        assert [json.loads(line) for line in jsonl(gathered.questions).split("\n")[:3]] == [
            {
                "question": "When was it “shut”?\nSay!",
                "answers": ["Friday", "Monday"],
                "article": "bridge",
                "start": 45,
                "also": [{"article": "bridge", "start": 23, "answer": "Monday"}],
                "answerable": True,
                "date": "2026-11-02",
            },
            {
                "question": "Who cried?",
                "answers": [],
                "article": "bridge",
                "answerable": False,
                "date": "2026-11-03",
            },
            {"question": "Who sank the ferry?", "answers": [], "answerable": False, "date": "2026-11-04"},
        ]

    def test_squad(self, gathered: Gathered) -> None:
        shut = {
            "id": "feedback-2",
            "question": "When was it “shut”?\nSay!",
            "answers": [{"text": "Friday", "answer_start": 45}, {"text": "Monday", "answer_start": 23}],
            "is_impossible": False,
            "date": "2026-11-02",
        }
        cried = {"id": "feedback-3", "question": "Who cried?", "answers": []}
        cried |= {"is_impossible": True, "date": "2026-11-03"}
        whole = json.loads(squad(gathered.questions, TEXTS.get))
        assert (whole["version"], [entry["title"] for entry in whole["data"]]) == ("v2.0", ["bridge", "", "ferry"])
        assert whole["data"][0]["paragraphs"] == [{"context": TEXTS["bridge"], "qas": [shut, cried]}]
        assert [asked["question"] for asked in whole["data"][1]["paragraphs"][0]["qas"]] == [
            "Who sank the ferry?",
            "Who paid?",
        ]

    def test_articles_of_the_squad_file_are_those_of_the_library(self, gathered: Gathered, tmp_path: Path) -> None:
        _, whole = written(gathered, tmp_path)
        items = list(read_file(whole))
        assert {item.id: item.text for item in items if isinstance(item, Article)} == TEXTS
        assert [item.reason for item in items if isinstance(item, UnreadableArticle)] == ["the article has no text"]

    def test_question_with_answers_in_two_articles(self, tmp_path: Path) -> None:
        """SQuAD has answers of one paragraph; no answer is lost."""
        both = gather(said(("When?", "right", MONDAY), ("When?", "better", FOG), ("When?", "right", FRIDAY)), TEXTS.get)
        lines, whole = map(read_gold, written(both, tmp_path))
        monday = GoldPlace("bridge", 23, "Monday")
        day, answers = "2026-11-03", ("Friday", "in fog", "Monday")
        assert lines == [
            GoldQuestion("When?", answers, "bridge", 45, date=day, also=(GoldPlace("ferry", 17, "in fog"), monday))
        ]
        assert whole == [
            GoldQuestion("When?", ("Friday", "Monday"), "bridge", 45, date=day, also=(monday,)),
            GoldQuestion("When?", ("in fog",), "ferry", 17, date=day),
        ]
        data = json.loads(squad(both.questions, TEXTS.get))["data"]
        ids = [asked["id"] for entry in data for asked in entry["paragraphs"][0]["qas"]]
        assert ids == ["feedback-3", "feedback-3-1"]


QUESTIONS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip())
)
PLACES = st.builds(
    lambda text, start, length: Place("odd", start, start + length, text[start : start + length]),
    st.just("Ab 🌉\r\n“é\u0301”\u2028\x85\u00a0\ufeffz,\"'\\|\tEnd" * 2),
    st.integers(0, 30),
    st.integers(1, 20),
).filter(lambda place: bool(place.quote.strip()) and place.end == place.start + len(place.quote))
GIVEN = st.lists(
    st.one_of(
        st.tuples(QUESTIONS, st.sampled_from(["right", "better", "wrong"]), PLACES),
        st.tuples(QUESTIONS, st.just("unanswerable"), st.one_of(st.none(), PLACES)),
    ),
    min_size=1,
    max_size=8,
)
ODD = {"odd": "Ab 🌉\r\n“é\u0301”\u2028\x85\u00a0\ufeffz,\"'\\|\tEnd" * 2}


@given(GIVEN)
def test_nothing_is_lost(tmp_path_factory: pytest.TempPathFactory, given: list[tuple[str, str, Place | None]]) -> None:
    """Both files give the same questions, with all their answers, places and days."""
    gathered = gather(said(*given), ODD.get)
    if not gathered.questions:
        return
    folder = tmp_path_factory.mktemp("gold")
    (folder / "gold.jsonl").write_bytes(jsonl(gathered.questions).encode())
    (folder / "gold.json").write_bytes(squad(gathered.questions, ODD.get).encode())
    expected = {
        one.question: (
            one.article,
            tuple(dict.fromkeys(place.quote for place in one.places)),
            tuple(GoldPlace(place.article, place.start, place.quote) for place in one.places),
            one.day,
        )
        for one in gathered.questions
    }
    for file in ("gold.jsonl", "gold.json"):
        read = read_gold(folder / file)
        assert {gold.question: (gold.article, gold.answers, gold.places, gold.date) for gold in read} == expected
        assert len(read) == len(expected)
        assert checked(read, ODD.get) == (read, [])
