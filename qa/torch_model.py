"""A reader's model in PyTorch: to train it, to export its graph, and to run one that has no graph."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForQuestionAnswering
from transformers.utils import logging

from index.errors import ModelNotFound
from index.onnx import Arrays

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class TorchModel:
    """Runs the model in a folder, as `OnnxModel` runs its graph."""

    def __init__(self, folder: Path) -> None:
        """Raises ModelNotFound."""
        self._folder = folder
        self._model = load_model(folder)
        takes = inspect.signature(self._model.forward).parameters
        self.inputs = [name for name in _INPUTS if name in takes]  # not all know token types

    def run(self, inputs: Mapping[str, Arrays]) -> list[Arrays]:
        """Start and end logits, each of shape (windows, longest window)."""
        with torch.inference_mode():
            output = self._model(**{name: torch.from_numpy(inputs[name]) for name in self.inputs})
        return [output.start_logits.numpy(), output.end_logits.numpy()]

    def export(self, graph: Path, *, int8: bool = False) -> None:
        """Write the model's graph; `int8` as in `export_graph`."""
        from index.export import Traceable, export_graph  # needs packages that only an export does

        def forward(inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
            output = self._model(**inputs)
            return output.start_logits, output.end_logits

        traceable = Traceable(self._model, forward, tuple(self.inputs), ("start_logits", "end_logits"), self._folder)
        export_graph(traceable, graph, int8=int8)


def load_model(folder: Path) -> Any:
    """The model in fp32, not in training. Raises ModelNotFound."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # as in index.embed
    try:
        model = AutoModelForQuestionAnswering.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
    except SafetensorError as error:
        raise ModelNotFound(f"the safetensors in {folder} cannot be read: {error}") from None
    return model.eval()
