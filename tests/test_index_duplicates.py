"""Shingles, bands, and when two texts are copies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.duplicates import bands, is_copy, shingles


def words(seed: int, count: int = 300) -> list[str]:
    """Words of a made-up text, those of another seed none of these."""
    return [f"w{seed}x{number}" for number in range(count)]


def changed(text: list[str], share: float) -> list[str]:
    """With the last part of the text replaced."""
    kept = round(len(text) * (1 - share))
    return text[:kept] + words(99)[: len(text) - kept]


def said(one: list[str], other: list[str]) -> bool:
    return is_copy(shingles(" ".join(one)), shingles(" ".join(other)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Bridge was SHUT.", {"the bridge was", "bridge was shut"}),
        ("the bridge,\n\twas “shut”!", {"the bridge was", "bridge was shut"}),
        ("Oslo wins", {"oslo wins"}),
        ("Oslo", {"oslo"}),
        ("?! …", {"?! ..."}),
        ("ﬁne Straße", {"fine strasse"}),
        ("首相が辞任", {"首 相 が", "相 が 辞", "が 辞 任"}),
        ("一2三", {"一 2 三"}),
    ],
)
def test_shingles_are_runs_of_three_words(text: str, found: set[str]) -> None:

    assert shingles(text) == found


@given(st.text(min_size=1))
def test_no_text_is_without(text: str) -> None:
    found = shingles(text)
    assert len(found) >= 1
    assert len(bands(found)) == 32
    assert all(-(2**63) <= key < 2**63 for key in bands(found))


def test_a_longer_text_counts_by_its_beginning() -> None:
    assert shingles("a b c " * 30_000) == shingles("a b c " * 20_000)
    assert len(shingles(" ".join(map(str, range(60_000))))) == 50_000 - 2


@pytest.mark.parametrize(
    ("share", "copy"), [(0.0, True), (0.1, True), (0.3, True), (0.33, True), (0.35, False), (0.5, False), (1.0, False)]
)
def test_half_of_the_shingles_of_both_make_a_copy(share: float, copy: bool) -> None:
    assert said(words(1), changed(words(1), share)) is copy
    assert said(changed(words(1), share), words(1)) is copy


@pytest.mark.parametrize(("kept", "added", "copy"), [(75, 0, True), (75, 15, True), (75, 25, False), (30, 0, True)])
def test_an_excerpt_is_a_copy(kept: int, added: int, copy: bool) -> None:
    assert said(words(1)[:kept] + words(2)[:added], words(1)) is copy


def test_a_collection_is_no_copy_of_what_it_holds() -> None:
    both = [*words(1), *words(2), *words(3)]
    assert said(both, words(1)) is False
    assert said(words(1), both) is True


@pytest.mark.parametrize(("one", "other", "copy"), [("monday", "tuesday", False), ("monday", "Monday", True)])
def test_short_texts_must_have_all_in_common(one: str, other: str, copy: bool) -> None:
    sentence = "The bridge over the river at Saltgate was shut by the police on {} at noon."
    assert is_copy(shingles(sentence.format(one)), shingles(sentence.format(other))) is copy


def test_copies_have_a_band_in_common() -> None:
    for seed in range(200):
        own, other = (set(bands(shingles(" ".join(text)))) for text in (words(seed), changed(words(seed), 1 / 3)))
        assert own & other != set(), seed


def test_others_have_none() -> None:
    found = [set(bands(shingles(" ".join(words(seed))))) for seed in range(100)]
    assert sum(len(one & other) for place, one in enumerate(found) for other in found[:place]) == 0


def test_bands_are_the_same_on_every_machine() -> None:
    assert bands(shingles("The bridge was shut."))[:2] == [1443720534779711889, 6876565769129867203]
