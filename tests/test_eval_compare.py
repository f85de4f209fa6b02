"""Two runs compared: what changed, and what chance would do."""

import pytest

from eval.compare import Change, compare
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
    good = [made(f"q{number}", article="ports") for number in MANY]
    bad = [made(f"q{number}", article="ports", **WRONG) for number in MANY]
    found = compare(good, bad)
    assert found is not None
    assert (found.changes["em"].p, found.worse) == (1.0, ())


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
