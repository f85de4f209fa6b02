"""Scratch directories: one's own, those in use by others, and those that killed processes left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from index.scratch import Scratch

HOLD = "from index.scratch import Scratch; print(Scratch().path, flush=True); input()"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_closed_is_gone(place: Path) -> None:
    scratch = Scratch()
    (scratch.path / "file").touch()
    scratch.close()
    scratch.close()
    assert [*place.iterdir()] == []


def test_those_of_killed_processes_are_removed_and_no_others(place: Path) -> None:
    mine = Scratch()
    (place / "pullquote-index-of-somebody").mkdir()  # has no lock yet
    (place / "other").mkdir()
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(place)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        theirs = Path(process.stdout.readline().strip())
        Scratch().close()
        assert theirs.is_dir()
        assert mine.path.is_dir()
        process.send_signal(signal.SIGKILL)
    assert theirs.is_dir()
    Scratch().close()
    assert {path.name for path in place.iterdir()} == {"other", "pullquote-index-of-somebody", mine.path.name}
    mine.close()
