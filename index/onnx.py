"""Models run by onnxruntime: a graph, on the weights of a model folder. Imports neither torch nor transformers."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from index.errors import ModelNotFound

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # or importing it would note the machine in a file, and report it later
import onnxruntime

GRAPH = "graph.onnx"
"""A model's graph without its weights: it names tensors of the safetensors, so that nothing is kept twice and a model
that was trained further keeps its graph. `pullquote export` makes it."""

THREADS = "OMP_NUM_THREADS"
"""What tells PyTorch and many others, and so us, of how many cores a process has its share."""

STORED_TYPES = {"F16": "float16", "F32": "float32"}
"""The types of weights that a graph can take, as safetensors and numpy name them."""

Arrays = NDArray[Any]


@dataclass(frozen=True, slots=True)
class About:
    """What is kept beside a graph: of which configuration it is, its own hash, the weights it needs, by name, each with
    the numpy type the graph takes it in, and for an embedder the tokens of a text it was made to see."""

    config_sha256: str
    graph_sha256: str
    weights: dict[str, str]
    max_tokens: int | None = None


class OnnxModel:
    """A graph with weights, on all cores this process may use. May be called from any thread."""

    def __init__(self, graph: Path, folder: Path) -> None:
        """`folder` has the model's config.json and *.safetensors. Raises ModelNotFound where the graph is not of that
        model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.force_spinning_stop", "1")  # between runs others need the cores
        options.log_severity_level = 3  # errors alone
        weights = _weights(folder, read_about(graph, folder).weights)
        options.add_external_initializers(list(weights), list(weights.values()))  # copied by the session
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no type of its own for it
            raise ModelNotFound(f"{graph} cannot be run: {error}; make it again with: pullquote export MODEL") from None
        self.inputs = [given.name for given in self._session.get_inputs()]

    def run(self, inputs: Mapping[str, Arrays]) -> list[Arrays]:
        """The graph's outputs; of the inputs those that it takes are used."""
        outputs: list[Arrays] = self._session.run(None, {name: inputs[name] for name in self.inputs})
        return outputs


def read_about(graph: Path, folder: Path) -> About:
    """Raises ModelNotFound, also where the graph is of another model than the folder's."""
    stored = json_object(about_path(graph))
    try:
        about = About(
            str(stored["config_sha256"]),
            str(stored["graph_sha256"]),
            {str(name): str(dtype) for name, dtype in stored["weights"].items()},
            stored["max_tokens"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelNotFound(f"{about_path(graph)} is none of ours ({error!r}); run: pullquote export MODEL") from None
    if about.config_sha256 != config_hash(folder):
        raise ModelNotFound(f"{graph} is the graph of another model than that in {folder}; run: pullquote export MODEL")
    if about.graph_sha256 != file_hash(graph):
        raise ModelNotFound(f"{graph} is not what {about_path(graph)} is about; run: pullquote export MODEL")
    return about


def about_path(graph: Path) -> Path:
    return graph.with_suffix(".json")


def cores() -> int:
    """The cores this process may use: as many as it is told, else those the system lets it have."""
    told = os.environ.get(THREADS, "")
    if told.isdecimal() and int(told):
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_CONFIGURATION = ("config.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
"""Of a model; the last three, and those of its parts, are an embedder's alone."""

_NOT_SHAPE = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "__version__"}


def config_hash(folder: Path) -> str:
    """SHA-256 of what a model's configuration says of its shape, however it is written and wherever it came from.
    Raises ModelNotFound."""
    files = [folder / name for name in _CONFIGURATION if name == "config.json" or (folder / name).exists()]
    told = []
    for file in [*files, *sorted(folder.glob("*/config.json"))]:
        value = json_value(file)
        if isinstance(value, dict):
            value = {name: part for name, part in value.items() if name not in _NOT_SHAPE}
        told.append([str(file.relative_to(folder)), value])
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def file_hash(file: Path) -> str:
    """SHA-256 of a small file. Raises ModelNotFound."""
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelNotFound(f"{file} cannot be read: {error.strerror}") from None


def json_object(file: Path) -> dict[str, Any]:
    """Raises ModelNotFound where the file is no JSON object."""
    value = json_value(file)
    if not isinstance(value, dict):
        raise ModelNotFound(f"{file} cannot be read: it is no JSON object")
    return value


def json_value(file: Path) -> Any:
    """Raises ModelNotFound where the file is no JSON."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelNotFound(f"{file} cannot be read: {error}") from None


def _weights(folder: Path, dtypes: Mapping[str, str]) -> dict[str, Any]:
    """The named weights in the types the graph takes, as onnxruntime takes them: slices of the mapped file where that
    has the type. Raises ModelNotFound."""
    weights: dict[str, Any] = {}
    try:
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, "np") as file:  # checks what it says of itself
                names = dtypes.keys() & set(file.keys())
            if names:
                stored = _mapped(path)
                weights |= {name: _in_type(stored[name], name, dtypes[name]) for name in names}
    except (SafetensorError, OSError) as error:
        raise ModelNotFound(f"the safetensors in {folder} cannot be read: {error}") from None
    if missing := dtypes.keys() - weights.keys():
        raise ModelNotFound(f"the safetensors in {folder} have no {min(missing)}")
    return weights


def _mapped(path: Path) -> dict[str, Arrays]:
    """The tensors of fp16 and fp32 in a sound file, mapped: the length of a JSON header in 8 bytes, the header with
    the type, shape and place of each tensor, the tensors (https://github.com/huggingface/safetensors#format)."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    tensors = {}
    for name, tensor in header.items():
        if dtype := STORED_TYPES.get(tensor.get("dtype")):
            first, last = tensor["data_offsets"]
            tensors[name] = data[start + first : start + last].view(dtype).reshape(tensor["shape"])
    return tensors


def _in_type(weight: Arrays, name: str, dtype: str) -> Any:
    """Raises ModelNotFound where that would lose digits."""
    if not np.can_cast(weight.dtype, dtype):
        raise ModelNotFound(
            f"{name} is {weight.dtype}, and the graph was made for {dtype}; run: pullquote export MODEL"
        )
    return onnxruntime.OrtValue.ortvalue_from_numpy(weight.astype(dtype, copy=False))


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


def model_inputs(
    ids: Sequence[Sequence[int]], type_ids: Sequence[Sequence[int]], padding_id: int
) -> dict[str, NDArray[np.int64]]:
    """A batch of token sequences as BERT-like models take it: arrays of shape (sequences, longest sequence)."""
    return {
        "input_ids": padded(ids, padding_id),
        "attention_mask": padded([[1] * len(row) for row in ids], 0),
        "token_type_ids": padded(type_ids, 0),
    }


def padded(rows: Sequence[Sequence[int]], filler: int) -> NDArray[np.int64]:
    """Shape (rows, longest row)."""
    array = np.full((len(rows), max(map(len, rows))), filler, dtype=np.int64)
    for number, row in enumerate(rows):
        array[number, : len(row)] = row
    return array
