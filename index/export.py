"""A model's graph as ONNX, without its weights. Needs torch, and is needed by nobody who only asks."""

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxscript import optimizer
from safetensors import safe_open

from index.onnx import About, about_path, config_hash

_OPSET = 23
"""The first with an Attention operator, which onnxruntime runs as one."""

_EXAMPLE_SHAPE = (2, 8)
"""Sequences and tokens of the inputs a model is traced with; the graph takes any."""


Forward = Callable[[dict[str, torch.Tensor]], tuple[torch.Tensor, ...]]


def export_graph(
    model: torch.nn.Module,
    forward: Forward,
    inputs: list[str],
    outputs: list[str],
    weights: Path,
    target: Path,
    max_tokens: int | None = None,
) -> None:
    """Write the graph of `forward`, which runs `model` on `inputs`, int64 tensors of shape (sequences, tokens), to its
    `outputs`. Every tensor that the safetensors in the folder `weights` hold is named, not copied.
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
