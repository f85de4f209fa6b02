"""Row D3 of the reliability matrix: nothing is unpickled, since a pickle may do anything when it is read."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MODEL = ROOT / "qa/model"
"""The reader that is shipped."""

UNPICKLED = 99
"""How a process ends that looks for what a pickle names."""

WATCHED = f"""
import os, sys

def watch(event, arguments):
    if event == "pickle.find_class":
        print(arguments, file=sys.stderr, flush=True)
        os._exit({UNPICKLED})

sys.addaudithook(watch)
"""

ENDINGS = ("pytorch_model.bin", "model.pkl", "model.pt", "data.pickle")


def watched(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that ends with UNPICKLED as soon as it unpickles anything that is not plain data."""
    command = [sys.executable, "-c", WATCHED + code, *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def pullquote(*arguments: str) -> subprocess.CompletedProcess[str]:
    return watched("from qa.cli import main; main()", *arguments)


class Trap:
    """Whoever unpickles it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("unpickled")
    (place / "ferry.txt").write_text("The ferry Grey Heron hit the breakwater on Monday.\n")
    added = pullquote("--library", str(place / "library"), "add", str(place / "ferry.txt"))
    assert added.returncode == 0, added.stderr
    return place / "library"


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """The shipped reader, with pickles beside its weights that do something when they are read."""
    folder = tmp_path / "reader"
    folder.mkdir()
    for file in MODEL.iterdir():
        (folder / file.name).symlink_to(file)
    for name in ENDINGS:
        (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "trapped")))
    return folder


def test_a_pickle_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "trap").write_bytes(pickle.dumps(Trap(tmp_path / "trapped")))
    run = watched("import pickle; pickle.load(open(sys.argv[1], 'rb'))", str(tmp_path / "trap"))
    assert run.returncode == UNPICKLED
    assert "touch" in run.stderr or "getattr" in run.stderr
    assert not (tmp_path / "trapped").exists()


def test_nothing_is_unpickled_for_an_answer(library: Path, reader: Path, tmp_path: Path) -> None:
    """From the articles on, with pickles where models are."""
    asked = pullquote(
        "--library", str(library), "ask", "What did the ferry hit?", "--reader", str(reader), "--threshold", "0"
    )
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "breakwater" in asked.stdout
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("name", ENDINGS)
def test_a_model_that_has_only_pickles_is_refused(library: Path, reader: Path, tmp_path: Path, name: str) -> None:
    (reader / "model.safetensors").unlink()
    for other in set(ENDINGS) - {name}:
        (reader / other).unlink()
    refused = pullquote("--library", str(library), "ask", "What did the ferry hit?", "--reader", str(reader))
    assert refused.returncode == 78
    assert "it has no *.safetensors" in refused.stderr
    assert not (tmp_path / "trapped").exists()
