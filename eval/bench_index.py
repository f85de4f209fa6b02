"""The index's figures, reprinted: `python -m eval.bench_index`. Needs the benchmark data beside the checkout.

Large collections are made of the vectors and passages of SQuAD's articles, each vector again and again with noise of
0.7 of its length added, so that a copy is as far from its original (cosine 0.82) as one passage of a subject from the
next.
"""

import argparse
import multiprocessing
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter
from typing import Any

import faiss
import numpy as np

from eval.bench import token_count
from eval.bench_data import DATA, library_of, squad_sample
from eval.bench_live import live
from eval.machine import matrix_rate
from index.article import Article, make_article
from index.dense import DenseIndex, training_sample
from index.embed import Vectors, load_embedder
from index.filter import Filter
from index.formats import read_file
from index.library import DATABASE, Library, embedded_text
from index.onnx import cores
from index.passage import Splitter
from index.store import Indexed, Store

BUILD = Path("build/benchmark")
_NOISE = 0.7
_CHUNK = 100_000
_QUESTIONS = 200
_LEAST_SAMPLE = 10_000
_HNSW_EFFORT = (80, 128)
"""Building and searching: with FAISS's defaults, 40 and 16, a sixth of the nearest is not found."""
_INDEXED_ARTICLES = 6
_TURNS = 5
_SELECTIVITIES = (0.001, 0.01, 0.1)
_MEGABYTE = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eval.bench_index", description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--passages", type=int, default=1_000_000, help="in the library of the part `library`")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000], help="of the part `dense`")
    parser.add_argument("--libraries", type=Path, default=BUILD, help="where the libraries are kept")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    if not DATA.is_dir():
        sys.exit(f"skipped: the benchmark data is not at {DATA}")
    print(f"{cores()} cores, {matrix_rate():.0f} GFLOPS in matrix products\n")
    for part in options.parts:
        print(f"## {part}", flush=True)
        PARTS[part](options)
        print(flush=True)


def indexing(options: argparse.Namespace) -> None:
    """What adding articles takes beside the encoder: the same passages, encoded alone, in turns with `add`."""
    items = list(read_file(DATA / "squad" / "dev-v1.1.json"))
    articles = [item for item in items if isinstance(item, Article)][:_INDEXED_ARTICLES]
    embedder = load_embedder()
    splitter = Splitter(embedder.token_spans, embedder.fingerprint)
    path = options.libraries / "indexing"
    seconds: dict[str, list[float]] = {"splitting": [], "encoding": [], "adding": [], "building": []}
    texts: list[str] = []

    def add() -> None:
        shutil.rmtree(path, ignore_errors=True)
        with Library(path, embedder, create=True) as library:
            library.add(articles)

    def split() -> None:
        texts[:] = [embedded_text(passage) for article in articles for passage in splitter.split(article)]

    def encode() -> None:
        for start in range(0, len(texts), 256):
            embedder.encode(texts[start : start + 256])

    def build() -> None:
        with Library(path, embedder) as library:
            library.settle()

    for _ in range(_TURNS):
        for name, run in (("splitting", split), ("encoding", encode), ("adding", add), ("building", build)):
            began = perf_counter()
            run()
            seconds[name].append(perf_counter() - began)
    took = {name: float(np.median(times)) for name, times in seconds.items()}
    tokens = token_count(embedder, texts)
    print(f"{len(articles)} articles, {len(texts):,} passages, {tokens:,} tokens; medians of {_TURNS}")
    print(f"encoder alone {tokens / took['encoding']:,.0f} tokens/s")
    share = took["encoding"] / took["adding"]
    print(f"add           {tokens / took['adding']:,.0f} tokens/s, {share:.0%} of the encoder's")
    print(f"  of its time splitting alone takes {took['splitting'] / took['adding']:.0%}")
    print(f"  building the indexes takes {took['building'] / took['adding']:.0%} on top")


def dense(options: argparse.Namespace) -> None:
    """Every type of index on the same vectors: FAISS itself, and ours around it."""
    originals, questions = _vectors(options.libraries)
    types: dict[str, Callable[[Vectors, int], Any]] = {
        "flat fp32": lambda sample, count: faiss.IndexFlatIP(sample.shape[1]),
        "flat fp16": lambda sample, count: faiss.index_factory(sample.shape[1], "SQfp16", faiss.METRIC_INNER_PRODUCT),
        "flat 8 bit": lambda sample, count: _trained(sample, "SQ8"),
        "HNSW32 fp16": lambda sample, count: _trained(sample, "HNSW32_SQfp16"),
        "ours": DenseIndex.trained,
    }
    print(f"{'passages':>10}  {'index':12} {'build s':>8} {'MB':>8} {'p50 ms':>8} {'p95 ms':>8} {'recall@10':>9}")
    for count in options.sizes:
        exact = _exact(originals, count, questions)
        sample = next(_copies(originals, count, max(training_sample(count), _LEAST_SAMPLE)))
        for name, make in types.items():
            if (name == "flat fp32" and count > 2_000_000) or (name.startswith("HNSW") and count > 200_000):
                continue  # beyond this machine's memory, or an hour of building
            row = _measured(make, sample, originals, count, questions, exact)
            build, size, (p50, p95), recall = row
            print(f"{count:10,}  {name:12} {build:8.1f} {size:8,.0f} {p50:8.2f} {p95:8.2f} {recall:9.3f}", flush=True)


def _measured(
    make: Callable[[Vectors, int], Any], sample: Vectors, originals: Vectors, count: int, questions: Vectors, exact: Any
) -> tuple[float, float, tuple[float, float], float]:
    """Seconds to build, megabytes, milliseconds per search (p50, p95), recall@10."""
    began = perf_counter()
    faiss.omp_set_num_threads(cores())
    index = make(sample, count)
    for first, chunk in _numbered(originals, count):
        if isinstance(index, DenseIndex):
            index.add(np.arange(first, first + len(chunk)), chunk)
        else:
            index.add(chunk)
    build = perf_counter() - began
    size = _size(index) / _MEGABYTE
    faiss.omp_set_num_threads(1)
    times, found = [], []
    for question in questions:
        began = perf_counter()
        if isinstance(index, DenseIndex):
            keys = list(index.search(question, 100))
        else:
            keys = index.search(question[np.newaxis], 100)[1][0].tolist()
        times.append(1000 * (perf_counter() - began))
        found.append(keys[:10])
    recall = float(np.mean([len(set(one) & set(best)) / 10 for one, best in zip(found, exact, strict=True)]))
    return build, size, _percentiles(times), recall


def library(options: argparse.Namespace) -> None:
    """A library of many passages: opening it, searching it, filtering it, adding to it."""
    path = options.libraries / f"large-{options.passages}"
    if not (path / DATABASE).is_file():
        _make_library(options, path)
    database = (path / DATABASE).stat().st_size
    print(f"database {database / _MEGABYTE:,.0f} MB")
    for part in (_build, _open, _filters, _add_one):
        _in_child(part, path)


def _build(path: Path) -> None:
    for saved in (*path.glob("dense-*"), path / "manifest.json"):
        saved.unlink(missing_ok=True)
    with Library(path, load_embedder()) as library:
        began = perf_counter()
        library.refresh(afresh=True)
        built = perf_counter() - began
        began = perf_counter()
        library.save()
        saved_in = perf_counter() - began
    files = sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and DATABASE not in file.name)
    print(f"indexes built from the database in {built:.0f} s, saved in {saved_in:.1f} s, {files / _MEGABYTE:,.0f} MB")


def _open(path: Path) -> None:
    embedder = load_embedder()
    embedder.encode(["warm"])
    before = _resident()
    with Library(path, embedder) as library:
        began = perf_counter()
        library.search("What was asked?")
        opened = perf_counter() - began
        print(f"opened, to the first hits: {opened:.1f} s, {(_resident() - before) / _MEGABYTE:,.0f} MB of memory")
        questions = [gold.question for gold in squad_sample(_QUESTIONS)]
        times: dict[str, list[float]] = {"encode": [], "dense": [], "lexical": [], "search": []}
        indexes = library._derived
        assert indexes is not None
        for question in questions:
            began = perf_counter()
            vector = embedder.encode([question])[0]
            times["encode"].append(perf_counter() - began)
            began = perf_counter()
            indexes.dense.search(vector, 100)
            times["dense"].append(perf_counter() - began)
            began = perf_counter()
            indexes.lexical.search(question, 100)
            times["lexical"].append(perf_counter() - began)
            began = perf_counter()
            library.search(question)
            times["search"].append(perf_counter() - began)
        for name, seconds in times.items():
            p50, p95 = _percentiles([1000 * one for one in seconds])
            print(f"  {name:8} p50 {p50:6.1f} ms, p95 {p95:6.1f} ms")


def _filters(path: Path) -> None:
    embedder = load_embedder()
    questions = [gold.question for gold in squad_sample(20)]
    vectors = embedder.encode(questions)
    with Library(path, embedder) as library:
        library.search("What was asked?")
        for share in _SELECTIVITIES:
            _filtered(library, Filter(sources=frozenset({f"share {share}"})), questions, vectors)


def _filtered(library: Library, filter: Filter, questions: list[str], vectors: Vectors) -> None:
    indexes, store = library._derived, library._store
    assert indexes is not None
    allowed = store.select(filter)
    _, those = store.vectors(allowed.tolist())
    equal = []
    times: dict[str, list[float]] = {"select": [], "dense": [], "lexical": [], "search": []}
    for question, vector in zip(questions, vectors, strict=True):
        best = allowed[np.argsort(-(those @ vector), kind="stable")[:10]]
        equal.append(len(set(indexes.dense.search(vector, 10, allowed)) & set(best.tolist())) / 10)
        parts: dict[str, Callable[[], object]] = {
            "select": partial(store.select, filter),
            "dense": partial(indexes.dense.search, vector, 100, allowed),
            "lexical": partial(indexes.lexical.search, question, 100, allowed),
            "search": partial(library.search, question, 10, filter),
        }
        for name, run in parts.items():
            began = perf_counter()
            run()
            times[name].append(1000 * (perf_counter() - began))
    share = len(allowed) / library.counts()[1]
    print(f"filter for {len(allowed):,} passages ({share:.2%}): {np.mean(equal):.1%} as brute force")
    print("  p50 ms:", ", ".join(f"{name} {_percentiles(one)[0]:.1f}" for name, one in times.items()))


def _add_one(path: Path) -> None:
    with Library(path, load_embedder()) as library:
        library.search("What was asked?")
        times = []
        for number in range(10):
            text = f"The lighthouse keeper number {number} of Saltgate counted {number + 70} herons on the breakwater."
            article = make_article(text, id=f"new-{number}")
            began = perf_counter()
            library.add([article])
            found = any(hit.passage.article.id == article.id for hit in library.search(text))
            times.append(1000 * (perf_counter() - began))
            if not found:
                print("NOT FOUND:", article.id)
        p50, p95 = _percentiles(times[1:])
        print(
            f"adding one article until it is found: {times[0]:.0f} ms the first, then p50 {p50:.0f}, p95 {p95:.0f} ms"
        )
        began = perf_counter()
        library.remove([f"new-{number}" for number in range(10)])
        library.search("What was asked?")
        print(f"removing ten until none is found: {1000 * (perf_counter() - began):.0f} ms")


def _make_library(options: argparse.Namespace, path: Path) -> None:
    """Copies of SQuAD's articles, with noise on their vectors, put into the store as `add` does."""
    small, _ = library_of(options.libraries, "squad")
    chance = np.random.default_rng(0)
    unfinished = path.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    store = Store(unfinished / DATABASE, create=True)
    began = perf_counter()
    articles = []
    with small:
        _, keys = small._store.snapshot()
        by_article: dict[str, list[int]] = {}
        for key, passage in small.passages(keys.tolist()).items():
            by_article.setdefault(passage.article.id, []).append(key)
        for ids in by_article.values():
            found = small.passages(ids)
            articles.append((list(found.values()), small._store.vectors(list(found))[1]))
        store.set_settings({name: small.setting(name) or "" for name in ("embedder", "embedder_name", "splitter")})
    made = 0
    while made < options.passages:
        batch = []
        for passages, vectors in articles:
            source = next((f"share {share}" for share in _SELECTIVITIES if chance.random() < share), "other")
            old = passages[0].article
            article = make_article(old.text, id=f"{old.id}-{made}", title=old.title, source=source)
            batch.append(
                Indexed(article, [type(one)(article, one.start, one.end) for one in passages], _noisy(vectors, chance))
            )
            made += len(passages)
            if made >= options.passages:
                break
        store.replace(batch)
    store.close()
    unfinished.rename(path)
    print(f"made {made:,} passages in {perf_counter() - began:.0f} s")


def _vectors(libraries: Path) -> tuple[Vectors, Vectors]:
    """Of SQuAD's passages, and of questions."""
    small, _ = library_of(libraries, "squad")
    with small:
        _, keys = small._store.snapshot()
        _, originals = small._store.vectors(keys.tolist())
    return originals, load_embedder().encode([gold.question for gold in squad_sample(_QUESTIONS)])


def _copies(originals: Vectors, count: int, chunk: int = _CHUNK) -> Iterator[Vectors]:
    """The same whenever it is called with the same numbers."""
    chance = np.random.default_rng(chunk)
    for first in range(0, count, chunk):
        yield _noisy(originals[chance.integers(0, len(originals), min(chunk, count - first))], chance)


def _numbered(originals: Vectors, count: int) -> Iterator[tuple[int, Vectors]]:
    for number, chunk in enumerate(_copies(originals, count)):
        yield number * _CHUNK, chunk


def _noisy(vectors: Vectors, chance: np.random.Generator) -> Vectors:
    noise = chance.standard_normal(vectors.shape, dtype=np.float32)
    moved: Vectors = vectors + _NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return moved


def _exact(originals: Vectors, count: int, questions: Vectors) -> list[list[int]]:
    """The ten nearest by comparing all in fp32."""
    scores = np.empty((len(questions), 0), np.float32)
    keys = np.empty((len(questions), 0), np.int64)
    for first, chunk in _numbered(originals, count):
        scores = np.hstack([scores, questions @ chunk.T])
        keys = np.hstack([keys, np.broadcast_to(np.arange(first, first + len(chunk)), (len(questions), len(chunk)))])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        scores, keys = np.take_along_axis(scores, best, 1), np.take_along_axis(keys, best, 1)
    return [[int(key) for key in row] for row in keys]


def _size(index: Any) -> int:
    """In bytes, as a file: in memory it is the same but for a few."""
    file = Path(mkdtemp()) / "index"
    if isinstance(index, DenseIndex):
        index.save(file)
    else:
        faiss.write_index(index, str(file))
    size = file.stat().st_size
    shutil.rmtree(file.parent)
    return size


def _trained(sample: Vectors, description: str) -> Any:
    index = faiss.index_factory(sample.shape[1], description, faiss.METRIC_INNER_PRODUCT)
    index.train(sample)
    if isinstance(index, faiss.IndexHNSW):
        index.hnsw.efConstruction, index.hnsw.efSearch = _HNSW_EFFORT
    return index


def _in_child(part: Callable[[Path], None], path: Path) -> None:
    """Run it in a process of its own, whose memory is its own."""
    child = multiprocessing.get_context("spawn").Process(target=part, args=(path,))
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(f"{part.__name__} failed")


def _percentiles(times: list[float]) -> tuple[float, float]:
    return float(np.percentile(times, 50)), float(np.percentile(times, 95))


def _resident() -> int:
    """Bytes of memory this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "indexing": indexing,
    "dense": dense,
    "library": library,
    "live": live,
}

if __name__ == "__main__":
    main()
