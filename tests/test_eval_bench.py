"""What `pullquote bench` counts, by clocks that go on by what is done; durations are not for tests."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Add, OpenLibrary, ToyEmbedder

from eval.bench import (
    Encoder,
    Percentiles,
    ask_in_turn,
    ask_together,
    bench,
    drawn,
    encoder_of,
    index_copies,
    operations_of,
    percentiles,
    questions_of,
    some_articles,
    token_count,
)
from index.article import Article, make_article
from index.embed import Vectors
from index.errors import InvalidInput
from index.library import Library
from index.passage import Passage
from index.search import Hit
from qa.answer import Answer, NoAnswer, Question
from qa.reader import reader_folder

QUESTIONS = [Question(f"Question {number}?") for number in range(6)]


class Clock:
    """Goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowEmbedder(ToyEmbedder):
    """Takes a second for every text, by its clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.clock.now += len(texts)
        return super().encode(texts)


class SlowAsk:
    """Finds three passages and reads one of them less for each question; takes half a second."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[str] = []
        self.threads: set[int] = set()

    def __call__(self, question: Question) -> Answer:
        self.clock.now += 0.5
        self.asked.append(question.text)
        self.threads.add(threading.get_ident())
        article = make_article("One two. Three four. Five six.")
        hits = tuple(Hit(Passage(article, start, end), 1.0, 1.0, 1.0) for start, end in ((0, 8), (9, 20), (21, 30)))
        milliseconds = {"search": 100.0, "read": 400.0 * len(self.asked), "total": 500.0}
        unread = min(len(self.asked) - 1, 3)
        return Answer(question.text, None, NoAnswer.NOTHING_ANSWERS, 0.0, (), hits, unread, True, milliseconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ask(clock: Clock) -> SlowAsk:
    return SlowAsk(clock)


def test_percentiles_are_in_milliseconds() -> None:
    assert percentiles([number / 1000 for number in range(101)]) == Percentiles(
        p50=pytest.approx(50), p95=pytest.approx(95), p99=pytest.approx(99)
    )


# Operations


def test_encoder_of_the_shipped_reader() -> None:
    assert encoder_of(reader_folder()) == Encoder(width=384, inner=1536, layers=6)


def test_operations_of_the_shipped_reader_by_hand() -> None:
    weights = 6 * (4 * 384 * 384 + 2 * 384 * 1536)
    assert weights == 10_616_832
    assert Encoder(384, 1536, 6).operations(1) == 2 * weights + 9_216
    assert Encoder(384, 1536, 6).operations(100) == 100 * 2 * weights + 100 * 100 * 9_216


@pytest.mark.parametrize(
    "config", [{"dim": 768, "hidden_dim": 3072, "n_layers": 6}, {"hidden_size": 384, "num_hidden_layers": 6}]
)
def test_reader_of_unknown_sizes_has_no_operations(config: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert encoder_of(tmp_path) is None
    assert operations_of(tmp_path) is None


def test_operations_are_of_every_pair_as_the_reader_sees_it() -> None:
    operations, encoder = operations_of(reader_folder()), encoder_of(reader_folder())
    assert operations is not None
    assert encoder is not None
    article = make_article("The cup was won. Nobody saw it.")
    passages = [Passage(article, 0, 16), Passage(article, 17, 31)]
    # [CLS] who won ? [SEP] the cup was won . [SEP], and as much for the other
    assert operations("Who won?", passages) == encoder.operations(11) + encoder.operations(10)


def test_operations_are_of_every_window_of_a_long_passage() -> None:
    operations, encoder = operations_of(reader_folder()), encoder_of(reader_folder())
    assert operations is not None
    assert encoder is not None
    article = make_article(" ".join(["word"] * 500))
    passage = Passage(article, 0, len(article.text))
    assert operations("Who won?", [passage]) == encoder.operations(384) + encoder.operations(500 - 378 + 6)


# Questions and articles


def test_questions_are_the_beginnings_of_passages(
    library: Library, add: Add, articles: list[Article], embedder: ToyEmbedder
) -> None:
    add(library, *articles)
    assert sorted(questions_of(library, embedder, 10)) == [
        "Castle FC won the chess cup. And beat Harbour FC in the",
        "Kettles were recalled because their handles melt.",
        "The bridge at Saltgate was shut on Monday. Engineers had found cracks",
        "The ferry hit the breakwater in fog. Nobody was killed.",
    ]


def test_questions_are_as_many_as_wanted_and_always_the_same(library: Library, add: Add, embedder: ToyEmbedder) -> None:
    add(library, *(make_article(f"Bridge {number} was shut.", id=f"{number}") for number in range(20)))
    questions = questions_of(library, embedder, 5)
    assert len(set(questions)) == 5
    assert set(questions) <= {f"Bridge {number} was shut." for number in range(20)}
    assert questions_of(library, embedder, 5) == questions


def test_questions_of_one_article_are_no_more_than_wanted(library: Library, add: Add, embedder: ToyEmbedder) -> None:
    add(library, make_article("".join(f"The bridge number {number} was shut again. " for number in range(100))))
    assert library.counts()[1] > 5
    assert len(questions_of(library, embedder, 2)) == 2


def test_question_without_spaces_is_cut(library: Library, add: Add, embedder: ToyEmbedder) -> None:
    add(library, make_article("橋" * 300))
    assert questions_of(library, embedder, 1) == ["橋" * 100]


@pytest.mark.parametrize("count", [3, 8, 100])
def test_items_are_drawn_in_an_order_of_their_own(count: int) -> None:
    items = drawn(range(8), count)
    assert len(items) == len(set(items)) == min(count, 8)
    assert items != sorted(items)
    assert drawn(range(8), count) == items


def test_very_long_article_is_cut_where_its_text_begins(library: Library, add: Add) -> None:
    add(library, make_article("\n" * 30_000 + "word " * 10_000, id="long"))
    assert [(article.id, article.text) for article in some_articles(library, 5)] == [("long", "word " * 4_000)]


# Asking


def test_ask_in_turn_tells_the_times_of_the_answers(clock: Clock, ask: SlowAsk) -> None:
    found = ask_in_turn(ask, SlowEmbedder(clock), QUESTIONS[:3], 100, lambda text, passages: 1e9 * len(passages), clock)
    assert ask.asked == ["Question 0?", "Question 1?", "Question 2?"]
    assert found.questions == 3
    assert found.passages_read == 2  # three, two and one
    assert {stage: times.p50 for stage, times in found.milliseconds.items()} == {
        "search": 100,
        "read": 800,
        "total": 500,
        "encode": 1000,
    }
    assert found.gflops == pytest.approx(6 / 2.4)


def test_ask_in_turn_counts_the_operations_of_what_was_read(clock: Clock, ask: SlowAsk) -> None:
    counted = []

    def operations(text: str, passages: Sequence[Passage]) -> float:
        counted.append((text, [passage.text for passage in passages]))
        return 1.0

    ask_in_turn(ask, ToyEmbedder(), QUESTIONS[:2], 100, operations, clock)
    assert counted == [
        ("Question 0?", ["One two.", "Three four.", "Five six."]),
        ("Question 1?", ["One two.", "Three four."]),
    ]


@pytest.mark.parametrize(("seconds", "questions"), [(0, 1), (0.9, 2), (1.0, 2), (1.1, 3), (100, 6)])
def test_ask_in_turn_ends_when_the_time_is_up(seconds: float, questions: int, clock: Clock, ask: SlowAsk) -> None:
    found = ask_in_turn(ask, SlowEmbedder(clock), QUESTIONS, seconds, None, clock)
    assert (found.questions, found.gflops) == (questions, None)


def test_one_who_asks_together_with_nobody(clock: Clock, ask: SlowAsk) -> None:
    found = ask_together(ask, QUESTIONS, 1, 5, clock)
    assert ask.asked == [question.text for question in [*QUESTIONS, *QUESTIONS[:4]]]
    assert (found.askers, found.questions, found.questions_per_second) == (1, 10, 2)
    assert found.milliseconds == Percentiles(500, 500, 500)


def test_many_are_answered_in_one_thread_at_the_same_rate(clock: Clock, ask: SlowAsk) -> None:
    found = ask_together(ask, QUESTIONS, 8, 5, clock)
    assert len(ask.threads) == 1
    assert threading.get_ident() not in ask.threads
    assert set(ask.asked) == {question.text for question in QUESTIONS}
    assert found.questions == len(ask.asked)
    assert found.questions in range(10, 10 + 8)
    assert found.questions_per_second == 2


def test_everybody_gets_an_answer_however_little_time_there_is(clock: Clock, ask: SlowAsk) -> None:
    found = ask_together(ask, QUESTIONS[:1], 4, 0, clock)
    assert (found.questions, found.questions_per_second) == (4, 2)


def test_error_of_one_question_ends_the_asking(clock: Clock) -> None:
    def refuse(question: Question) -> Answer:
        raise InvalidInput(f"{question.text} is refused")

    with pytest.raises(InvalidInput, match=r"Question \d\? is refused"):
        ask_together(refuse, QUESTIONS, 8, 5, clock)


# Adding


def test_index_copies_counts_what_was_added(
    library: Library, add: Add, articles: list[Article], clock: Clock, embedder: ToyEmbedder
) -> None:
    add(library, *articles)
    found = index_copies(library, SlowEmbedder(clock), 100, clock)
    assert (found.articles, found.passages) == (4, 4)
    texts = [f"{article.title or ''}\n{article.text}" for article in articles]
    assert found.tokens == sum(map(len, embedder.token_spans(texts))) + 4 * 2
    # a second for each passage and one for the text that tells how long a vector is
    assert found.articles_per_second == found.passages_per_second == pytest.approx(4 / 5)
    assert found.tokens_per_second == pytest.approx(found.tokens / 5)


@pytest.mark.parametrize(("seconds", "articles"), [(0, 3), (24, 3), (25, 6), (100, 7)])
def test_index_copies_ends_when_the_time_is_up(
    seconds: float, articles: int, library: Library, add: Add, clock: Clock
) -> None:
    """Articles of eight passages are added three by three, which are over 40,000 characters."""
    add(library, *(make_article(f"{number}".zfill(15_000), id=f"{number}") for number in range(7)))
    found = index_copies(library, SlowEmbedder(clock), seconds, clock)
    assert found.articles == articles


def test_index_copies_leaves_the_library_as_it_is(
    open_library: OpenLibrary, library_path: Path, add: Add, articles: list[Article], embedder: ToyEmbedder
) -> None:
    def files() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in library_path.rglob("*") if file.is_file()}

    with open_library() as library:
        add(library, *articles)
        library.settle()
    before = files()
    with open_library() as library:
        index_copies(library, embedder, 0)
    assert files() == before


def test_tokens_are_those_the_model_sees() -> None:
    assert token_count(ToyEmbedder(), ["Nobody won.", "Nobody"]) == (3 + 2) + (1 + 2)


# All of it


def test_bench_measures_every_part_and_says_which(
    library: Library, add: Add, articles: list[Article], embedder: ToyEmbedder, ask: SlowAsk
) -> None:
    add(library, *articles)
    told: list[str] = []
    found = bench(library, ask, embedder, lambda text, passages: 1e9, QUESTIONS, 0, told.append)
    assert told == [
        "matrix products",
        "questions, one after the other",
        "questions of 1 at once",
        "questions of 2 at once",
        "questions of 4 at once",
        "questions of 8 at once",
        "adding articles",
    ]
    assert [(one.askers, one.questions) for one in found.together] == [(1, 1), (2, 2), (4, 4), (8, 8)]
    assert (found.asking.questions, found.asking.gflops) == (1, 2.5)
    assert found.matrix_share == 2.5 / found.matrix_gflops
    assert found.indexing.articles == 4


def test_share_of_the_machine_is_unknown_where_operations_are(
    library: Library, add: Add, articles: list[Article], embedder: ToyEmbedder, ask: SlowAsk
) -> None:
    add(library, *articles)
    assert bench(library, ask, embedder, None, QUESTIONS, 0).matrix_share is None
