"""Checks a library, everything against everything, and mends what can be made again."""

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage

import numpy as np

from index import derived
from index.backup import mendable
from index.derived import Manifest, digest, read_manifest
from index.embed import Embedder, Vectors
from index.errors import LibraryBusy, LibraryCorrupt, LibraryNotWritable, ModelNotFound, PullquoteError
from index.files import (
    SALVAGED,
    database,
    derived_files,
    kept_files,
    leftovers,
    remove_all,
    side_directories,
)
from index.finding import MAX_NAMED, REINDEX, REPAIR, Finding, Kind
from index.integrity import Examination, Tell, examine
from index.library import DATABASE, Library, embedded_text
from index.lock import write_lock
from index.passage import Passage, Splitter
from index.salvage import copy_rows, put_back
from index.schema import VERSION
from index.store import Indexed, Keys, Store

_SAMPLE = 20
"""Passages that are embedded again."""

_LEAST_COSINE = 0.999
"""Of a vector made again with the one that is kept: rounding leaves it far above, another text far below."""

_ROOM = 2
"""Times the database: what a reindex takes, or writing the database anew."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is wrong, what was and is mended, and what could not be checked; with the numbers of what is sound."""

    findings: tuple[Finding, ...]
    mended: tuple[Finding, ...]
    skipped: tuple[str, ...]
    articles: int
    passages: int

    def has(self, kind: Kind) -> bool:
        return any(finding.kind is kind for finding in self.findings)


def check(library: Path, embedder: Embedder | None = None, tell: Tell = lambda text: None) -> Report:
    """Check the database by itself, with the embedder if there is one, and with what lies beside it; others may search
    and write meanwhile. Raises LibraryNotFound, LibraryNotWritable."""
    found = examine(database(library), tell)
    findings, skipped = list(found.findings), []
    try:
        findings += _against_embedder(library, found, embedder, tell)
    except _Skipped as reason:
        skipped.append(f"whether the embedder makes these vectors: {reason}")
    try:
        tell("the files beside the database")
        findings += _beside(library, found)
    except _Skipped as reason:
        skipped.append(f"what lies beside the database: {reason}")
    return Report(tuple(findings), (), tuple(skipped), len(found.articles), len(found.passages))


def repair(library: Path, embedder: Embedder | None = None, tell: Tell = lambda text: None) -> Report:
    """Check, make again what can be made from the articles, and check again. Neither articles nor feedback are ever
    removed: where some cannot be read, the others are copied into a database beside this one, which can be restored.

    Raises LibraryNotFound, LibraryBusy, LibraryNotWritable, DiskFull.
    """
    before = check(library, embedder, tell)
    path = database(library)
    with write_lock(library), mendable(path, path):
        found = _rewritten(path, tell)
        usable = embedder if embedder and found.settings.get("embedder") == embedder.fingerprint else None
        sound = found.version == VERSION and not (found.lost or found.changed)  # else no index can be built
        if sound and usable and found.bare:
            tell("making passages again")
            _recut(path, found, usable)
        if sound and before.has(Kind.DERIVED):
            remove_all(derived_files(library))
        remove_all(_left(library))
        for side in filter(_is_unused, side_directories(library)):
            remove_all([side])
    if sound and usable:
        tell("building the indexes")
        with Library(library, usable) as opened:
            opened.settle()
    after = check(library, embedder, tell)
    standing = {finding.check for finding in after.findings}
    mended = tuple(finding for finding in before.findings if finding.check not in standing)
    return Report(after.findings, mended, after.skipped, after.articles, after.passages)


class _Skipped(Exception):
    """Why something cannot be checked."""


def _against_embedder(library: Path, found: Examination, embedder: Embedder | None, tell: Tell) -> Iterator[Finding]:
    if found.version != VERSION:
        raise _Skipped("the database must be read by this version first")
    if embedder is None:
        raise _Skipped("there is no embedder")
    built = found.settings.get("embedder")
    if built is None or not len(found.passages):
        return
    name = found.settings.get("embedder_name", "another embedder")
    if built != embedder.fingerprint:
        said = (
            f"the library was made with {name} ({built}), and the embedder is {embedder.name} ({embedder.fingerprint})"
        )
        yield Finding("embedder", Kind.DERIVED, said, f"name that embedder with --embedder, or {REINDEX}")
        return
    splitter = Splitter(embedder.token_spans, embedder.fingerprint).fingerprint
    if found.settings.get("splitter") != splitter:
        said = f"articles were cut by {found.settings.get('splitter')}, and are today by {splitter}"
        yield Finding("splitter", Kind.WARNING, said, REINDEX)
    tell("the embedder")
    passages, kept = _sample(library, found.passages)
    if not passages:
        raise _Skipped("no passage can be read")
    try:
        made = embedder.encode([embedded_text(passage) for passage in passages])
    except ModelNotFound as error:
        raise _Skipped(str(error)) from None
    same = (made * kept).sum(axis=1) >= _LEAST_COSINE if made.shape == kept.shape else np.zeros(len(made), dtype=bool)
    if not same.all():
        said = f"of {len(same):,} passages embedded again, {np.count_nonzero(~same):,} have other vectors than are kept"
        yield Finding("embedder", Kind.DERIVED, said, REINDEX)


def _sample(library: Path, keys: Keys) -> tuple[list[Passage], Vectors]:
    """Some passages of articles that are what was stored, drawn at random, and their vectors."""
    passages: list[Passage] = []
    vectors: list[Vectors] = []
    with closing(Store(database(library))) as store:
        for key in np.random.default_rng(0).permutation(keys).tolist():
            with suppress(LibraryCorrupt):
                passages += store.passages([key]).values()
                vectors.append(store.vectors([key])[1])
            if len(passages) == _SAMPLE:
                break
    return passages, np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32)


def _beside(library: Path, found: Examination) -> list[Finding]:
    try:
        with write_lock(library):
            return [*_indexes(library, found), *_others(library)]
    except (LibraryBusy, LibraryNotWritable) as error:  # without the lock, or its right, indexes cannot be opened
        raise _Skipped(str(error)) from None


def _indexes(library: Path, found: Examination) -> Iterator[Finding]:
    """The saved indexes against their manifest and the database."""
    try:
        manifest = read_manifest(library)
    except ValueError as error:
        yield Finding("manifest", Kind.DERIVED, f"the manifest of the saved indexes cannot be read: {error}", REPAIR)
        return
    if manifest is None or found.version != VERSION:
        return
    if changed := [name for name, expected in manifest.files.items() if not _is_as_saved(library / name, expected)]:
        named = ", ".join(changed[:MAX_NAMED])
        yield Finding("indexes", Kind.DERIVED, f"files of the saved indexes are gone or have changed: {named}", REPAIR)
    elif (manifest.embedder, manifest.splitter) != (found.settings.get("embedder"), found.settings.get("splitter")):
        made = "the saved indexes were made with other models than the passages, and are not used"
        yield Finding("indexes", Kind.WARNING, made, REPAIR)
    elif (said := _contradiction(library, manifest)) is not None:
        yield Finding("indexes", Kind.DERIVED, said, REPAIR)


def _is_as_saved(path: Path, expected: str) -> bool:
    try:
        return digest(path) == expected
    except OSError:
        return False


def _contradiction(library: Path, manifest: Manifest) -> str | None:
    """What the saved indexes hold against what they should, if it is not the same."""
    loaded = derived.load(library, manifest.embedder, manifest.splitter)
    if loaded is None:
        return "the saved indexes are of another version of pullquote, or cannot be read"
    dense, lexical = np.sort(loaded.dense.keys), loaded.lexical.keys
    if not np.array_equal(dense, lexical):
        return f"the index of meaning has {len(dense):,} passages and that of words {len(lexical):,}, and not the same"
    try:
        with closing(Store(database(library))) as store:
            generation, live = store.snapshot()
            changes = store.changes(loaded.generation, loaded.last)
    except LibraryCorrupt:
        return None  # the examination has said so
    if loaded.generation > generation:
        return "the saved indexes are of a later state than the database"
    if loaded.generation < generation and changes is not None:  # they will catch up
        dense = np.union1d(np.setdiff1d(dense, changes.gone), changes.new)
    if (loaded.generation == generation or changes is not None) and not np.array_equal(dense, live):
        return "the saved indexes do not hold the passages that they should"
    return None


def _others(library: Path) -> Iterator[Finding]:
    """What else is there, and what is not: room."""
    if left := _left(library):
        named = ", ".join(path.name for path in left[:MAX_NAMED])
        yield Finding("leftovers", Kind.WARNING, f"files that nothing needs: {named}", f"remove them; or {REPAIR}")
    for side in filter(_is_unused, side_directories(library)):
        yield _about_side(side)
    for path in kept_files(library):
        if path.name == SALVAGED:
            todo = f"put it in place with: pullquote restore {path} --force"
            yield Finding("salvaged", Kind.WARNING, f"{path.name} has all articles that can be read", todo)
        else:
            todo = "remove it when you are sure that you do not need it"
            yield Finding("kept", Kind.WARNING, f"{path.name} was replaced by a backup that was restored", todo)
    size, free = database(library).stat().st_size, disk_usage(library).free
    if free < _ROOM * size:
        said = f"the disk has {free / 1e6:,.0f} MB left, and the database {size / 1e6:,.0f} MB"
        yield Finding("room", Kind.WARNING, said, "make room: to rewrite the database takes twice its size")


def _left(library: Path) -> list[Path]:
    try:
        return leftovers(library, read_manifest(library))
    except ValueError:
        return leftovers(library, None)


def _about_side(side: Path) -> Finding:
    remedy = f"go on with: pullquote reindex --embedder NAME; to give it up, {REPAIR}"
    try:
        with Library(side) as opened:
            said = f"{side.name} is an unfinished reindex with {opened.embedder_name}: {opened.counts()[0]:,} articles"
            remedy = remedy.replace("NAME", opened.embedder_name or "NAME")
    except PullquoteError as error:
        said = f"{side.name} is an unfinished reindex that cannot be read: {error}"
    return Finding("reindex", Kind.WARNING, said, remedy)


def _is_unused(side: Path) -> bool:
    try:
        with write_lock(side):
            return True
    except LibraryBusy:
        return False
    except LibraryNotWritable:
        return True


def _rewritten(path: Path, tell: Tell) -> Examination:
    """Migrate the database, and write it anew where that mends it; or what is sound of it, beside it."""
    found = examine(path, tell)
    if 0 < found.version < VERSION:
        Store(path).close()
        found = examine(path, tell)
    salvaging = found.lost or found.unread
    if found.version != VERSION or not (found.crooked or salvaging):
        return found
    tell("copying what is sound")
    sound = path.with_name(f"{DATABASE}.tmp")
    articles = found.articles if salvaging else found.articles | found.changed
    try:
        copy_rows(path, sound, found.settings, articles, found.passages, found.feedback)
        if salvaging:
            sound.replace(path.with_name(SALVAGED))
            return found
        put_back(sound, path)
    finally:
        sound.unlink(missing_ok=True)
    return examine(path, tell)


def _recut(path: Path, found: Examination, embedder: Embedder) -> None:
    """Make the passages of articles again that have lost some."""
    splitter = Splitter(embedder.token_spans, embedder.fingerprint)
    with closing(Store(path)) as store:
        for id in sorted(found.bare):
            if (article := store.article(id)) is not None:
                passages = splitter.split(article)
                vectors = embedder.encode([embedded_text(passage) for passage in passages])
                store.recut([Indexed(article, passages, vectors)], {})
