"""`AnyLibrary`: articles go in, hits come out, wherever they are kept."""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import ClassVar, Self

from index.any_store import AnyStore
from index.article import Article, is_unchanged, storable
from index.batch import Acknowledge, Batch, Outcome, UnderWay, embedded_text
from index.embed import Embedder, Vectors
from index.errors import ArticleDamaged, ArticleNotFound, InvalidInput, LibraryCorrupt, ModelMismatch
from index.feedback import Feedback, Place
from index.filter import Filter
from index.language import language_of
from index.lexical import LexicalIndex
from index.passage import Passage, Splitter
from index.search import DENSE_WEIGHT, Hit, check_k, check_question, fuse
from index.store import Indexed
from index.verification import Validity, Verification, verify
from index.workers import embedding

CANDIDATES = 100
"""Passages taken from each of the two indexes before fusion, at least."""

_BATCH_PASSAGES = 256
"""Passages embedded and committed together: enough to sort by length, little enough to lose to Ctrl-C."""

_MAX_NAMED = 5

_ELSEWHERE = -1
"""The key of no passage."""

DENSE_WEIGHT_SETTING = "dense_weight"


Candidates = tuple[dict[int, float], dict[int, float]]
"""Passage keys with scores, best first: the cosines of those nearest in meaning, the BM25 of those best by words."""


class AnyLibrary(ABC):
    """Articles, searchable. Without an embedder it can list, show, verify and remove. Methods may be called from any
    thread.

    A kind of library says what it is kept in, how its passages are ranked and who may write when; all else is here.
    `anew` says how all its vectors are made again.
    """

    anew: ClassVar[str]

    def __init__(self, where: str, store: AnyStore, embedder: Embedder | None) -> None:
        """`where` is what people call it. Raises ModelMismatch, having closed the store, where the library was built
        with another embedder."""
        self.where = where
        self._store = store
        if embedder is not None:
            try:
                self._check_embedder(embedder)
            except ModelMismatch:
                store.close()
                raise
        self._embedder = embedder
        self._splitter = Splitter(embedder.token_spans, embedder.fingerprint) if embedder else None
        self._write_lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What a kind of library is

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""

    @abstractmethod
    def settle(self) -> None:
        """What makes the next process start as fast as it can: for the end of an addition."""

    @abstractmethod
    def refresh(self) -> None:
        """Be ready to search the present articles."""

    @abstractmethod
    def save(self) -> None:
        """Keep for the next process what took time to make, where that costs nobody a wait."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[None]:
        """Within, nobody else of this process writes. Raises LibraryBusy where nobody else at all may, and one does."""

    @abstractmethod
    def _ranked(self, question: str, vector: Vectors, depth: int, filter: Filter) -> Candidates:
        """The `depth` best on each side, for a question that is one, with its unit vector."""

    # Articles

    def add(
        self,
        articles: Iterable[Article],
        acknowledge: Acknowledge = lambda article, outcome: None,
        workers: int = 1,
    ) -> None:
        """Add articles; one with a known id replaces that article, one that is already there changes nothing. Where
        there are to be several workers, so many processes embed passages, else this one does.

        `acknowledge` is called for each article once it is safely stored: after its commit, which has a batch of
        articles. (One that is unchanged may so be acknowledged before those that came ahead of it.) An interruption
        loses at most the articles that were not acknowledged. Raises LibraryBusy, WorkerDied.
        """
        embedder, splitter = self._models()
        with self._writing(), embedding(embedder, workers) as embeds:
            self._note_models(embedder, splitter)
            under_way = UnderWay(embeds, _BATCH_PASSAGES, partial(self._commit, acknowledge))
            for article in articles:
                if under_way.holds(article):
                    under_way.finish()
                old = self._intact(article.id)
                if old is not None and is_unchanged(article, old):
                    if old.origin != article.origin:
                        self._store.note_origin(article)
                    acknowledge(article, Outcome.UNCHANGED)
                    continue
                article = in_its_language(article)
                under_way.append(article, splitter.split(article), self._outcome(article, old))
            under_way.finish()

    def remove(self, ids: Sequence[str]) -> None:
        """Remove articles. Raises ArticleNotFound, having removed none, where one is not there; LibraryBusy."""
        with self._writing():
            for id in ids:
                with suppress(ArticleDamaged):
                    self.article(id)
            self._store.remove(ids)

    def article(self, id: str) -> Article:
        """Raises ArticleNotFound."""
        article = self._store.article(id)
        if article is None:
            raise ArticleNotFound(f"there is no article {id!r} in the library; see: pullquote list")
        return article

    def articles(self, offset: int = 0, limit: int = 100) -> list[tuple[Article, int]]:
        """A page of articles in the order they came in, each with its number of passages."""
        return self._store.articles(offset, limit)

    def article_count(self) -> int:
        """The first of `counts`, for little in any library."""
        return self._store.article_count()

    def rough_counts(self) -> tuple[int, int]:
        """As `counts`, for little in any library: in Milvus with passages that are being written or were left."""
        return self._store.article_count(), self._store.passage_count()

    def counts(self) -> tuple[int, int]:
        """Numbers of articles and passages. In Milvus it reads a line of every article."""
        return self._store.counts()

    def origins(self) -> dict[str, str]:
        """The files that held one article each, with the ids of these. Reads a line of every article."""
        return self._store.origins()

    def fingerprint(self) -> str:
        """Two libraries with the same hold the same articles, cut and embedded alike: 16 hexadecimal digits. Reads a
        line of every article."""
        models = [self._store.setting(name) for name in ("embedder", "splitter")]
        content = json.dumps([models, sorted(self._store.article_checksums().items())])
        return sha256(content.encode()).hexdigest()[:16]

    @property
    def embedder_name(self) -> str | None:
        """The name of the embedder the library was built with; None before anything was added."""
        return self._store.setting("embedder_name")

    def setting(self, name: str) -> str | None:
        """What `note` kept under that name; None where nothing was."""
        return self._store.setting(name)

    def note(self, name: str, value: str) -> None:
        """Keep a value with the library. Raises LibraryBusy."""
        with self._writing():
            self._store.set_settings({name: value})

    def forget(self, name: str) -> None:
        """Have nothing kept under that name. Raises LibraryBusy."""
        with self._writing():
            self._store.remove_setting(name)

    def verify(self, id: str, start: int, end: int, quote: str, sha256: str | None = None) -> Verification:
        """Check a citation against the stored text: article id, half-open slice, quote, and the text's SHA-256."""
        return verify(self._store.article(id), start, end, quote, sha256)

    # Copying

    def checksums(self) -> dict[str, str]:
        """By article id, in the order they came in: two articles with the same are equal."""
        return self._store.article_checksums()

    def indexed(self, id: str) -> Indexed | None:
        """The article with its passages and their vectors, if it is there."""
        return self._store.indexed(id)

    def settings(self) -> dict[str, str]:
        """All that is noted with the articles, by name."""
        return self._store.settings()

    def incomplete(self) -> set[str]:
        """The ids of articles that have lost something of which their checksums do not tell: none where the library is
        kept in one piece."""
        return set()

    def receive(self, batch: Sequence[Indexed], settings: dict[str, str], feedback: Sequence[Feedback]) -> None:
        """Store what another library has as it is there, its models' vectors too. Raises LibraryBusy."""
        with self._writing():
            self._store.set_settings(settings)
            if batch:
                self._store.replace(batch, displace=False)
            for one in feedback:
                self._store.add_feedback(one)

    # Feedback

    def give_feedback(self, feedback: Feedback) -> int:
        """Keep what somebody says of an answer; returns its key. It stays when its article goes.

        Raises InvalidInput where the question is none, or the quote does not stand at its place; ArticleNotFound,
        LibraryBusy.
        """
        check_question(feedback.question)
        with self._writing():
            place = feedback.place and self._checked(feedback.place)
            return self._store.add_feedback(replace(feedback, place=place))

    def feedback(self) -> dict[int, Feedback | None]:
        """All feedback by key, in the order it came in; None where it is not what was stored."""
        return self._store.feedback()

    def remove_feedback(self, keys: Sequence[int]) -> None:
        """Raises InvalidInput, having removed none, where one is not there; LibraryBusy."""
        with self._writing():
            if missing := sorted(set(keys) - self._store.feedback().keys()):
                raise InvalidInput(f"there is no feedback {missing[0]}; see: pullquote feedback list")
            self._store.remove_feedback(keys)

    # Search

    def search(self, question: str, k: int = 10, filter: Filter = Filter()) -> list[Hit]:
        """The k passages most likely to hold the answer, best first, ties in the order they came in.

        Raises InvalidInput where the question is empty or longer than MAX_QUESTION_CHARACTERS, or k is not
        between 1 and MAX_HITS.
        """
        check_k(k)
        dense, lexical = self.candidates(question, max(k, CANDIDATES), filter)
        ranked = fuse(dense, lexical, self.dense_weight)
        hits: list[Hit] = []
        while ranked and len(hits) < k:  # a passage may be gone by now, and the next best takes its place
            best, ranked = ranked[: k - len(hits)], ranked[k - len(hits) :]
            passages = self.passages(key for key, _ in best)
            hits += [
                Hit(passages[key], score, dense[key], lexical.get(key, 0.0)) for key, score in best if key in passages
            ]
        return hits

    def search_in(self, articles: Sequence[Article], question: str, k: int = 10) -> list[Hit]:
        """The k passages of these articles most likely to hold the answer, best first, ties in their order. The
        articles need not be in the library, and nothing of them is kept.

        The k best by words are embedded, since to embed all would take longer than to read them. Their cosines are
        scaled from 0, which stands for a passage about something else: among few, maybe one, their own extremes say
        nothing. Raises InvalidInput as `search` does, and where two articles have one id.
        """
        check_k(k)
        check_question(question)
        if len({article.id for article in articles}) < len(articles):
            raise InvalidInput("two texts have the same id; leave one out, or give each its own")
        embedder, splitter = self._models()
        known = map(in_its_language, articles)
        passages = dict(enumerate(passage for article in known for passage in splitter.split(article)))
        words = LexicalIndex()
        words.update(passages.items(), [])
        lexical = words.search(question, k)
        chosen = [*lexical, *(key for key in passages if key not in lexical)][:k]
        vectors = embedder.encode([storable(question), *(embedded_text(passages[key]) for key in chosen)])
        dense = dict(zip(chosen, (vectors[1:] @ vectors[0]).tolist(), strict=True))
        ranked = fuse({_ELSEWHERE: 0.0, **dense}, lexical, self.dense_weight)
        return [
            Hit(passages[key], score, dense[key], lexical.get(key, 0.0)) for key, score in ranked if key != _ELSEWHERE
        ]

    @property
    def dense_weight(self) -> float:
        """The share of meaning in a hit's score, in [0, 1]: what was kept with the library, else the default. Raises
        LibraryCorrupt."""
        noted = self._store.setting(DENSE_WEIGHT_SETTING)
        try:
            return DENSE_WEIGHT if noted is None else float(noted)
        except ValueError:
            said = f"the setting {DENSE_WEIGHT_SETTING} of {self.where} is {noted!r}"
            raise LibraryCorrupt(f"{said}; choose it anew: pullquote eval --tune") from None

    def candidates(self, question: str, depth: int, filter: Filter = Filter()) -> Candidates:
        """What is offered for fusion, as passage keys with scores: the cosine of every candidate, and the BM25 score of
        the `depth` best by words. Raises InvalidInput as `search` does."""
        check_question(question)
        question = storable(question)
        embedder, _ = self._models()
        vector = embedder.encode([question])[0]
        dense, lexical = self._ranked(question, vector, depth, filter)
        keys, vectors = self._store.vectors([key for key in lexical if key not in dense])
        return dense | {int(key): float(other @ vector) for key, other in zip(keys, vectors, strict=True)}, lexical

    def passages(self, keys: Iterable[int]) -> dict[int, Passage]:
        """Those of the passages that are there, by key."""
        return self._store.passages(keys)

    # Within

    def _models(self) -> tuple[Embedder, Splitter]:
        if self._embedder is None or self._splitter is None:
            raise ValueError("this library was opened without an embedder")
        return self._embedder, self._splitter

    def _check_embedder(self, embedder: Embedder) -> None:
        built = self._store.setting("embedder")
        if built is not None and built != embedder.fingerprint:
            raise ModelMismatch(
                f"{self.where} was built with the embedder {self.embedder_name} ({built}), not with {embedder.name} "
                f"({embedder.fingerprint}); use that one, or {self.anew}"
            )

    def _checked(self, place: Place) -> Place:
        """With the SHA-256 of the text as it is. Raises ArticleNotFound, InvalidInput where the quote is not there."""
        article = self.article(place.article)
        checked = self.verify(article.id, place.start, place.end, place.quote, place.text_sha256)
        if checked.validity is not Validity.VALID:
            places = f" at {', '.join(map(str, checked.places[:_MAX_NAMED]))}" if checked.places else ""
            raise InvalidInput(f"{checked.reason}{places}; quote the article word for word, with its place")
        return replace(place, article=article.id, text_sha256=article.sha256)

    def _note_models(self, embedder: Embedder, splitter: Splitter) -> None:
        self._check_embedder(embedder)
        if self._store.setting("splitter") != splitter.fingerprint:
            self._store.set_settings(
                {
                    "embedder": embedder.fingerprint,
                    "embedder_name": embedder.name,
                    "splitter": splitter.fingerprint,
                }
            )

    def _intact(self, id: str) -> Article | None:
        """The article unless it is damaged, so that adding it again replaces it."""
        with suppress(ArticleDamaged):
            return self._store.article(id)
        return None

    def _outcome(self, article: Article, old: Article | None) -> Outcome:
        return Outcome.REPLACED if old or self._store.has_origin(article.origin) else Outcome.ADDED

    def _commit(self, acknowledge: Acknowledge, batch: Batch, vectors: Vectors) -> None:
        self._store.replace(batch.indexed(vectors))
        for article, outcome in zip(batch.articles, batch.outcomes, strict=True):
            acknowledge(article, outcome)


def in_its_language(article: Article) -> Article:
    """With the language it is in, where that can be told."""
    return replace(article, language=article.language or language_of(article.text, article.metadata))
