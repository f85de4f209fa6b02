import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from index.errors import InvalidInput, LibraryCorrupt, LibraryNotWritable
from server.keys import KeyFile, Right

KEPT = {"id": "0", "name": "desk", "sha256": "", "right": "read", "collections": [], "per_minute": 1, "made": ""}


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def test_a_key_is_found_and_only_its_hash_is_kept(tmp_path: Path, file: KeyFile) -> None:
    secret = file.add(" desk ", Right.WRITE, ["press", "main", "press"], 5)
    found = file.find(secret)
    assert found is not None
    assert (found.name, found.right, found.collections, found.per_minute) == ("desk", "write", ("press", "main"), 5)
    kept = (tmp_path / "keys.json").read_text()
    assert secret not in kept
    assert secret.removeprefix(f"pq_{found.id}_") not in kept
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_what_is_no_key_is_not_found(file: KeyFile) -> None:
    secret = file.add("desk", Right.READ)
    other = "A" if secret[-1] != "A" else "B"
    assert [file.find(none) for none in ("", "pq_", secret[:-1], secret[:-1] + other, secret + "A", f" {secret}")] == (
        [None] * 6
    )


def test_keys_of_one_name_live_side_by_side_until_one_is_revoked(file: KeyFile) -> None:
    first, second = file.add("desk", Right.READ), file.add("desk", Right.READ)
    assert first != second
    file.revoke([file.all()[0].id])
    assert file.find(first) is None
    assert file.find(second) is not None


def test_another_process_sees_what_was_changed(tmp_path: Path, file: KeyFile) -> None:
    other = KeyFile(tmp_path / "keys.json")
    assert not other.needed
    secret = file.add("desk", Right.READ)
    assert other.needed
    assert other.find(secret) is not None
    file.revoke([key.id for key in file.all()])
    assert other.find(secret) is None
    assert other.needed  # whoever has seen a key goes on to need one
    assert not KeyFile(tmp_path / "keys.json").needed
    assert KeyFile(tmp_path / "keys.json", always=True).needed


def test_none_is_revoked_where_one_is_not_there(file: KeyFile) -> None:
    secret = file.add("desk", Right.READ)
    with pytest.raises(InvalidInput, match="there is no key 'none'"):
        file.revoke([file.all()[0].id, "none"])
    assert file.find(secret) is not None


def test_keys_made_at_once_are_all_kept(tmp_path: Path) -> None:
    def make(number: int) -> str:
        return KeyFile(tmp_path / "keys.json").add(str(number), Right.READ)

    with ThreadPoolExecutor(8) as threads:
        secrets = list(threads.map(make, range(40)))
    file = KeyFile(tmp_path / "keys.json")
    assert all(file.find(secret) for secret in secrets)
    assert len(file.all()) == 40


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb", "a\x00b"])
def test_a_key_needs_a_name(file: KeyFile, name: str) -> None:
    with pytest.raises(InvalidInput, match="needs a name"):
        file.add(name, Right.READ)
    assert file.all() == ()


@pytest.mark.parametrize("collection", ["", "../x", "A", "a/b", "-a", "x" * 65])
def test_a_key_is_for_collections_that_could_be_there(file: KeyFile, collection: str) -> None:
    with pytest.raises(InvalidInput, match="no name of a collection"):
        file.add("desk", Right.READ, [collection])


@pytest.mark.parametrize("number", [0, -1, 1_000_001])
def test_a_key_has_a_bounded_rate(file: KeyFile, number: int) -> None:
    with pytest.raises(InvalidInput, match="between 1 and 1,000,000"):
        file.add("desk", Right.READ, per_minute=number)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"keys": {}}',
        '{"keys": ""}',
        '{"keys": [{}]}',
        '{"keys": [1]}',
        '{"keys": [{"right": "all", "collections": []}]}',
        "\x00",
        *(json.dumps({"keys": [{**KEPT, **changed}]}) for changed in ({"collections": ""}, {"per_minute": 0})),
    ],
)
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    file = KeyFile(tmp_path / "keys.json")
    for _ in range(2):
        with pytest.raises(LibraryCorrupt, match="no keys can be read"):
            file.needed  # noqa: B018


def test_a_file_that_was_damaged_is_not_taken_for_what_it_was(tmp_path: Path, file: KeyFile) -> None:
    secret = file.add("desk", Right.READ)
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(LibraryCorrupt):
        file.find(secret)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryNotWritable, match="cannot be written"):
        KeyFile(tmp_path / "file" / "keys.json").add("desk", Right.READ)


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "kept" / "keys.json")
    linked, file = KeyFile(tmp_path / "link.json"), KeyFile(tmp_path / "kept" / "keys.json")
    secrets = [linked.add("desk", Right.READ), file.add("other", Right.READ)]
    assert (tmp_path / "link.json").is_symlink()
    assert [one.find(secret) is not None for one in (linked, file) for secret in secrets] == [True] * 4


def test_an_interrupted_change_leaves_the_keys_there_were(tmp_path: Path, file: KeyFile) -> None:
    secret = file.add("desk", Right.READ)
    (tmp_path / "keys.json.tmp").write_text("half")
    assert file.find(secret) is not None
    file.add("other", Right.READ)
    assert [fields["name"] for fields in json.loads((tmp_path / "keys.json").read_text())["keys"]] == ["desk", "other"]


@pytest.mark.parametrize(
    ("right", "allowed"),
    [(Right.READ, ["read"]), (Right.WRITE, ["read", "write"]), (Right.ADMIN, ["read", "write", "admin"])],
)
def test_a_right_includes_those_before_it(right: Right, allowed: list[str]) -> None:
    assert [other for other in Right if right.includes(other)] == allowed
