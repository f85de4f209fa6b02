"""Questions and texts to tokens, the same for reading and for training."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from index.embed import load_tokenizer
from index.onnx import json_object

WINDOW_TOKENS = 384
"""Most tokens of question and text together."""

_MAX_QUESTION_TOKENS = 128
"""More of a question is cut off, which leaves room for the text."""


class Pairs:
    """The tokenizer of a model's folder, for pairs of a question and a text."""

    def __init__(self, folder: Path, stride: int = 0) -> None:
        """Texts that are too long give several windows, which overlap by `stride` tokens. Raises ModelNotFound."""
        config = json_object(folder / "tokenizer_config.json")
        self._folder = folder
        self._pairs = load_tokenizer(folder)
        self._pairs.enable_truncation(WINDOW_TOKENS, stride=stride, strategy="only_second")
        self._null_id = _token_id(self._pairs, config.get("cls_token"))
        self.padding_id = _token_id(self._pairs, config.get("pad_token")) or 0

    def encode(self, question: str, texts: Sequence[str]) -> list[Encoding]:
        """The pair of each text; the further windows of one that is too long are its `overflowing`."""
        if len(question.encode()) > _MAX_QUESTION_TOKENS:  # or it cannot have so many tokens
            asked = self.tokenizer.encode(question, add_special_tokens=False)
            if len(asked.ids) > _MAX_QUESTION_TOKENS:
                question = question[: asked.offsets[_MAX_QUESTION_TOKENS - 1][1]]
        encodings: list[Encoding] = self._pairs.encode_batch([(question, text) for text in texts])
        return encodings

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """It does not cut. Loaded when it is needed, which is rarely and takes 20 ms."""
        return load_tokenizer(self._folder)

    def null_token(self, encoding: Encoding) -> int:
        """Where both ends point when there is no answer: the classification token, first in nearly all models."""
        return encoding.ids.index(self._null_id) if self._null_id in encoding.ids else 0


def _token_id(tokenizer: Tokenizer, token: object) -> int | None:
    """Of a token as tokenizer_config.json names it: its text, or an object with its `content`; None where it does
    not."""
    text = token.get("content") if isinstance(token, dict) else token
    found: int | None = tokenizer.token_to_id(text) if isinstance(text, str) else None
    return found
