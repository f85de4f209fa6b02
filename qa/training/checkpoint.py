"""Checkpoints of a training: all it takes to go on as if it had not been interrupted, in one safetensors file."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from index.errors import InvalidInput

FOLDER = "checkpoint"
_FILE = "checkpoint.safetensors"
_OPTIMIZER = ("exp_avg", "exp_avg_sq", "step")
"""AdamW's state of each parameter."""


@dataclass(frozen=True, slots=True)
class State:
    """How far a training is. `position` is in the order of questions of pass `epoch`; `seconds`, `steps`, `tokens` and
    `kinds` are totals; `loss` is a running mean, None before the first step."""

    epoch: int = 0
    position: int = 0
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float | None = None
    kinds: Mapping[str, int] = field(default_factory=dict)


def has_checkpoint(out: Path) -> bool:
    return (out / FOLDER / _FILE).is_file()


def write_checkpoint(
    out: Path, description: Mapping[str, object], state: State, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Replace the checkpoint in `out` as a whole: an interruption leaves the one before."""
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"model/{name}"] = parameter.detach()
        tensors |= {f"{part}/{name}": value for part, value in optimizer.state.get(parameter, {}).items()}
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{_FILE}.unfinished"
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        unfinished,
        {"description": json.dumps(description), "state": json.dumps(asdict(state))},
    )
    os.replace(unfinished, folder / _FILE)


def read_state(out: Path, description: Mapping[str, object]) -> State:
    """Raises InvalidInput where there is no checkpoint, or where it is one of another training."""
    file = out / FOLDER / _FILE
    try:
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata()
        known, state = json.loads(metadata["description"]), State(**json.loads(metadata["state"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}; remove it to begin anew") from None
    differing = [
        f"{name} {known.get(name)!r}, not {value!r}"
        for name, value in json.loads(json.dumps(description)).items()
        if known.get(name) != value
    ]
    if differing:
        raise InvalidInput(f"{out} was begun with other settings: {'; '.join(differing)}; give the same to resume it")
    return state


def restore(out: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Give model and optimizer the values of the checkpoint in `out`, which is one of them."""
    with safe_open(out / FOLDER / _FILE, "pt") as opened:
        stored = set(opened.keys())
        for name, parameter in model.named_parameters():
            with torch.no_grad():
                parameter.copy_(opened.get_tensor(f"model/{name}"))
            state: dict[str, Any] = {
                part: opened.get_tensor(f"{part}/{name}") for part in _OPTIMIZER if f"{part}/{name}" in stored
            }
            if state:
                optimizer.state[parameter] = state
