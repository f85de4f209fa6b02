"""The derived indexes on disk and in memory. The store can always rebuild them; nothing in them is the truth."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import file_digest
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from index.dense import DenseIndex, training_sample
from index.lexical import LexicalIndex
from index.store import Changes, Keys, Store

MANIFEST = "manifest.json"
_FORMAT = 4
_SYNC_BATCH = 10_000
"""Passages moved from the store into the indexes at once: 15 MB of vectors."""

_ALWAYS_SAVED = 50_000
_UNSAVED_SHARE = 1 / 50
"""Of the passages beyond the first 50,000: when more have changed the indexes are saved. Catching up with fewer takes
no longer than writing them."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the saved files hold, and their SHA-256 by name relative to the library. Written last, by renaming. (`last`
    is there to tell how far they are behind without reading them.)"""

    format: int
    generation: int
    last: int
    embedder: str
    splitter: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Derived:
    """Both indexes as of one generation of the store, whose greatest passage key is `last`; so many passages came or
    went since they were saved."""

    generation: int
    dense: DenseIndex
    lexical: LexicalIndex
    last: int
    unsaved: int


def worth_saving(changed: int, passages: int) -> bool:
    """Whether indexes of so many passages, of which some have changed, are better written than caught up with."""
    return changed > _UNSAVED_SHARE * max(0, passages - _ALWAYS_SAVED)


def load(library: Path, embedder: str, splitter: str) -> Derived | None:
    """The saved indexes, or None where there are none, they were made with another embedder or splitter, or any
    file is not what the manifest says."""
    manifest = _usable_manifest(library)
    if manifest is None or (manifest.format, manifest.embedder, manifest.splitter) != (_FORMAT, embedder, splitter):
        return None
    try:
        if any(digest(library / name) != expected for name, expected in manifest.files.items()):
            return None
        dense_path = _dense_path(library, manifest.generation)
        if str(dense_path.relative_to(library)) not in manifest.files:
            return None
        dense = DenseIndex.load(dense_path)
        lexical = LexicalIndex(_lexical_path(library, manifest.generation))
    except (OSError, ValueError, TypeError, AttributeError):  # what a damaged manifest can lead to
        return None
    return Derived(manifest.generation, dense, lexical, _greatest(dense.keys), 0)


def saved_are_behind(library: Path, store: Store) -> bool:
    """Whether there are no saved indexes of the present articles, nor such as are worth catching up with."""
    manifest = _usable_manifest(library)
    changes = store.changes(manifest.generation, manifest.last) if manifest and manifest.format == _FORMAT else None
    return changes is None or worth_saving(len(changes.new) + len(changes.gone), store.counts()[1])


def read_manifest(library: Path) -> Manifest | None:
    """What the saved indexes are said to be; None where there are none. Raises ValueError where it is unreadable."""
    try:
        manifest = Manifest(**json.loads((library / MANIFEST).read_bytes()))
        if not isinstance(manifest.files, dict):
            raise ValueError("it names no files")
    except FileNotFoundError:
        return None
    except (OSError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return manifest


def _usable_manifest(library: Path) -> Manifest | None:
    try:
        manifest = read_manifest(library)
    except ValueError:
        return None
    numbers = (manifest.generation, manifest.last) if manifest else ()
    return manifest if all(isinstance(number, int) for number in numbers) else None


def _greatest(keys: Keys) -> int:
    return int(keys.max()) if len(keys) else 0


def synced(old: Derived | None, store: Store, dimensions: int, scratch: Path) -> Derived:
    """The indexes brought up to the store's present generation: the old ones changed in place, the lexical one once it
    is in `scratch`, since saved files are never changed. After an exception neither is of any use.

    Passage keys are never used again and passages never change, so the keys that came and went are all there is to
    do. Where nobody remembers which went, two sets of keys are compared. Raises FileNotFoundError where another
    process has saved newer indexes and removed the files of these.
    """
    changes = store.changes(old.generation, old.last) if old else None
    if changes is None:
        generation, live = store.snapshot()
        held = old.dense.keys if old else np.array([], dtype=np.int64)
        changes = Changes(generation, np.setdiff1d(live, held), np.setdiff1d(held, live))
    dense = old.dense if old else _empty_dense(store, changes.new, dimensions)
    lexical = old.lexical if old else LexicalIndex(_new_directory(scratch))
    if len(changes.gone):
        dense.remove(changes.gone)
    for batch in _batches(changes.new):
        dense.add(*store.vectors(batch))
    if len(changes.gone) or len(changes.new):
        if scratch not in lexical.path.parents:
            lexical = lexical.copy(_new_directory(scratch))
        passages = (item for batch in _batches(changes.new) for item in store.passages(batch).items())
        lexical.update(add=passages, remove=changes.gone.tolist())
    last = max(old.last if old else 0, _greatest(changes.new))
    unsaved = (old.unsaved if old else 0) + len(changes.gone) + len(changes.new)
    return Derived(changes.generation, dense, lexical, last, unsaved)


def _new_directory(scratch: Path) -> Path:
    return Path(mkdtemp(dir=scratch)) / "lexical"


def _empty_dense(store: Store, keys: Keys, dimensions: int) -> DenseIndex:
    """Of the type that suits so many passages."""
    chosen = np.random.default_rng(0).permutation(keys)[: training_sample(len(keys))]
    _, sample = store.vectors(np.sort(chosen).tolist())
    return DenseIndex.trained(sample, len(keys)) if len(sample) else DenseIndex(dimensions)


def save(derived: Derived, library: Path, embedder: str, splitter: str) -> Derived:
    """Write both indexes and then the manifest; the files of other generations are removed afterwards. Returns the
    same, saved.

    For the holder of the write lock. A crash at any point leaves the old manifest with its files, or the new one.
    """
    dense_path = _dense_path(library, derived.generation)
    lexical_path = _lexical_path(library, derived.generation)
    temporary = dense_path.with_suffix(".tmp")
    derived.dense.save(temporary)
    sync_to_disk(temporary)
    temporary.rename(dense_path)
    shutil.rmtree(lexical_path, ignore_errors=True)
    derived.lexical.copy(lexical_path)
    written = [dense_path, *sorted(path for path in lexical_path.iterdir() if path.suffix != ".lock")]
    for path in [*written[1:], lexical_path]:
        sync_to_disk(path)
    manifest = Manifest(
        _FORMAT,
        derived.generation,
        derived.last,
        embedder,
        splitter,
        {str(path.relative_to(library)): digest(path) for path in written},
    )
    temporary = library / f"{MANIFEST}.tmp"
    temporary.write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
    sync_to_disk(temporary)
    temporary.rename(library / MANIFEST)
    sync_to_disk(library)
    for path in library.glob("*-*"):
        if path.name.startswith("dense-") and path != dense_path:
            path.unlink(missing_ok=True)
        elif path.name.startswith("lexical-") and path != lexical_path:
            shutil.rmtree(path, ignore_errors=True)
    return replace(derived, unsaved=0)


def _batches(keys: Keys) -> Iterator[list[int]]:
    for start in range(0, len(keys), _SYNC_BATCH):
        yield keys[start : start + _SYNC_BATCH].tolist()


def _dense_path(library: Path, generation: int) -> Path:
    return library / f"dense-{generation}.faiss"


def _lexical_path(library: Path, generation: int) -> Path:
    return library / f"lexical-{generation}"


def digest(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a directory, will survive the loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
