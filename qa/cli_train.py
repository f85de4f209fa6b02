"""`pullquote train`: gold questions to a reader, with progress, figures before and after, and a record of it all."""

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from eval.gold import GoldQuestion, read_gold
from eval.metrics import exact_match, f1
from index.article import Article, make_article
from index.errors import InvalidInput, ModelNotFound
from index.formats import read_file
from index.formats.squad import paragraph_starts
from index.passage import Passage
from qa import cli_show as show
from qa.cli_options import open_articles
from qa.reader import load_reader, reader_folder
from qa.training.batches import Encoder
from qa.training.checkpoint import State
from qa.training.examples import Windows
from qa.training.labels import LabelledQuestion, hold_out, nearest_answer, nearest_sentence
from qa.training.result import finish
from qa.training.train import DataFile, Plan, Progress, Report, Settings, base_folder, check, train

_MEASURED = 500
"""Held-out questions read before and after, of each sort: half a minute each."""

_LINE_SECONDS = 30
"""Between lines of progress where there is no terminal."""

_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Figures in [0, 1] on held-out articles: answers found in their own paragraph, and the share of `unanswerable`
    windows for which no span is over 0."""

    answerable: int
    exact_match: float
    f1: float
    unanswerable: int
    abstained: float


def train_files(
    gold: Sequence[Path],
    base: str,
    teacher: str | None,
    target: Path,
    library: Path,
    settings: Settings,
    resume: bool,
    out: Console,
    err: Console,
) -> int:
    """Train a reader from files of gold questions; returns the exit code: 0, or 130 after Ctrl-C."""
    folder, taught_by = base_folder(base), teacher and reader_folder(teacher)
    with err.status("Reading the questions …"):
        questions, files = read_files(gold, library)
        plan = Plan(folder, target, settings, files, Path(taught_by) if taught_by else None)
        check(plan, resume)
    if not any(question.answerable for question in questions):
        raise InvalidInput("none of the questions has an answer in an article that is known; there is nothing to learn")
    training, kept = hold_out(questions, settings.held_out, settings.seed)
    for file in files:
        err.print(show.safe(f"{file.name}: {file.questions:,} questions, {file.left_out:,} left out"), soft_wrap=True)
    err.print(f"{len(training):,} questions to train with, {len(kept):,} of other articles held out")
    try:
        before = measure(folder, folder, kept, settings.seed, err) if _is_reader(folder) else None
        _say(out, "before", before)
        with _reporting(err) as report:
            state = train(plan, training, report, resume=resume)
        after = measure(target.resolve(), folder, kept, settings.seed, err)
        _say(out, "after", after)
        names = {"base": Path(base).name, "teacher": teacher and Path(teacher).name}
        finish(target, {**plan.describe(), **names, **_record(state, training, before, after)})
    except KeyboardInterrupt:
        err.print("Interrupted. Run the same command with --resume to go on from the last checkpoint.")
        return _INTERRUPTED
    out.print(show.safe(f"the reader is in {target}; use it with: --reader {target.resolve()}"), soft_wrap=True)
    return 0


def read_files(gold: Sequence[Path], library: Path) -> tuple[list[LabelledQuestion], tuple[DataFile, ...]]:
    """The labelled questions of all files. Those whose article is not known, or where no answer occurs in it, are left
    out. Raises InvalidInput, LibraryNotFound, ArticleNotFound."""
    questions: list[LabelledQuestion] = []
    files = []
    for path in gold:
        asked = read_gold(path)
        data = path.read_bytes()
        if (entries := _squad_entries(data)) is not None:
            articles = {item.id: item for item in read_file(path) if isinstance(item, Article)}
            answerable = [item for item in asked if item.answerable]
            labelled = [*_labelled(answerable, articles), *_impossible(entries, articles)]
        else:
            labelled = list(_labelled(asked, _of_library(asked, library)))
        questions.extend(labelled)
        files.append(DataFile(path.name, sha256(data).hexdigest(), len(labelled), len(asked) - len(labelled)))
    return questions, tuple(files)


def _squad_entries(data: bytes) -> list[Any] | None:
    """What SQuAD has under `data`; None where the file is none of SQuAD's."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return whole["data"] if isinstance(whole, Mapping) and isinstance(whole.get("data"), list) else None


def _impossible(entries: Sequence[Any], articles: Mapping[str, Article]) -> Iterator[LabelledQuestion]:
    """SQuAD 2.0's questions that their paragraph does not answer, which `read_gold` gives without their paragraph."""
    for entry in entries:
        article = articles.get(_id(entry.get("title")))
        starts = paragraph_starts([paragraph["context"] for paragraph in entry["paragraphs"]])
        for paragraph, start in zip(entry["paragraphs"], starts, strict=True):
            for asked in paragraph["qas"]:
                if article is not None and asked.get("is_impossible"):
                    yield LabelledQuestion(asked["question"].strip(), article, start)


def _of_library(asked: Sequence[GoldQuestion], library: Path) -> dict[str, Article]:
    """The articles that questions name. Raises LibraryNotFound, ArticleNotFound."""
    if not (ids := {item.article for item in asked if item.article is not None}):
        return {}
    with open_articles(library) as opened:
        return {_id(id): opened.article(id) for id in sorted(ids)}


def _labelled(asked: Sequence[GoldQuestion], articles: Mapping[str, Article]) -> Iterator[LabelledQuestion]:
    """Those whose article is known and holds an answer, or has none to hold."""
    for item in asked:
        article = None if item.article is None else articles.get(_id(item.article))
        if article is None:
            continue
        if not item.answers:
            yield nearest_sentence(item.question, article)
        elif item.start is not None and article.text.startswith(item.answers[0], item.start):
            yield LabelledQuestion(item.question, article, item.start, item.answers)
        elif (found := nearest_answer(item.question, article, item.answers)) is not None:
            yield found


def _id(title: object) -> str:
    """As articles are named: one line."""
    return " ".join(str(title).split())


def measure(
    reader: Path, tokenizer: Path, questions: Sequence[LabelledQuestion], seed: int, err: Console
) -> HeldOut | None:
    """What a reader makes of at most 500 of the questions; of the same ones for the same seed. None without any."""
    numbers = [number for number, question in enumerate(questions) if question.answerable]
    if not numbers:
        return None
    chosen = random.Random(seed).sample(numbers, min(_MEASURED, len(numbers)))
    read = load_reader(str(reader)).read
    with err.status("Reading held-out questions …"), TemporaryDirectory(prefix="pullquote-") as scratch:
        windows = Windows(questions, Encoder(tokenizer).count, seed, Path(scratch))
        scores = []
        for number in chosen:
            spans = read(questions[number].question, [windows.passage(number)])[0]
            answer, accepted = spans[0].text if spans else "", questions[number].answers
            scores.append((exact_match(answer, accepted), f1(answer, accepted)))
        mined = [window for number in chosen if (window := windows.mined(number)) is not None]
        over = [read(window.question, [_passage(window.text)])[0] for window in mined]
    abstained = sum(not spans or spans[0].score <= 0 for spans in over)
    em, overlap = (sum(column) / len(scores) for column in zip(*scores, strict=True))
    return HeldOut(len(chosen), em, overlap, len(mined), abstained / max(len(mined), 1))


def _passage(text: str) -> Passage:
    return Passage(make_article(text), 0, len(text))


def _is_reader(folder: Path) -> bool:
    try:
        return reader_folder(str(folder)) == folder
    except ModelNotFound:
        return False


def _say(out: Console, when: str, held_out: HeldOut | None) -> None:
    if held_out is not None:
        out.print(
            f"{when}: EM {held_out.exact_match:.1%}, F1 {held_out.f1:.1%} of {held_out.answerable:,} held-out "
            f"questions; no answer to {held_out.abstained:.1%} of {held_out.unanswerable:,} that have none",
            soft_wrap=True,
        )


def _record(
    state: State, training: Sequence[LabelledQuestion], before: HeldOut | None, after: HeldOut | None
) -> dict[str, object]:
    """What `training.json` says of how the training went."""
    return {
        "questions": len(training),
        "articles": len({question.article.id for question in training}),
        "examples": dict(sorted(state.kinds.items())),
        "steps": state.steps,
        "tokens": state.tokens,
        "trained_minutes": round(state.seconds / 60, 2),
        "tokens_per_second": round(state.tokens / max(state.seconds, 1e-9)),
        "loss": state.loss,
        "held_out_before": before and asdict(before),
        "held_out_after": after and asdict(after),
        "versions": {name: metadata.version(name) for name in ("pullquote", "torch", "transformers")},
    }


@contextmanager
def _reporting(err: Console) -> Iterator[Report]:
    """Shows progress: a bar on a terminal, else a line now and then."""
    columns = (TextColumn("Training"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[done]}"))
    with Bar(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("Training", total=1.0, done="preparing …")
        said = time.monotonic() - _LINE_SECONDS

        def report(progress: Progress) -> None:
            nonlocal said
            bar.update(task, completed=progress.share, done=_figures(progress))
            if not err.is_terminal and (time.monotonic() - said >= _LINE_SECONDS or progress.share >= 1):
                err.print(f"{progress.share:.1%}, {_figures(progress)}", soft_wrap=True)
                said = time.monotonic()

        yield report


def _figures(progress: Progress) -> str:
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return (
        f"step {progress.steps:,}, loss {progress.loss:.3f}, rate {progress.rate:.1e}, "
        f"{progress.tokens_per_second:,.0f} tokens/s, {minutes}:{seconds:02} left"
    )
