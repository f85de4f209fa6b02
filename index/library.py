"""`Library`: articles go in, hits come out. The face of this package."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from index import derived
from index.article import Article, storable
from index.embed import Embedder
from index.errors import (
    ArticleDamaged,
    ArticleNotFound,
    DiskFull,
    InvalidInput,
    LibraryBusy,
    LibraryCorrupt,
    LibraryNotFound,
    LibraryNotWritable,
    ModelMismatch,
)
from index.feedback import Feedback, Place
from index.filter import Filter
from index.lexical import LexicalIndex
from index.lock import write_lock
from index.passage import Passage, Splitter
from index.scratch import Scratch
from index.search import DENSE_WEIGHT, Hit, fuse
from index.store import Indexed, Store

MAX_HITS = 1_000
MAX_QUESTION_CHARACTERS = 10_000
CANDIDATES = 100
"""Passages taken from each of the two indexes before fusion, at least."""

_BATCH_PASSAGES = 256
"""Passages embedded and committed together: enough to sort by length, little enough to lose to Ctrl-C."""

_MAX_TITLE_CHARACTERS = 200
"""More of a title than this would crowd the passage out of the embedder's 256 tokens."""

_MAX_NAMED = 5

_ELSEWHERE = -1
"""The key of no passage."""

DATABASE = "pullquote.db"
DENSE_WEIGHT_SETTING = "dense_weight"


class Outcome(StrEnum):
    """What adding an article did."""

    ADDED = "added"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


Acknowledge = Callable[[Article, Outcome], None]


class Validity(StrEnum):
    """What became of a citation: its quote still stands at its place; the article is there but the quote is not at
    its place; the article is not in the library."""

    VALID = "valid"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verification:
    """`reason` is for people; `places` are the starts at which the quote stands in the article today."""

    validity: Validity
    reason: str
    places: tuple[int, ...] = ()


class Library:
    """A directory of articles, searchable. Without an embedder it can list, show, verify and remove.

    Any number of processes may search; one at a time may add or remove. Methods may be called from any thread.
    """

    def __init__(self, path: Path, embedder: Embedder | None = None, *, create: bool = False) -> None:
        """Open the library, or with `create` make one where there is none.

        Raises LibraryNotFound, LibraryCorrupt, ModelMismatch where it was built with another embedder.
        """
        if create:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LibraryNotWritable(f"no library can be made at {path}: {error.strerror}") from None
        elif not (path / DATABASE).is_file():
            raise LibraryNotFound(f"there is no library at {path}; make one with: pullquote --library {path} add FILES")
        self.path = path
        self._store = Store(path / DATABASE, create=create)
        if embedder is not None:
            try:
                self._check_embedder(embedder)
            except ModelMismatch:
                self._store.close()
                raise
        self._embedder = embedder
        self._splitter = Splitter(embedder.token_spans, embedder.fingerprint) if embedder else None
        self._derived: derived.Derived | None = None
        self._scratch = Scratch()
        self._index_lock = threading.RLock()
        self._write_lock = threading.Lock()

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Save the derived indexes if they have changed, and let go of everything."""
        self.save()
        self._derived = None  # ends the merging of segments, whose directory goes
        self._store.close()
        self._scratch.close()

    # Articles

    def add(self, articles: Iterable[Article], acknowledge: Acknowledge = lambda article, outcome: None) -> None:
        """Add articles; one with a known id replaces that article, one that is already there changes nothing.

        `acknowledge` is called for each article once it is safely stored: after its commit, which has a batch of
        articles. (One that is unchanged may so be acknowledged before those that came ahead of it.) An interruption
        loses at most the articles that were not acknowledged. Raises LibraryBusy.
        """
        embedder, splitter = self._models()
        with self._writing():
            self._note_models(embedder, splitter)
            batch = _Batch()
            for article in articles:
                if batch.holds(article):
                    self._commit(batch, embedder, acknowledge)
                    batch = _Batch()
                old = self._intact(article.id)
                if old == article:
                    if old.origin != article.origin:
                        self._store.note_origin(article)
                    acknowledge(article, Outcome.UNCHANGED)
                    continue
                batch.append(article, splitter.split(article), self._outcome(article, old))
                if batch.passages >= _BATCH_PASSAGES:
                    self._commit(batch, embedder, acknowledge)
                    batch = _Batch()
            self._commit(batch, embedder, acknowledge)

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

    def counts(self) -> tuple[int, int]:
        """Numbers of articles and passages."""
        return self._store.counts()

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

    def verify(self, id: str, start: int, end: int, quote: str, sha256: str | None = None) -> Verification:
        """Check a citation against the stored text: article id, half-open slice, quote, and the text's SHA-256."""
        article = self._store.article(id)
        if article is None:
            return Verification(Validity.UNKNOWN, "the article is not in the library")
        same_text = sha256 in (None, article.sha256)
        if 0 <= start < end == start + len(quote) and article.text.startswith(quote, start) and same_text:
            return Verification(Validity.VALID, "the quote stands at its place, word for word", (start,))
        places = tuple(_occurrences(article.text, quote))
        if not same_text:
            reason = "the article's text has changed since; the quote "
        else:
            reason = "the article has not this quote at this place; the quote "
        return Verification(Validity.STALE, reason + ("stands in it" if places else "is not in it"), places)

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
        ranked = fuse(dense, lexical, self.dense_weight)[:k]
        passages = self.passages(key for key, _ in ranked)
        return [
            Hit(passages[key], score, dense[key], lexical.get(key, 0.0)) for key, score in ranked if key in passages
        ]

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
        passages = dict(enumerate(passage for article in articles for passage in splitter.split(article)))
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
            raise LibraryCorrupt(
                f"the setting {DENSE_WEIGHT_SETTING} of {self.path} is {noted!r}; choose it anew: pullquote eval --tune"
            ) from None

    def candidates(
        self, question: str, depth: int, filter: Filter = Filter()
    ) -> tuple[dict[int, float], dict[int, float]]:
        """What the two indexes offer for fusion, as passage keys with scores: the cosine of every candidate, and the
        BM25 score of the `depth` best by words. Raises InvalidInput as `search` does."""
        check_question(question)
        question = storable(question)
        embedder, _ = self._models()
        allowed = None if filter.empty else self._store.select(filter)
        vector = embedder.encode([question])[0]
        with self._index_lock:
            indexes = self._refresh(len(vector))
            lexical = indexes.lexical.search(question, depth, allowed)
            dense = indexes.dense.search(vector, depth, allowed)
        keys, vectors = self._store.vectors([key for key in lexical if key not in dense])
        return dense | {int(key): float(other @ vector) for key, other in zip(keys, vectors, strict=True)}, lexical

    def passages(self, keys: Iterable[int]) -> dict[int, Passage]:
        """Those of the passages that are there, by key."""
        return self._store.passages(keys)

    def settle(self) -> None:
        """Build and save the indexes if the saved ones are behind, so that the next process need not: for the end of
        an addition. At a million passages it takes minutes."""
        if derived.saved_are_behind(self.path, self._store):
            self.refresh()
            if self._derived is not None and self._derived.dense.outgrown:
                self.refresh(afresh=True)
            self.save()

    def refresh(self, *, afresh: bool = False) -> None:
        """Bring the indexes in memory up to the present articles, as a search does first; `afresh` builds them anew,
        of the type that suits their size today."""
        embedder, _ = self._models()
        with self._index_lock:
            self._refresh(embedder.encode(["?"]).shape[1], afresh)

    def save(self) -> None:
        """Save the derived indexes for the next process, unless it would catch up as fast, another process is
        writing, or the directory is read-only: they are only ever a shortcut."""
        with self._index_lock:
            if self._derived is None or not derived.worth_saving(self._derived.unsaved, len(self._derived.dense)):
                return
            try:
                with write_lock(self.path):
                    if self._derived.generation != self._store.generation:
                        return  # whoever has changed the articles since has the newer indexes to save
                    self._derived = derived.save(self._derived, self.path, *self._fingerprints())
                    self._store.forget_removals()
            except (LibraryBusy, LibraryNotWritable, OSError):
                return

    # Within

    def _models(self) -> tuple[Embedder, Splitter]:
        if self._embedder is None or self._splitter is None:
            raise ValueError("this library was opened without an embedder")
        return self._embedder, self._splitter

    def _check_embedder(self, embedder: Embedder) -> None:
        built = self._store.setting("embedder")
        if built is not None and built != embedder.fingerprint:
            raise ModelMismatch(
                f"{self.path} was built with the embedder {self.embedder_name} ({built}), not with {embedder.name} "
                f"({embedder.fingerprint}); use that one, or make all vectors anew with: pullquote reindex"
            )

    def _checked(self, place: Place) -> Place:
        """With the SHA-256 of the text as it is. Raises ArticleNotFound, InvalidInput where the quote is not there."""
        article = self.article(place.article)
        checked = self.verify(article.id, place.start, place.end, place.quote, place.text_sha256)
        if checked.validity is not Validity.VALID:
            places = f" at {', '.join(map(str, checked.places[:_MAX_NAMED]))}" if checked.places else ""
            raise InvalidInput(f"{checked.reason}{places}; quote the article word for word, with its place")
        return replace(place, article=article.id, text_sha256=article.sha256)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Threads of this process wait for one another; other processes are turned away."""
        with self._write_lock, write_lock(self.path):
            yield

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

    def _commit(self, batch: "_Batch", embedder: Embedder, acknowledge: Acknowledge) -> None:
        if not batch.articles:
            return
        texts = [embedded_text(passage) for passages in batch.split for passage in passages]
        vectors = embedder.encode(texts)
        indexed, first = [], 0
        for article, passages in zip(batch.articles, batch.split, strict=True):
            indexed.append(Indexed(article, passages, vectors[first : first + len(passages)]))
            first += len(passages)
        self._store.replace(indexed)
        for article, outcome in zip(batch.articles, batch.outcomes, strict=True):
            acknowledge(article, outcome)

    def _refresh(self, dimensions: int, afresh: bool = False) -> derived.Derived:
        """The indexes at the store's present generation. The caller holds the index lock."""
        if self._derived is None and not afresh:
            self._derived = derived.load(self.path, *self._fingerprints())
        if self._derived is not None and self._derived.generation < self._store.forgotten:
            self._derived = None  # it may have words yet of what was removed from everything else
        if self._derived is None or afresh or self._derived.generation != self._store.generation:
            embedder, _ = self._models()
            self._check_embedder(embedder)  # another process may have reindexed the library
            old, self._derived = None if afresh else self._derived, None  # half changed they are of no use
            scratch = self._scratch.path
            try:
                try:
                    self._derived = derived.synced(old, self._store, dimensions, scratch)
                except FileNotFoundError:
                    newer = derived.load(self.path, *self._fingerprints())
                    self._derived = derived.synced(newer, self._store, dimensions, scratch)
            except OSError as error:
                raise DiskFull(
                    f"the index cannot be built in {scratch}: {error}; make room there, or set TMPDIR to another place"
                ) from None
        return self._derived

    def _fingerprints(self) -> tuple[str, str]:
        embedder, splitter = self._models()
        return embedder.fingerprint, splitter.fingerprint


@dataclass(slots=True)
class _Batch:
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


def embedded_text(passage: Passage) -> str:
    """What the embedder is given: the article's title, then the passage. Only here; offsets never see the title."""
    title = (passage.article.title or "")[:_MAX_TITLE_CHARACTERS]
    return f"{title}\n{passage.text}" if title else passage.text


def check_k(k: int) -> None:
    """Raises InvalidInput."""
    if not 1 <= k <= MAX_HITS:
        raise InvalidInput(f"k is {k}; it must be between 1 and {MAX_HITS:,}")


def check_question(question: str) -> None:
    """Raises InvalidInput where there is nothing to ask, or more than any question needs."""
    if not question.strip():
        raise InvalidInput("the question is empty; ask something, like: When was the treaty signed?")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise InvalidInput(
            f"the question has {len(question):,} characters; {MAX_QUESTION_CHARACTERS:,} are the most it may have"
        )


def _occurrences(text: str, quote: str) -> Iterator[int]:
    """Starts of at most 100 occurrences."""
    start = -1
    for _ in range(100 if quote else 0):
        start = text.find(quote, start + 1)
        if start < 0:
            return
        yield start
