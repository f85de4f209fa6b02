"""Training: labelled questions and an encoder, or a reader, to a better reader; in fp32, on the CPU."""

import inspect
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax
from transformers.utils import logging

from index.embed import DEFAULT_EMBEDDER, embedder_folder, model_fingerprint, model_folder
from index.errors import InvalidInput, ModelNotFound
from qa.reader import DEFAULT_READER, reader_folder
from qa.torch_model import load_model
from qa.training.batches import Batch, Encoder, make_pool
from qa.training.checkpoint import State, has_checkpoint, read_state, restore, write_checkpoint
from qa.training.examples import Windows
from qa.training.labels import LabelledQuestion
from qa.training.result import write_model

_WARM_UP_STEPS = 200
_WARM_UP_SHARE = 0.06
"""A run shorter than 3,300 steps warms up over this share of it."""

_WEIGHT_DECAY = 0.01
_LARGEST_GRADIENT = 1.0
"""Norm to which gradients are clipped."""

_TEACHER_WEIGHT = 0.5
_TEMPERATURE = 2.0
"""Softens the teacher's and the student's distributions (Hinton et al. 2015, arXiv 1503.02531)."""

_MASKED = -1e4
"""Logit of padding: nothing of it is left after a softmax, and differences of it are finite."""

_LOSS_DECAY = 0.98
"""The running mean of the loss is over about fifty steps."""

_CHECKPOINT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run's weights depend on besides models and data. It ends after `minutes` or `epochs`, whichever comes
    first. `held_out` is the share of articles that were left out of the questions."""

    rate: float = 2e-4
    seed: int = 0
    minutes: float | None = None
    epochs: int | None = None
    held_out: float = 0.05
    batch_tokens: int = 4_000
    pool_batches: int = 16

    def __post_init__(self) -> None:
        """Raises InvalidInput where there is nothing to end the run, or a number makes no sense."""
        if self.minutes is None and self.epochs is None:
            raise InvalidInput("a training needs an end: give --minutes or --epochs")
        for name, value in (("minutes", self.minutes), ("epochs", self.epochs), ("rate", self.rate)):
            if value is not None and not value > 0:
                raise InvalidInput(f"--{name} {value} is not more than 0")
        if not 0 <= self.held_out < 1:
            raise InvalidInput(f"--held-out {self.held_out:.0%} is not at least 0 % and less than 100 %")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of gold questions: its name, the SHA-256 of its bytes, how many questions were taken from it and how many
    could not be."""

    name: str
    sha256: str
    questions: int
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A training: from the model in `base`, and a teacher where there is one, to a reader in `out`."""

    base: Path
    out: Path
    settings: Settings
    data: tuple[DataFile, ...]
    teacher: Path | None = None

    def describe(self) -> dict[str, object]:
        """Everything the weights depend on but versions of software and, with `minutes`, how long the steps took."""
        return {
            "base": self.base.name,
            "base_fingerprint": model_fingerprint(self.base),
            "teacher_fingerprint": self.teacher and model_fingerprint(self.teacher),
            "data": [asdict(file) for file in self.data],
            **asdict(self.settings),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """`share` of the run that is done, in [0, 1]; `loss` is a running mean, `rate` the learning rate of this step."""

    share: float
    steps: int
    loss: float
    rate: float
    tokens_per_second: float
    seconds_left: float


Report = Callable[[Progress], None]
Clock = Callable[[], float]


def base_folder(name: str) -> Path:
    """The folder of a model to begin with: that of the shipped reader, of the default embedder, or as in
    `model_folder`. Raises ModelNotFound."""
    if name == DEFAULT_READER:
        return reader_folder()
    return embedder_folder() if name == DEFAULT_EMBEDDER else model_folder(name)


def check(plan: Plan, resume: bool) -> State:
    """Where the training begins. Raises InvalidInput or ModelNotFound for what would stop it, before any long work."""
    encoder = Encoder(plan.base)
    if plan.teacher is not None and not Encoder(plan.teacher).has_vocabulary_of(encoder):
        raise InvalidInput(f"the teacher {plan.teacher} has another vocabulary than {plan.base}; choose one of the two")
    if has_checkpoint(plan.out):
        if resume:
            return read_state(plan.out, plan.describe())
        raise InvalidInput(f"{plan.out} holds an interrupted training; go on with --resume, or choose another folder")
    if plan.out.exists() and (not plan.out.is_dir() or any(plan.out.glob("*.safetensors"))):
        raise InvalidInput(f"{plan.out} is a file or holds a model already; choose another folder")
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"no folder can be made at {plan.out}: {error.strerror}") from None
    return State()


def train(
    plan: Plan,
    questions: Sequence[LabelledQuestion],
    report: Report,
    *,
    resume: bool = False,
    clock: Clock | None = None,
) -> State:
    """Train and write the reader to `plan.out`; returns the totals. The checkpoint stays there, so that what follows
    may be interrupted too, until `qa.training.result.finish` removes it.

    What `report`, called after each step, raises goes through; the last checkpoint is then there to resume.
    """
    state = check(plan, resume)
    if not any(question.answerable for question in questions):
        raise InvalidInput("none of the questions has an answer in an article; there is nothing to learn from")
    with TemporaryDirectory(prefix="pullquote-") as scratch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.settings.seed)
        encoder = Encoder(plan.base)
        windows = Windows(questions, encoder.count, plan.settings.seed, Path(scratch))
        run = _Run(plan, windows, encoder, state, clock or time.monotonic)
        if has_checkpoint(plan.out):
            restore(plan.out, run.model, run.optimizer)
        run.go(report)
    write_model(run.model, plan.base, plan.out)
    return run.state


class _Run:
    """A training under way."""

    def __init__(self, plan: Plan, windows: Windows, encoder: Encoder, state: State, clock: Clock) -> None:
        self.model = _trainable(plan.base)
        self.optimizer = _optimizer(self.model, plan.settings.rate)
        self.state = state
        self._teacher = _trainable(plan.teacher).requires_grad_(False) if plan.teacher else None
        self._plan, self._windows, self._encoder, self._clock = plan, windows, encoder, clock
        self._description = plan.describe()
        self._begun = clock() - state.seconds

    def go(self, report: Report) -> None:
        """Train until the end of the run, from where the state is."""
        settings, saved = self._plan.settings, self._clock()
        while self._share() < 1:
            position = self.state.position
            pool = make_pool(
                self._windows,
                self._encoder,
                self.state.epoch,
                position,
                settings.seed,
                settings.batch_tokens,
                settings.batch_tokens * settings.pool_batches,
            )
            for number, batch in enumerate(pool.batches):
                if (share := self._share((pool.next - position) * number / len(pool.batches))) >= 1:
                    break
                rate = self._step(batch, share)
                report(self._progress((pool.next - position) * (number + 1) / len(pool.batches), rate))
            self._advance(pool.next, empty=not pool.batches)
            if self._clock() - saved >= _CHECKPOINT_SECONDS or self._share() >= 1:
                write_checkpoint(self._plan.out, self._description, self.state, self.model, self.optimizer)
                saved = self._clock()

    def _advance(self, position: int, empty: bool) -> None:
        """Past a pool's questions, with the time that has gone by."""
        over = position == len(self._windows)
        if over and empty and self.state.steps == 0:
            raise InvalidInput("no answer stands where its question says; there is nothing to learn from")
        self.state = replace(
            self.state,
            epoch=self.state.epoch + over,
            position=0 if over else position,
            seconds=self._clock() - self._begun,
        )

    def _share(self, ahead: float = 0.0) -> float:
        """How much of the run is done, `ahead` questions from where the state is."""
        settings, share = self._plan.settings, 0.0
        if settings.minutes is not None:
            share = (self._clock() - self._begun) / (60 * settings.minutes)
        if settings.epochs is not None:
            questions = self.state.epoch * len(self._windows) + self.state.position + ahead
            share = max(share, questions / (settings.epochs * len(self._windows)))
        return min(share, 1.0)

    def _step(self, batch: Batch, share: float) -> float:
        """Learn from a batch; returns the rate."""
        steps = self.state.steps + 1
        warm = min(max(steps / _WARM_UP_STEPS, share / _WARM_UP_SHARE), 1.0)
        rate = self._plan.settings.rate * warm * (1 - share)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = batch_loss(self.model, batch, self._teacher)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _LARGEST_GRADIENT)
        self.optimizer.step()
        mean, weight = self.state.loss or 0.0, max(1 / steps, 1 - _LOSS_DECAY)  # at first all count the same
        self.state = replace(
            self.state,
            steps=steps,
            tokens=self.state.tokens + batch.tokens,
            loss=(1 - weight) * mean + weight * loss.item(),
            kinds=dict(Counter(self.state.kinds) + Counter(kind.value for kind in batch.kinds)),
        )
        return rate

    def _progress(self, ahead: float, rate: float) -> Progress:
        share, seconds = self._share(ahead), max(self._clock() - self._begun, 1e-9)
        return Progress(
            share,
            self.state.steps,
            self.state.loss or 0.0,
            rate,
            self.state.tokens / seconds,
            seconds * (1 - share) / max(share, 1e-9),
        )


def batch_loss(model: Any, batch: Batch, teacher: Any = None) -> torch.Tensor:
    """Cross entropy of the start and of the end, their mean; with a teacher, half of the loss is how far its softened
    distributions are from the student's."""
    outside = torch.from_numpy(batch.inputs["attention_mask"]) == 0
    targets = (torch.from_numpy(batch.start), torch.from_numpy(batch.end))
    mine = _logits(model, batch, outside)
    loss = torch.stack([cross_entropy(logits, target) for logits, target in zip(mine, targets, strict=True)]).mean()
    if teacher is None:
        return loss
    with torch.no_grad():
        others = _logits(teacher, batch, outside)
    apart = [
        kl_div(log_softmax(logits / _TEMPERATURE, -1), softmax(other / _TEMPERATURE, -1), reduction="batchmean")
        for logits, other in zip(mine, others, strict=True)
    ]
    return (1 - _TEACHER_WEIGHT) * loss + _TEACHER_WEIGHT * _TEMPERATURE**2 * torch.stack(apart).mean()


def _logits(model: Any, batch: Batch, outside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and end logits, each of shape (examples, longest example)."""
    takes = inspect.signature(model.forward).parameters  # not all know token types
    output = model(**{name: torch.from_numpy(array) for name, array in batch.inputs.items() if name in takes})
    return output.start_logits.masked_fill(outside, _MASKED), output.end_logits.masked_fill(outside, _MASKED)


def _trainable(folder: Path) -> Any:
    """The model in `folder`, without dropout: in one pass over this much data nothing is learnt by heart. One that has
    no head for question answering gets a new one. Raises ModelNotFound."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it would list the weights of a new head
    try:
        return load_model(folder)
    except (ValueError, OSError) as error:
        raise ModelNotFound(f"{folder} is no model that can become a reader: {str(error).splitlines()[0]}") from None


def _optimizer(model: Any, rate: float) -> torch.optim.AdamW:
    """AdamW; weights decay, biases and the parameters of normalisations do not (they are vectors)."""
    parameters = list(model.parameters())
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": _WEIGHT_DECAY},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, fused=True)
