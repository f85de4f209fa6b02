"""Fakes and fixtures: a toy embedder that needs no model, libraries made with it, and the command line."""

import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from index.article import Article, make_article
from index.embed import Embedder, Vectors, load_embedder
from index.library import Library, Outcome
from index.passage import TokenSpans
from qa import cli, cli_models, cli_options, cli_tune, confidence
from qa.confidence import Calibration
from qa.reader import Reader

# The same examples in every run, and no time limit on one: this may be a busy machine.
settings.register_profile("pullquote", derandomize=True, database=None, deadline=None)
settings.load_profile("pullquote")

DIMENSIONS = 16


class ToyEmbedder:
    """A text is the normalised sum of one fixed vector per word; a token is a word or a mark."""

    def __init__(self, name: str = "toy", fingerprint: str = "toy-0123456789ab") -> None:
        self.name = name
        self.fingerprint = fingerprint

    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.array([_unit_vector(text) for text in texts], dtype=np.float32).reshape(len(texts), DIMENSIONS)

    def token_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        return [[match.span() for match in re.finditer(r"\w+|[^\w\s]", text)] for text in texts]


def _unit_vector(text: str) -> Vectors:
    total = np.zeros(DIMENSIONS)
    for word in re.findall(r"\w+", text.lower()) or [""]:
        digest = blake2b(word.encode(errors="replace"), digest_size=2 * DIMENSIONS).digest()
        total += np.frombuffer(digest, dtype="<u2") / 65_535 - 0.5
    return (total / np.linalg.norm(total)).astype(np.float32)


OpenLibrary = Callable[..., Library]
Add = Callable[..., list[tuple[str, Outcome]]]


@pytest.fixture
def embedder() -> Embedder:
    return ToyEmbedder()


@pytest.fixture
def other_embedder() -> Embedder:
    """Same dimensions, other weights as far as its fingerprint tells."""
    return ToyEmbedder("other toy", "toy-ba9876543210")


@pytest.fixture
def library_path(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def open_library(library_path: Path, embedder: Embedder) -> Iterator[OpenLibrary]:
    """Open the library at `library_path`, making it where there is none; closed when the test ends."""
    opened: list[Library] = []

    def open_one(path: Path = library_path, embedder: Embedder | None = embedder, *, create: bool = True) -> Library:
        opened.append(Library(path, embedder, create=create))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def library(open_library: OpenLibrary) -> Library:
    """An empty library with the toy embedder."""
    return open_library()


@pytest.fixture
def add() -> Add:
    """Add articles to a library; returns what was acknowledged, as pairs of id and outcome."""

    def add_all(library: Library, *articles: Article) -> list[tuple[str, Outcome]]:
        acknowledged: list[tuple[str, Outcome]] = []
        library.add(articles, lambda article, outcome: acknowledged.append((article.id, outcome)))
        return acknowledged

    return add_all


@pytest.fixture
def articles() -> list[Article]:
    """Four short articles, of three sources and three dates, one without either."""
    return [
        make_article(
            "The bridge at Saltgate was shut on Monday. Engineers had found cracks in the deck.",
            id="bridge",
            title="Bridge shut",
            source="Harbour Post",
            published="2023-07-28",
        ),
        make_article(
            "Castle FC won the chess cup. And beat Harbour FC in the final.",
            id="chess",
            source="Sporting Coast",
            published="2023-07-28T09:30:00Z",
        ),
        make_article(
            "The ferry hit the breakwater in fog. Nobody was killed.",
            id="ferry",
            source="Harbour Post",
            published="2024-01-02",
        ),
        make_article("Kettles were recalled because their handles melt.", id="kettle"),
    ]


@pytest.fixture(scope="session")
def word_pieces() -> TokenSpans:
    """The tokenizer of the shipped embedder; its model is never loaded."""
    return load_embedder().token_spans


@dataclass(frozen=True)
class Ran:
    """How a command ended; `lines` are its standard output as JSON."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict]:  # type: ignore[type-arg]
        return [json.loads(line) for line in self.out.split("\n") if line]


Run = Callable[..., Ran]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    embedder: Embedder,
    reader: Reader,  # each module that runs commands has its own
    tmp_path: Path,
) -> Run:
    """Run the command line in an empty directory, with the library there unless told otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("PULLQUOTE_LIBRARY", raising=False)
    monkeypatch.setattr(cli_options, "load_embedder", lambda name, runtime: embedder)
    monkeypatch.setattr(cli_options, "load_reader", lambda name, runtime: reader)
    monkeypatch.setattr(cli_models, "load_reader", lambda name, runtime: reader)
    monkeypatch.setattr(cli_tune, "load_reader", lambda name, runtime: reader)
    monkeypatch.setattr(confidence, "load_calibration", lambda folder: Calibration())

    def run_once(*arguments: str, stdin: str | bytes = "", library: str | None = "library") -> Ran:
        before = [] if library is None else ["--library", library]
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "argv", ["pullquote", *before, *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capfd.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    return run_once
