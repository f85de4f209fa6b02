import signal
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from conftest import ToyEmbedder
from fastapi import FastAPI
from test_server_toys import quoting

from index.errors import InvalidInput
from index.library import Library
from server.run import run


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What uvicorn was given, in place of serving."""
    calls: list[dict[str, Any]] = []

    def serve(app: FastAPI, **settings: Any) -> None:
        calls.append({"app": app, "sigterm": signal.getsignal(signal.SIGTERM), **settings})

    monkeypatch.setattr(uvicorn, "run", serve)
    return calls


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_other_machines_are_not_served(tmp_path: Path, served: list[dict[str, Any]], host: str) -> None:
    with (
        Library(tmp_path, ToyEmbedder(), create=True) as library,
        pytest.raises(InvalidInput, match=r"serve on 127\.0\.0\.1"),
    ):
        run(quoting(library), library, host)
    assert served == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_is_served(tmp_path: Path, served: list[dict[str, Any]], host: str) -> None:
    with Library(tmp_path, ToyEmbedder(), create=True) as library:
        run(quoting(library), library, host, 8123)
    [settings] = served
    assert (settings["host"], settings["port"]) == (host, 8123)
    assert settings["app"].title == "Pullquote"
    assert settings["server_header"] is False
    assert settings["timeout_graceful_shutdown"] == 10


def test_sigterm_ends_the_server_and_not_the_process(tmp_path: Path, served: list[dict[str, Any]]) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Library(tmp_path, ToyEmbedder(), create=True) as library:
            run(quoting(library), library)
        assert served[0]["sigterm"] is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
