"""Graphs made anew: of the shipped reader and the default embedder, against PyTorch."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import BertConfig, BertForQuestionAnswering

from index.article import Article
from index.embed import OnnxEmbedder, Runtime, embedder_folder, export_embedder, load_embedder, model_fingerprint
from index.errors import InvalidInput, ModelNotFound
from index.formats import find_files, read_file
from index.library import embedded_text
from index.onnx import GRAPH, Arrays, OnnxModel, about_path
from index.passage import Passage, Splitter
from qa import cli_models
from qa.reader import load_reader, reader_folder
from qa.torch_model import TorchModel

ROOT = Path(__file__).parents[1]
QUESTION = "How many passengers was the ferry Grey Heron carrying?"


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    """Of the demo articles about the ferry: 160 tokens or less each."""
    embedder = load_embedder()
    splitter = Splitter(embedder.token_spans, embedder.fingerprint)
    files = [file for file in find_files([ROOT / "seeds" / "articles"]) if isinstance(file, Path)]
    items = [item for file in files if "ferry" in file.name for item in read_file(file)]
    return [passage for item in items if isinstance(item, Article) for passage in splitter.split(item)]


@pytest.fixture(scope="module")
def inputs(passages: list[Passage]) -> dict[str, Arrays]:
    """What a reader is given for the question and all passages."""
    reader = load_reader()
    given: list[dict[str, Arrays]] = []

    class Remembering:
        def run(self, inputs: dict[str, Arrays]) -> list[Arrays]:
            given.append(inputs)
            return [np.zeros(inputs["input_ids"].shape, np.float32)] * 2

    reader.__dict__["_model"] = Remembering()  # in the place of the cached property
    reader.read(QUESTION, passages)
    return given[0]


@pytest.fixture(scope="module")
def expected(inputs: dict[str, Arrays]) -> list[Arrays]:
    return TorchModel(reader_folder()).run(inputs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the shipped reader without its graph."""
    folder = tmp_path_factory.mktemp("export") / "reader"
    shutil.copytree(reader_folder(), folder, ignore=shutil.ignore_patterns("graph.*"))
    yield folder
    shutil.rmtree(folder)


def furthest(outputs: list[Arrays], expected: list[Arrays], inputs: dict[str, Arrays]) -> float:
    """The largest difference of two outputs, where there is no padding."""
    read = inputs["attention_mask"] == 1
    return max(float(np.abs(one - other)[read].max()) for one, other in zip(outputs, expected, strict=True))


def test_shipped_graph_gives_the_outputs_of_torch(inputs: dict[str, Arrays], expected: list[Arrays]) -> None:
    assert inputs["input_ids"].shape[0] >= 6
    # of 8 bits: near, and not the same
    assert 1e-3 < furthest(OnnxModel(reader_folder() / GRAPH, reader_folder()).run(inputs), expected, inputs) < 1.5


def test_exported_reader_gives_the_outputs_of_torch(
    folder: Path, inputs: dict[str, Arrays], expected: list[Arrays]
) -> None:
    before = model_fingerprint(folder)
    graph = cli_models.export_model(str(folder), int8=False)
    assert graph == folder / GRAPH
    assert furthest(OnnxModel(graph, folder).run(inputs), expected, inputs) < 1e-4
    about, shipped = (json.loads(about_path(path / GRAPH).read_text()) for path in (folder, reader_folder()))
    assert about | {"graph_sha256": ""} == shipped | {"graph_sha256": ""}
    assert (graph.stat().st_size < 100_000, model_fingerprint(folder)) == (True, before)


def test_reader_of_8_bits_is_near_and_finds_the_answer(
    folder: Path, passages: list[Passage], inputs: dict[str, Arrays], expected: list[Arrays]
) -> None:
    graph = cli_models.export_model(str(folder), int8=True)
    assert graph.stat().st_size < 200_000
    assert 1e-3 < furthest(OnnxModel(graph, folder).run(inputs), expected, inputs) < 1.5
    found = [span for spans in load_reader(str(folder)).read(QUESTION, passages) for span in spans]
    assert max(found, key=lambda span: span.score).text == "186"


def test_graph_is_of_the_shape_not_of_the_weights(folder: Path, inputs: dict[str, Arrays]) -> None:
    # what a training leaves behind: other numbers under the same names
    trained = folder.parent / "trained"
    shutil.copytree(reader_folder(), trained)
    cli_models.export_model(str(trained), int8=False)
    weights = load_file(trained / "model.safetensors")
    save_file({name: value * np.float16(1.01) for name, value in weights.items()}, trained / "model.safetensors")
    outputs = OnnxModel(trained / GRAPH, trained).run(inputs)
    assert furthest(outputs, TorchModel(trained).run(inputs), inputs) < 1e-4
    shutil.rmtree(trained)


# embedders


@pytest.fixture(scope="module")
def vectors(passages: list[Passage]) -> np.ndarray:
    """By sentence-transformers, of texts of several lengths, one longer than the model reads."""
    return load_embedder(runtime=Runtime.TORCH).encode(texts(passages))


def texts(passages: list[Passage]) -> list[str]:
    return [*map(embedded_text, passages), QUESTION, "😀 İ", " ".join(passage.text for passage in passages)]


def test_default_embedder_gives_the_vectors_of_sentence_transformers(
    passages: list[Passage], vectors: np.ndarray
) -> None:
    embedder = load_embedder()
    assert isinstance(embedder, OnnxEmbedder)
    np.testing.assert_allclose(embedder.encode(texts(passages)), vectors, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_exported_embedder_gives_the_vectors_of_sentence_transformers(
    tmp_path: Path, passages: list[Passage], vectors: np.ndarray
) -> None:
    folder = Path(shutil.copytree(embedder_folder(), tmp_path / "embedder"))
    assert export_embedder(str(folder)) == folder / GRAPH
    embedder = load_embedder(str(folder))
    assert isinstance(embedder, OnnxEmbedder)
    np.testing.assert_allclose(embedder.encode(texts(passages)), vectors, atol=1e-5)
    assert embedder.fingerprint == load_embedder().fingerprint  # vectors of the two do mix
    assert (folder / GRAPH).stat().st_size < 100_000


def test_both_embedders_have_one_fingerprint_and_the_same_tokens() -> None:
    one, other = load_embedder(runtime=Runtime.ONNX), load_embedder(runtime=Runtime.TORCH)
    assert one.fingerprint == other.fingerprint
    assert one.token_spans(["A kettle, İt"]) == other.token_spans(["A kettle, İt"])


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "folder"])
def test_embedder_of_8_bits_is_refused(name: str, tmp_path: Path) -> None:
    if name == "folder":
        name = str(shutil.copytree(embedder_folder(), tmp_path / "embedder"))
    with pytest.raises(InvalidInput, match="is an embedder; --int8 is for readers, since vectors of two precisions"):
        cli_models.export_model(name, int8=True)


# what runs a model


def test_model_without_a_graph_is_run_by_torch(tmp_path: Path) -> None:
    folder = tmp_path / "embedder"
    shutil.copytree(embedder_folder(), folder, ignore=shutil.ignore_patterns("graph.*"))
    assert not isinstance(load_embedder(str(folder)), OnnxEmbedder)
    with pytest.raises(ModelNotFound, match=r"graph\.onnx is not there; make it with: pullquote export .*embedder"):
        load_embedder(str(folder), Runtime.ONNX)
    (folder / "model.safetensors").rename(folder / "graph.onnx")
    (folder / "other.safetensors").touch()
    assert isinstance(load_embedder(str(folder)), OnnxEmbedder)
    assert not isinstance(load_embedder(str(folder), Runtime.TORCH), OnnxEmbedder)


def test_reader_without_a_graph_is_read_by_torch(passages: list[Passage]) -> None:
    by_torch = load_reader(runtime=Runtime.TORCH).read(QUESTION, passages)
    by_onnx = load_reader(runtime=Runtime.ONNX).read(QUESTION, passages)
    one, other = (
        max((span for spans in found for span in spans), key=lambda span: span.score) for found in (by_torch, by_onnx)
    )
    assert (one.text, one.start, one.end) == (other.text, other.start, other.end)
    assert one.score == pytest.approx(other.score, abs=1.5)


def test_export_needs_packages_that_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match=r"two more packages; run: pip install 'pullquote\[export\]'"):
        cli_models.export_model("all-MiniLM-L6-v2", int8=False)


def test_graph_follows_weights_that_change(tmp_path: Path) -> None:
    """Also those that are equal when the graph is made, such as the biases of a model that is new."""
    config = BertConfig(
        vocab_size=1_200, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    model = BertForQuestionAnswering(config).eval()
    model.save_pretrained(tmp_path)
    TorchModel(tmp_path).export(tmp_path / GRAPH)
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path)
    ids = np.arange(40).reshape(2, 20)
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    for one, other in zip(
        OnnxModel(tmp_path / GRAPH, tmp_path).run(inputs), TorchModel(tmp_path).run(inputs), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_model_whose_weights_cannot_be_named_is_refused(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=1_200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertForQuestionAnswering(config).to(torch.bfloat16).save_pretrained(tmp_path)
    with pytest.raises(ModelNotFound, match="its graph gives other results; were its weights saved as safetensors in"):
        TorchModel(tmp_path).export(tmp_path / GRAPH)
    assert not (tmp_path / GRAPH).exists()
