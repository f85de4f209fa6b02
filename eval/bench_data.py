"""The benchmark's questions and libraries. The data lies beside a developer's checkout."""

import json
from collections import Counter
from pathlib import Path
from time import perf_counter

from eval.gold import GoldQuestion, read_gold, sampled
from index.article import Article
from index.embed import load_embedder
from index.formats import read_file
from index.library import Library, Outcome

DATA = Path("../shared/data")
SAMPLE = 500
"""SQuAD questions asked for daily use: 95 % of samples are within 4 points of the whole."""

_FILES = {
    "squad": (DATA / "squad" / "train-v1.1.json", DATA / "squad" / "dev-v1.1.json"),
    "news": (DATA / "news" / "articles.jsonl",),
}


def library_of(libraries: Path, name: str) -> tuple[Library, dict[str, str]]:
    """The library of one of the sets, `squad` or `news`, built where it is not there yet, and the texts by id as the
    files have them."""
    items = [item for file in _FILES[name] for item in read_file(file)]
    articles = [item for item in items if isinstance(item, Article)]
    for failure in (item for item in items if not isinstance(item, Article)):
        print("not read:", failure)
    library = Library(libraries / name, load_embedder(), create=True)
    outcomes: Counter[Outcome] = Counter()

    def acknowledge(article: Article, outcome: Outcome) -> None:
        outcomes[outcome] += 1

    began = perf_counter()
    library.add(articles, acknowledge)
    seconds = perf_counter() - began
    if changed := outcomes[Outcome.ADDED] + outcomes[Outcome.REPLACED]:
        rate = changed / seconds
        print(f"indexed {changed:,} articles in {seconds:,.0f} s: {rate:.2f} articles/s")
    print(f"{library.counts()[0]:,} articles, {library.counts()[1]:,} passages")
    return library, {article.id: article.text for article in articles}


def squad_sample(count: int | None) -> list[GoldQuestion]:
    """The SQuAD questions that are asked."""
    return sampled(read_gold(_FILES["squad"][1]), count)


def held_out_sample(count: int | None) -> list[GoldQuestion]:
    """To fit the confidence on: as many questions that a sample of SAMPLE does not ask, and a quarter as many of SQuAD
    2.0's unanswerable ones."""
    asked = {gold.question for gold in squad_sample(SAMPLE)}
    others = sampled([gold for gold in read_gold(_FILES["squad"][1]) if gold.question not in asked], count)
    dev_2 = read_gold(DATA / "squad" / "dev-v2.0.json")
    return others + sampled([gold for gold in dev_2 if not gold.answerable], len(others) // 4)


def gold_paragraphs(name: str, count: int | None) -> list[tuple[str, GoldQuestion]]:
    """Questions of a dev set, each with its paragraph; of dev 1.1 the same as `squad_sample`."""
    file = DATA / "squad" / name
    contexts = [
        paragraph["context"]
        for entry in json.loads(file.read_bytes())["data"]
        for paragraph in entry["paragraphs"]
        for _ in paragraph["qas"]
    ]
    return sampled(list(zip(contexts, read_gold(file), strict=True)), count)


def news_questions() -> list[GoldQuestion]:
    """Questions whose answer is in no article that was found for them count as having none."""
    return read_gold(DATA / "news" / "questions.jsonl")


def news_halves() -> tuple[list[GoldQuestion], list[GoldQuestion]]:
    """The questions of the earlier weeks, to learn from, and of the later ones, to measure with."""
    questions = news_questions()
    dates = [gold.date or "" for gold in questions]
    middle = sorted(dates)[len(dates) // 2]
    dated = list(zip(questions, dates, strict=True))
    return [gold for gold, date in dated if date < middle], [gold for gold, date in dated if date >= middle]


def write_distant_labels(target: Path) -> int:
    """Gold questions of the earlier weeks for `pullquote train`, one for each article that holds an answer, which does
    not mean that it is given there; returns their number."""
    earlier = {gold.question for gold in news_halves()[0]}
    records = map(json.loads, (DATA / "news" / "questions.jsonl").read_text(encoding="utf-8").splitlines())
    lines = [
        json.dumps({"question": record["question"], "answers": record["answers"], "article": article})
        for record in records
        if record["question"] in earlier
        for article in record["answer_in"]
    ]
    target.write_text("\n".join(lines), encoding="utf-8")
    return len(lines)
