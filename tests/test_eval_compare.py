"""Two runs compared: what changed, and what chance would do."""

import pytest

from eval.compare import Change, compare
from eval.record import Record
from tests.test_eval_scores import NONE, WRONG, made

MANY = range(60)


def test_the_same_run_has_not_changed() -> None:
    records = [made(f"q{number}", article=f"a{number}", **(WRONG if number % 3 else {})) for number in MANY]
    found = compare(records, records)
    assert found is not None
    assert found.changes["em"] == Change(pytest.approx(1 / 3), pytest.approx(1 / 3), 0.0, 0.0, 1.0)
    assert {change.difference for change in found.changes.values()} == {0.0, None}
    assert (found.questions, found.wins, found.ties, found.losses, found.worse) == (60, 0, 60, 0, ())


def test_a_clear_loss_is_significant_and_a_clear_gain_is_not_a_loss() -> None:
    good = [made(f"q{number}", article=f"a{number}") for number in MANY]
    bad = [made(f"q{number}", article=f"a{number}", **(WRONG if number < 20 else {})) for number in MANY]
    lost = compare(good, bad)
    assert lost is not None
    assert lost.worse == ("em", "f1", "best_f1", "aurc")
    assert (lost.wins, lost.losses, lost.ties) == (0, 20, 40)
    change = lost.changes["em"]
    assert change.difference == pytest.approx(-1 / 3)
    assert (change.low, change.high) == (pytest.approx(-0.45, abs=0.03), pytest.approx(-0.22, abs=0.03))
    assert change.p == pytest.approx(0.001, abs=0.0005)
    won = compare(bad, good)
    assert won is not None
    assert (won.worse, won.wins) == ((), 20)


def test_a_few_questions_are_no_proof() -> None:
    good = [made(f"q{number}", article=f"a{number}") for number in MANY]
    bad = [made(f"q{number}", article=f"a{number}", **(WRONG if number < 3 else {})) for number in MANY]
    found = compare(good, bad)
    assert found is not None
    assert found.worse == ()
    assert found.changes["em"].p == pytest.approx(0.25, abs=0.04)  # three swaps of two ways, all alike or all contrary


def test_questions_of_one_article_are_one_case() -> None:
    def run(wrong: int) -> list[Record]:
        return [
            made(f"q{number}", article=f"a{number % 8}", **(WRONG if number % 8 < wrong else {})) for number in MANY
        ]

    found = compare(run(0), run(3))
    assert found is not None
    assert (found.changes["em"].p, found.worse) == (pytest.approx(0.25, abs=0.04), ())
    assert found.slices["question word"]["other"].em.p == pytest.approx(0.25, abs=0.04)


def test_of_few_articles_each_question_is_a_case() -> None:
    """Seven could not be told from chance, however bad: two of 128 ways of exchanging them are as extreme."""
    for articles in (1, 7, 8):
        good = [made(f"q{number}", article=f"a{number % articles}") for number in MANY]
        bad = [made(f"q{number}", article=f"a{number % articles}", **WRONG) for number in MANY]
        found = compare(good, bad)
        assert found is not None
        assert ("em" in found.worse, found.tells, found.clusters) == (True, True, 60 if articles < 8 else 8)


def test_too_few_questions_tell_nothing() -> None:
    found = compare([made(f"q{number}") for number in range(7)], [made(f"q{number}", **WRONG) for number in range(7)])
    assert found is not None
    assert (found.tells, found.worse, found.losses) == (False, (), 7)


def test_a_question_asked_twice_is_two() -> None:
    records = [made("a"), made("a", **WRONG), made("b")]
    found = compare(records, records)
    assert found is not None
    assert (found.questions, found.left_out, found.wins, found.losses) == (3, 0, 0, 0)
    found = compare(records[:1], records)
    assert found is not None
    assert (found.questions, found.left_out) == (1, 2)


def test_a_question_whose_answers_were_corrected_is_left_out() -> None:
    before = [made("a", answers=("Rome",), **WRONG), made("b")]
    found = compare(before, [made("a", answers=("Oslo",)), made("b")])
    assert found is not None
    assert (found.questions, found.left_out, found.wins) == (1, 1, 0)


def test_slices_are_compared() -> None:
    def run(wrong: bool) -> list[Record]:
        lost = WRONG if wrong else {}
        return [
            *(made(f"Who is {number}?", article=f"a{number}", tags=("people",), **lost) for number in range(20)),
            *(made(f"Where is {number}?", article=f"a{number}") for number in range(20)),
            made("Why?", **lost),
        ]

    found = compare(run(wrong=False), run(wrong=True))
    assert found is not None
    assert {name: list(parts) for name, parts in found.slices.items()}["question word"] == ["who", "where"]
    who, where = found.slices["question word"].values()
    assert (who.questions, who.em.before, who.em.after, who.em.low, who.em.high) == (20, 1.0, 0.0, -1.0, -1.0)
    assert who.em.p == pytest.approx(0.001, abs=0.0005)
    assert (where.em.difference, where.f1.difference, where.em.p) == (0.0, 0.0, 1.0)
    assert found.slices["tag"]["people"] == who


def test_a_slice_about_few_articles_is_tested_by_article() -> None:
    """As all of it is; or two articles of three that turn wrong would be as sure as their many questions."""

    def run(wrong: int) -> list[Record]:
        rows = [(number, article) for number in range(10) for article in range(20)]
        return [
            made(f"q{n} {a}", article=f"a{a}", source="S" if a < 3 else f"s{a}", **(WRONG if a < wrong else {}))
            for n, a in rows
        ]

    found = compare(run(0), run(2))
    assert found is not None
    few, one = found.slices["source"]["S"], found.slices["source"]["s3"]
    assert (few.questions, few.em.difference, few.em.p) == (30, pytest.approx(-2 / 3), pytest.approx(0.5, abs=0.05))
    assert (few.em.low, few.em.high) == (-1.0, pytest.approx(0.0))
    assert (one.questions, one.em.difference, one.em.low, one.em.high, one.em.p) == (10, 0.0, None, None, 1.0)


def test_an_unanswerable_question_is_the_same_whatever_article_it_was_asked_of() -> None:
    before = [made("a", **NONE), made("b")]
    found = compare(before, [made("a", **{**NONE, "article": "ports"}), made("b")])
    assert found is not None
    assert (found.questions, found.left_out) == (2, 0)


def test_only_questions_of_both_runs_are_compared() -> None:
    before = [made("a"), made("b"), made("c", article="towns")]
    after = [made("b", **WRONG), made("c"), made("d")]  # the same words about another article are another question
    found = compare(before, after)
    assert found is not None
    assert (found.questions, found.left_out, found.losses) == (1, 4, 1)
    assert (found.changes["em"].before, found.changes["em"].after) == (1.0, 0.0)
    assert compare(before, [made("z")]) is None


def test_what_cannot_be_measured_has_no_change() -> None:
    records = [made("a", **NONE, given=None)]
    found = compare(records, records)
    assert found is not None
    assert found.changes["recall@10"] == Change(None, None, None, None, None)
    assert found.worse == ()
