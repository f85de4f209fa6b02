"""What figures were measured on: the machine, and the versions of what computed them."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter

import numpy as np

from index.onnx import cores

_PROCESSORS = Path("/proc/cpuinfo")
_MEBIBYTE = 1 << 20
_PACKAGES = ("pullquote", "onnxruntime", "torch", "tokenizers", "faiss-cpu", "tantivy", "nupunkt", "numpy")
"""Those that decide what is found and read, or how fast."""

_PRODUCT_SECONDS = 3.0


def machine() -> dict[str, str | int]:
    """`cores` are those this process may use, `memory_mib` is what the machine has in all, in MiB."""
    return {
        "processor": processor(_PROCESSORS),
        "cores": cores(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MEBIBYTE,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def processor(file: Path) -> str:
    """Its model as Linux tells it in that file, else as much as Python knows."""
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def peak_memory() -> int:
    """Bytes that this process has had at most."""
    most = getrusage(RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10  # in kilobytes on Linux


def versions() -> dict[str, str]:
    """Of the packages that matter to a figure, by name."""
    return {name: metadata.version(name) for name in _PACKAGES}


def matrix_rate(seconds: float = _PRODUCT_SECONDS) -> float:
    """GFLOPS of fp32 matrix products of the shipped reader's shape on all cores, measured for so long. In NumPy, which
    is imported in a blink and reaches what PyTorch reaches."""
    tokens, width, inner = 4096, 384, 1536
    chance = np.random.default_rng(0)
    left, right = chance.random((tokens, width), np.float32), chance.random((width, inner), np.float32)
    product = left @ right  # starts the threads
    rounds, began = 0, perf_counter()
    while (taken := perf_counter() - began) < seconds or not rounds:
        np.matmul(left, right, out=product)
        rounds += 1
    return 2 * tokens * width * inner * rounds / taken / 1e9
