"""Articles on their way into a library: what becomes of each, and those that are embedded and stored together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from index.article import Article
from index.embed import Embedder
from index.passage import Passage
from index.store import Indexed

_MAX_TITLE_CHARACTERS = 200
"""More of a title than this would crowd the passage out of the embedder's 256 tokens."""


class Outcome(StrEnum):
    """What adding an article did."""

    ADDED = "added"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


Acknowledge = Callable[[Article, Outcome], None]


@dataclass(slots=True)
class Batch:
    """Articles that will be embedded and committed together."""

    articles: list[Article] = field(default_factory=list)
    split: list[list[Passage]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    passages: int = 0

    def append(self, article: Article, passages: list[Passage], outcome: Outcome) -> None:
        self.articles.append(article)
        self.split.append(passages)
        self.outcomes.append(outcome)
        self.passages += len(passages)

    def holds(self, article: Article) -> bool:
        """Whether the batch has an article that this one would replace."""
        return any(
            article.id == other.id or (article.origin is not None and article.origin == other.origin)
            for other in self.articles
        )

    def indexed(self, embedder: Embedder) -> list[Indexed]:
        """The articles with their passages' vectors."""
        vectors = embedder.encode([embedded_text(passage) for passages in self.split for passage in passages])
        indexed, first = [], 0
        for article, passages in zip(self.articles, self.split, strict=True):
            indexed.append(Indexed(article, passages, vectors[first : first + len(passages)]))
            first += len(passages)
        return indexed


def embedded_text(passage: Passage) -> str:
    """What the embedder is given: the article's title, then the passage. Only here; offsets never see the title."""
    title = (passage.article.title or "")[:_MAX_TITLE_CHARACTERS]
    return f"{title}\n{passage.text}" if title else passage.text
