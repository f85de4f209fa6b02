"""Graphs on weights: packing, threads, and every way a graph can be the wrong one."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from index import onnx
from index.errors import ModelNotFound
from index.onnx import GRAPH, THREADS, OnnxModel, about_path, config_hash, cores, file_hash, pack, padded
from qa.reader import reader_folder


@pytest.mark.parametrize(
    ("lengths", "budget", "batches"),
    [
        ([], 10, []),
        ([3], 10, [[0]]),
        ([5, 5, 5], 10, [[0, 1], [2]]),
        ([1, 9, 2, 5], 10, [[1], [3, 2], [0]]),  # by length: 9, then 5 with 2 padded to it, then 1
        ([4, 4, 4], 12, [[0, 1, 2]]),
        ([20, 1, 1], 10, [[0], [1, 2]]),  # one that is over the budget goes alone
        ([2, 2, 2, 2], 4, [[0, 1], [2, 3]]),  # ties by position
    ],
)
def test_pack(lengths: list[int], budget: int, batches: list[list[int]]) -> None:
    assert pack(lengths, budget) == batches


@given(lengths=st.lists(st.integers(1, 400), max_size=60), budget=st.integers(1, 4096))
def test_pack_keeps_everything_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = pack(lengths, budget)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[position] for position in batch) * len(batch) <= budget


def test_padded() -> None:
    assert padded([[1, 2, 3], [4]], 9).tolist() == [[1, 2, 3], [4, 9, 9]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped reader, to spoil."""
    return Path(shutil.copytree(reader_folder(), tmp_path / "model"))


def inputs(sequences: int, tokens: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(0).integers(1_000, 30_000, (sequences, tokens))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def test_graph_takes_any_number_of_sequences_and_tokens() -> None:
    model = OnnxModel(reader_folder() / GRAPH, reader_folder())
    for sequences, tokens in ((1, 1), (3, 17), (2, 384)):
        assert [output.shape for output in model.run(inputs(sequences, tokens))] == [(sequences, tokens)] * 2


def test_padding_changes_nothing() -> None:
    model = OnnxModel(reader_folder() / GRAPH, reader_folder())
    short = inputs(1, 20)
    long = {name: np.pad(array, ((0, 0), (0, 30))) for name, array in short.items()}
    for one, other in zip(model.run(short), model.run(long), strict=True):
        np.testing.assert_allclose(one, other[:, :20], atol=1e-4)


def test_model_runs_on_all_cores_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (cores(), 1, 3):
        monkeypatch.setattr(onnx, "cores", lambda number=number: number)
        options = OnnxModel(reader_folder() / GRAPH, reader_folder())._session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (number, 1)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot keep a process to some cores")
def test_cores_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 5} if process == 0 else set())
    assert cores() == 3


@pytest.mark.parametrize(("counted", "number"), [(4, 4), (None, 1)])
def test_cores_where_that_is_not_told(monkeypatch: pytest.MonkeyPatch, counted: int | None, number: int) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert cores() == number


@pytest.mark.parametrize(("told", "number"), [("1", 1), ("12", 12), ("0", 5), ("", 5), ("4,2", 5), ("-1", 5), ("²", 5)])
def test_cores_are_those_this_process_is_told(monkeypatch: pytest.MonkeyPatch, told: str, number: int) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    monkeypatch.setenv(THREADS, told)
    assert cores() == number


def test_model_may_be_run_from_several_threads_at_once() -> None:
    model = OnnxModel(reader_folder() / GRAPH, reader_folder())
    alone = model.run(inputs(1, 30))[0]
    with ThreadPoolExecutor(4) as pool:
        for output in pool.map(lambda _: model.run(inputs(1, 30))[0], range(8)):
            np.testing.assert_allclose(output, alone, atol=1e-5)


def test_graph_is_small_since_it_has_no_weights() -> None:
    assert (reader_folder() / GRAPH).stat().st_size < 120_000


def test_graph_of_another_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_attention_heads": 6}))
    with pytest.raises(ModelNotFound, match=r"is the graph of another model than that in .*; run: pullquote export"):
        OnnxModel(folder / GRAPH, folder)


def test_config_hash_is_of_the_model_s_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(dict(sorted((config | {"transformers_version": "x"}).items()))))
    assert config_hash(folder) == config_hash(reader_folder())


def test_weights_that_lack_one(folder: Path) -> None:
    say(folder, weights=weights(folder) | {"no.such.weight": "float16"})
    with pytest.raises(ModelNotFound, match=r"have no no\.such\.weight"):
        OnnxModel(folder / GRAPH, folder)


@pytest.mark.parametrize(
    "about", [b"", b"[]", b"{}", b'{"config_sha256": 1, "graph_sha256": 1, "weights": 5, "max_tokens": null}']
)
def test_what_is_beside_the_graph_is_damaged(folder: Path, about: bytes) -> None:
    about_path(folder / GRAPH).write_bytes(about)
    with pytest.raises(ModelNotFound, match=r"graph\.json"):
        OnnxModel(folder / GRAPH, folder)


@pytest.mark.parametrize("graph", [b"", b"no graph"])
def test_damaged_graph(folder: Path, graph: bytes) -> None:
    (folder / GRAPH).write_bytes(graph)
    with pytest.raises(ModelNotFound, match=r"is not what .*graph.json is about; run: pullquote export"):
        OnnxModel(folder / GRAPH, folder)
    say(folder, graph_sha256=file_hash(folder / GRAPH))
    with pytest.raises(ModelNotFound, match=r"cannot be run: .* make it again with: pullquote export"):
        OnnxModel(folder / GRAPH, folder)


def say(folder: Path, **told: object) -> None:
    """Change what is said of the graph."""
    about = json.loads(about_path(folder / GRAPH).read_text())
    about_path(folder / GRAPH).write_text(json.dumps(about | told))


def weights(folder: Path) -> dict[str, str]:
    """What is said of the graph's weights."""
    told: dict[str, str] = json.loads(about_path(folder / GRAPH).read_text())["weights"]
    return told


def test_weights_are_slices_of_the_mapped_file(folder: Path) -> None:
    name = "bert.embeddings.word_embeddings.weight"
    table = onnx._mapped(folder / "model.safetensors")[name]
    assert isinstance(table, np.memmap)
    assert weights(folder)[name] == "float16"
    kept = onnx._in_type(table, name, "float16")
    assert kept.data_ptr() == table.ctypes.data


def test_graph_for_fp32_takes_weights_of_fp16(folder: Path) -> None:
    name = "bert.embeddings.LayerNorm.weight"
    given = onnx._weights(folder, {name: "float32"})[name]
    expected = onnx._mapped(folder / "model.safetensors")[name]
    assert (given.numpy().dtype, given.numpy().tolist()) == (np.float32, expected.tolist())


def test_graph_for_fp16_takes_no_weights_of_fp32(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    save_file({name: weight.astype(np.float32) for name, weight in stored.items()}, folder / "model.safetensors")
    with pytest.raises(ModelNotFound, match="is float32, and the graph was made for float16; run: pullquote export"):
        OnnxModel(folder / GRAPH, folder)


def test_weight_that_is_not_given_is_not_made_up(folder: Path) -> None:
    given = weights(folder)
    del given["bert.embeddings.word_embeddings.weight"]
    say(folder, weights=given)
    with pytest.raises(ModelNotFound, match="cannot be run: "):
        OnnxModel(folder / GRAPH, folder)


@pytest.mark.parametrize("name", ["modules.json", "1_Pooling/config.json", "sentence_bert_config.json"])
def test_config_hash_is_of_an_embedder_s_parts_too(folder: Path, name: str) -> None:
    before = config_hash(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text('{"pooling_mode_cls_token": true}')
    assert config_hash(folder) != before


def test_damaged_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(ModelNotFound, match=r"safetensors in .* cannot be read"):
        OnnxModel(folder / GRAPH, folder)


def test_nothing_is_noted_about_the_machine(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = "from index.onnx import OnnxModel, Path; OnnxModel(Path('qa/model/graph.onnx'), Path('qa/model'))"
    subprocess.run([sys.executable, "-c", code], env=os.environ | home, check=True, cwd=reader_folder().parents[1])
    assert [*tmp_path.rglob("*")] == []
