"""The reader: a question and passages to spans, by an extractive question answering model."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from tokenizers import Encoding

from index.article import Article
from index.embed import LOADING, Runtime, choose_runtime, model_folder
from index.errors import ModelNotFound
from index.onnx import GRAPH, OnnxModel, json_object, model_inputs, pack
from index.passage import Passage
from qa.decode import Logits, best_spans, trim, word_edges
from qa.tokens import Pairs

if TYPE_CHECKING:
    from qa.torch_model import TorchModel

DEFAULT_READER = "pullquote-minilm"
"""Names the reader shipped in `qa/model`."""

_DEFAULT_FOLDER = Path(__file__).parent / "model"
_STRIDE_TOKENS = 128
_BATCH_TOKENS = 4_096
"""Tokens run through the model at once, padding included: keeps the activations in tens of megabytes."""

_SPANS_PER_PASSAGE = 3


@dataclass(frozen=True, slots=True)
class Span:
    """The slice `passage.article.text[start:end]` as an answer. `score` compares across passages and articles: over
    0 the model would rather answer with it than say that its passage has no answer."""

    passage: Passage
    start: int
    end: int
    score: float

    @property
    def article(self) -> Article:
        return self.passage.article

    @property
    def text(self) -> str:
        return self.article.text[self.start : self.end]


class Reader(Protocol):
    """Reads passages for the answer to a question."""

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        """For each passage its best spans that do not overlap, best first; it may have none."""


@dataclass(frozen=True, slots=True)
class _Window:
    """A question and (a part of) a passage as the model sees them."""

    passage: int
    encoding: Encoding


def load_reader(name: str = DEFAULT_READER, runtime: Runtime | None = None) -> "ModelReader":
    """The reader of that name or folder, run by onnxruntime where there is a graph of it unless `runtime` says
    otherwise; the model itself is loaded when it first reads. Raises ModelNotFound."""
    folder = reader_folder(name)
    return ModelReader(folder, choose_runtime(name, folder / GRAPH, runtime))


def reader_folder(name: str = DEFAULT_READER) -> Path:
    """Raises ModelNotFound."""
    folder = _DEFAULT_FOLDER if name == DEFAULT_READER else model_folder(name)
    architectures = json_object(folder / "config.json").get("architectures")
    names = [str(name) for name in architectures] if isinstance(architectures, list) else []
    if not any(name.endswith("ForQuestionAnswering") for name in names):
        found = ", ".join(names) or "something unnamed"
        raise ModelNotFound(f"{folder} holds {found}; a reader is a model of the kind …ForQuestionAnswering")
    return folder


class ModelReader:
    """Any `AutoModelForQuestionAnswering` with a fast tokenizer, from a folder, on the CPU: by PyTorch in fp32, by
    onnxruntime in the precision of its graph."""

    def __init__(self, folder: Path, runtime: Runtime, graph: Path | None = None) -> None:
        """`graph` is another than the folder's own, of the same model."""
        self._folder = folder
        self._runtime = runtime
        self._graph = graph or folder / GRAPH

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        windows = self._windows(question, [passage.text for passage in passages])
        spans: list[list[Span]] = [[] for _ in passages]
        for batch in pack([len(window.encoding.ids) for window in windows], _BATCH_TOKENS):
            start, end = self._logits([windows[number].encoding for number in batch])
            for row, number in enumerate(batch):
                window = windows[number]
                length = len(window.encoding.ids)
                spans[window.passage].extend(
                    self._decode(window, passages[window.passage], start[row, :length], end[row, :length])
                )
        return [_best_apart(found) for found in spans]

    def _windows(self, question: str, texts: Sequence[str]) -> list[_Window]:
        return [
            _Window(number, part)
            for number, encoding in enumerate(self._pairs.encode(question, texts))
            for part in (encoding, *encoding.overflowing)
        ]

    def _logits(self, encodings: Sequence[Encoding]) -> tuple[Logits, Logits]:
        """Start and end logits, each of shape (windows, longest window)."""
        ids, type_ids = zip(*((encoding.ids, encoding.type_ids) for encoding in encodings), strict=True)
        start, end = self._model.run(model_inputs(ids, type_ids, self._pairs.padding_id))
        return start, end

    def _decode(self, window: _Window, passage: Passage, start: Logits, end: Logits) -> Iterator[Span]:
        encoding = window.encoding
        in_passage = np.array([sequence == 1 for sequence in encoding.sequence_ids], dtype=np.bool_)
        text = passage.text
        offsets = [(first, _past_marks(text, last)) for first, last in encoding.offsets]
        starts, ends = word_edges(text, offsets)
        for span in best_spans(
            start, end, starts & in_passage, ends & in_passage, self._pairs.null_token(encoding), _SPANS_PER_PASSAGE
        ):
            first, last = trim(text, offsets[span.first][0], offsets[span.last][1])
            if first < last:
                yield Span(passage, passage.start + first, passage.start + last, span.score)

    @cached_property
    def _pairs(self) -> Pairs:
        return Pairs(self._folder, _STRIDE_TOKENS)

    @cached_property
    def _model(self) -> "OnnxModel | TorchModel":
        if self._runtime is Runtime.ONNX:
            return OnnxModel(self._graph, self._folder)
        with LOADING:
            from qa.torch_model import TorchModel  # takes seconds, and few readers are run by it

            return TorchModel(self._folder)


def _past_marks(text: str, position: int) -> int:
    """Behind the combining marks at a position: tokenizers drop them, and a quote would lose its accent."""
    while position < len(text) and unicodedata.combining(text[position]):
        position += 1
    return position


def _best_apart(spans: list[Span]) -> list[Span]:
    """The best spans of a passage that do not overlap, over all its windows."""
    chosen: list[Span] = []
    for span in sorted(spans, key=lambda span: (-span.score, span.start, span.end)):
        if len(chosen) < _SPANS_PER_PASSAGE and all(
            span.end <= other.start or span.start >= other.end for other in chosen
        ):
            chosen.append(span)
    return chosen
