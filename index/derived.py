"""The derived indexes on disk and in memory. The store can always rebuild them; nothing in them is the truth."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from index.dense import DenseIndex
from index.lexical import LexicalIndex
from index.store import Keys, Store

_MANIFEST = "manifest.json"
_SYNC_BATCH = 10_000
"""Passages moved from the store into the indexes at once: 15 MB of vectors."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the saved files hold, and their SHA-256 by name relative to the library. Written last, by renaming."""

    generation: int
    passages: int
    embedder: str
    splitter: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Derived:
    """Both indexes as of one generation of the store."""

    generation: int
    dense: DenseIndex
    lexical: LexicalIndex


def load(library: Path, embedder: str, splitter: str) -> Derived | None:
    """The saved indexes, or None where there are none, they were made with another embedder or splitter, or any
    file is not what the manifest says."""
    try:
        manifest = Manifest(**json.loads((library / _MANIFEST).read_bytes()))
        if (manifest.embedder, manifest.splitter) != (embedder, splitter):
            return None
        if any(_hash(library / name) != digest for name, digest in manifest.files.items()):
            return None
        dense_path = _dense_path(library, manifest.generation)
        if str(dense_path.relative_to(library)) not in manifest.files:
            return None
        dense = DenseIndex.load(dense_path)
        return Derived(manifest.generation, dense, LexicalIndex(_lexical_path(library, manifest.generation)))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):  # what a damaged manifest can lead to
        return None


def synced(old: Derived | None, store: Store, dimensions: int, scratch: Path) -> Derived:
    """The indexes brought up to the store's present generation.

    Passage keys are never used again and passages never change, so the difference of two sets of keys is all
    there is to do, be it a first build, a few new articles or the repair of a stale file. Both are changed in
    place, once the lexical one is in `scratch`: the saved files are never changed.
    """
    generation, live = store.snapshot()
    directory = scratch / "lexical"
    dense = old.dense if old else DenseIndex(dimensions)
    lexical = old.lexical if old else LexicalIndex(directory)
    held = dense.keys
    gone = np.setdiff1d(held, live)
    if len(gone):
        dense.remove(gone)
    for batch in _batches(np.setdiff1d(live, held)):
        dense.add(*store.vectors(batch))
    held = lexical.keys
    if lexical.path != directory and not np.array_equal(held, live):
        try:
            lexical = lexical.copy(directory)
        except OSError:  # another process has saved newer indexes and removed the files of ours
            shutil.rmtree(directory, ignore_errors=True)
            lexical = LexicalIndex(directory)
            held = lexical.keys
    gone, new = np.setdiff1d(held, live), np.setdiff1d(live, held)
    if len(gone) or len(new):
        passages = (item for batch in _batches(new) for item in store.passages(batch).items())
        lexical.update(add=passages, remove=gone.tolist())
    return Derived(generation, dense, lexical)


def save(derived: Derived, library: Path, embedder: str, splitter: str) -> None:
    """Write both indexes and then the manifest; the files of other generations are removed afterwards.

    For the holder of the write lock. A crash at any point leaves the old manifest with its files, or the new one.
    """
    dense_path = _dense_path(library, derived.generation)
    lexical_path = _lexical_path(library, derived.generation)
    temporary = dense_path.with_suffix(".tmp")
    derived.dense.save(temporary)
    _sync_to_disk(temporary)
    temporary.rename(dense_path)
    shutil.rmtree(lexical_path, ignore_errors=True)
    lexical = derived.lexical.copy(lexical_path)
    written = [dense_path, *sorted(path for path in lexical_path.iterdir() if path.suffix != ".lock")]
    for path in [*written[1:], lexical_path]:
        _sync_to_disk(path)
    manifest = Manifest(
        derived.generation,
        len(lexical.keys),
        embedder,
        splitter,
        {str(path.relative_to(library)): _hash(path) for path in written},
    )
    temporary = library / f"{_MANIFEST}.tmp"
    temporary.write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
    _sync_to_disk(temporary)
    temporary.rename(library / _MANIFEST)
    _sync_to_disk(library)
    for path in library.glob("*-*"):
        if path.name.startswith("dense-") and path != dense_path:
            path.unlink(missing_ok=True)
        elif path.name.startswith("lexical-") and path != lexical_path:
            shutil.rmtree(path, ignore_errors=True)


def _batches(keys: Keys) -> Iterator[list[int]]:
    for start in range(0, len(keys), _SYNC_BATCH):
        yield keys[start : start + _SYNC_BATCH].tolist()


def _dense_path(library: Path, generation: int) -> Path:
    return library / f"dense-{generation}.faiss"


def _lexical_path(library: Path, generation: int) -> Path:
    return library / f"lexical-{generation}"


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
