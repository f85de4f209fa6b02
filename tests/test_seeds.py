"""The demo articles and their gold questions."""

from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from eval.gold import GoldQuestion, read_gold
from index.article import Article
from index.formats import find_files, read_file

SEEDS = Path(__file__).parents[1] / "seeds"
SUPPLIED = SEEDS / "articles" / "000_8acbb2ea19384b11.txt"


@pytest.fixture(scope="module")
def articles() -> dict[str, Article]:
    files = [file for file in find_files([SEEDS / "articles"]) if isinstance(file, Path)]
    items = [item for file in files for item in read_file(file)]
    assert [item for item in items if not isinstance(item, Article)] == []
    return {item.id: item for item in items if isinstance(item, Article)}


@pytest.fixture(scope="module")
def gold() -> list[GoldQuestion]:
    return read_gold(SEEDS / "questions.jsonl")


def test_every_file_is_an_article_of_its_own(articles: dict[str, Article]) -> None:
    names = {path.stem for path in (SEEDS / "articles").iterdir()}
    assert set(articles) == names - {SUPPLIED.stem} | {"c4e786f5de0bb122"}
    assert len(articles) == 23


def test_articles_say_where_and_when_they_are_from(articles: dict[str, Article]) -> None:
    told = [article for article in articles.values() if article.id != "c4e786f5de0bb122"]
    assert [article.id for article in told if not (article.title and article.source and article.published)] == []
    assert [article.url for article in told if ".example/" not in (article.url or "")] == []


def test_the_supplied_article_is_unchanged(articles: dict[str, Article]) -> None:
    digest = "c4e786f5de0bb1229b7720dd752a825decae28919967a74a8be39573a92c1b31"
    assert sha256(SUPPLIED.read_bytes()).hexdigest() == digest
    article = articles["c4e786f5de0bb122"]
    assert (article.sha256, article.title) == (digest, "China and Russia Stand with North Korea at Military Parade")


def test_every_gold_answer_stands_at_its_place(articles: dict[str, Article], gold: list[GoldQuestion]) -> None:
    placed = [one for one in gold if one.answerable]
    assert [one.question for one in placed if one.article not in articles or one.start is None] == []
    assert [
        one.question
        for one in placed
        if not articles[one.article or ""].text.startswith(one.answers[0], one.start or 0)
    ] == []


def test_unanswerable_questions_have_no_place(gold: list[GoldQuestion]) -> None:
    unanswerable = [one for one in gold if not one.answerable]
    assert {(one.article, one.start, "unanswerable" in one.tags) for one in unanswerable} == {(None, None, True)}
    assert [one.question for one in gold if one.answerable and "unanswerable" in one.tags] == []


def test_there_are_enough_questions_and_a_fifth_cannot_be_answered(gold: list[GoldQuestion]) -> None:
    unanswerable = sum(not one.answerable for one in gold)
    assert len(gold) >= 80
    assert unanswerable / len(gold) >= 0.2


def test_no_question_is_asked_twice(gold: list[GoldQuestion]) -> None:
    counts = Counter(one.question.casefold() for one in gold)
    assert [question for question, count in counts.items() if count > 1] == []


def test_every_article_is_asked_about(articles: dict[str, Article], gold: list[GoldQuestion]) -> None:
    assert set(articles) - {one.article for one in gold} == set()
