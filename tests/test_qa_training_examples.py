"""Training examples: labels, windows around answers, windows that do not answer, and their tokens."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from index.article import Article, make_article
from index.errors import ModelNotFound
from qa.reader import reader_folder
from qa.training.alter import altered
from qa.training.batches import Encoder, make_pool
from qa.training.examples import Kind, Window, Windows, around, paragraphs
from qa.training.labels import LabelledQuestion, hold_out, nearest_answer, nearest_sentence, words

BRIDGE = (
    "The bridge at Saltgate was shut on Monday. Engineers had found 14 cracks in the deck. "
    "The repair was given to Corvane Steel. It will cost 3 million crowns. Buses take the road by Ellory until May. "
    "The deck was last painted in 1987, when the harbour was dredged and the old lighthouse was moved to Norhaven.\n\n"
    "The ferry Lindenmark hit the breakwater in fog. Nobody was killed. The ferry was built in 1994 at Port Ellory. "
    "Its owner is the Tarnwick Line. Divers looked at the hull in June. The breakwater had been made longer by 40 "
    "metres after the storm, and its light had failed in the night. Seven passengers were taken to Norhaven."
)
FAIR = (
    "The fair opened on the square with 60 stalls. A kettle cost 5 crowns. In the evening the Castrel band played. "
    "The harbour was lit by lanterns, and the bridge was full of people who had come from Pellorane."
)


@pytest.fixture(scope="module")
def bridge() -> Article:
    return make_article(BRIDGE, id="bridge", title="Bridge")


@pytest.fixture(scope="module")
def fair() -> Article:
    return make_article(FAIR, id="fair", title="Fair")


def labelled(question: str, article: Article, answer: str) -> LabelledQuestion:
    return LabelledQuestion(question, article, article.text.index(answer), (answer,))


@pytest.fixture(scope="module")
def questions(bridge: Article, fair: Article) -> list[LabelledQuestion]:
    return [
        labelled("Who repairs the bridge at Saltgate?", bridge, "Corvane Steel"),
        labelled("When was the bridge at Saltgate shut?", bridge, "Monday"),
        labelled("Who owns the ferry Lindenmark?", bridge, "the Tarnwick Line"),
        labelled("Which band played at the fair?", fair, "Castrel"),
        LabelledQuestion("Who repairs the lighthouse at Saltgate?", bridge, 0),
    ]


def count_words(texts: Sequence[str]) -> list[int]:
    """Twice, so that a paragraph is over the budget of most windows."""
    return [2 * len(text.split()) for text in texts]


@pytest.fixture(scope="module")
def windows(questions: list[LabelledQuestion], tmp_path_factory: pytest.TempPathFactory) -> Windows:
    return Windows(questions, count_words, 0, tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(reader_folder())


# labels


def test_words_leave_out_articles_and_marks() -> None:
    assert words("The ferry, the FERRY and a 3-mast ship") == {"ferry", "and", "3", "mast", "ship"}


def test_distant_label_is_where_most_words_are_shared() -> None:
    article = make_article("Norhaven is a port. The ferry came from Norhaven. Norhavens do not count. Castrel won.")
    found = nearest_answer("Where did the ferry come from?", article, ["Oslo", "Norhaven", "Castrel"])
    assert found == LabelledQuestion(
        "Where did the ferry come from?", article, article.text.index("Norhaven."), ("Norhaven", "Oslo", "Castrel")
    )


def test_distant_label_is_a_whole_word() -> None:
    assert nearest_answer("How many?", make_article("There were 140 of them."), ["14"]) is None


def test_unanswerable_question_is_placed_at_the_nearest_sentence(bridge: Article) -> None:
    found = nearest_sentence("Was a ferry killed in fog?", bridge)
    assert (found.place, found.answerable) == (BRIDGE.index("The ferry Lindenmark"), False)


@pytest.mark.parametrize(("share", "kept"), [(0, 0), (0.01, 1), (0.5, 5), (0.99, 9)])
def test_hold_out_keeps_whole_articles_apart(share: float, kept: int) -> None:
    articles = [make_article(f"Text {number}.", id=str(number)) for number in range(10)]
    asked = [LabelledQuestion(f"{article.id} {n}?", article, 0, ("Text",)) for article in articles for n in range(3)]
    training, held_out = hold_out(asked, share, seed=1)
    assert len({question.article.id for question in held_out}) == kept
    assert {question.article.id for question in training}.isdisjoint(question.article.id for question in held_out)
    assert len(training) + len(held_out) == 30
    assert hold_out(asked, share, seed=1) == (training, held_out)


# altered questions


@pytest.mark.parametrize(
    ("question", "answer", "article", "expected"),
    [
        ("When was Saltgate shut?", "Monday", "They went from Saltgate to Norhaven.", "When was Norhaven shut?"),
        ("Who won in 1987?", "Castrel", "It was 14 in 1987 and 12 in 1994.", "Who won in 1994?"),
        ("Who paid 14 crowns?", "Castrel", "It was 14 in 1987 and 12 in 1994.", "Who paid 12 crowns?"),
        ("Who won in May?", "Castrel", "From May to June.", "Who won in June?"),
        ("Who won in May?", "in June", "From May to June.", None),  # it would be the answer
        ("Who won the cup?", "Castrel", "From May to June at Saltgate.", None),  # nothing to replace
        ("Saltgate won what?", "the cup", "They came to Norhaven.", None),  # its first word is one as any other
        ("When was Port Ellory shut?", "Monday", "They came to Ellory.", None),  # part of the same name
    ],
)
def test_altered(question: str, answer: str, article: str, expected: str | None) -> None:
    assert altered(question, answer, article, article, random.Random(0)) == expected


# paragraphs and windows


def test_paragraphs_are_cut_at_blank_lines(bridge: Article) -> None:
    assert [item.passage.text for item in paragraphs(bridge)] == BRIDGE.split("\n\n")


def test_short_paragraphs_are_joined_and_long_ones_cut() -> None:
    short = make_article("\n\n".join(["A short line of news."] * 30))
    joined = [item.passage.text for item in paragraphs(short)]
    assert "\n\n".join(joined) == short.text
    assert [len(text) for text in joined] == [320, 320, 44]
    long = make_article("This is one of many sentences. " * 200)
    assert all(1_900 < len(item.passage.text) <= 2_000 for item in paragraphs(long)[:-1])


@pytest.mark.parametrize(
    ("budget", "share_before", "expected"),
    [
        (10, 0.0, range(3, 4)),
        (30, 0.0, range(3, 6)),
        (30, 1.0, range(1, 4)),
        (30, 0.5, range(2, 5)),
        (60, 0.0, range(0, 6)),  # what is left over behind goes before
        (60, 1.0, range(0, 6)),
        (5, 0.5, range(3, 4)),  # the anchor alone is over the budget
    ],
)
def test_around(budget: int, share_before: float, expected: range) -> None:
    assert around(range(3, 4), [10] * 6, budget, share_before) == expected


def test_windows_are_the_same_for_the_same_seed_and_others_in_each_epoch(windows: Windows) -> None:
    assert [windows.of(0, epoch) for epoch in range(20)] == [windows.of(0, epoch) for epoch in range(20)]
    assert len({windows.of(0, epoch)[0].text for epoch in range(20)}) > 1


def test_answer_stands_in_its_window(windows: Windows, questions: list[LabelledQuestion]) -> None:
    for number, question in enumerate(questions[:4]):
        for epoch in range(20):
            window = windows.of(number, epoch)[0]
            assert window.kind is Kind.ANSWERED
            assert window.answer is not None
            assert window.text[slice(*window.answer)] == question.answers[0]
            assert window.text in question.article.text


def test_mined_windows_do_not_hold_the_answer(windows: Windows, questions: list[LabelledQuestion]) -> None:
    kinds: Counter[Kind] = Counter()
    for number, question in enumerate(questions[:4]):
        for epoch in range(100):
            for window in windows.of(number, epoch)[1:]:
                kinds[window.kind] += 1
                assert window.answer is None
                if window.kind is Kind.ALTERED:
                    assert window.question != question.question
                else:
                    assert not words(question.answers[0]) <= words(window.text)
                    assert window.question == question.question
    assert set(kinds) == {Kind.RETRIEVED, Kind.ALTERED, Kind.SIMILAR, Kind.WITHOUT_SENTENCE, Kind.RANDOM}
    assert 0.1 < kinds.total() / 400 < 0.27  # 3/7 - 1/4, since people made one for every four


def test_unanswerable_question_has_its_own_paragraph(windows: Windows) -> None:
    (window,) = windows.of(4, 0)
    assert (window.kind, window.answer) == (Kind.UNANSWERED, None)
    assert window.text in BRIDGE.split("\n\n")[0]


def test_passage_of_a_question(windows: Windows) -> None:
    assert windows.passage(2).text == BRIDGE.split("\n\n")[1]
    assert windows.mined(4) is None


def test_answer_that_leads_out_of_its_paragraph_makes_no_window(bridge: Article, tmp_path: Path) -> None:
    across = "to Norhaven.\n\nThe ferry"
    windows = Windows([labelled("Where to?", bridge, across)], count_words, 0, tmp_path)
    assert [window for epoch in range(10) for window in windows.of(0, epoch) if window.answer] == []


# tokens


def test_answer_in_tokens(encoder: Encoder) -> None:
    example = encoder.encode(Window(Kind.ANSWERED, "who?", "It was Castrel FC.", (7, 17)))
    assert example is not None
    #                                   [CLS] who ? [SEP] it was cast ##rel fc . [SEP]
    assert (example.start, example.end) == (6, 8)
    assert example.type_ids == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]


def test_no_answer_points_at_the_first_token(encoder: Encoder) -> None:
    example = encoder.encode(Window(Kind.RANDOM, "who?", "It was Castrel FC."))
    assert example is not None
    assert (example.start, example.end) == (0, 0)


def test_answer_beyond_the_window_makes_it_smaller(encoder: Encoder) -> None:
    text = "all is well " * 400 + "Castrel won" + " in the end" * 400
    start = text.index("Castrel")
    example = encoder.encode(Window(Kind.ANSWERED, "who?", text, (start, start + 7)))
    assert example is not None
    whole = encoder.encode(Window(Kind.ANSWERED, "who?", "Castrel", (0, 7)))
    assert whole is not None
    assert example.ids[example.start : example.end + 1] == whole.ids[whole.start : whole.end + 1]
    assert len(example.ids) < 384


def test_window_without_answer_is_cut(encoder: Encoder) -> None:
    example = encoder.encode(Window(Kind.RANDOM, "who? " * 300, "all is well " * 400))
    assert example is not None
    assert len(example.ids) == 384


def test_missing_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json cannot be read"):
        Encoder(tmp_path)


def test_pool_takes_every_question_once_within_the_budget(windows: Windows, encoder: Encoder) -> None:
    pool = make_pool(windows, encoder, 0, 0, seed=0, batch=300, pool=10_000)
    assert pool.next == 5
    assert sum(batch.kinds.count(Kind.ANSWERED) for batch in pool.batches) == 4
    assert sum(batch.kinds.count(Kind.UNANSWERED) for batch in pool.batches) == 1
    for batch in pool.batches:
        assert batch.inputs["input_ids"].size <= 300 or len(batch.kinds) == 1
        assert batch.tokens == np.count_nonzero(batch.inputs["input_ids"])  # 0 pads


def test_pools_follow_one_another(windows: Windows, encoder: Encoder) -> None:
    first = make_pool(windows, encoder, 0, 0, seed=0, batch=300, pool=1)
    second = make_pool(windows, encoder, 0, first.next, seed=0, batch=300, pool=10_000)
    assert (first.next, second.next) == (1, 5)
    kinds = Counter(kind for pool in (first, second) for batch in pool.batches for kind in batch.kinds)
    assert kinds[Kind.ANSWERED] == 4
