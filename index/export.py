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
from onnx import helper, numpy_helper
from onnxscript import optimizer
from safetensors import safe_open

from index.onnx import About, about_path, config_hash

_OPSET = 23
"""The first with an Attention operator, which onnxruntime runs as one."""

_EXAMPLE_SHAPE = (2, 8)
"""Sequences and tokens of the inputs a model is traced with; the graph takes any."""


_MOST_INT8 = 63

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
    """Make the products of linear layers products of 8-bit integers, but for layers that narrow.

    Weights: symmetric, a scale for each output, 7 bits, since AVX2 without VNNI adds pairs of products in 16. They are
    computed out of the stored ones when the graph is loaded. Inputs: a scale for each batch. A layer that narrows, the
    second of a feed-forward block and the head, has inputs with a few huge values, which would leave the others too
    few steps.
    """
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    transposed = {
        node.output[0]: shapes[node.input[0]]
        for node in graph.node
        if node.op_type == "Transpose" and len(shapes.get(node.input[0], ())) == 2
    }
    constants = {"int8.most": np.float32(_MOST_INT8), "int8.axes": np.array([0], np.int64)}
    constants |= {"int8.zero": np.int8(0), "int8.tiny": np.float32(1e-12)}
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    nodes: list[onnx.NodeProto] = []
    inputs: set[str] = set()
    weights: set[str] = set()
    for node in graph.node:
        outputs, width = transposed.get(node.input[1], (0, 1)) if node.op_type == "MatMul" else (0, 1)
        if outputs < width:
            nodes.append(node)
            continue
        given, weight, result = node.input[0], node.input[1], node.output[0]
        if weight not in weights:
            weights.add(weight)
            nodes += [
                helper.make_node("Abs", [weight], [f"{weight}.abs"]),
                helper.make_node("ReduceMax", [f"{weight}.abs", "int8.axes"], [f"{weight}.max"], keepdims=0),
                helper.make_node("Max", [f"{weight}.max", "int8.tiny"], [f"{weight}.range"]),
                helper.make_node("Div", [f"{weight}.range", "int8.most"], [f"{weight}.scale"]),
                helper.make_node("Div", [weight, f"{weight}.scale"], [f"{weight}.steps"]),
                helper.make_node("Round", [f"{weight}.steps"], [f"{weight}.rounded"]),
                helper.make_node("Cast", [f"{weight}.rounded"], [f"{weight}.int8"], to=onnx.TensorProto.INT8),
            ]
        if given not in inputs:
            inputs.add(given)
            parts = [f"{given}.uint8", f"{given}.scale", f"{given}.zero"]
            nodes.append(helper.make_node("DynamicQuantizeLinear", [given], parts))
        factors = [f"{given}.uint8", f"{weight}.int8", f"{given}.zero", "int8.zero"]
        nodes += [
            helper.make_node("MatMulInteger", factors, [f"{result}.int32"]),
            helper.make_node("Cast", [f"{result}.int32"], [f"{result}.float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{given}.scale", f"{weight}.scale"], [f"{result}.scale"]),
            helper.make_node("Mul", [f"{result}.float", f"{result}.scale"], [result]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


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
