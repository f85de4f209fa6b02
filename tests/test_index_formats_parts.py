"""The parts of a file: announced one by one, and left out up to the one that ended a parser."""

import pytest

from index.formats.parts import Parts, Path

TREE = {"a": ["a1", "a2"], "b": ["b1", "b2"], "c": []}


def walk(after: Path) -> tuple[list[str], list[tuple[Path, str]]]:
    """What is read of the tree, and what is announced."""
    read, announced = [], []
    parts = Parts("x", after, lambda path, where: announced.append((path, where)))
    for name, inner in parts.of(TREE.items()):
        read.extend(part for _, part in parts.of((f"{name}!{part}", part) for part in inner))
        parts.go_on()
    parts.go_on()
    return read, announced


def test_all_parts_are_announced_before_they_are_read() -> None:
    read, announced = walk(())
    assert read == ["a1", "a2", "b1", "b2"]
    assert announced == [
        ((0,), "a"),
        ((0, 0), "a!a1"),
        ((0, 1), "a!a2"),
        ((0,), "a"),
        ((1,), "b"),
        ((1, 0), "b!b1"),
        ((1, 1), "b!b2"),
        ((1,), "b"),
        ((2,), "c"),
        ((2,), "c"),
        ((), "x"),
    ]


@pytest.mark.parametrize(
    ("after", "read"),
    [
        ((0, 0), ["a2", "b1", "b2"]),
        ((0, 1), ["b1", "b2"]),
        ((0,), ["b1", "b2"]),
        ((1, 0), ["b2"]),
        ((2,), []),
    ],
)
def test_reading_goes_on_behind_a_part(after: Path, read: list[str]) -> None:
    assert walk(after)[0] == read
