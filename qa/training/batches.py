"""Windows to batches of token ids with the tokens an answer begins and ends with. Pure NumPy."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.onnx import model_inputs, pack
from qa.tokens import Pairs
from qa.training.examples import Kind, Window, Windows

_AROUND_CHARACTERS = 300
"""Text kept on each side of an answer whose window was too long for the model."""


@dataclass(frozen=True, slots=True)
class Example:
    """Tokens of a question and a text; `start` and `end` are the first and last of the answer, both the null token
    where there is none."""

    kind: Kind
    ids: Sequence[int]
    type_ids: Sequence[int]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs of shape (examples, longest example), targets of shape (examples,); `kinds` says which they are."""

    inputs: dict[str, NDArray[np.int64]]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    kinds: tuple[Kind, ...]

    @property
    def tokens(self) -> int:
        """Padding left out."""
        return int(self.inputs["attention_mask"].sum())


@dataclass(frozen=True, slots=True)
class Pool:
    """Batches that are made together, so that examples of like length share one; `next` is the position in the pass
    behind the questions they are of."""

    batches: list[Batch]
    next: int


class Encoder:
    """Windows in the tokens of a model's folder, as the reader sees them."""

    def __init__(self, folder: Path) -> None:
        """Raises ModelNotFound."""
        self._pairs = Pairs(folder)
        self.padding_id = self._pairs.padding_id

    def has_vocabulary_of(self, other: "Encoder") -> bool:
        """Whether the two give the same tokens the same ids."""
        mine: dict[str, int] = self._pairs.tokenizer.get_vocab()
        return mine == other._pairs.tokenizer.get_vocab()

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special ones left out."""
        encodings = self._pairs.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    def encode(self, window: Window) -> Example | None:
        """The window in tokens, cut to what the model sees; None where no token holds the answer."""
        [encoding] = self._pairs.encode(window.question, [window.text])
        if window.answer is None:
            null = self._pairs.null_token(encoding)
            return Example(window.kind, encoding.ids, encoding.type_ids, null, null)
        start, end = window.answer
        if encoding.overflowing and encoding.char_to_token(end - 1, 1) is None:
            begin = max(start - _AROUND_CHARACTERS, 0)
            [encoding] = self._pairs.encode(window.question, [window.text[begin : end + _AROUND_CHARACTERS]])
            start, end = start - begin, end - begin
        first, last = encoding.char_to_token(start, 1), encoding.char_to_token(end - 1, 1)
        if first is None or last is None:
            return None
        return Example(window.kind, encoding.ids, encoding.type_ids, first, last)


def make_pool(windows: Windows, encoder: Encoder, epoch: int, position: int, seed: int, batch: int, pool: int) -> Pool:
    """The next `pool` tokens of a pass that has its own order of questions, in batches of `batch` tokens, padding
    included, which come in any order."""
    order = list(range(len(windows)))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    examples: list[Example] = []
    begin, tokens = position, 0
    while position < len(order) and tokens < pool:
        for window in windows.of(order[position], epoch):
            if (example := encoder.encode(window)) is not None:
                examples.append(example)
                tokens += len(example.ids)
        position += 1
    batches = list(_batches(examples, encoder.padding_id, batch))
    random.Random(f"{seed}/{epoch}/pool {begin}").shuffle(batches)
    return Pool(batches, position)


def _batches(examples: Sequence[Example], padding_id: int, budget: int) -> Iterator[Batch]:
    for positions in pack([len(example.ids) for example in examples], budget):
        rows = [examples[position] for position in positions]
        yield Batch(
            model_inputs([row.ids for row in rows], [row.type_ids for row in rows], padding_id),
            np.array([row.start for row in rows], dtype=np.int64),
            np.array([row.end for row in rows], dtype=np.int64),
            tuple(row.kind for row in rows),
        )
