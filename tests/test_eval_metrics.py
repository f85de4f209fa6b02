"""SQuAD's metrics, by hand and against torchmetrics."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.text.squad import squad

from eval.metrics import exact_match, f1, normalize


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The Grey Heron", "grey heron"),
        ("a  U.S.\tship!", "us ship"),
        ("an anthem, the theatre", "anthem theatre"),
        ("Hwasong-17", "hwasong17"),
        ("“Oslo”", "“oslo”"),  # SQuAD's punctuation is ASCII's
        ("İ", "i\u0307"),
        ("the", ""),
        ("", ""),
    ],
)
def test_normalize(text: str, normalized: str) -> None:
    assert normalize(text) == normalized


@pytest.mark.parametrize(
    ("answer", "accepted", "score"),
    [
        ("Oslo", ["Oslo"], 1.0),
        ("the oslo.", ["Oslo"], 1.0),
        ("Oslo", ["Rome", "Oslo"], 1.0),
        ("Oslo, Norway", ["Oslo"], 0.0),
        ("", ["Oslo"], 0.0),
        ("", [], 1.0),
        ("Oslo", [], 0.0),
        ("The", [], 1.0),  # nothing is left of it
    ],
)
def test_exact_match(answer: str, accepted: list[str], score: float) -> None:
    assert exact_match(answer, accepted) == score


@pytest.mark.parametrize(
    ("answer", "accepted", "score"),
    [
        ("Oslo", ["Oslo"], 1.0),
        ("Oslo Norway", ["Oslo"], 2 / 3),  # precision 1/2, recall 1
        ("port of Oslo", ["Oslo in Norway"], 1 / 3),  # one of three, one of three
        ("red red blue", ["red blue blue"], 2 / 3),  # red once, blue once
        ("Oslo", ["Rome", "Oslo Norway"], 2 / 3),  # the best of the accepted
        ("Oslo", ["Rome"], 0.0),
        ("", ["Oslo"], 0.0),
        ("", [], 1.0),
        ("the", ["a"], 1.0),
        ("Oslo", [], 0.0),
    ],
)
def test_f1(answer: str, accepted: list[str], score: float) -> None:
    assert f1(answer, accepted) == pytest.approx(score)


def official(answer: str, accepted: list[str]) -> tuple[float, float]:
    """Exact match and F1 in [0, 1] by torchmetrics."""
    scores = squad(
        {"prediction_text": answer, "id": "1"},
        {"answers": {"answer_start": [0] * len(accepted), "text": accepted}, "id": "1"},
    )
    return scores["exact_match"].item() / 100, scores["f1"].item() / 100


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("the 70th anniversary of the end", ["70th anniversary", "70th", "anniversary of the war's end"]),
        ("$84.6 million", ["84.6 million dollars", "$84.6 million"]),
        ("a an the", ["the"]),
        ("", ["x"]),
        ("x", ["the"]),
        ("4–3", ["4-3"]),
        ("İstanbul", ["istanbul", "i̇stanbul"]),
    ],
)
def test_both_equal_the_official_ones(answer: str, accepted: list[str]) -> None:
    assert (exact_match(answer, accepted), f1(answer, accepted)) == pytest.approx(official(answer, accepted))


# Few words, so that they meet; and characters that lower(), split() and punctuation treat each in their own way.
words = st.sampled_from(["the", "A", "an", "Oslo", "oslo", "Norway's", "U.S.", "theatre", "-", "70th"])
phrases = st.lists(words, max_size=5).map(" ".join) | st.text(st.sampled_from("aA .,tThHeE-İß\u2003\n’"), max_size=8)


@given(answer=phrases, accepted=st.lists(phrases, min_size=1, max_size=3))
@settings(max_examples=200)
def test_both_equal_the_official_ones_on_anything(answer: str, accepted: list[str]) -> None:
    assert (exact_match(answer, accepted), f1(answer, accepted)) == pytest.approx(official(answer, accepted))
