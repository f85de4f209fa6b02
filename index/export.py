"""A model's graph as ONNX, without its weights. Needs torch, and is needed by nobody who only asks."""

import json
import logging
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxscript import optimizer
from safetensors import safe_open

from index.errors import InvalidInput, ModelNotFound
from index.onnx import STORED_TYPES, About, OnnxModel, about_path, config_hash, file_hash

_OPSET = 23
"""The first with an Attention operator, which onnxruntime runs as one."""

_EXAMPLE_SHAPE = (2, 8)
"""Sequences and tokens of the inputs a model is traced with; the graph takes any."""

_EXAMPLE_IDS = 1_000
"""A vocabulary smaller than this is no language's."""

_LEAST_COSINE, _LEAST_COSINE_INT8 = 0.9999, 0.98
"""Of a graph's outputs and the model's."""

_NO_FILE = "given when loaded"
"""Where the graph says that weights are: a file that cannot be there, so that none is read that was not given."""

_HEAD_OUTPUTS = 2
"""Of a reader's last layer: start and end."""

_INT8_CONSTANTS: dict[str, NDArray[Any]] = {
    "int8.0": np.array(0, np.int8),
    "int8.1": np.array(1, np.float32),
    "int8.63": np.array(63, np.float32),
    "int8.127": np.array(127, np.float32),
    "int8.128": np.array(128, np.uint8),
    "int8.tiny": np.array(1e-12, np.float32),
    "int8.last": np.array([-1], np.int64),
}

Forward = Callable[[dict[str, torch.Tensor]], tuple[torch.Tensor, ...]]


@dataclass(frozen=True, slots=True)
class Traceable:
    """A model in torch, and how it is run: `forward` takes `inputs`, int64 tensors of shape (sequences, tokens), to its
    `outputs`. `folder` has its config.json and its weights as safetensors, fp16 or fp32; `max_tokens` is kept for an
    embedder."""

    model: torch.nn.Module
    forward: Forward
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    folder: Path
    max_tokens: int | None = None


def export_graph(traceable: Traceable, target: Path, *, int8: bool = False) -> None:
    """Write the graph of a model. Every weight is named, not copied; `int8` is as in `_quantize`.

    Raises ModelNotFound where the graph does not give the model's results, InvalidInput where it cannot be written.
    """
    exported = _traced(traceable)
    dtypes = _name_weights(exported.graph, traceable.folder)
    if int8:
        _quantize(exported.graph)
    _cast_fp16(exported.graph, {name for name, dtype in dtypes.items() if dtype == "float16"})
    for node in exported.graph.node:
        del node.metadata_props[:]  # where in which Python file it came from
        node.doc_string = ""
    del exported.graph.value_info[:], exported.metadata_props[:], exported.graph.metadata_props[:]
    with TemporaryDirectory(prefix="pullquote-") as scratch:
        graph = Path(scratch) / target.name
        graph.write_bytes(exported.SerializeToString())
        about = About(config_hash(traceable.folder), file_hash(graph), dtypes, traceable.max_tokens)
        about_path(graph).write_text(json.dumps(asdict(about), indent=1) + "\n", encoding="utf-8")
        _check(traceable, graph, _LEAST_COSINE_INT8 if int8 else _LEAST_COSINE)
        place_graph(graph, target)


def place_graph(made: Path, target: Path) -> None:
    """Copy a graph, and what is kept beside it, to where it belongs. Raises InvalidInput where it cannot be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for one, to in ((made, target), (about_path(made), about_path(target))):
            shutil.copyfile(one, to.with_suffix(f"{to.suffix}.tmp"))
            to.with_suffix(f"{to.suffix}.tmp").replace(to)
    except OSError as error:
        raise InvalidInput(f"{target} cannot be written: {error.strerror}") from None


def _traced(traceable: Traceable) -> onnx.ModelProto:
    """The model with its linear layers' weights transposed in the graph, since a copy would not follow the weights."""

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = traceable.model

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return traceable.forward(dict(zip(traceable.inputs, tensors, strict=True)))

    kept = {name: tensor.clone() for name, tensor in traceable.model.state_dict().items()}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        for parameter in traceable.model.parameters():
            torch.nn.init.normal_(parameter)  # of tensors that are equal, one would stand for the others
        program = torch.onnx.export(
            Traced().eval(),
            tuple(torch.ones(_EXAMPLE_SHAPE, dtype=torch.int64) for _ in traceable.inputs),
            dynamo=True,
            input_names=traceable.inputs,
            output_names=traceable.outputs,
            dynamic_shapes=(({0: "sequences", 1: "tokens"},) * len(traceable.inputs),),
            opset_version=_OPSET,
            verbose=False,
            optimize=False,
        )
        assert program is not None  # it is where dynamo is
        optimizer.optimize_ir(program.model, should_fold=lambda node: False if node.op_type == "Transpose" else None)
        exported: onnx.ModelProto = program.model_proto  # a copy, made before the weights are the model's again
    traceable.model.load_state_dict(kept)
    return exported


def _check(traceable: Traceable, graph: Path, least_cosine: float) -> None:
    """Raises ModelNotFound where the graph gives other results than the model, as it does where a weight could not be
    named."""
    ids = np.random.default_rng(0).integers(1, _EXAMPLE_IDS, (2, 40))
    arrays = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    with torch.inference_mode():
        expected = traceable.forward({name: torch.from_numpy(arrays[name]) for name in traceable.inputs})
    for one, other in zip(expected, OnnxModel(graph, traceable.folder).run(arrays), strict=True):
        cosine = torch.nn.functional.cosine_similarity(one.flatten(), torch.from_numpy(other).flatten(), dim=0)
        if not cosine >= least_cosine:
            raise ModelNotFound(
                f"the model in {traceable.folder} cannot be run by onnxruntime: its graph gives other results; "
                "were its weights saved as safetensors in fp16 or fp32, by the transformers of today?"
            )


def _name_weights(graph: onnx.GraphProto, folder: Path) -> dict[str, str]:
    """Replace every weight by the name it has in the safetensors; returns the types they have there."""
    stored = _stored_weights(folder)
    renamed: dict[str, str] = {}
    for tensor in graph.initializer:
        # A module's name is the tensor's with the names of what wraps it before it.
        ends_alike = [name for name in stored if f".{tensor.name}".endswith(f".{name}")]
        name = max(ends_alike, key=len, default="")
        if name and stored[name].shape == list(tensor.dims):
            renamed[tensor.name] = tensor.name = name
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=_NO_FILE)
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
    return {name: stored[name].dtype for name in sorted(renamed.values())}


def _cast_fp16(graph: onnx.GraphProto, weights: set[str]) -> None:
    """Take weights as they are stored. Of a table the rows that are looked up are made fp32, of any other weight the
    whole, once, when the graph is loaded."""
    for tensor in graph.initializer:
        if tensor.name in weights:
            tensor.data_type = onnx.TensorProto.FLOAT16
    nodes: list[onnx.NodeProto] = []
    ready: set[str] = set()
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0] in weights:
            rows, node.output[0] = node.output[0], f"{node.output[0]}.fp16"
            nodes += [node, _to_fp32(node.output[0], rows)]
            continue
        for place, name in enumerate(node.input):
            if name in weights:
                node.input[place] = f"{name}.fp32"
                if name not in ready:
                    nodes.append(_to_fp32(name, node.input[place]))
                    ready.add(name)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _to_fp32(name: str, output: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [output], to=onnx.TensorProto.FLOAT)


def _quantize(graph: onnx.GraphProto) -> None:
    """Make the products of linear layers products of 8-bit integers, but for the last layer, whose few outputs are
    what is compared.

    Weights: symmetric, a scale for each output, 7 bits, since AVX2 without VNNI adds pairs of products in 16. They are
    computed out of the stored ones when the graph is loaded. Inputs: symmetric around 128, a scale for each token, so
    that a passage has the same scores whatever is read with it.
    """
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    layers = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Transpose" and len(shape := shapes.get(node.input[0], [])) == 2 and shape[0] > _HEAD_OUTPUTS
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in _INT8_CONSTANTS.items())
    nodes: list[onnx.NodeProto] = []
    ready: set[str] = set()
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in layers:
            nodes.append(node)
            continue
        given, weight, product = node.input[0], layers[node.input[1]], node.output[0]
        if weight not in ready:  # shape (outputs, inputs)
            nodes += _quantized_rows(weight)
        if given not in ready:
            nodes += _steps(given, most="int8.127")
            around_128 = [f"{given}.steps", "int8.1", "int8.128"]
            nodes.append(helper.make_node("QuantizeLinear", around_128, [f"{given}.uint8"]))
        ready |= {given, weight}
        factors = [f"{given}.uint8", f"{weight}.int8", "int8.128", "int8.0"]
        # One scale after the other: onnxruntime takes a product of both for that of two scalars.
        nodes += [
            helper.make_node("MatMulInteger", factors, [f"{product}.int32"]),
            helper.make_node("Cast", [f"{product}.int32"], [f"{product}.float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{product}.float", f"{weight}.scales"], [f"{product}.scaled"]),
            helper.make_node("Mul", [f"{product}.scaled", f"{given}.scale"], [product]),
        ]
    used = {name for node in nodes for name in node.input}
    del graph.node[:]
    graph.node.extend(node for node in nodes if node.op_type != "Transpose" or node.output[0] in used)


def _quantized_rows(weight: str) -> list[onnx.NodeProto]:
    """Nodes that make of a weight its 8-bit transpose and the scale of each output. They run when the graph is loaded,
    while somebody waits: hence no copies of the weight in between."""
    largest = [f"{weight}.top", f"{weight}.bottom_up", "int8.tiny"]
    return [
        helper.make_node("ReduceMax", [weight, "int8.last"], [f"{weight}.top"], keepdims=0),
        helper.make_node("ReduceMin", [weight, "int8.last"], [f"{weight}.bottom"], keepdims=0),
        helper.make_node("Neg", [f"{weight}.bottom"], [f"{weight}.bottom_up"]),
        helper.make_node("Max", largest, [f"{weight}.range"]),
        helper.make_node("Div", [f"{weight}.range", "int8.63"], [f"{weight}.scales"]),
        helper.make_node(
            "QuantizeLinear",
            [weight, f"{weight}.scales"],
            [f"{weight}.rows"],
            axis=0,
            output_dtype=onnx.TensorProto.INT8,
        ),
        helper.make_node("Transpose", [f"{weight}.rows"], [f"{weight}.int8"], perm=[1, 0]),
    ]


def _steps(name: str, most: str) -> list[onnx.NodeProto]:
    """Nodes that make of each row of a tensor its scale, the largest absolute value divided by `most`, and its values
    in such steps, not rounded."""
    return [
        helper.make_node("Abs", [name], [f"{name}.abs"]),
        helper.make_node("ReduceMax", [f"{name}.abs", "int8.last"], [f"{name}.max"], keepdims=1),
        helper.make_node("Max", [f"{name}.max", "int8.tiny"], [f"{name}.range"]),
        helper.make_node("Div", [f"{name}.range", most], [f"{name}.scale"]),
        helper.make_node("Div", [most, f"{name}.range"], [f"{name}.inverse"]),
        helper.make_node("Mul", [name, f"{name}.inverse"], [f"{name}.steps"]),
    ]


@dataclass(frozen=True, slots=True)
class _StoredWeight:
    """Its type as numpy names it."""

    dtype: str
    shape: list[int]


def _stored_weights(folder: Path) -> dict[str, _StoredWeight]:
    stored: dict[str, _StoredWeight] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            slices: dict[str, Any] = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            for name, part in slices.items():
                if dtype := STORED_TYPES.get(part.get_dtype()):
                    stored[name] = _StoredWeight(dtype, part.get_shape())
    return stored
