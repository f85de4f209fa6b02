"""What must hold of a library whatever has happened to it.

I1: each article that was acknowledged is there, its SHA-256 the same, and is found and quoted at its place. I2: what
was removed stays gone. I3: what was not acknowledged is whole or absent. I4: the database is sound and has no orphans.
I5: both derived indexes hold the keys of the passages, no more and no less. I6: the library opens without anybody's
help.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random

import apsw

from index.article import Article
from index.dense import DenseIndex
from index.embed import Embedder
from index.errors import ArticleNotFound
from index.filter import Filter
from index.lexical import LexicalIndex
from index.library import DATABASE, MAX_HITS, Library, Validity, embedded_text
from index.passage import Passage, Splitter
from tests.crash_child import ARTICLES, COMMON, SOURCES, make, version_of, word, words

_COSINE_ERROR = 0.01
"""Vectors are kept in fewer bits than they are computed in."""

_REMEMBERED_VERSIONS = 20
"""Of those that are gone so many are looked for: the latest."""


@dataclass(slots=True)
class Ledger:
    """What a library may hold, by the journals of those who wrote to it: for each article its possible versions, 0
    where it may be absent. A single one was acknowledged."""

    possible: dict[str, set[int]] = field(default_factory=dict)
    begun: dict[tuple[str, int], None] = field(default_factory=dict)
    acknowledged: int = 0
    errors: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)

    def read(self, journal: bytes) -> None:
        """A line that was not finished does not count."""
        for line in journal.split(b"\n")[:-1]:
            entry = json.loads(line)
            if "begin" in entry:
                self.possible.setdefault(entry["begin"], {0}).add(entry["version"])
                self.begun[entry["begin"], entry["version"]] = None
            elif id := entry.get("done") or entry.get("same"):
                self.possible[id] = {entry["version"]}
                self.acknowledged += 1
            elif "error" in entry:
                self.errors.append(f"{entry['error']}: {entry['message']}")
            elif "raised" in entry:
                self.bugs.append(f"{entry['raised']} {entry['message']}")

    def settle(self, versions: Mapping[str, int]) -> None:
        """What was found once must be found again; what went wrong has been told."""
        self.errors.clear()
        self.bugs.clear()
        for id in self.possible:
            self.possible[id] = {versions.get(id, 0)}

    def lost(self, versions: Mapping[str, int]) -> int:
        """How many articles are not what was acknowledged of them."""
        return sum(len(among) == 1 and versions.get(id, 0) not in among for id, among in self.possible.items())


@dataclass(frozen=True, slots=True)
class Findings:
    """What a library was found to be like. `seconds` passed until it had answered a first search."""

    versions: Mapping[str, int]
    violations: Sequence[str]
    lost: int
    orphans: int
    seconds: float


def check(path: Path, ledger: Ledger, embedder: Embedder) -> Findings:
    """Whether I1 to I6 hold for the library, which is opened as anybody would open it."""
    held: dict[str, Article] = {}
    violations: list[str] = []
    orphans, began, seconds = 0, time.perf_counter(), 0.0
    try:
        with Library(path, embedder, create=not ledger.acknowledged) as library:
            library.search(COMMON)
            seconds = time.perf_counter() - began
            held = {article.id: article for article, _ in library.articles(0, 10 * ARTICLES)}
            violations += _texts(library, held, ledger)
            violations += _quotes(library, held, embedder)
            violations += _removals(library, held, ledger)
            violations += _filters(library, held)
            keys, orphans, unsound = _database(path / DATABASE)
            violations += unsound
            violations += _passages(library.passages(keys).values(), held, embedder)
        violations += _indexes(path, keys)
    except Exception as error:  # of any kind, since none may be
        violations.append(f"I6: {type(error).__name__}: {error}")
    versions = {id: version_of(article) for id, article in held.items()}
    return Findings(versions, violations, ledger.lost(versions), orphans, seconds)


def _texts(library: Library, held: Mapping[str, Article], ledger: Ledger) -> Iterator[str]:
    for id, article in held.items():
        given = make(int(id[1:]), version_of(article))
        same = sha256(article.text.encode()).hexdigest() == given.sha256 and article == given
        if not same or library.article(id) != given:
            yield f"I3: {id} is not whole"
    for id, versions in ledger.possible.items():
        version = version_of(held[id]) if id in held else 0
        if version not in versions:
            invariant = "I3" if len(versions) > 1 else "I2" if 0 in versions else "I1"
            yield f"{invariant}: {id} is of version {version}, not of {sorted(versions)}"
        if version == 0 and _is_there(library, id):
            yield f"I2: {id} is not listed but there"
    for id in held.keys() - ledger.possible.keys():
        yield f"I2: {id} was never added"


def _is_there(library: Library, id: str) -> bool:
    try:
        library.article(id)
    except ArticleNotFound:
        return False
    return True


def _quotes(library: Library, held: Mapping[str, Article], embedder: Embedder) -> Iterator[str]:
    """A word of each article leads to it, and stands where it is said to stand."""
    for id, article in held.items():
        quote = Random(article.text).choice(words(article))
        hits = library.search(quote, 3)
        passage = hits[0].passage if hits else Passage(article, 0, 0)
        if passage.article != article or quote not in article.text[passage.start : passage.end]:
            yield f"I1: {quote} of {id} is not found"
            continue
        start = passage.start + passage.text.index(quote)
        verified = library.verify(id, start, start + len(quote), quote, article.sha256)
        if verified.validity is not Validity.VALID:
            yield f"I1: {quote} of {id} is not valid: {verified.reason}"
        question, text = embedder.encode([quote, embedded_text(passage)])
        if abs(float(question @ text) - hits[0].dense) > _COSINE_ERROR:
            yield f"I5: the vector of a passage of {id} is another's"


def _removals(library: Library, held: Mapping[str, Article], ledger: Ledger) -> Iterator[str]:
    """No word of what is gone is found."""
    present = {(id, version_of(article)) for id, article in held.items()}
    gone = [(id, version) for id, version in ledger.begun if version and (id, version) not in present]
    for id, version in gone[-_REMEMBERED_VERSIONS:]:
        if any(hit.lexical for hit in library.search(word(int(id[1:]), version, 0))):
            yield f"I2: version {version} of {id} is gone but found"


def _filters(library: Library, held: Mapping[str, Article]) -> Iterator[str]:
    for source in filter(None, SOURCES):
        hits = library.search(COMMON, MAX_HITS, Filter(sources=frozenset({source})))
        if {hit.passage.article.id for hit in hits} != {a.id for a in held.values() if a.source == source}:
            yield f"I1: the articles of {source} are not those that a filter finds"


def _passages(passages: Iterable[Passage], held: Mapping[str, Article], embedder: Embedder) -> Iterator[str]:
    """Each article is cut as it would be today."""
    splitter = Splitter(embedder.token_spans, embedder.fingerprint)
    stored: dict[str, list[tuple[int, int]]] = {}
    for passage in passages:
        stored.setdefault(passage.article.id, []).append((passage.start, passage.end))
    for id, article in held.items():
        if sorted(stored.get(id, [])) != [(passage.start, passage.end) for passage in splitter.split(article)]:
            yield f"I3: the passages of {id} are not those it is cut into"


def _database(path: Path) -> tuple[list[int], int, list[str]]:
    """The keys of all passages, the number of orphans, and what is wrong."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        keys = [key for (key,) in db.execute("SELECT key FROM passage ORDER BY key")]
        [(orphans,)] = db.execute("SELECT count(*) FROM passage WHERE article NOT IN (SELECT key FROM article)")
        unsound = [f"I4: {row}" for (row,) in db.execute("PRAGMA integrity_check") if row != "ok"]
        unsound += [f"I4: foreign key {row}" for row in db.execute("PRAGMA foreign_key_check")]
    finally:
        db.close()
    return keys, orphans, unsound + [f"I4: {orphans} orphans"] * bool(orphans)


def _indexes(path: Path, keys: Sequence[int]) -> Iterator[str]:
    """The saved indexes have the keys that the database has."""
    if not keys and not (path / "manifest.json").exists():
        return
    manifest = json.loads((path / "manifest.json").read_bytes())
    dense = DenseIndex.load(path / f"dense-{manifest['generation']}.faiss").keys.tolist()
    lexical = LexicalIndex(path / f"lexical-{manifest['generation']}").keys.tolist()
    for name, found in (("dense", sorted(dense)), ("lexical", sorted(lexical))):
        if found != list(keys):
            yield f"I5: the {name} index differs in the keys {sorted(set(found) ^ set(keys)) or 'that it has twice'}"
