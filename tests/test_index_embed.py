"""Finding an embedder, and telling one from another; the models themselves are not run here."""

import subprocess
import sys
from pathlib import Path

import pytest

from index.embed import load_embedder, model_fingerprint, model_folder
from index.errors import ModelNotFound


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like a model."""
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json"):
        (folder / name).write_text(f'{{"name": "{name}"}}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_default_tokenizer_gives_spans_without_torch() -> None:
    script = (
        "import sys; from index.embed import load_embedder; "
        "print(load_embedder().token_spans(['A kettle, İt', '']), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[[(0, 1), (2, 8), (8, 9), (10, 12)], []] False\n"


def test_fingerprint_of_the_default_is_stable() -> None:
    fingerprint = load_embedder().fingerprint
    assert len(fingerprint) == 16
    assert load_embedder().fingerprint == fingerprint


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors", "modules.json", "1_Pooling/config.json"]
)
def test_fingerprint_changes_with_any_file(model: Path, name: str) -> None:
    before = model_fingerprint(model)
    (model / name).write_bytes(b"{}")
    assert model_fingerprint(model) != before


def test_fingerprint_is_of_contents_not_of_the_place(model: Path, tmp_path: Path) -> None:
    before = model_fingerprint(model)
    (model / "README.md").write_text("Not part of the model.")
    moved = model.rename(tmp_path / "moved")
    assert model_fingerprint(moved) == before


def test_folder(model: Path) -> None:
    assert model_folder(str(model)) == model
    assert load_embedder(str(model)).name == str(model)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_folder_that_lacks_something(model: Path, missing: str) -> None:
    (model / missing).unlink()
    expected = "*.safetensors" if missing == "model.safetensors" else missing
    with pytest.raises(ModelNotFound) as raised:
        load_embedder(str(model))
    assert str(raised.value) == f"{model} is not a model we can load: it has no {expected}"


def test_pickled_weights_are_not_loaded(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(ModelNotFound, match=r"it has no \*\.safetensors"):
        load_embedder(str(model))


def test_model_that_is_no_embedder(model: Path) -> None:
    (model / "modules.json").unlink()
    with pytest.raises(ModelNotFound, match=r"holds no sentence-transformers model: it has no modules\.json"):
        load_embedder(str(model))


@pytest.mark.parametrize("name", ["nothing", "./a/b", "/a/b", "a/b/c", "../x", ""])
def test_name_that_is_no_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound, match=r"is no model folder|is not a model we can load"):
        model_folder(name)


def test_hub_name_that_is_not_on_this_machine() -> None:
    with pytest.raises(ModelNotFound, match="fetch it once with: hf download nobody/no-such-model"):
        model_folder("nobody/no-such-model")


@pytest.mark.parametrize("name", ["a--b/c d", "a/..", "ä/ö", "a/b:c", "a/" + "x" * 200])
def test_odd_hub_name(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"no model folder|nor in this machine"):
        model_folder(name)
