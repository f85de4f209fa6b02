"""Whether a database holds what was stored: every row is read and compared."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from index import schema
from index.finding import ADD_AGAIN, REINDEX, REPAIR, RESTORE, Finding, Hurt, Kind, changed_feedback, named
from index.salvage import PASSAGE_COLUMNS, UNREADABLE, read_settings, readable, rows, snapshot
from index.schema import ARTICLE_COLUMNS, FEEDBACK_COLUMNS, article_checksum, feedback_checksum, passage_checksum
from index.store import Keys

_MAGIC = b"SQLite format 3\0"
_MAX_COMPLAINTS = 100
_UNIT_ERROR = 1e-3
"""By which a vector's length may differ from one: a thousand times what rounding makes."""

_TOLD_EVERY = 1_000
"""Rows."""

_MODELS = ("embedder", "embedder_name", "splitter")
_PASSAGE = np.dtype([("key", "i8"), ("article", "i8"), ("start", "i8"), ("end", "i8"), ("size", "i8"), ("norm", "f8")])
"""A passage without its vector: that one's bytes and length."""

Passages = NDArray[np.void]
Tell = Callable[[str], None]
"""Takes a few words on what is being done."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What is wrong with a database and what is right: the version of its schema (0 where it is no library's), its
    settings, the keys of the articles and of the passages that are as they should be, and those of the feedback that
    can be read.

    `changed` are the keys of articles that can be read but are not what was stored, `bare` the ids of those that are,
    but whose passages want making again. Where `lost`, some articles cannot be read; where `unread`, some feedback.
    `crooked` is what a copy of all rows mends.
    """

    findings: tuple[Finding, ...]
    version: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    articles: frozenset[int] = frozenset()
    passages: Keys = field(default_factory=lambda: np.array([], dtype=np.int64))
    changed: frozenset[int] = frozenset()
    bare: frozenset[str] = frozenset()
    feedback: frozenset[int] = frozenset()
    lost: bool = False
    unread: bool = False
    crooked: bool = False


@dataclass(slots=True)
class _Articles:
    """What is known of the articles, and the keys of those that are intact or not, one way or another."""

    known: dict[int, Hurt]
    intact: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    outside: set[int] = field(default_factory=set)
    uncovered: set[int] = field(default_factory=set)


def examine(path: Path, tell: Tell = lambda text: None) -> Examination:
    """Read the whole database, as of one moment, while others read and write. Raises LibraryNotWritable where that
    takes the right to write."""
    if (finding := _no_database(path)) is not None:
        return Examination((finding,))
    try:
        with snapshot(path) as db:
            version = db.pragma("user_version")
            if (finding := _foreign(db, path, version)) is not None:
                return Examination((finding,))
            return _examined(db, version, tell)
    except UNREADABLE as error:
        return Examination((Finding("file", Kind.TRUTH, f"{path} cannot be read: {error}", RESTORE),))


def _examined(db: apsw.Connection, version: int, tell: Tell) -> Examination:
    settings, unreadable = read_settings(db)
    passages, broken = _read_passages(db, version, tell)
    articles = _read_articles(db, version, passages, tell)
    feedback, whole = _read_feedback(db)
    tell("the indexes of the database")
    crooked = [*_structure(db, version), *_counters(db, version, settings), *_orphans(passages, articles)]
    crooked += _described(db, version)
    if unreadable:
        crooked.append(Finding("setting", Kind.DERIVED, f"{unreadable:,} settings cannot be read", REPAIR))
    odd = _odd_vectors(passages)
    unlike = set(passages[odd]["article"].tolist())
    findings = [
        *_about(articles, articles.lost, "lost", Kind.TRUTH, "articles that cannot be read", ADD_AGAIN),
        *_about(articles, articles.changed, "changed", Kind.TRUTH, "articles that are not what was stored", ADD_AGAIN),
        *crooked,
        *_about(articles, broken, "passages", Kind.DERIVED, "articles with passages that have changed", REPAIR),
        *_about(articles, articles.outside, "places", Kind.DERIVED, "articles with passages beyond their text", REPAIR),
        *_about(articles, unlike, "vectors", Kind.DERIVED, "articles with vectors of odd size or length", REPAIR),
        *_about(
            articles, articles.uncovered - broken, "cover", Kind.DERIVED, "articles with text in no passage", REPAIR
        ),
        *_models(settings, len(passages)),
        *_about_feedback(feedback, whole, version),
    ]
    if version < schema.VERSION:
        said = f"the schema is of version {version}"
        if version < schema.CHECKSUMS:
            said += ", which has no checksums: a changed article cannot be told"
        findings.append(Finding("migration", Kind.WARNING, said, "nothing; what opens the library next migrates it"))
    bare = articles.intact & (broken | articles.outside | unlike | articles.uncovered)
    belonging = articles.intact | articles.changed
    sound = ~odd & np.isin(passages["article"], list(belonging - articles.outside))
    return Examination(
        tuple(findings),
        version,
        settings,
        frozenset(articles.intact),
        np.sort(passages[sound]["key"]),
        frozenset(articles.changed),
        frozenset(articles.known[key].id for key in bare),
        frozenset(key for key, row in feedback.items() if row is not None),
        bool(articles.lost),
        not whole or None in feedback.values(),
        bool(crooked),
    )


def _no_database(path: Path) -> Finding | None:
    try:
        with path.open("rb") as file:
            begin = file.read(len(_MAGIC))
    except OSError as error:
        return Finding("file", Kind.TRUTH, f"{path} cannot be read: {error.strerror}", "see to the disk that it is on")
    if begin == _MAGIC:
        return None
    if not begin:
        said = "is empty: nothing was ever stored in it, or it was cut off"
    elif not any(begin):
        said = "is no database: it begins with zeros, like a file that never reached the disk"
    else:
        said = f"is no database: it begins with {begin!r} rather than {_MAGIC!r}"
    return Finding("file", Kind.TRUTH, f"{path} {said}", RESTORE)


def _foreign(db: apsw.Connection, path: Path, version: int) -> Finding | None:
    if version > schema.VERSION:
        said = f"{path} has schema version {version}; this version of pullquote reads up to {schema.VERSION}"
        return Finding("version", Kind.TRUTH, said, "use a newer one: pip install --upgrade pullquote")
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if version > 0 and {"setting", "article", "passage"} <= tables:
        return None
    return Finding("version", Kind.TRUTH, f"{path} is a database, but no library", RESTORE)


def _read_passages(db: apsw.Connection, version: int, tell: Tell) -> tuple[Passages, set[int]]:
    """Those that are what was stored, in the order of their articles' keys; and the articles of the others, as far as
    anything still says which those are."""
    owners = dict(readable(db, "SELECT key, article FROM passage INDEXED BY passage_article"))
    broken: set[int] = set()

    def intact() -> Iterator[tuple[int, int, int, int, int, float]]:
        checksum = "checksum" if version >= schema.CHECKSUMS else "NULL"
        for number, (key, row) in enumerate(rows(db, "passage", f"{checksum}, {PASSAGE_COLUMNS}")):
            if number % _TOLD_EVERY == 0:
                tell(f"passage {number:,}")
            if row is None or not _as_stored(row, passage_checksum, version):
                named = (owners.get(key), row and row[1])
                broken.update(article for article in named if isinstance(article, int))
                continue
            _, article, start, end, vector = row
            values = np.frombuffer(vector[: len(vector) // 4 * 4], "<f4").astype(np.float64)
            yield key, article, start, end, len(vector), float(np.linalg.norm(values))

    passages = np.fromiter(intact(), dtype=_PASSAGE)
    return passages[np.argsort(passages["article"], kind="stable")], broken


def _read_articles(db: apsw.Connection, version: int, passages: Passages, tell: Tell) -> _Articles:
    """The articles, held against the passages that are what was stored."""
    origins = dict(readable(db, "SELECT key, origin FROM article INDEXED BY article_origin"))
    ids = readable(db, "SELECT key, id FROM article INDEXED BY sqlite_autoindex_article_1")
    found = _Articles({key: Hurt(id, origins.get(key)) for key, id in ids})
    checksum = "checksum" if version >= schema.CHECKSUMS else "NULL"
    for number, (key, row) in enumerate(rows(db, "article", f"{checksum}, {ARTICLE_COLUMNS}")):
        if number % _TOLD_EVERY == 0:
            tell(f"article {number:,}")
        if row is None or not _is_text(row[1:]):
            found.lost.add(key)
            continue
        found.known.setdefault(key, Hurt(row[1], row[-1]))
        if not _as_stored(row, article_checksum, version):
            found.changed.add(key)
            continue
        found.intact.add(key)
        begin, end = np.searchsorted(passages["article"], [key, key + 1])
        text, own = row[2], passages[begin:end]
        places = sorted(zip(own["start"].tolist(), own["end"].tolist(), strict=True))
        if any(not 0 <= start < end <= len(text) for start, end in places):
            found.outside.add(key)
        elif _uncovered(text, places):
            found.uncovered.add(key)
    # A row may be gone from the table alone: then an index names it still, and its passages are there.
    gone = set(found.known) - found.intact - found.changed
    found.lost |= gone & set(passages["article"].tolist())
    return found


def _read_feedback(db: apsw.Connection) -> tuple[dict[int, tuple[Any, ...] | None], bool]:
    """The rows by key, None for one that cannot be read; and whether these are all there are."""
    if "feedback" not in _names(db):
        return {}, True
    found = dict(rows(db, "feedback", f"checksum, {FEEDBACK_COLUMNS}"))
    try:
        db.execute("SELECT count(created) FROM feedback").fetchall()
    except UNREADABLE:
        return found, _never_given(db)
    return found, True


def _never_given(db: apsw.Connection) -> bool:
    """Whether it is certain that there never was any feedback."""
    try:
        return not db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'feedback'").fetchall()
    except UNREADABLE:
        return False


def _is_text(row: tuple[Any, ...]) -> bool:
    """Whether an article's values are of the types that they are stored with."""
    id, text, *optional, authors, metadata, origin = row
    required = (id, text, authors, metadata)
    return all(isinstance(value, str) for value in required) and all(
        isinstance(value, str | None) for value in (*optional, origin)
    )


def _as_stored(row: tuple[Any, ...], checksum_of: Callable[..., object], version: int) -> bool:
    checksum, *values = row
    found = checksum_of(*values)
    return found == checksum or (version < schema.CHECKSUMS and found != -1)


def _uncovered(text: str, places: Iterable[tuple[int, int]]) -> bool:
    """Whether more than white space is in none of the slices, which are sorted."""
    covered = 0
    for start, end in places:
        if text[covered:start].strip():
            return True
        covered = max(covered, end)
    return bool(text[covered:].strip())


def _odd_vectors(passages: Passages) -> NDArray[np.bool_]:
    """Which vectors are not of the usual size, or not finite and of length one."""
    sizes, counts = np.unique(passages["size"], return_counts=True)
    usual = sizes[np.argmax(counts)] if len(sizes) else 0
    unit = np.abs(passages["norm"] - 1) <= _UNIT_ERROR  # false where it is no number
    odd: NDArray[np.bool_] = (passages["size"] != usual) | ~unit
    return odd


def _structure(db: apsw.Connection, version: int) -> Iterator[Finding]:
    try:
        complaints = [row for (row,) in db.execute(f"PRAGMA integrity_check({_MAX_COMPLAINTS})")]
    except UNREADABLE as error:
        complaints = [str(error)]
    if complaints != ["ok"]:
        said = f"the database is damaged inside; SQLite says: {complaints[0]}"
        if len(complaints) > 1:
            said += f", and {len(complaints) - 1:,} more"
        yield Finding("structure", Kind.DERIVED, said, REPAIR)
    if version == schema.VERSION and (missing := _names(_fresh()) - _names(db)):
        said = f"the database is without {', '.join(sorted(missing))}"
        yield Finding("schema", Kind.DERIVED, said, REPAIR)


def _fresh() -> apsw.Connection:
    db = apsw.Connection(":memory:")
    schema.create(db)
    return db


def _names(db: apsw.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'")}


def _counters(db: apsw.Connection, version: int, settings: Mapping[str, str]) -> Iterator[Finding]:
    """The generation, and the log of removals, which has those of generations after `removals_since`."""
    generation = settings.get("generation", "")
    if not _is_number(generation):
        yield Finding("generation", Kind.DERIVED, f"the library's generation is {generation!r}, no number", REPAIR)
    elif version >= schema.CHECKSUMS:
        since = settings.get("removals_since", "")
        wrong = 1
        if _is_number(since) and int(since) <= int(generation):
            counted = readable(
                db,
                f"SELECT count(*) FROM removal WHERE generation NOT BETWEEN {int(since) + 1} AND {int(generation)} "
                "OR passage IN (SELECT key FROM passage)",
            )
            wrong = counted[0][0] if counted else 1
        if wrong:
            yield Finding("removals", Kind.DERIVED, "the log of removed passages contradicts the passages", REPAIR)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _orphans(passages: Passages, articles: _Articles) -> Iterator[Finding]:
    """What `PRAGMA foreign_key_check` would say, which cannot read damaged tables."""
    there = articles.intact | articles.changed | articles.lost
    if count := int(np.count_nonzero(~np.isin(passages["article"], list(there)))):
        yield Finding("orphans", Kind.DERIVED, f"{count:,} passages belong to no article", REPAIR)


def _described(db: apsw.Connection, version: int) -> Iterator[Finding]:
    """What was made of articles' texts, as far as it can be told that it is not what was made."""
    if version < schema.TRAITS:
        return
    wrong = readable(
        db,
        "SELECT count(*) FROM trait WHERE copy_of >= article OR copy_of NOT IN (SELECT key FROM article) "
        "OR language NOT GLOB '[a-z][a-z]' AND language NOT GLOB '[a-z][a-z][a-z]'",
    )
    if wrong and wrong[0][0]:
        said = f"{wrong[0][0]:,} articles with a language, or as copies of articles, that there are not"
        yield Finding("copies", Kind.DERIVED, said, REPAIR)


def _models(settings: Mapping[str, str], passages: int) -> Iterator[Finding]:
    if passages and (missing := [name for name in _MODELS if name not in settings]):
        said = f"it is not known what made the passages: there is no {', '.join(missing)} among the settings"
        yield Finding("settings", Kind.DERIVED, said, REINDEX)


def _about_feedback(feedback: Mapping[int, tuple[Any, ...] | None], whole: bool, version: int) -> Iterator[Finding]:
    changed = [key for key, row in feedback.items() if row is None or not _as_stored(row, feedback_checksum, version)]
    yield from changed_feedback(changed)
    if not whole:
        remedy = f"copy what can be read with: pullquote doctor --repair; or {RESTORE}"
        yield Finding("feedback_lost", Kind.TRUTH, "feedback that cannot be read", remedy)


def _about(articles: _Articles, keys: set[int], check: str, kind: Kind, said: str, remedy: str) -> Iterator[Finding]:
    if keys:
        hurt = tuple(articles.known.get(key, Hurt(f"row {key}", None)) for key in sorted(keys))
        names = [f"{one.id} ({one.origin})" if one.origin else one.id for one in hurt]
        yield Finding(check, kind, f"{said}: {named(names)}", remedy, hurt)
