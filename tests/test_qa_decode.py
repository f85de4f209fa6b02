"""Span decoding: best_spans, word_edges and trim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.decode import MAX_ANSWER_TOKENS, Logits, TokenSpan, best_spans, trim, word_edges


def logits(*values: float) -> Logits:
    return np.array(values, dtype=np.float32)


def mask(marks: str) -> np.ndarray:
    """`.x.x` is a mask of four tokens that lets the second and the fourth through."""
    return np.array([mark == "x" for mark in marks], dtype=np.bool_)


def test_best_span_worked_by_hand() -> None:
    # token 0 is the null token: 1 + 2 = 3 to beat; the best pair is (2, 3) with 4 + 5 = 9
    start, end = logits(1, 0, 4, 3, 0), logits(2, 0, 1, 5, 0)
    assert best_spans(start, end, mask(".xxxx"), mask(".xxxx"), 0, 1) == [TokenSpan(2, 3, 6.0)]


def test_score_is_negative_where_the_model_would_rather_abstain() -> None:
    start, end = logits(5, 1, 0), logits(5, 0, 1)
    assert best_spans(start, end, mask(".xx"), mask(".xx"), 0, 1) == [TokenSpan(1, 2, -8.0)]


def test_null_need_not_be_the_first_token() -> None:
    start, end = logits(2, 0, 7), logits(0, 3, 7)
    assert best_spans(start, end, mask("xx."), mask("xx."), 2, 1) == [TokenSpan(0, 1, -9.0)]


def test_end_is_never_before_start() -> None:
    # the highest start is the last token and the highest end the first: together they would be a span backwards
    start, end = logits(0, 0, 9), logits(9, 0, 1)
    assert best_spans(start, end, mask("xxx"), mask("xxx"), 1, 1) == [TokenSpan(2, 2, 10.0)]


def test_longest_answer_has_30_tokens() -> None:
    start, end = np.zeros(40, dtype=np.float32), np.zeros(40, dtype=np.float32)
    start[5], end[5 + MAX_ANSWER_TOKENS - 1], end[5 + MAX_ANSWER_TOKENS] = 10, 6, 8
    every = mask("x" * 40)
    assert MAX_ANSWER_TOKENS == 30
    assert best_spans(start, end, every, every, 0, 1) == [TokenSpan(5, 34, 16.0)]


def test_masks_are_respected() -> None:
    start, end = logits(0, 9, 5, 0, 0), logits(0, 0, 5, 3, 9)
    assert best_spans(start, end, mask("..x.."), mask("...x."), 0, 3) == [TokenSpan(2, 3, 8.0)]


def test_best_spans_do_not_overlap() -> None:
    start, end = logits(0, 9, 8, 0, 4, 0), logits(0, 9, 8, 0, 0, 4)
    found = best_spans(start, end, mask(".xxxxx"), mask(".xxxxx"), 0, 3)
    assert found == [TokenSpan(1, 1, 18.0), TokenSpan(2, 2, 16.0), TokenSpan(4, 5, 8.0)]


def test_ties_go_to_the_earlier_position() -> None:
    start, end = logits(0, 5, 0, 5, 0), logits(0, 5, 0, 5, 0)
    found = best_spans(start, end, mask(".x.x."), mask(".x.x."), 0, 2)
    assert found == [TokenSpan(1, 1, 10.0), TokenSpan(3, 3, 10.0)]


def test_ties_go_to_the_earlier_position_when_they_are_more_than_are_considered() -> None:
    flat, every = np.zeros(40, dtype=np.float32), mask("x" * 40)
    assert best_spans(flat, flat, every, every, 0, 1) == [TokenSpan(0, 0, 0.0)]


@pytest.mark.parametrize(("starts", "ends"), [("...", "..."), ("xxx", "..."), ("...", "xxx"), ("..x", "x..")])
def test_no_span_where_none_is_allowed(starts: str, ends: str) -> None:
    assert best_spans(logits(1, 2, 3), logits(3, 2, 1), mask(starts), mask(ends), 0, 3) == []


def by_brute_force(
    start: Logits, end: Logits, starts: np.ndarray, ends: np.ndarray, null: int, count: int
) -> list[TokenSpan]:
    pairs = [
        (first, last)
        for first in range(len(start))
        for last in range(first, min(len(start), first + MAX_ANSWER_TOKENS))
        if starts[first] and ends[last]
    ]
    chosen: list[TokenSpan] = []
    for first, last in sorted(pairs, key=lambda pair: (-(start[pair[0]] + end[pair[1]]), pair)):
        if all(last < other.first or first > other.last for other in chosen):
            chosen.append(TokenSpan(first, last, float(start[first] + end[last] - start[null] - end[null])))
    return chosen[:count]


whole_logits = st.integers(-8, 8).map(float)  # whole numbers, so that ties happen and sums are exact


@given(
    rows=st.lists(st.tuples(whole_logits, whole_logits, st.booleans(), st.booleans()), min_size=1, max_size=9),
    null=st.integers(0, 8),
    count=st.integers(1, 5),
)
def test_best_spans_equal_a_brute_force_search(
    rows: list[tuple[float, float, bool, bool]], null: int, count: int
) -> None:
    # nine tokens make 45 pairs, and best_spans looks at 50: nothing may be missed
    start, end, starts, ends = (np.array(column) for column in zip(*rows, strict=True))
    arguments = (start.astype(np.float32), end.astype(np.float32), starts, ends, null % len(rows), count)
    assert best_spans(*arguments) == by_brute_force(*arguments)


@given(seed=st.integers(0, 2**32 - 1), tokens=st.integers(31, 70))
def test_the_best_span_of_a_long_window_equals_a_brute_force_search(seed: int, tokens: int) -> None:
    generator = np.random.default_rng(seed)
    start, end = generator.normal(scale=4, size=(2, tokens)).astype(np.float32)
    starts, ends = generator.random((2, tokens)) < 0.7
    assert best_spans(start, end, starts, ends, 0, 1) == by_brute_force(start, end, starts, ends, 0, 1)


def test_word_edges_are_never_inside_a_word() -> None:
    text = "Oslo-based firm"
    offsets = [(0, 2), (2, 4), (4, 5), (5, 8), (8, 10), (11, 15)]  # Os lo - bas ed firm
    starts, ends = word_edges(text, offsets)
    assert starts.tolist() == [True, False, True, True, False, True]
    assert ends.tolist() == [False, True, True, False, True, True]


def test_word_edges_beside_digits_and_accented_letters() -> None:
    text = "Ärger 2023er"
    starts, ends = word_edges(text, [(0, 1), (1, 5), (6, 10), (10, 12)])
    assert starts.tolist() == [True, False, True, False]
    assert ends.tolist() == [False, True, False, True]


def test_every_character_is_an_edge_in_scripts_without_spaces() -> None:
    starts, ends = word_edges("東京都は", [(0, 1), (1, 2), (2, 3), (3, 4)])
    assert starts.tolist() == [True, True, True, True]
    assert ends.tolist() == [True, True, True, True]


def test_between_latin_and_chinese_is_an_edge() -> None:
    starts, ends = word_edges("A4紙", [(0, 2), (2, 3)])
    assert starts.tolist() == [True, True]
    assert ends.tolist() == [True, True]


def test_empty_tokens_are_no_edges() -> None:
    starts, ends = word_edges("Oslo", [(0, 0), (0, 4), (4, 4)])
    assert starts.tolist() == [False, True, False]
    assert ends.tolist() == [False, True, False]


def test_no_tokens_no_edges() -> None:
    starts, ends = word_edges("Oslo", [])
    assert (starts.tolist(), ends.tolist()) == ([], [])


@pytest.mark.parametrize(
    ("quote", "trimmed"),
    [
        ("Oslo", "Oslo"),
        ("Oslo.", "Oslo"),
        ("Oslo).", "Oslo"),
        (" Oslo,\n", "Oslo"),
        ("— Oslo –", "Oslo"),
        ("…Oslo…", "Oslo"),
        ("Oslo?!", "Oslo"),
        ("Oslo...", "Oslo"),
        ("...Oslo", "Oslo"),
        ("bbc.co.uk", "bbc.co.uk"),
        ("example.com.", "example.com"),
        ("(Oslo)", "(Oslo)"),
        ("(Oslo", "Oslo"),
        ("Oslo)", "Oslo"),
        ("[Oslo]", "[Oslo]"),
        ("Oslo (Norway)", "Oslo (Norway)"),
        ("Oslo (Norway", "Oslo (Norway"),  # the bracket is not at an edge
        ("“Squid Game”", "“Squid Game”"),
        ("Squid Game”", "Squid Game"),
        ("“Squid Game", "Squid Game"),
        ('"Squid Game"', '"Squid Game"'),
        ('Squid Game"', "Squid Game"),
        ("«Oslo»", "«Oslo»"),
        ("p.m.", "p.m."),
        ("5 p.m.", "5 p.m."),
        ("5 p.m.,", "5 p.m."),
        ("(5 p.m.).", "(5 p.m.)"),
        ("5 p.m.).", "5 p.m."),
        ("U.S.", "U.S."),
        ("in the U.S.", "in the U.S."),
        ("$5", "$5"),
        ("$5.", "$5"),
        ("$3.5.", "$3.5"),
        (".5", ".5"),  # without its point it would say something else
        ("50%", "50%"),
        ("50%.", "50%"),
        ("43.8°C", "43.8°C"),
        ("-5 degrees", "-5 degrees"),  # the same with its sign
        ("−5 degrees", "−5 degrees"),
        ("- Oslo", "Oslo"),
        ("C++", "C++"),
        ("", ""),
        ("…", ""),
        ("().", "()"),
        (" , . ", ""),
        ("”", ""),
    ],
)
def test_trim(quote: str, trimmed: str) -> None:
    start, end = trim(quote, 0, len(quote))
    assert quote[start:end] == trimmed


def test_trim_looks_at_the_slice_alone() -> None:
    text = "He moved to (greater) Oslo). Then"
    start, end = trim(text, 12, 28)
    assert (start, end) == (12, 26)
    assert text[start:end] == "(greater) Oslo"


def test_a_hyphen_between_digits_is_no_sign() -> None:
    assert trim("2019-20", 4, 7) == (5, 7)


awkward_text = st.text(st.sampled_from("ab1 .,;()[]“”\"'’«»-–—…$%\n\u00a0東İ😀\u0301"), max_size=24)


@given(text=awkward_text, data=st.data())
def test_trim_stays_within_bounds_and_is_idempotent(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    first, last = trim(text, start, end)
    assert start <= first <= last <= end
    assert trim(text, first, last) == (first, last)


@given(text=awkward_text)
def test_trim_takes_no_letter_and_no_digit(text: str) -> None:
    first, last = trim(text, 0, len(text))
    assert not any(character.isalnum() for character in text[:first] + text[last:])


@pytest.mark.parametrize("number", ["1,500", "1,500.25", "07:42", "3.7"])
def test_a_quote_is_not_torn_out_of_a_number(number: str) -> None:
    text = f"in {number}, 3. so"
    offsets = [(position, position + 1) for position in range(len(text))]
    starts, ends = word_edges(text, offsets)
    first, last = 3, 3 + len(number) - 1
    assert [place for place in range(first, last + 1) if starts[place]] == [first]
    assert [place for place in range(first, last + 1) if ends[place]] == [last]
    assert starts[text.index("3. so")]
