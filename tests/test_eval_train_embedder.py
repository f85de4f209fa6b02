"""The embedder's training, by a small model: that it learns, what it keeps, and that what it writes is an embedder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ToyEmbedder
from transformers import BertConfig, BertModel

from eval import train_embedder
from eval.gold import GoldQuestion
from eval.train_embedder import Triplet, mined, trained, write
from index.article import make_article
from index.embed import Runtime, embedder_folder, load_embedder
from index.library import Library

SHIPS = make_article("The Dunlin sank in fog. Nobody was hurt.", id="ships", title="Ships")
MILLS = make_article("The mill at Saltgate burned down. Nobody was hurt.", id="mills", title="Mills")
ROADS = make_article("The road to the mill was closed in fog.", id="roads")


def gold(question: str, answer: str, article: str, start: int) -> GoldQuestion:
    return GoldQuestion(question, (answer,), article=article, start=start)


def test_the_wrong_passage_is_the_best_without_an_answer(tmp_path: Path) -> None:
    questions = [
        gold("The Dunlin sank in what?", "fog", "ships", 19),  # the road has fog too
        gold("Which road to the mill was closed in fog?", "at Saltgate", "mills", 9),
        gold("What sank in fog?", "The Dunlin", "no article", 0),
    ]
    with Library(tmp_path / "library", ToyEmbedder(), create=True) as library:
        library.add([SHIPS, MILLS, ROADS])
        sunk, burnt = mined(library, questions)
    assert (sunk.right, sunk.wrong, sunk.hard) == (f"Ships\n{SHIPS.text}", f"Mills\n{MILLS.text}", False)
    assert (burnt.right, burnt.wrong, burnt.hard) == (f"Mills\n{MILLS.text}", ROADS.text, True)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    shutil.copytree(embedder_folder(), folder, ignore=shutil.ignore_patterns("graph.*", "*.safetensors", "config.json"))
    torch.manual_seed(0)
    small = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    BertModel(small, add_pooling_layer=False).save_pretrained(folder)
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def test_training_goes_for_the_right_passages(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minutes = iter(np.linspace(0, 60, 31))
    monkeypatch.setattr(train_embedder, "monotonic", lambda: float(next(minutes)))
    monkeypatch.setattr(train_embedder, "_BATCH", 4)
    monkeypatch.setattr(train_embedder, "_RATE", 1e-2)
    triplets = [
        Triplet(f"Which bird is number {word}?", f"It is the {word} dunlin.", f"It is the {other} plover.", hard=False)
        for word, other in (("one", "two"), ("two", "three"), ("three", "four"), ("four", "one"))
    ]
    write(trained(base, triplets, 1, seed=0), base, tmp_path / "out")
    losses = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines() if "loss" in line]
    assert losses[-1] < losses[0] - 0.3
    by_torch, by_graph = (load_embedder(str(tmp_path / "out"), runtime) for runtime in (Runtime.TORCH, Runtime.ONNX))
    texts = [one.question for one in triplets] + [one.right for one in triplets]
    vectors = by_graph.encode(texts)
    assert np.allclose(by_torch.encode(texts), vectors, atol=1e-4)
    assert (np.argmax(vectors[:4] @ vectors[4:].T, axis=1) == np.arange(4)).all()
    before, after = (
        load_embedder(str(folder), Runtime.TORCH)._model[0].auto_model for folder in (base, tmp_path / "out")
    )
    embeddings = [one.embeddings.word_embeddings.weight.half() for one in (before, after)]
    assert torch.equal(*embeddings)
