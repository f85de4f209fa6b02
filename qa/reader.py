"""The reader: a question and passages to spans, by an extractive question answering model."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from index.article import Article
from index.embed import model_folder
from index.errors import ModelNotFound
from index.passage import Passage
from qa.decode import Logits, best_spans, trim, word_edges

DEFAULT_READER = "pullquote-minilm"
"""Names the reader shipped in `qa/model`."""

_DEFAULT_FOLDER = Path(__file__).parent / "model"
_WINDOW_TOKENS = 384
_STRIDE_TOKENS = 128
_MAX_QUESTION_TOKENS = 128
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


def load_reader(name: str = DEFAULT_READER) -> "TransformersReader":
    """The reader of that name or folder; the model itself is loaded when it first reads. Raises ModelNotFound."""
    return TransformersReader(reader_folder(name))


def reader_folder(name: str = DEFAULT_READER) -> Path:
    """Raises ModelNotFound."""
    folder = _DEFAULT_FOLDER if name == DEFAULT_READER else model_folder(name)
    architectures = _json_object(folder / "config.json").get("architectures")
    names = [str(name) for name in architectures] if isinstance(architectures, list) else []
    if not any(name.endswith("ForQuestionAnswering") for name in names):
        found = ", ".join(names) or "something unnamed"
        raise ModelNotFound(f"{folder} holds {found}; a reader is a model of the kind …ForQuestionAnswering")
    return folder


def _json_object(file: Path) -> dict[str, object]:
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"{file} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise ModelNotFound(f"{file} cannot be read: it is no JSON object")
    return value


class TransformersReader:
    """Any `AutoModelForQuestionAnswering` with a fast tokenizer, from a folder, on the CPU in fp32."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
        asked = self._tokenizer.encode(question, add_special_tokens=False)
        if len(asked.ids) > _MAX_QUESTION_TOKENS:
            question = question[: asked.offsets[_MAX_QUESTION_TOKENS - 1][1]]
        encodings = self._pair_tokenizer.encode_batch([(question, text) for text in texts])
        return [
            _Window(number, part)
            for number, encoding in enumerate(encodings)
            for part in (encoding, *encoding.overflowing)
        ]

    def _logits(self, encodings: Sequence[Encoding]) -> tuple[Logits, Logits]:
        """Start and end logits, each of shape (windows, longest window)."""
        import torch  # here, to keep it out of commands that read nothing

        width = max(len(encoding.ids) for encoding in encodings)
        inputs = {
            "input_ids": _padded([encoding.ids for encoding in encodings], width, self._padding_id),
            "attention_mask": _padded([encoding.attention_mask for encoding in encodings], width, 0),
            "token_type_ids": _padded([encoding.type_ids for encoding in encodings], width, 0),
        }
        with torch.inference_mode():
            output = self._model(**{name: torch.from_numpy(inputs[name]) for name in self._model_inputs})
        return output.start_logits.numpy(), output.end_logits.numpy()

    def _decode(self, window: _Window, passage: Passage, start: Logits, end: Logits) -> Iterator[Span]:
        encoding = window.encoding
        in_passage = np.array([sequence == 1 for sequence in encoding.sequence_ids], dtype=np.bool_)
        text = passage.text
        offsets = [(first, _past_marks(text, last)) for first, last in encoding.offsets]
        starts, ends = word_edges(text, offsets)
        for span in best_spans(
            start, end, starts & in_passage, ends & in_passage, self._null_token(encoding), _SPANS_PER_PASSAGE
        ):
            first, last = trim(text, offsets[span.first][0], offsets[span.last][1])
            if first < last:
                yield Span(passage, passage.start + first, passage.start + last, span.score)

    def _null_token(self, encoding: Encoding) -> int:
        """Where both ends point when there is no answer: the classification token, first in nearly all models."""
        return encoding.ids.index(self._null_id) if self._null_id in encoding.ids else 0

    @cached_property
    def _config(self) -> dict[str, object]:
        return _json_object(self._folder / "tokenizer_config.json")

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        try:
            tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        except Exception as error:  # tokenizers has no type of its own for it
            raise ModelNotFound(f"{self._folder / 'tokenizer.json'} cannot be read: {error}") from None
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def _pair_tokenizer(self) -> Tokenizer:
        """Cuts pairs that are too long for the model into windows that overlap by the stride."""
        tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
        tokenizer.enable_truncation(_WINDOW_TOKENS, stride=_STRIDE_TOKENS, strategy="only_second")
        return tokenizer

    @cached_property
    def _null_id(self) -> int:
        return self._token_id("cls_token")

    @cached_property
    def _padding_id(self) -> int:
        return self._token_id("pad_token")

    def _token_id(self, name: str) -> int:
        token = self._config.get(name)
        text = token.get("content") if isinstance(token, dict) else token
        return self._tokenizer.token_to_id(str(text)) or 0

    @cached_property
    def _model(self) -> Any:
        import torch  # these take seconds, and commands that read nothing never get here
        from safetensors import SafetensorError
        from transformers import AutoModelForQuestionAnswering
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            model = AutoModelForQuestionAnswering.from_pretrained(
                self._folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
            )
        except SafetensorError as error:
            raise ModelNotFound(f"the safetensors in {self._folder} cannot be read: {error}") from None
        return model.eval()

    @cached_property
    def _model_inputs(self) -> list[str]:
        """Which of the tokenizer's outputs the model takes: not all know token types."""
        import inspect

        takes = inspect.signature(self._model.forward).parameters
        return [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in takes]


def _past_marks(text: str, position: int) -> int:
    """Behind the combining marks at a position: tokenizers drop them, and a quote would lose its accent."""
    while position < len(text) and unicodedata.combining(text[position]):
        position += 1
    return position


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Positions in batches of like lengths: within each, its longest times its number is at most the budget (a batch
    of one may be over it)."""
    batches: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda position: (-lengths[position], position)):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(position)
        else:
            batches.append([position])
    return batches


def _best_apart(spans: list[Span]) -> list[Span]:
    """The best spans of a passage that do not overlap, over all its windows."""
    chosen: list[Span] = []
    for span in sorted(spans, key=lambda span: (-span.score, span.start, span.end)):
        if len(chosen) < _SPANS_PER_PASSAGE and all(
            span.end <= other.start or span.start >= other.end for other in chosen
        ):
            chosen.append(span)
    return chosen


def _padded(rows: Sequence[Sequence[int]], width: int, filler: int) -> NDArray[np.int64]:
    """Shape (rows, width)."""
    padded = np.full((len(rows), width), filler, dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded
