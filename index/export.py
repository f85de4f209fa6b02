"""A model's graph as ONNX, without its weights. Needs torch, and is needed by nobody who only asks."""

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxscript import optimizer
from safetensors import safe_open

from index.onnx import About, about_path, config_hash

_OPSET = 23
"""The first with an Attention operator, which onnxruntime runs as one."""

_EXAMPLE_SHAPE = (2, 8)
"""Sequences and tokens of the inputs a model is traced with; the graph takes any."""


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


def export_graph(
    model: torch.nn.Module,
    forward: Forward,
    inputs: list[str],
    outputs: list[str],
    weights: Path,
    target: Path,
    *,
    max_tokens: int | None = None,
    int8: bool = False,
) -> None:
    """Write the graph of `forward`, which runs `model` on `inputs`, int64 tensors of shape (sequences, tokens), to its
    `outputs`. Every tensor that the safetensors in the folder `weights` hold is named, not copied.
    `max_tokens` is kept for an embedder; `int8` is as in `_quantize`.
    """

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return forward(dict(zip(inputs, tensors, strict=True)))

    example = tuple(torch.ones(_EXAMPLE_SHAPE, dtype=torch.int64) for _ in inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            Traced().eval(),
            example,
            dynamo=True,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=(({0: "sequences", 1: "tokens"},) * len(inputs),),
            opset_version=_OPSET,
            verbose=False,
            optimize=False,
        )
        assert program is not None  # it is where dynamo is
        # Linear layers transpose their weights: folded, the graph would need a copy of each.
        optimizer.optimize_ir(program.model, should_fold=lambda node: False if node.op_type == "Transpose" else None)
    exported = program.model_proto
    names = _name_weights(exported.graph, weights)
    if int8:
        _quantize(exported.graph)
    for node in exported.graph.node:
        del node.metadata_props[:]  # where in which Python file it came from
        node.doc_string = ""
    del exported.graph.value_info[:], exported.metadata_props[:], exported.graph.metadata_props[:]
    told = About(config_hash(weights), tuple(names), max_tokens)
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target, exported.SerializeToString())
    _write(about_path(target), (json.dumps(asdict(told), indent=1) + "\n").encode())


def _name_weights(graph: onnx.GraphProto, folder: Path) -> list[str]:
    """Replace every weight by the name it has in the safetensors; returns the names."""
    shapes = _weight_shapes(folder)
    renamed: dict[str, str] = {}
    for tensor in graph.initializer:
        # A module's name is the tensor's with the names of what wraps it before it.
        ends_alike = [name for name in shapes if f".{tensor.name}".endswith(f".{name}")]
        name = max(ends_alike, key=len, default="")
        if shapes.get(name) == list(tensor.dims):
            renamed[tensor.name] = tensor.name = name
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="model.safetensors")
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
    return sorted(renamed.values())


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
            nodes += [
                *_steps(weight, most="int8.63"),
                helper.make_node("Round", [f"{weight}.steps"], [f"{weight}.whole"]),
                helper.make_node("Cast", [f"{weight}.whole"], [f"{weight}.rows"], to=onnx.TensorProto.INT8),
                helper.make_node("Transpose", [f"{weight}.rows"], [f"{weight}.int8"], perm=[1, 0]),
                helper.make_node("Transpose", [f"{weight}.scale"], [f"{weight}.scales"], perm=[1, 0]),
            ]
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


def _write(target: Path, data: bytes) -> None:
    temporary = target.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.rename(target)


def _weight_shapes(folder: Path) -> dict[str, list[int]]:
    shapes: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            slices: dict[str, Any] = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            shapes |= {name: part.get_shape() for name, part in slices.items() if part.get_dtype().startswith("F")}
    return shapes
