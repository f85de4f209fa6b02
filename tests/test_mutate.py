"""The short form of `make mutate`: files with mistakes in them end nothing, and what they do is counted."""

import pytest

from index.article import make_article
from index.errors import UnreadableArticle
from index.formats import NAMED, format_of
from tests import mutate
from tests.mutate import Tally, mutated, run, samples


@pytest.mark.parametrize("name", sorted(NAMED))
def test_files_with_mistakes(name: str) -> None:
    tally = run(name, 5)
    assert (tally.files, tally.hung, tally.crashed, tally.too_large) == (5, 0, 0, 0)
    assert tally.articles + tally.unreadable >= 5


@pytest.mark.parametrize("name", sorted(NAMED))
def test_samples_are_of_their_format(name: str) -> None:
    assert {format_of(file, data).module for file, data in samples(name)} == {name}
    assert any(mutated(name, number)[1] not in dict(samples(name)).values() for number in range(5))
    assert mutated(name, 3) == mutated(name, 3)


def test_what_is_raised_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(mutate, "read", fail)
    with pytest.raises(KeyError) as error:
        run("html", 1)
    assert error.value.__notes__ == ["html 0"]


def test_what_became_of_a_file_is_counted() -> None:
    reasons = [
        "it cannot be parsed: KeyError: 'x'",
        "its parser has crashed (SIGSEGV)",
        "parsing it takes more than 1 MiB of memory",
        "it could not be parsed in 180 seconds",
        "it is empty",
    ]
    tally = Tally("html")
    tally.count([make_article("A."), *(UnreadableArticle("x", reason) for reason in reasons)], 0.5)
    assert tally == Tally(
        "html", 1, articles=1, unreadable=5, unforeseen=1, crashed=1, too_large=1, hung=1, slowest=0.5
    )
