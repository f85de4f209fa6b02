"""How many copies are found, and what else is taken for one: `python -m eval.bench_duplicates`. Needs the benchmark
data beside the checkout.

500 articles of the news set are each given a copy with 0 to 60 % of its sentences changed: half of these have a
sentence of any other article in their place, the others have every third word replaced by one of such a sentence. A
copy is meant to be found where at most 30 % are changed, since the rest then has about half of all runs of three words;
beyond that it counts as an article of its own. All 1,000 are added in random order to one database, as articles are.
"""

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from eval.bench_data import DATA
from index.article import Article, make_article
from index.duplicates import is_copy, shingles
from index.formats import read_file
from index.language import language_of
from index.passage import Passage, sentences
from index.store import Indexed, Store

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
MEANT = 0.3
"""Of the sentences, that may be changed in a copy."""

PAIRS = 500
_LEAST_SENTENCES = 10
"""Of an article, so that every share of them is a number."""

_EXCERPTS = (0.75, 0.5, 0.33, 0.25)
_BATCH = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eval.bench_duplicates", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    file = DATA / "news" / "articles.jsonl"
    if not file.is_file():
        sys.exit(f"skipped: the benchmark data is not at {file}")
    articles = [item for item in read_file(file) if isinstance(item, Article)]
    chosen = _unlike(articles, random.Random(options.seed))
    edited(chosen, options.seed)
    excerpts(chosen)
    languages(articles)


def edited(articles: Sequence[Article], seed: int) -> None:
    """Precision and recall over pairs of an article and an edited copy."""
    rng = random.Random(seed)
    strange = [one.text[start:end] for one in articles for start, end in sentences(one.text)]
    changed: dict[str, float] = {}
    copies = []
    for number, article in enumerate(articles):
        share = SHARES[number % len(SHARES)]
        copies.append(make_article(_edited(article.text, share, strange, rng), id=f"copy-{number}"))
        changed[copies[-1].id] = share
    everything = [*articles, *copies]
    rng.shuffle(everything)
    groups, milliseconds = _added(everything)
    partner = {f"copy-{number}": article.id for number, article in enumerate(articles)}
    together = {frozenset((one, other)) for ids in groups for one in ids for other in ids if one != other}
    found: dict[float, list[bool]] = defaultdict(list)
    for copy, share in changed.items():
        found[share].append(frozenset((copy, partner[copy])) in together)
    right = sum(sum(hits) for share, hits in found.items() if share <= MEANT)
    meant = sum(len(hits) for share, hits in found.items() if share <= MEANT)
    print(f"{len(articles)} pairs; told to be copies of one another, by the share of sentences changed:")
    for share, hits in sorted(found.items()):
        print(f"  {share:4.0%}  {sum(hits):3} of {len(hits):3}  {np.mean(hits):6.1%}")
    strangers = len(together) - sum(sum(hits) for hits in found.values())
    print(f"pairs of articles with nothing to do with one another that were told to be copies: {strangers}")
    print(f"precision {_share(right, len(together))}, recall {_share(right, meant)}")
    print(f"comparing took {np.median(milliseconds):.1f} ms an article, at most {max(milliseconds):.0f} ms\n")


def excerpts(articles: Sequence[Article]) -> None:
    """Recall over beginnings of articles."""
    print("beginnings of articles told to be copies, by the share that is kept:")
    for share in _EXCERPTS:
        beginnings = [make_article(_beginning(one.text, share), id=f"{one.id}-begins") for one in articles]
        groups, _ = _added([*articles, *beginnings])
        pairs = {frozenset(ids) for ids in groups if len(ids) == 2}
        hits = [frozenset((one.id, f"{one.id}-begins")) in pairs for one in articles]
        print(f"  {share:4.0%}  {sum(hits):3} of {len(hits):3}  {np.mean(hits):6.1%}")
    print()


def languages(articles: Sequence[Article]) -> None:
    """What the language of English news is told to be."""
    began = perf_counter()
    told = [language_of(article.text, {}) for article in articles]
    milliseconds = 1000 * (perf_counter() - began) / len(articles)
    print(f"{told.count('en')} of {len(articles)} English articles are told to be; {milliseconds:.1f} ms each")


def _unlike(articles: Sequence[Article], rng: random.Random) -> list[Article]:
    """Some that are long enough, none of which is a copy of another."""
    chosen: list[tuple[Article, frozenset[str]]] = []
    for article in rng.sample(articles, len(articles)):
        found = shingles(article.text)
        if len(sentences(article.text)) < _LEAST_SENTENCES or any(is_copy(found, other) for _, other in chosen):
            continue
        chosen.append((article, found))
        if len(chosen) == PAIRS:
            break
    return [article for article, _ in chosen]


def _edited(text: str, share: float, strange: Sequence[str], rng: random.Random) -> str:
    slices = sentences(text)
    parts, last = [], 0
    changed = set(rng.sample(range(len(slices)), round(share * len(slices))))
    for number, (start, end) in enumerate(slices):
        parts.append(text[last:start])
        if number not in changed:
            parts.append(text[start:end])
        elif rng.random() < 1 / 2:
            parts.append(rng.choice(strange))
        else:
            own, words = text[start:end].split(), rng.choice(strange).split()
            parts.append(" ".join(rng.choice(words) if place % 3 == 0 else word for place, word in enumerate(own)))
        last = end
    return "".join(parts) + text[last:]


def _beginning(text: str, share: float) -> str:
    slices = sentences(text)
    return text[: slices[max(1, round(share * len(slices))) - 1][1]]


def _added(articles: Sequence[Article]) -> tuple[list[list[str]], list[float]]:
    """The groups of copies in a database of these articles, and what each took to compare, in milliseconds."""
    vector = np.ones((1, 1), dtype=np.float32)
    times = []
    with TemporaryDirectory(prefix="pullquote-") as scratch:
        store = Store(Path(scratch) / "articles.db", create=True)
        for start in range(0, len(articles), _BATCH):
            batch = articles[start : start + _BATCH]
            began = perf_counter()
            store.replace([Indexed(one, [Passage(one, 0, len(one.text))], vector) for one in batch])
            times.append(1000 * (perf_counter() - began) / len(batch))
        groups = store.duplicates()
        store.close()
    return groups, times


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} ({part} of {whole})"


if __name__ == "__main__":
    main()
