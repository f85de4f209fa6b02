import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Run

from index.passage import Passage
from qa.reader import Reader, Span
from server.keys import KeyFile


@pytest.fixture
def reader() -> Reader:
    class NoReader:
        def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
            return [[] for _ in passages]

    return NoReader()


def test_a_key_is_printed_once_and_listed_without_it(run: Run, tmp_path: Path) -> None:
    made = run("keys", "add", "desk", "--right", "write", "--collection", "press", "--per-minute", "5")
    secret = made.out.strip()
    found = KeyFile(tmp_path / "library" / "keys.json").find(secret)
    assert found is not None
    assert (made.code, found.right, found.collections, found.per_minute) == (0, "write", ("press",), 5)
    listed = run("keys", "list")
    assert secret not in listed.out
    assert found.id in listed.out
    [line] = run("keys", "list", "--json").out.splitlines()
    fields = json.loads(line)
    assert fields == {
        "id": found.id,
        "name": "desk",
        "right": "write",
        "collections": ["press"],
        "per_minute": 5,
        "made": found.made,
    }
    assert run("keys", "revoke", found.id).out == "revoked 1\n"
    assert "There are no keys" in run("keys", "list").err


def test_keys_may_be_kept_elsewhere(run: Run, tmp_path: Path) -> None:
    secret = run("keys", "add", "desk", "--keys", str(tmp_path / "other" / "keys.json")).out.strip()
    assert KeyFile(tmp_path / "other" / "keys.json").find(secret) is not None
    assert run("keys", "list", "--json").out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("keys", "revoke", "none"), 64, "there is no key 'none'"),
        (("keys", "add", " "), 64, "needs a name"),
        (("keys", "add", "desk", "--collection", "../x"), 64, "no name of a collection"),
        (("keys", "add", "desk", "--right", "all"), 2, "'all' is not one of"),
        (("--collection", "press", "keys", "list"), 64, "leave out --collection"),
        (("--collection", "press", "serve"), 64, "leave out --collection"),
        (("--collection", "Press", "list"), 64, "no name of a collection"),
        (("--collection", "press", "list"), 66, "there is no library at"),
        (("serve", "--host", "0.0.0.0"), 64, "there must be a key"),
    ],
)
def test_what_cannot_be_done(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = run(*arguments)
    assert done.code == code
    assert said in " ".join(done.err.split())


def test_collections_are_made_by_adding_to_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The treaty was signed in 1648.")
    assert run("--collection", "press", "add", str(tmp_path / "a.txt")).code == 0
    assert json.loads(run("collections", "--json").out) == {"name": "press", "articles": 1, "passages": 1}
    assert run("add", str(tmp_path / "a.txt")).code == 0
    assert run("collections").out == "main: 1 articles, 1 passages\npress: 1 articles, 1 passages\n"
    assert run("--collection", "press", "list", "--json").out.count("\n") == 1
