"""What a training leaves: a reader's folder, with an account of how it was made."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file, save

from index.onnx import GRAPH, about_path, config_hash
from qa.training.checkpoint import FOLDER

RECORD = "training.json"


def write_model(model: Any, base: Path, out: Path) -> None:
    """Write the model, fp16, with the tokenizer of `base`, and its graph where that is of the same shape. The weights
    come last: a folder that has them has everything."""
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out, prefix="unfinished-") as name:
        folder = Path(name)
        model.save_pretrained(folder)
        for path in folder.glob("*.safetensors"):
            weights = halved(load_file(path))
            path.unlink()  # safetensors makes files that nobody else may read
            path.write_bytes(weights)
        for kept in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(base / kept, folder / kept)
        if (base / GRAPH).is_file() and about_path(base / GRAPH).is_file() and config_hash(base) == config_hash(folder):
            for path in (base / GRAPH, about_path(base / GRAPH)):
                shutil.copyfile(path, folder / path.name)
        for path in sorted(folder.iterdir(), key=lambda path: (path.suffix == ".safetensors", path.name)):
            os.replace(path, out / path.name)


def halved(weights: Mapping[str, torch.Tensor]) -> bytes:
    """A file of safetensors with these weights in fp16."""
    halves = {name: one.half() if one.is_floating_point() else one for name, one in weights.items()}
    return save(halves, {"format": "pt"})


def finish(out: Path, record: Mapping[str, object]) -> None:
    """Write the account of the training into the reader's folder and remove the checkpoint."""
    unfinished = out / f"{RECORD}.unfinished"
    unfinished.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(unfinished, out / RECORD)
    shutil.rmtree(out / FOLDER, ignore_errors=True)  # a training of no time has none
