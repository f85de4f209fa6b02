"""What a measurement says of the machine it was made on."""

import json
import os
import platform
from importlib import metadata
from itertools import count
from pathlib import Path

import pytest

from eval import machine as eval_machine
from eval.machine import machine, matrix_rate, processor, versions


def test_machine_is_described_in_plain_values() -> None:
    told = machine()
    assert list(told) == ["processor", "cores", "memory_mib", "system", "python"]
    assert json.loads(json.dumps(told)) == told
    assert told["python"] == platform.python_version()
    assert told["cores"] in range(1, (os.cpu_count() or 1) + 1)


def test_memory_is_in_mebibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1_000_000}.__getitem__)
    assert machine()["memory_mib"] == 3906


def test_processor_is_the_model_that_linux_names(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(
        "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC: 7R13\n\nprocessor\t: 1\nmodel name\t: other\n"
    )
    assert processor(file) == "AMD EPYC: 7R13"


@pytest.mark.parametrize("content", [None, "", "CPU part\t: 0xd0c\n", "model name\t:\n"])
def test_processor_is_what_python_knows_where_linux_names_none(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    if content is not None:
        file.write_text(content)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert processor(file) == "arm"
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert processor(file) == "aarch64"


def test_versions_are_those_installed() -> None:
    told = versions()
    assert told["pullquote"] == metadata.version("pullquote")
    assert told["onnxruntime"] == metadata.version("onnxruntime")
    assert told["faiss-cpu"] == metadata.version("faiss-cpu")


@pytest.mark.parametrize(("seconds", "rate"), [(3.0, 2 / 3), (0.0, 1 / 2)])
def test_matrix_rate_is_products_by_time(seconds: float, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by a second whenever it is looked at; one product is made in any case."""
    monkeypatch.setattr(eval_machine, "perf_counter", map(float, count()).__next__)
    assert matrix_rate(seconds) == pytest.approx(2 * 4096 * 384 * 1536 * rate / 1e9)
