"""Who may import whom: data flows one way, and each third-party library is known in one room only."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = {
    "index": {"index"},
    "qa": {"qa", "index"},
    "server": {"server", "qa", "index"},
    "eval": {"eval", "qa", "index"},
}
COMMAND_LINE = "qa/cli*.py"
TRAINING = "qa/training/*"
ROOMS = {
    "apsw": [f"index/{name}.py" for name in ("backup", "compact", "copies", "integrity", "salvage", "schema", "store")],
    "faiss": ["index/dense.py", "eval/bench_index.py"],
    "tantivy": ["index/lexical.py"],
    "nupunkt": ["index/passage.py"],
    "onnxruntime": ["index/onnx.py"],
    "onnx": ["index/export.py"],
    "onnxscript": ["index/export.py"],
    "torch": ["index/embed.py", "index/export.py", "qa/torch_model.py", TRAINING, "eval/train_embedder.py"],
    "transformers": ["index/embed.py", "qa/torch_model.py", TRAINING],
    "sentence_transformers": ["index/embed.py", "eval/train_embedder.py"],
    "tokenizers": ["index/embed.py", "qa/reader.py", "qa/tokens.py"],
    "trafilatura": ["index/formats/html.py"],
    "markdown_it": ["index/formats/markdown.py"],
    "charset_normalizer": ["index/formats/encoding.py"],
    "fastapi": ["server/*"],
    "pydantic": ["server/*"],
    "uvicorn": ["server/*"],
    "typer": [COMMAND_LINE],
    "rich": [COMMAND_LINE],
    "matplotlib": ["eval/charts.py"],
    "jinja2": ["eval/report.py", "server/pages/render.py"],
    "ir_measures": ["eval/metrics.py"],
    "structlog": ["server/log.py"],
    "prometheus_client": ["server/metrics.py"],
    "mcp": ["server/mcp.py"],
    "pymilvus": ["index/milvus*.py"],
    "ray": ["index/bulk.py"],
    "pypdfium2": ["index/formats/pdf.py"],
    "mammoth": ["index/formats/docx.py"],
    "feedparser": ["index/formats/feed.py"],
    "fastwarc": ["index/formats/warc.py"],
    "mwparserfromhell": ["index/formats/mediawiki.py"],
    "pyarrow": ["index/formats/parquet.py", "eval/written.py"],
    "httpcore2": ["index/fetch/*"],
    "httpx2": ["index/fetch/*"],
    "protego": ["index/fetch/robots.py"],
    "requests": [],
    "urllib3": [],
    "zstandard": ["index/formats/archive.py", "eval/written.py"],
    "datasketch": ["index/duplicates.py"],
    "py3langid": ["index/language.py"],
    "sentencex": ["index/passage.py"],
    "watchfiles": ["qa/cli_watch.py"],
    "scipy": [],  # for tests alone
    "sklearn": [],
    "pickle": [],
    "joblib": [],
}


def imported(source: str) -> Iterator[str]:
    """The dotted names a module imports, wherever in it; `from a import b` counts as both `a` and `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def forbidden(path: str, source: str) -> set[str]:
    """The packages that the module at `path`, relative to the root, must not import but does."""
    found = set()
    for name in imported(source):
        package = name.split(".")[0]
        outside = package in LAYERS and package not in LAYERS[path.split("/")[0]] and not fnmatch(path, COMMAND_LINE)
        elsewhere = package in ROOMS and not any(fnmatch(path, room) for room in ROOMS[package])
        command_line = name == "qa.cli" or (name.startswith("qa.cli_") and not fnmatch(path, COMMAND_LINE))
        if outside or elsewhere or command_line or not package:
            found.add("a relative import" if not package else "qa.cli" if command_line else package)
    return found


@pytest.mark.parametrize(
    "path", sorted(str(p.relative_to(ROOT)) for name in LAYERS for p in (ROOT / name).rglob("*.py"))
)
def test_module_imports_only_what_its_layer_and_room_allow(path: str) -> None:
    assert forbidden(path, (ROOT / path).read_text()) == set()


@pytest.mark.parametrize(
    ("path", "planted", "reported"),
    [
        ("index/library.py", "from qa.answer import Answer", "qa"),
        ("index/library.py", "import server", "server"),
        ("qa/answer.py", "from eval import run", "eval"),
        ("server/app.py", "from eval.metrics import f1", "eval"),
        ("eval/run.py", "def f():\n    import server.app", "server"),
        ("server/app.py", "from qa import cli", "qa.cli"),
        ("qa/answer.py", "from qa.cli import main", "qa.cli"),
        ("qa/answer.py", "from qa.cli_show import show", "qa.cli"),
        ("index/library.py", "import faiss", "faiss"),
        ("index/library.py", "from ray import data", "ray"),
        ("index/formats/html.py", "from markdown_it.token import Token", "markdown_it"),
        ("qa/wire.py", "if True:\n    from pydantic import BaseModel", "pydantic"),
        ("server/app.py", "import rich.console", "rich"),
        ("qa/cli.py", "import pickle", "pickle"),
        ("qa/reader.py", "import onnxruntime", "onnxruntime"),
        ("index/embed.py", "from onnxruntime import InferenceSession", "onnxruntime"),
        ("index/onnx.py", "import onnx", "onnx"),
        ("qa/torch_model.py", "from onnx import helper", "onnx"),
        ("index/onnx.py", "def f():\n    from onnxscript import optimizer", "onnxscript"),
        ("qa/reader.py", "import torch", "torch"),
        ("index/onnx.py", "from torch import nn", "torch"),
        ("qa/calibrate.py", "import torch.nn.functional", "torch"),
        ("eval/run.py", "import torch", "torch"),
        ("server/app.py", "import jinja2", "jinja2"),
        ("qa/reader.py", "from transformers import AutoConfig", "transformers"),
        ("index/export.py", "import transformers", "transformers"),
        ("qa/torch_model.py", "import sentence_transformers", "sentence_transformers"),
        ("qa/answer.py", "from tokenizers import Tokenizer", "tokenizers"),
        ("qa/calibrate.py", "from scipy.optimize import minimize", "scipy"),
        ("eval/metrics.py", "import sklearn.metrics", "sklearn"),
        ("qa/cli_models.py", "import joblib", "joblib"),
        ("index/store.py", "from .article import Article", "a relative import"),
    ],
)
def test_planted_import_is_reported(path: str, planted: str, reported: str) -> None:
    assert forbidden(path, f'"""A module."""\n\nimport json\n\n{planted}\n') == {reported}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("qa/cli.py", "import typer\nfrom eval.run import evaluate\nfrom server.app import create_app"),
        ("qa/cli.py", "from qa.cli_add import add_files"),
        (
            "server/pages/home.py",
            "import fastapi\nfrom qa.wire import answer_json\nfrom index.errors import PullquoteError",
        ),
        ("index/store.py", "import apsw"),
        ("index/onnx.py", "import onnxruntime"),
        ("index/export.py", "import onnx\nimport torch\nfrom onnxscript import optimizer"),
        ("qa/torch_model.py", "import torch\nimport transformers"),
        ("qa/training/train.py", "import torch\nimport transformers"),
        ("index/embed.py", "import torch\nimport sentence_transformers\nfrom transformers.utils import logging"),
    ],
)
def test_allowed_import_is_not_reported(path: str, source: str) -> None:
    assert forbidden(path, source) == set()


FETCHING = ("index.fetch", "index.feeds")
FETCHERS = ("index/fetch/*", "index/feeds.py", COMMAND_LINE)


def fetches(path: str, source: str) -> bool:
    """Whether a module imports what opens connections to the web, which only a person at the command line may want."""
    allowed = any(fnmatch(path, fetcher) for fetcher in FETCHERS)
    return not allowed and any(name.startswith(FETCHING) for name in imported(source))


def test_nothing_fetches_but_the_command_line() -> None:
    paths = [path for name in LAYERS for path in (ROOT / name).rglob("*.py")]
    assert [path for path in paths if fetches(str(path.relative_to(ROOT)), path.read_text())] == []
    assert fetches("server/app.py", "from index.fetch import Fetcher")
    assert fetches("server/app.py", "def f():\n    import index.feeds")
    assert not fetches("qa/cli_feed.py", "from index.feeds import poll")
