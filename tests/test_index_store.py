"""The database: what it keeps, what a filter lets through, and what it does with a file that is not one of ours."""

import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.article import Article, make_article
from index.embed import Vectors
from index.errors import InvalidInput, LibraryCorrupt
from index.filter import Filter
from index.passage import Passage
from index.schema import VERSION
from index.store import Indexed, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "test.db", create=True)
    yield store
    store.close()


def indexed(article: Article, *slices: tuple[int, int]) -> Indexed:
    """An article with those passages, or with one that is all of it; the vectors tell them apart."""
    slices = slices or ((0, len(article.text)),)
    vectors = np.array([[start, end, len(article.id)] for start, end in slices], dtype=np.float32)
    return Indexed(article, [Passage(article, start, end) for start, end in slices], vectors)


def article(id: str, origin: str | None = None, text: str = "Some text.") -> Article:
    return make_article(text, id=id, origin=origin)


def ids(store: Store) -> list[str]:
    return [article.id for article, _ in store.articles(0, 100)]


class TestArticles:
    def test_come_back_as_they_were(self, store: Store) -> None:
        given = make_article(
            "Text\r\n mit 👩\u200d🚀 und \ud800.",
            id="a'b\"c",
            title="Title",
            url="https://a.example/",
            published="2023-07-28",
            source="Post",
            authors=("Castle FC", "P. Desk"),
            metadata={"n": [1, 2.5, None, True, {"ß": "😀"}]},
            origin="/some/file.txt",
        )
        store.replace([indexed(given)])
        assert store.article(given.id) == given
        assert store.articles(0, 10) == [(given, 1)]
        assert store.articles(0, 10)[0][0].origin == "/some/file.txt"

    def test_unknown(self, store: Store) -> None:
        assert store.article("a") is None

    @pytest.mark.parametrize("id", ["a\0", "\ud800", "😀", "' OR 1=1 --"])
    def test_odd_id_is_unknown(self, store: Store, id: str) -> None:
        store.replace([indexed(article("a"))])
        assert store.article(id) is None
        assert store.remove([id]) == []

    def test_pages_are_in_order_of_arrival(self, store: Store) -> None:
        store.replace([indexed(article(id), (0, 4), (5, 9)) for id in "cab"])
        assert [(article.id, count) for article, count in store.articles(0, 2)] == [("c", 2), ("a", 2)]
        assert [(article.id, count) for article, count in store.articles(2, 2)] == [("b", 2)]
        assert store.articles(3, 2) == []
        assert store.counts() == (3, 6)

    def test_replaced_by_id(self, store: Store) -> None:
        store.replace([indexed(article("a")), indexed(article("b"))])
        store.replace([indexed(article("a", text="Other text."), (0, 5), (6, 11))])
        assert ids(store) == ["b", "a"]
        assert store.counts() == (2, 3)

    def test_replaced_by_origin(self, store: Store) -> None:
        store.replace([indexed(article("a", "/f")), indexed(article("b", "/g")), indexed(article("c"))])
        store.replace([indexed(article("d", "/f")), indexed(article("e"))])
        assert ids(store) == ["b", "c", "d", "e"]

    def test_origin_is_noted(self, store: Store) -> None:
        store.replace([indexed(article("a", "/f"))])
        store.note_origin(article("a", "/g"))
        assert (store.has_origin("/f"), store.has_origin("/g"), store.has_origin(None)) == (False, True, False)

    def test_remove_returns_what_was_there(self, store: Store) -> None:
        store.replace([indexed(article(id)) for id in "abc"])
        assert store.remove(["c", "x", "a", "a"]) == ["c", "a"]
        assert ids(store) == ["b"]
        assert store.counts() == (1, 1)


class TestPassages:
    def test_keys_are_never_used_again(self, store: Store) -> None:
        store.replace([indexed(article("a")), indexed(article("b"))])
        store.remove(["a", "b"])
        store.replace([indexed(article("a"))])
        assert store.snapshot()[1].tolist() == [3]

    def test_slices_and_vectors_come_back(self, store: Store) -> None:
        store.replace([indexed(article("a"), (0, 4), (5, 10)), indexed(article("bcd"))])
        found = store.passages([3, 99, 1])
        assert {key: (passage.article.id, passage.text) for key, passage in found.items()} == {
            3: ("bcd", "Some text."),
            1: ("a", "Some"),
        }
        keys, vectors = store.vectors([2, 99, 3])
        assert keys.tolist() == [2, 3]
        assert vectors.tolist() == [[5, 10, 1], [0, 10, 3]]
        assert vectors.dtype == np.float32

    def test_passages_of_one_article_share_it(self, store: Store) -> None:
        store.replace([indexed(article("a"), (0, 4), (5, 10))])
        found = store.passages([1, 2])
        assert found[1].article is found[2].article


class TestTransactions:
    def test_batch_is_whole_or_absent(self, store: Store) -> None:
        store.replace([indexed(article("a"))])
        bad = Indexed(article("c"), [Passage(article("c"), 0, 4)], np.zeros((2, 3), dtype=np.float32))
        with pytest.raises(ValueError, match="argument 2 is longer"):
            store.replace([indexed(article("b")), indexed(article("a", text="Other.")), bad])
        assert ids(store) == ["a"]
        assert store.article("a") == article("a")
        assert store.generation == 1

    def test_generation_rises_with_every_change(self, store: Store) -> None:
        generations = [store.generation]
        for change in (
            lambda: store.replace([indexed(article("a")), indexed(article("b"))]),
            lambda: store.replace([indexed(article("a", text="Other."))]),
            lambda: store.remove(["a"]),
            lambda: store.remove(["a"]),  # changes nothing
        ):
            change()
            generations.append(store.generation)
        assert generations == [0, 1, 2, 3, 3]

    def test_other_connections_see_a_commit_and_nothing_before(self, store: Store, tmp_path: Path) -> None:
        other = Store(tmp_path / "test.db")
        seen = []

        def batch() -> Iterator[Indexed]:
            yield indexed(article("a"))
            seen.append(other.article("a"))

        store.replace(batch())
        seen.append(other.article("a"))
        other.close()
        assert seen == [None, article("a")]

    def test_snapshot_is_of_one_moment(self, store: Store) -> None:
        store.replace([indexed(article("a"), (0, 4), (5, 10))])
        generation, keys = store.snapshot()
        assert (generation, keys.tolist(), keys.dtype) == (1, [1, 2], np.int64)

    def test_threads_have_connections_of_their_own(self, store: Store) -> None:
        found: list[Article | None] = []
        with store.write() as db:
            db.execute("INSERT INTO article (id, text, authors, metadata, checksum) VALUES ('a', 'b', '[]', '{}', '')")
            thread = threading.Thread(target=lambda: found.append(store.article("a")))
            thread.start()
            thread.join()
        assert found == [None]

    def test_commits_are_synced(self, store: Store) -> None:
        with store.write() as db:
            assert (db.pragma("journal_mode"), db.pragma("synchronous")) == ("wal", 2)

    def test_settings(self, store: Store) -> None:
        store.set_settings({"a": "1", "b": "2"})
        store.set_settings({"b": "3"})
        assert [store.setting(name) for name in "abc"] == ["1", "3", None]


class TestForeignFiles:
    @pytest.mark.parametrize("create", [False, True])
    def test_garbage(self, tmp_path: Path, create: bool) -> None:
        path = tmp_path / "test.db"
        path.write_bytes(b"This is not a database. " * 1_000)
        with pytest.raises(LibraryCorrupt, match=r"test.db cannot be read as a library: .*not a database"):
            Store(path, create=create)
        assert path.read_bytes() == b"This is not a database. " * 1_000

    @pytest.mark.parametrize("version", [0, 999])
    def test_other_schema(self, tmp_path: Path, version: int) -> None:
        other = apsw.Connection(str(tmp_path / "test.db"))
        other.execute("CREATE TABLE something (a)")
        other.pragma("user_version", version)
        other.close()
        with pytest.raises(
            LibraryCorrupt,
            match=f"test.db has schema version {version}; this version of pullquote reads up to {VERSION}",
        ):
            Store(tmp_path / "test.db")

    def test_empty_file_is_filled_where_a_library_may_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "test.db").touch()
        with pytest.raises(LibraryCorrupt, match="schema version 0"):
            Store(tmp_path / "test.db")
        store = Store(tmp_path / "test.db", create=True)
        assert store.counts() == (0, 0)
        store.close()

    @pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
    def test_truncated(self, tmp_path: Path, keep: float) -> None:
        path = tmp_path / "test.db"
        store = Store(path, create=True)
        store.replace([indexed(article(f"a{i}", text="Some text. " * 100)) for i in range(50)])
        store.close()
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
        with pytest.raises(LibraryCorrupt, match=r"test\.db cannot be read as a library"):
            Store(path)

    @pytest.mark.parametrize(
        "read",
        [
            lambda store: store.article("a7"),
            lambda store: store.articles(0, 100),
            lambda store: store.counts(),
            lambda store: store.snapshot(),
            lambda store: store.passages([1]),
            lambda store: store.vectors([1]),
            lambda store: store.select(Filter(since="2023-07-28")),
            lambda store: store.remove(["a7"]),
        ],
        ids=["article", "articles", "counts", "snapshot", "passages", "vectors", "select", "remove"],
    )
    def test_pages_overwritten(self, tmp_path: Path, read: Callable[[Store], object]) -> None:
        path = tmp_path / "test.db"
        store = Store(path, create=True)
        store.replace([indexed(article(f"a{i}", text="Some text. " * 100)) for i in range(50)])
        store.close()
        data = bytearray(path.read_bytes())
        data[4_096:] = bytes(byte ^ 0x55 for byte in data[4_096:])  # all but the first page
        path.write_bytes(data)
        with pytest.raises(LibraryCorrupt, match=r"test\.db cannot be read as a library"):
            read(Store(path))


ZONES = ["", "T00:00:00Z", "T09:30:00Z", "T23:59:59Z"]
DATES = st.builds("2023-07-{:02}{}".format, st.integers(1, 12), st.sampled_from(ZONES))
SOURCES = ["Post", "Gazette", "Ärzteblatt"]


def span(text: str) -> tuple[datetime, datetime]:
    """The first and the last moment a date or instant may mean."""
    first = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return first, first + (timedelta(days=1, seconds=-1) if len(text) == 10 else timedelta())


def lets_through(filter: Filter, article: Article) -> bool:
    if filter.articles and article.id not in filter.articles:
        return False
    if filter.sources and article.source not in filter.sources:
        return False
    if filter.since is None and filter.until is None:
        return True
    if article.published is None:
        return False
    begin, end = span(article.published)
    return (filter.since is None or end >= span(filter.since)[0]) and (
        filter.until is None or begin <= span(filter.until)[1]
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Sixty articles of any source and date, each with one or two passages."""
    store = Store(tmp_path_factory.mktemp("filter") / "test.db", create=True)
    chance = random.Random(7)
    articles = [
        make_article(
            "Some text.",
            id=f"a{number}",
            source=chance.choice([None, *SOURCES]),
            published=chance.choice([None, f"2023-07-{chance.randint(1, 12):02}{chance.choice(ZONES)}"]),
        )
        for number in range(60)
    ]
    store.replace([indexed(a, *([(0, 4), (5, 10)] if chance.random() < 0.5 else [])) for a in articles])
    yield store
    store.close()


class TestFilter:
    @given(
        st.builds(
            Filter,
            articles=st.frozensets(st.builds("a{}".format, st.integers(0, 70))) | st.just(frozenset()),
            sources=st.frozensets(st.sampled_from([*SOURCES, "Nobody"])),
            since=st.none() | DATES,
            until=st.none() | DATES,
        )
    )
    def test_equals_brute_force(self, many: Store, filter: Filter) -> None:
        passages = many.passages(many.snapshot()[1].tolist())
        expected = [key for key, passage in passages.items() if lets_through(filter, passage.article)]
        assert many.select(filter).tolist() == expected

    @pytest.mark.parametrize(
        ("published", "since", "until", "inside"),
        [
            ("2023-07-28", "2023-07-28", "2023-07-28", True),
            ("2023-07-28", "2023-07-29", None, False),
            ("2023-07-28", None, "2023-07-27", False),
            ("2023-07-28T23:59:59Z", None, "2023-07-28", True),
            ("2023-07-28T00:00:00Z", "2023-07-28", None, True),
            ("2023-07-28T09:30:00Z", "2023-07-28T09:30:00Z", "2023-07-28T09:30:00Z", True),
            ("2023-07-28T09:30:00Z", "2023-07-28T09:30:01Z", None, False),
            ("2023-07-28T09:30:00Z", None, "2023-07-28T09:29:59Z", False),
            ("2023-07-28T09:30:00Z", "2023-07-28T11:30:00+02:00", "2023/7/28", True),
            ("2023-07-28", "2023-07-28T00:00:00Z", None, True),
            (None, "0001-01-01", None, False),
            (None, None, "9999-12-31", False),
            (None, None, None, True),
        ],
    )
    def test_range(
        self, store: Store, published: str | None, since: str | None, until: str | None, inside: bool
    ) -> None:
        store.replace([indexed(make_article("Some text.", id="a", published=published))])
        assert store.select(Filter(since=since, until=until)).tolist() == ([1] if inside else [])

    @pytest.mark.parametrize("id", ["a\0", "\ud800", "'", '"', "%", "[1]"])
    def test_odd_values_match_nothing(self, store: Store, id: str) -> None:
        store.replace([indexed(make_article("Some text.", id="a", source="a"))])
        assert store.select(Filter(articles=frozenset({id}))).tolist() == []
        assert store.select(Filter(sources=frozenset({id}))).tolist() == []

    @pytest.mark.parametrize("name", ["since", "until"])
    def test_no_date(self, name: str) -> None:
        with pytest.raises(InvalidInput, match=f"{name}: 'yesterday' is no date; write it like 2023-07-28"):
            Filter(**{name: "yesterday"})  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["since", "until"])
    def test_empty_date_is_no_date(self, name: str) -> None:
        with pytest.raises(InvalidInput, match=f"{name}: '' is no date"):
            Filter(**{name: ""})  # type: ignore[arg-type]

    def test_empty(self) -> None:
        assert Filter().empty
        assert not Filter(since="2023-07-28").empty


def test_vectors_are_float32_little_endian(store: Store, tmp_path: Path) -> None:
    vectors: Vectors = np.array([[1.5, -2.0]], dtype=np.float32)
    store.replace([Indexed(article("a"), [Passage(article("a"), 0, 4)], vectors)])
    with store.write() as db:
        assert db.execute("SELECT vector FROM passage").get == b"\x00\x00\xc0\x3f\x00\x00\x00\xc0"
