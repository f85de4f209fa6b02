"""Settings chosen on gold questions: worked out by hand on a toy library, and kept."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Add, Run

from eval import tune as tune_module
from eval.gold import GoldQuestion
from eval.tune import HITS, WEIGHTS, Choice, tune
from index.article import make_article
from index.errors import InvalidInput, LibraryCorrupt
from index.library import DENSE_WEIGHT_SETTING, Library
from index.passage import Passage
from index.search import DENSE_WEIGHT
from qa.confidence import Calibration, calibration_for
from qa.reader import Span, reader_folder


class NumberReader:
    """Finds the boat of the harbour asked for, with the score that the text says."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        wanted = re.escape(question.removesuffix("?").split()[-1])
        return [
            [
                Span(passage, passage.start + match.start(1), passage.start + match.end(1), float(match[2]))
                for match in re.finditer(rf"{wanted} has the (boat\d+ at (-?\d+))", passage.text)
            ]
            for passage in passages
        ]


@pytest.fixture
def reader() -> NumberReader:
    return NumberReader()


def progress(items: Sequence[GoldQuestion], doing: str) -> Iterable[object]:
    return items


@pytest.fixture
def harbours(library: Library, add: Add) -> Library:
    """Sixty articles, each with a boat of its own."""
    add(library, *[make_article(text(number), id=f"h{number}") for number in range(60)])
    return library


def text(number: int) -> str:
    return f"Harbour{number} has the boat{number} at {3 if number % 2 else 1} knots."


def asked(number: int, *, answerable: bool = True) -> GoldQuestion:
    """Answered by the first words; those of odd numbers have the surer answer."""
    boat = f"boat{number} at {3 if number % 2 else 1}"
    return GoldQuestion(
        f"Which boat has Harbour{number}?", (boat,) if answerable else (), f"h{number}" if answerable else None
    )


def test_chooses_the_fewest_hits_and_the_threshold_that_handles_most(harbours: Library) -> None:
    questions = [asked(number, answerable=number % 2 == 1) for number in range(60)]
    found = tune(harbours, NumberReader(), Calibration(threshold=0.1), questions, progress)
    assert found.choice.hits == HITS[0]
    assert found.choice.threshold == 0.74  # above the logistic of 1, below that of 3
    assert found.before.exact_match == pytest.approx(0.5)
    assert found.after.exact_match == pytest.approx(1.0)
    assert (found.before.recall, found.after.recall, found.after.f1) == (1.0, 1.0, 1.0)
    assert 0.3 < found.low < 0.5 < found.high < 0.7


def test_the_gain_is_of_questions_that_had_no_part_in_the_choice(library: Library, add: Add) -> None:
    """A fifth alone has no answers, and needs a threshold: what is chosen without it does not know of that."""
    unanswerable = [number % 5 == 0 for number in range(60)]
    knots = [-1 if one else 3 for one in unanswerable]
    add(library, *[make_article(f"Harbour{n} has the boat{n} at {knots[n]} knots.", id=f"h{n}") for n in range(60)])
    questions = [
        GoldQuestion(f"Which boat has Harbour{number}?", () if none else (f"boat{number} at 3",))
        for number, none in enumerate(unanswerable)
    ]
    found = tune(library, NumberReader(), Calibration(threshold=0.5), questions, progress)
    assert (found.before.exact_match, found.choice.threshold > 0.26) == (1.0, True)
    assert (found.after.exact_match, found.gain) == (pytest.approx(0.8), pytest.approx(-0.2))


def test_questions_about_one_article_are_parted_too(harbours: Library) -> None:
    questions = [replace(asked(number), article="h1") for number in range(50)]
    found = tune(harbours, NumberReader(), Calibration(threshold=0.1), questions, progress)
    assert (found.after.exact_match, found.gain) == (1.0, 0.0)


def test_the_weight_is_left_where_it_is_unless_another_finds_more(harbours: Library) -> None:
    questions = [asked(number) for number in range(60)]
    found = tune(harbours, NumberReader(), Calibration(threshold=0.1), questions, progress)
    assert found.choice.dense_weight == DENSE_WEIGHT
    harbours.note(DENSE_WEIGHT_SETTING, "1.0")  # the toy embedder's vectors find less than words do
    alone = tune(harbours, NumberReader(), Calibration(threshold=0.1), questions, progress)
    assert alone.choice.dense_weight < 1.0
    assert alone.choice.dense_weight in WEIGHTS


def test_each_passage_is_read_once_for_a_question(harbours: Library) -> None:
    read: list[tuple[str, int]] = []

    class Counting(NumberReader):
        def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
            read.extend((question, id(passage.article)) for passage in passages)
            return super().read(question, passages)

    tune(harbours, Counting(), Calibration(), [asked(number) for number in range(50)], progress)
    assert len(read) == len(set(read))


@pytest.mark.parametrize("questions", [[asked(1)], [asked(number, answerable=False) for number in range(60)]])
def test_too_few_questions(harbours: Library, questions: list[GoldQuestion]) -> None:
    with pytest.raises(InvalidInput, match="to tune, give at least 50 questions, of which some have an answer"):
        tune(harbours, NumberReader(), Calibration(), questions, progress)


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> Run:
    """The command line with the harbours, and gold questions of which the even ones have no answer."""
    articles = [{"id": f"h{number}", "text": text(number)} for number in range(60)]
    assert run("add", "-", stdin=json.dumps(articles)).code == 0
    lines = []
    for number in range(60):
        gold = asked(number, answerable=number % 2 == 1)
        lines.append({"question": gold.question, "answers": list(gold.answers), "article": gold.article})
    (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return run


def kept(path: Path) -> Choice:
    with Library(path / "library") as library:
        calibration = calibration_for(library, reader_folder())
        return Choice(library.dense_weight, calibration.hits, calibration.threshold)


def test_command_keeps_what_it_chose(filled: Run, tmp_path: Path) -> None:
    [told] = filled("eval", "gold.jsonl", "--tune", "--json").lines
    assert kept(tmp_path) == Choice(**told["choice"])
    assert told["choice"]["hits"] == 3
    assert told["kept"] is True
    [answer] = filled("ask", "Which boat has Harbour7?", "--json").lines
    assert (answer["answer"], len(answer["hits"])) == ("boat7 at 3", 3)
    assert filled("ask", "Which boat has Harbour8?", "--json").lines[0]["answer"] is None
    assert len(filled("ask", "Which boat has Harbour7?", "--json", "-k", "5").lines[0]["hits"]) == 5


def test_what_loses_on_other_questions_is_not_kept(
    filled: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune_module.Tuning, "gain", -0.01)
    before = kept(tmp_path)
    ran = filled("eval", "gold.jsonl", "--tune")
    assert ran.code == 0
    assert "nothing was kept since these would answer fewer questions" in ran.out
    assert kept(tmp_path) == before


def test_places_that_do_not_match_are_told_and_not_used(filled: Run, tmp_path: Path) -> None:
    lines = (tmp_path / "gold.jsonl").read_text().splitlines()
    placed = json.dumps({**json.loads(lines[1]), "start": 3})
    (tmp_path / "gold.jsonl").write_text("\n".join([lines[0], placed, *lines[2:]]))
    ran = filled("eval", "gold.jsonl", "--tune", "--json")
    assert ran.code == 0
    assert ran.err.startswith("gold.jsonl, line 2: 'boat1 at 3' does not stand at 3 of article 'h1', but at 17")
    assert ran.lines[0]["after"]["recall"] == 1.0


def test_dry_run_keeps_nothing(filled: Run, tmp_path: Path) -> None:
    before = kept(tmp_path)
    ran = filled("eval", "gold.jsonl", "--tune", "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert "nothing was kept" in ran.out
    assert re.search(r"passages read, at most +10 +3\n", ran.out)
    assert kept(tmp_path) == before


def test_weight_that_is_no_number(harbours: Library) -> None:
    harbours.note(DENSE_WEIGHT_SETTING, "heavy")
    with pytest.raises(LibraryCorrupt, match=r"dense_weight of .* is 'heavy'; choose it anew: pullquote eval --tune"):
        harbours.search("Harbour7", 1)


def test_search_weighs_as_the_library_says(harbours: Library) -> None:
    harbours.note(DENSE_WEIGHT_SETTING, "0.0")
    assert harbours.search("Harbour7", 1)[0].score == 1.0
    assert {hit.score for hit in harbours.search("Harbour7", 5)[1:]} == {0.0}
