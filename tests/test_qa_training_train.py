"""Training: a tiny random model learns, is interrupted, goes on, and comes out as a reader."""

import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import BertConfig, BertForQuestionAnswering, BertModel

from eval.gold import GoldQuestion
from index.article import Article, make_article
from index.embed import model_fingerprint
from index.errors import ArticleNotFound, InvalidInput, LibraryNotFound, ModelNotFound
from index.library import Library
from index.passage import Passage
from qa import cli_train
from qa.cli_train import read_files, train_files
from qa.reader import load_reader, reader_folder
from qa.training.batches import Batch
from qa.training.examples import Kind
from qa.training.labels import LabelledQuestion
from qa.training.train import Plan, Progress, Settings, base_folder, batch_loss, train

TOWNS = [
    "Norhaven",
    "Saltgate",
    "Ellory",
    "Castrel",
    "Tarnwick",
    "Pellorane",
    "Corvane",
    "Osmarsh",
    "Vallare",
    "Brackford",
]
GOODS = ["kettles", "lanterns", "coins", "ropes", "bells", "sails", "barrels", "maps", "drums", "stamps"]


def article_of(number: int) -> Article:
    """An article of two paragraphs, each with five sentences that name a town and what it sells."""
    lines = [f"The town of {town} sells {GOODS[(place + number) % 10]} by the sea." for place, town in enumerate(TOWNS)]
    return make_article(" ".join(lines[:5]) + "\n\n" + " ".join(lines[5:]), id=f"article {number}")


def questions_of(article: Article, number: int) -> list[LabelledQuestion]:
    return [
        LabelledQuestion(
            f"What does {town} sell?", article, article.text.index(good, article.text.index(town)), (good,)
        )
        for place, town in enumerate(TOWNS)
        for good in [GOODS[(place + number) % 10]]
    ]


@pytest.fixture(scope="module")
def questions() -> list[LabelledQuestion]:
    return [question for number in range(4) for question in questions_of(article_of(number), number)]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a model is faster with one, and far faster where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


MakeModel = Callable[..., Path]


@pytest.fixture(scope="module")
def make_base(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """A folder with a tiny random model with the tokenizer of the shipped reader."""

    def make(kind: type[BertModel] | type[BertForQuestionAnswering] = BertModel, layers: int = 2) -> Path:
        folder = tmp_path_factory.mktemp("base")
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": layers, "num_attention_heads": 2}
        kind(BertConfig(vocab_size=30_522, **sizes)).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((reader_folder() / name).read_bytes())
        return folder

    return make


@pytest.fixture(scope="module")
def base(make_base: MakeModel) -> Path:
    return make_base()


SMALL = Settings(rate=5e-3, epochs=2, held_out=0, batch_tokens=400, pool_batches=3)


def plan_of(base: Path, out: Path, settings: Settings = SMALL, teacher: Path | None = None) -> Plan:
    return Plan(base, out, settings, (), teacher)


def slow_clock() -> Callable[[], float]:
    """Time that goes so fast that every pool ends with a checkpoint."""
    return itertools.count(0, 1000).__next__


def nothing(progress: Progress) -> None:
    """Reports to nobody."""


# A whole training


def test_training_makes_a_reader(base: Path, tmp_path: Path, questions: list[LabelledQuestion]) -> None:
    seen: list[Progress] = []
    state = train(plan_of(base, tmp_path / "out"), questions, seen.append)
    assert [progress.steps for progress in seen] == list(range(1, state.steps + 1))
    assert [progress.share for progress in seen] == sorted(progress.share for progress in seen)
    assert (state.epoch, state.position, seen[-1].share) == (2, 0, 1.0)
    assert state.kinds[Kind.ANSWERED] == 80
    assert 20 <= sum(state.kinds.values()) - 80 <= 50
    assert seen[-1].loss < seen[0].loss
    assert seen[-1].rate < max(progress.rate for progress in seen) / 4
    passage = Passage(questions[0].article, 0, 100)
    spans = load_reader(str(tmp_path / "out")).read("What does Ellory sell?", [passage])[0]
    assert all(span.text in passage.text for span in spans)
    assert len(spans) > 0


def test_what_is_written(base: Path, tmp_path: Path, questions: list[LabelledQuestion]) -> None:
    train(plan_of(base, tmp_path / "out"), questions, nothing)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"checkpoint", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as weights:
        assert weights.metadata() == {"format": "pt"}
        assert {str(weights.get_tensor(name).dtype) for name in weights.keys()} == {"torch.float16"}  # noqa: SIM118
        assert {"qa_outputs.weight", "bert.encoder.layer.1.output.dense.bias"} <= set(weights.keys())
    modes = {(tmp_path / "out" / name).stat().st_mode for name in names - {"checkpoint"}}
    assert len(modes) == 1  # safetensors would have kept the weights to their owner
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["architectures"], config["dtype"]) == (["BertForQuestionAnswering"], "float32")


def test_minutes_end_a_run_with_rate_zero(base: Path, tmp_path: Path, questions: list[LabelledQuestion]) -> None:
    settings = Settings(minutes=1, epochs=None, batch_tokens=400, pool_batches=3)
    seen: list[Progress] = []
    clock = itertools.count(0, 0.5).__next__
    state = train(plan_of(base, tmp_path / "out", settings), questions, seen.append, clock=clock)
    assert 60 <= state.seconds < 65
    assert seen[-1].rate < 0.05 * settings.rate
    assert seen[-1].seconds_left < 3
    for progress in seen:
        if progress.share > 0.2:  # the clock goes on by half a second between the two
            assert progress.seconds_left == pytest.approx(60 * (1 - progress.share), abs=3)


# Interrupted and resumed


def weights_of(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


@pytest.mark.parametrize("steps", [1, 7, 12, 20])
def test_resumed_run_ends_with_the_same_weights(
    base: Path, tmp_path: Path, questions: list[LabelledQuestion], steps: int
) -> None:
    whole = train(plan_of(base, tmp_path / "whole"), questions, nothing, clock=slow_clock())

    def interrupt(progress: Progress) -> None:
        if progress.steps == steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(plan_of(base, tmp_path / "cut"), questions, interrupt, clock=slow_clock())
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    seen: list[Progress] = []
    resumed = train(plan_of(base, tmp_path / "cut"), questions, seen.append, resume=True, clock=slow_clock())
    assert (seen[0].steps > 1) == (steps > 3)  # it did go on, not begin anew
    assert (resumed.steps, resumed.tokens, resumed.kinds, resumed.loss) == (
        whole.steps,
        whole.tokens,
        whole.kinds,
        whole.loss,
    )
    mine, others = weights_of(tmp_path / "cut"), weights_of(tmp_path / "whole")
    assert all(torch.equal(mine[name], others[name]) for name in others)


def test_finished_run_is_resumed_without_a_step(base: Path, tmp_path: Path, questions: list[LabelledQuestion]) -> None:
    done = train(plan_of(base, tmp_path / "out"), questions, nothing)
    before = weights_of(tmp_path / "out")
    seen: list[Progress] = []
    assert train(plan_of(base, tmp_path / "out"), questions, seen.append, resume=True) == done
    assert seen == []
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights_of(tmp_path / "out").items())


def test_other_settings_are_not_resumed(base: Path, tmp_path: Path, questions: list[LabelledQuestion]) -> None:
    train(plan_of(base, tmp_path), questions, nothing)
    other = Settings(rate=1e-3, epochs=2, held_out=0, seed=5, batch_tokens=400, pool_batches=3)
    with pytest.raises(InvalidInput, match=r"begun with other settings: rate 0\.005, not 0\.001; seed 0, not 5;"):
        train(plan_of(base, tmp_path, other), questions, nothing, resume=True)


def test_interrupted_run_is_not_begun_anew(base: Path, tmp_path: Path, questions: list[LabelledQuestion]) -> None:
    train(plan_of(base, tmp_path), questions, nothing)
    with pytest.raises(InvalidInput, match="go on with --resume"):
        train(plan_of(base, tmp_path), questions, nothing)


def test_damaged_checkpoint(base: Path, tmp_path: Path, questions: list[LabelledQuestion]) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "checkpoint.safetensors").write_bytes(b"no")
    with pytest.raises(InvalidInput, match="remove it to begin anew"):
        train(plan_of(base, tmp_path), questions, nothing, resume=True)


def test_model_is_not_overwritten(base: Path, questions: list[LabelledQuestion]) -> None:
    with pytest.raises(InvalidInput, match="holds a model already"):
        train(plan_of(base, base), questions, nothing)


# Loss and teacher


def batch() -> Batch:
    """Two examples, of 4 and 3 tokens."""
    ids = np.array([[101, 2040, 2003, 102], [101, 2040, 102, 0]])
    return Batch(
        {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)},
        np.array([1, 0]),
        np.array([2, 0]),
        (Kind.ANSWERED, Kind.RANDOM),
    )


class ToyModel:
    """Fixed logits: the start of the first example is sure, all else is open."""

    def __init__(self, sure: float) -> None:
        self.start_logits = torch.tensor([[0.0, sure, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0]])
        self.end_logits = torch.zeros(2, 4)

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> "ToyModel":
        return self

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> "ToyModel":
        return self


def test_loss_is_the_mean_cross_entropy_without_padding() -> None:
    start = (math.log(math.exp(2) + 3) - 2 + math.log(3)) / 2  # the 9 of padding does not count
    end = (math.log(4) + math.log(3)) / 2
    assert batch_loss(ToyModel(2.0), batch()).item() == pytest.approx((start + end) / 2)


def test_loss_with_a_teacher() -> None:
    alone = batch_loss(ToyModel(2.0), batch()).item()
    assert batch_loss(ToyModel(2.0), batch(), ToyModel(2.0)).item() == pytest.approx(alone / 2)
    student = [math.exp(sure / 2) / (math.exp(1) + 3) for sure in (2, 0, 0, 0)]  # softened by a temperature of 2
    teacher = [math.exp(sure / 2) / (math.exp(3) + 3) for sure in (6, 0, 0, 0)]
    apart = sum(t * math.log(t / s) for t, s in zip(teacher, student, strict=True))
    expected = alone / 2 + 0.5 * 4 * (apart / 2) / 2  # two examples, two ends
    assert batch_loss(ToyModel(2.0), batch(), ToyModel(6.0)).item() == pytest.approx(expected)


def test_training_with_a_teacher_differs(
    base: Path, make_base: MakeModel, tmp_path: Path, questions: list[LabelledQuestion]
) -> None:
    teacher = make_base(BertForQuestionAnswering, layers=1)
    train(plan_of(base, tmp_path / "alone"), questions, nothing)
    train(plan_of(base, tmp_path / "taught", teacher=teacher), questions, nothing)
    assert not torch.equal(
        weights_of(tmp_path / "alone")["qa_outputs.weight"], weights_of(tmp_path / "taught")["qa_outputs.weight"]
    )


def test_teacher_of_another_vocabulary(
    base: Path, make_base: MakeModel, tmp_path: Path, questions: list[LabelledQuestion]
) -> None:
    teacher = make_base(BertForQuestionAnswering)
    tokenizer = (teacher / "tokenizer.json").read_text().replace('"ferry":', '"harbour ferry":')
    (teacher / "tokenizer.json").write_text(tokenizer)
    with pytest.raises(InvalidInput, match=f"{teacher.name} has another vocabulary than .*{base.name}"):
        train(plan_of(base, tmp_path, teacher=teacher), questions, nothing)


# Bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give --minutes or --epochs"),
        ({"minutes": 0.0}, "--minutes 0.0 is not more than 0"),
        ({"epochs": 0}, "--epochs 0 is not more than 0"),
        ({"epochs": 1, "rate": -1.0}, "--rate -1.0 is not more than 0"),
        ({"epochs": 1, "held_out": 1.0}, "--held-out 100% is not at least"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Settings(**settings)  # type: ignore[arg-type]


def test_base_without_usable_model(base: Path, tmp_path: Path, questions: list[LabelledQuestion]) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (folder / name).write_bytes((base / name).read_bytes())
    (folder / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ModelNotFound, match="odd is no model that can become a reader"):
        train(plan_of(folder, tmp_path / "out"), questions, nothing)


def test_named_bases(base: Path) -> None:
    assert base_folder("pullquote-minilm") == reader_folder()
    assert (base_folder("all-MiniLM-L6-v2") / "modules.json").is_file()
    assert base_folder(str(base)) == base
    with pytest.raises(ModelNotFound, match="nowhere is no model folder"):
        base_folder("nowhere")


def test_questions_without_answers(base: Path, tmp_path: Path, questions: list[LabelledQuestion]) -> None:
    unanswerable = [LabelledQuestion("Who?", questions[0].article, 0)]
    with pytest.raises(InvalidInput, match="nothing to learn from"):
        train(plan_of(base, tmp_path), unanswerable, nothing)


# Files


def squad(path: Path) -> Path:
    """A file of SQuAD 2.0 with an article for each of four numbers."""
    data = []
    for number in range(4):
        article = article_of(number)
        paragraphs = []
        for start, context in zip((0, article.text.index("\n\n") + 2), article.text.split("\n\n"), strict=True):
            qas: list[dict[str, object]] = [
                {
                    "question": question.question,
                    "answers": [{"text": question.answers[0], "answer_start": question.place - start}],
                    "is_impossible": False,
                }
                for question in questions_of(article, number)
                if start <= question.place < start + len(context)
            ]
            qas.append({"question": " What does Oslo sell? ", "answers": [], "is_impossible": True})
            paragraphs.append({"context": context, "qas": qas})
        data.append({"title": f"article_{number}", "paragraphs": paragraphs})
    path.write_text(json.dumps({"data": data}))
    return path


def test_squad_is_read_with_the_paragraphs_of_unanswerable_questions(tmp_path: Path) -> None:
    questions, (file,) = read_files([squad(tmp_path / "squad.json")], tmp_path)
    assert (file.name, file.questions, file.left_out, len(file.sha256)) == ("squad.json", 48, 0, 64)
    assert [question.place for question in questions if not question.answerable][:2] == [
        0,
        article_of(0).text.index("\n\n") + 2,
    ]
    for question in questions:
        if question.answerable:
            assert question.article.text.startswith(question.answers[0], question.place)


def test_jsonl_takes_its_articles_from_the_library(tmp_path: Path, library: Library) -> None:
    article = make_article("The ferry came from Norhaven. It sells kettles in Norhaven.", id="ferry")
    library.add([article])
    lines: list[dict[str, object]] = [
        {"question": "Where does it sell kettles?", "answers": ["Norhaven"], "article": "ferry"},
        {"question": "Where did it come from?", "answers": ["Norhaven"], "article": "ferry", "start": 20},
        {"question": "Where from?", "answers": ["Norhaven"], "article": "ferry", "start": 3},
        {"question": "Who sells kettles?", "answers": [], "article": "ferry"},
        {"question": "Where is Oslo?", "answers": ["Norway"], "article": "ferry"},
        {"question": "Where is it?", "answers": ["Norway"]},
    ]
    gold = tmp_path / "gold.jsonl"
    gold.write_text("\n".join(map(json.dumps, lines)))
    questions, (file,) = read_files([gold], library.path)
    assert [question.place for question in questions] == [50, 20, 20, 30]
    assert [question.answerable for question in questions] == [True, True, True, False]
    assert (file.questions, file.left_out) == (4, 2)
    gold.write_text(json.dumps({**lines[0], "article": "tram"}))
    with pytest.raises(ArticleNotFound, match="no article 'tram'"):
        read_files([gold], library.path)
    with pytest.raises(LibraryNotFound):
        read_files([gold], tmp_path / "nowhere")


def run(gold: Path, base: Path, out: Path, *, resume: bool = False) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    settings = Settings(rate=5e-3, epochs=1, held_out=0.25, batch_tokens=400, pool_batches=3)
    printed, errors = Console(record=True, width=200, quiet=False), Console(record=True, width=200, stderr=True)
    code = train_files([gold], str(base), None, out, out / "no library", settings, resume, printed, errors)
    return code, printed.export_text(), errors.export_text()


def test_command_measures_and_records(tmp_path: Path, make_base: MakeModel) -> None:
    base, gold = make_base(BertForQuestionAnswering), squad(tmp_path / "gold.json")
    code, printed, errors = run(gold, base, tmp_path / "out")
    assert code == 0
    assert [line.split(":")[0] for line in printed.splitlines()[:2]] == ["before", "after"]
    assert "of 10 held-out questions" in printed
    assert "36 questions to train with, 12 of other articles held out" in errors
    assert "100.0%, step" in errors
    assert not (tmp_path / "out" / "checkpoint").exists()
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["base_fingerprint"] == model_fingerprint(base)
    assert record["data"][0]["questions"] == 48
    assert (record["rate"], record["seed"], record["epochs"], record["held_out"]) == (5e-3, 0, 1, 0.25)
    assert (record["questions"], record["articles"]) == (36, 3)
    assert record["examples"][Kind.ANSWERED] == 30
    assert record["examples"][Kind.UNANSWERED] == 6
    assert record["held_out_after"]["answerable"] == 10
    assert 0 <= record["held_out_after"]["exact_match"] <= record["held_out_after"]["f1"] <= 1
    assert record["versions"]["torch"] == torch.__version__


def test_interrupted_command_is_resumed(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gold, real = squad(tmp_path / "gold.json"), cli_train.measure

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_train, "measure", interrupted)  # the base is no reader: it is measured after training only
    code, printed, errors = run(gold, base, tmp_path / "out")
    assert (code, printed) == (130, "")
    assert "with --resume to go on" in errors
    monkeypatch.setattr(cli_train, "measure", real)
    code, printed, _ = run(gold, base, tmp_path / "out", resume=True)
    assert (code, printed.split(":")[0]) == (0, "after")
    assert json.loads((tmp_path / "out" / "training.json").read_text())["held_out_before"] is None


def test_gold_question_without_article_is_left_out(tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text(json.dumps({"question": "Who?", "answers": ["Norhaven"]}))
    assert read_files([gold], tmp_path / "nowhere")[0] == []
    assert GoldQuestion("Who?", ("Norhaven",)).article is None


def test_gold_that_names_no_article(base: Path, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text('{"question": "Who came?", "answers": ["Castle FC"]}')
    with pytest.raises(InvalidInput, match="none of the questions has an answer in an article that is known"):
        run(gold, base, tmp_path / "out")


def test_folder_that_cannot_be_made(base: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"no folder can be made at .*file/out: Not a directory"):
        run(squad(tmp_path / "gold.json"), base, tmp_path / "file" / "out")
