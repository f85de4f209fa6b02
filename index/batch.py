"""Articles on their way into a library: what becomes of each, and those that are embedded and stored together."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from index.article import Article
from index.embed import Vectors
from index.passage import Passage
from index.store import Indexed
from index.workers import Embedding

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

    def texts(self) -> list[str]:
        """What the embedder is given for them."""
        return [embedded_text(passage) for passages in self.split for passage in passages]

    def indexed(self, vectors: Vectors) -> list[Indexed]:
        """The articles with their passages' vectors."""
        indexed, first = [], 0
        for article, passages in zip(self.articles, self.split, strict=True):
            indexed.append(Indexed(article, passages, vectors[first : first + len(passages)]))
            first += len(passages)
        return indexed


class UnderWay:
    """Articles in batches of so many passages, embedded some ahead and committed in the order they came."""

    def __init__(self, embedding: Embedding, passages: int, commit: Callable[[Batch, Vectors], None]) -> None:
        self._embedding = embedding
        self._passages = passages
        self._commit = commit
        self._filling = Batch()
        self._begun: deque[tuple[Batch, Callable[[], Vectors]]] = deque()

    def holds(self, article: Article) -> bool:
        """Whether there is an article among them that this one would replace."""
        return any(batch.holds(article) for batch in (self._filling, *(batch for batch, _ in self._begun)))

    def append(self, article: Article, passages: list[Passage], outcome: Outcome) -> None:
        self._filling.append(article, passages, outcome)
        if self._filling.passages >= self._passages:
            self._commit_all_but(self._embedding.ahead)

    def finish(self) -> None:
        """Commit them all."""
        self._commit_all_but(0)

    def _commit_all_but(self, ahead: int) -> None:
        if self._filling.articles:
            self._begun.append((self._filling, self._embedding.begin(self._filling.texts())))
            self._filling = Batch()
        while len(self._begun) > ahead:
            batch, vectors = self._begun.popleft()
            self._commit(batch, vectors())


def embedded_text(passage: Passage) -> str:
    """What the embedder is given: the article's title, then the passage. Only here; offsets never see the title."""
    title = (passage.article.title or "")[:_MAX_TITLE_CHARACTERS]
    return f"{title}\n{passage.text}" if title else passage.text
