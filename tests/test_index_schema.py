"""Databases of earlier versions, checksums, and the log of removals."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import apsw
import numpy as np
import pytest
from conftest import OpenLibrary
from hypothesis import given, settings
from hypothesis import strategies as st

from index.article import Article, make_article
from index.derived import read_manifest
from index.errors import ArticleDamaged, LibraryCorrupt
from index.feedback import Verdict, make_feedback
from index.library import DATABASE
from index.passage import CUTTER, CUTTER_BEFORE, Passage
from index.schema import VERSION, article_checksum, feedback_checksum, passage_checksum
from index.store import Changes, Indexed, Store

VERSION_1 = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE article (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    title TEXT,
    url TEXT,
    published TEXT,
    source TEXT,
    authors TEXT NOT NULL,      -- JSON list
    metadata TEXT NOT NULL,     -- JSON object
    origin TEXT
) STRICT;
CREATE INDEX article_published ON article (published);
CREATE INDEX article_source ON article (source);
CREATE INDEX article_origin ON article (origin);
-- Keys are never used again (AUTOINCREMENT), and a passage never changes: the same key is the same passage.
CREATE TABLE passage (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    article INTEGER NOT NULL REFERENCES article ON DELETE CASCADE,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    vector BLOB NOT NULL        -- float32, little-endian
) STRICT;
CREATE INDEX passage_article ON passage (article);
INSERT INTO setting VALUES ('generation', '0');
PRAGMA user_version = 1;
"""

VERSION_2 = (
    VERSION_1.replace(
        """    origin TEXT
)""",
        """    origin TEXT,
    checksum TEXT NOT NULL      -- of all the above but key and origin
)""",
    )
    .replace(
        """    vector BLOB NOT NULL        -- float32, little-endian
""",
        """    vector BLOB NOT NULL,       -- float32, little-endian
    checksum INTEGER NOT NULL   -- of all the above but key
""",
    )
    .replace(
        "PRAGMA user_version = 1;",
        """
-- The passages removed by each generation, from the one in the setting removals_since on: what an index has to forget.
CREATE TABLE removal (generation INTEGER, passage INTEGER, PRIMARY KEY (generation, passage)) STRICT, WITHOUT ROWID;
CREATE TRIGGER passage_removal AFTER DELETE ON passage BEGIN
    INSERT INTO removal SELECT value + 1, old.key FROM setting WHERE name = 'generation';
END;
INSERT INTO setting SELECT 'removals_since', value FROM setting WHERE name = 'generation';
PRAGMA user_version = 2;
""",
    )
)
VERSION_3 = VERSION_2.replace(
    "PRAGMA user_version = 2;",
    """
-- What people say of answers. It outlives its article, which is therefore an id and no key.
CREATE TABLE feedback (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    created TEXT NOT NULL,      -- ISO 8601, UTC
    question TEXT NOT NULL,
    verdict TEXT NOT NULL,
    article TEXT,
    start INTEGER,
    "end" INTEGER,
    quote TEXT,
    text_sha256 TEXT,           -- of the article's text then
    comment TEXT,
    checksum TEXT NOT NULL      -- of all the above but key
) STRICT;
PRAGMA user_version = 3;
""",
)
SCHEMAS = {1: VERSION_1, 2: VERSION_2, 3: VERSION_3}
TABLES_OF = {
    1: ("article", "passage"),
    2: ("article", "passage", "removal"),
    3: ("article", "passage", "removal", "feedback"),
}
LATER_SETTINGS = {1: ("removals_since", "compared_up_to"), 2: ("compared_up_to",), 3: ("compared_up_to",)}

POINTS = 20
"""At which a migration is killed."""

TICK_STEPS = 5
"""Of SQLite's machine between two of them."""

MIGRATE = """
import os, signal, sys
from pathlib import Path
import apsw
from index.language import language_of
from index.store import Store

language_of("The model of languages is loaded once, before the processes part.", {})

def migrate(path, ticks):
    left = ticks

    def tick():
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    apsw.connection_hooks.append(lambda db: db.set_progress_handler(tick, STEPS))
    Store(Path(path))
    os._exit(0)

for path, ticks in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    child = os.fork() or migrate(path, ticks)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""".replace("STEPS", str(TICK_STEPS))
"""Migrates databases, each in a process of its own that kills itself after so many ticks; prints how they ended."""


def make_old(path: Path, version: int = 1) -> None:
    """Make a database one of an earlier version, with the same rows."""
    now = path.rename(path.with_suffix(".now"))
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", "wal")
    db.execute(SCHEMAS[version])
    db.execute("ATTACH ? AS now", (str(now),))
    db.execute("BEGIN; DELETE FROM setting; DELETE FROM sqlite_sequence")
    db.execute("INSERT INTO setting SELECT * FROM now.setting")
    db.executemany("DELETE FROM setting WHERE name = ?", [(name,) for name in LATER_SETTINGS[version]])
    before = (f"{CUTTER}/", f"{CUTTER_BEFORE}/")
    db.execute("UPDATE setting SET value = replace(value, ?, ?) WHERE name = 'splitter'", before)
    for table in TABLES_OF[version]:
        columns = ", ".join(f'"{row[1]}"' for row in db.execute(f"PRAGMA main.table_info({table})"))
        db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
    db.execute("COMMIT")
    db.close()
    now.unlink()


def many() -> list[Article]:
    return [
        make_article(
            f"The bridge number {number} was shut. Engineers had found {number} cracks.",
            id=f"a{number}",
            title=f"Bridge {number}" if number % 2 else None,
            published="2023-07-28",
            authors=("P. Desk",),
            metadata={"n": number},
            origin=f"/news/{number}.txt",
        )
        for number in range(30)
    ]


def everything(path: Path) -> list[Any]:
    """All that a store gives back."""
    with closing(Store(path)) as store:
        _, keys = store.snapshot()
        found, vectors = store.vectors(keys.tolist())
        articles = [(article, article.origin, passages) for article, passages in store.articles(0, 1_000)]
        places = [(key, one.article.id, one.start, one.end) for key, one in store.passages(keys.tolist()).items()]
        return [store.generation, articles, places, found.tolist(), vectors.tolist(), store.setting("embedder")]


def table_names(path: Path) -> set[str]:
    with closing(apsw.Connection(str(path))) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}


@pytest.fixture(params=[1, 2, 3])
def version(request: pytest.FixtureRequest) -> int:
    """An earlier one."""
    return int(request.param)


@pytest.fixture
def old(library_path: Path, open_library: OpenLibrary, version: int) -> Path:
    """The database of a library of that version: 29 articles, of which one has been replaced; one was removed."""
    library = open_library()
    library.add(many())
    library.add([replace(many()[3], text="Another text.")])
    library.remove(["a5"])
    library.refresh()
    library.close()
    make_old(library_path / DATABASE, version)
    return library_path / DATABASE


class TestMigration:
    def test_everything_is_there(self, old: Path, tmp_path: Path) -> None:
        with closing(apsw.Connection(str(old))) as db:
            rows = db.execute("SELECT key, id, text, title, metadata, origin FROM article ORDER BY key").fetchall()
            vectors = db.execute('SELECT key, article, start, "end", vector FROM passage ORDER BY key').fetchall()
        [generation, articles, places, keys, _, embedder] = everything(old)
        assert (generation, embedder) == (3, "toy-0123456789ab")
        assert [(a.id, a.text, a.title, origin) for a, origin, _ in articles] == [
            (r[1], r[2], r[3], r[5]) for r in rows
        ]
        assert len(rows) == 29
        ids = {row[0]: row[1] for row in rows}
        assert [(key, ids[article], start, end) for key, article, start, end, _ in vectors] == places
        assert keys == [row[0] for row in vectors]
        with closing(apsw.Connection(str(old))) as db:
            assert db.pragma("user_version") == VERSION == 4
            assert db.pragma("integrity_check") == "ok"

    def test_has_the_schema_of_a_new_one(self, old: Path, tmp_path: Path) -> None:
        Store(old).close()
        Store(tmp_path / "new.db", create=True).close()
        assert table_names(old) == table_names(tmp_path / "new.db")

    def test_keys_go_on_where_they_were(self, old: Path, open_library: OpenLibrary) -> None:
        library = open_library()
        before = everything(old)[3]
        library.add([make_article("Something new.", id="new")])
        assert everything(old)[3] == [*before, 32]

    def test_indexes_of_then_are_made_anew(self, old: Path, library_path: Path, open_library: OpenLibrary) -> None:
        manifest = library_path / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"format": 4', '"format": 1').replace('"last"', '"other"'))
        library = open_library()
        assert library.search("bridge number 7 cracks", 1)[0].passage.article.id == "a7"
        library.close()
        written = read_manifest(library_path)
        assert written is not None
        assert (written.format, written.generation, written.last) == (4, 3, 31)

    def test_takes_feedback(self, old: Path) -> None:
        with closing(Store(old)) as store:
            assert store.feedback() == {}
            said = make_feedback("Who?", Verdict.UNANSWERABLE)
            assert store.add_feedback(said) == 1
            assert store.feedback() == {1: said}

    def test_languages_are_told(self, old: Path) -> None:
        with closing(Store(old)) as store:
            assert {article.language for article, _ in store.articles(0, 4)} == {"en"}

    def test_english_articles_are_cut_as_they_would_be(self, old: Path, library_path: Path) -> None:
        with closing(Store(old)) as store:
            assert store.setting("splitter") == f"{CUTTER}/toy-0123456789ab/160+1"

    def test_others_may_not_be(self, old: Path) -> None:
        with closing(apsw.Connection(str(old))) as db:
            db.execute("UPDATE article SET metadata = ? WHERE id = 'a7'", ('{"language": "de"}',))
        with closing(Store(old)) as store:
            assert store.setting("splitter") == f"{CUTTER_BEFORE}/toy-0123456789ab/160+1"
            assert store._rows("SELECT id FROM trait JOIN article ON article = key WHERE language = 'de'") == [("a7",)]

    @pytest.mark.parametrize("version", [3])
    @pytest.mark.parametrize("metadata", ["", "[]", "{", '"de"', '{"language": {}}'])
    def test_changed_metadata_stop_nothing(self, old: Path, metadata: str) -> None:
        with closing(apsw.Connection(str(old))) as db:
            db.execute("UPDATE article SET metadata = ? WHERE id = 'a7'", (metadata,))
        with closing(Store(old)) as store:
            assert store.setting("splitter") == f"{CUTTER}/toy-0123456789ab/160+1"
            with pytest.raises(ArticleDamaged):
                store.article("a7")

    @pytest.mark.parametrize("version", [2, 3])
    def test_removals_stay_known(self, old: Path) -> None:
        with closing(Store(old)) as store:
            assert changed(store.changes(2, 31)) == (3, [], [6])

    @pytest.mark.parametrize("version", [1])
    def test_removals_are_logged_from_then_on(self, old: Path) -> None:
        with closing(Store(old)) as store:
            assert store.changes(2, 31) is None  # nobody knows what generation 3 removed
            store.remove(["a0"])
            changes = store.changes(3, 31)
            assert changes is not None
            assert (changes.new.tolist(), changes.gone.tolist()) == ([], [1])


class Killed(Exception):
    """In place of a signal."""


@contextmanager
def killed_after(ticks: int) -> Iterator[list[int]]:
    """Every new connection raises after so many ticks; how many there were is in the list."""
    seen = [0]

    def tick() -> bool:
        seen[0] += 1
        if seen[0] > ticks:
            raise Killed
        return False

    def hook(db: apsw.Connection) -> None:
        db.set_progress_handler(tick, TICK_STEPS)

    apsw.connection_hooks.append(hook)
    try:
        yield seen
    finally:
        apsw.connection_hooks.remove(hook)


@pytest.fixture
def points(old: Path, tmp_path: Path) -> list[int]:
    """Ticks of a migration, from its beginning to its end."""
    copyfile(old, tmp_path / "whole.db")
    with killed_after(1_000_000) as seen:
        Store(tmp_path / "whole.db").close()
    return [round(share * (seen[0] - 1)) for share in np.linspace(0, 1, POINTS)]


class TestKilledMigration:
    def test_by_an_exception(self, old: Path, version: int, points: list[int], tmp_path: Path) -> None:
        expected = everything(Path(copyfile(old, tmp_path / "expected.db")))
        assert len(set(points)) == POINTS
        for point in points:
            path = Path(copyfile(old, tmp_path / f"{point}.db"))
            with pytest.raises(Killed), killed_after(point):
                Store(path)
            with closing(apsw.Connection(str(path))) as db:
                assert db.pragma("user_version") == version
                assert "band" not in table_names(path)
            assert everything(path) == expected

    def test_by_a_signal(self, old: Path, points: list[int], tmp_path: Path) -> None:
        expected = everything(Path(copyfile(old, tmp_path / "expected.db")))
        paths = [Path(copyfile(old, tmp_path / f"{point}.db")) for point in points]
        arguments = [str(value) for pair in zip(paths, points, strict=True) for value in pair]
        ran = subprocess.run([sys.executable, "-c", MIGRATE, *arguments], capture_output=True, text=True, timeout=60)
        assert ran.stdout.split() == [str(-signal.SIGKILL)] * POINTS
        assert [everything(path) == expected for path in paths] == [True] * POINTS


class TestOpenedAtOnce:
    def test_by_threads(self, old: Path, tmp_path: Path) -> None:
        expected = everything(Path(copyfile(old, tmp_path / "expected.db")))
        found: list[Any] = []
        barrier = threading.Barrier(4)

        def open_it() -> None:
            barrier.wait()
            found.append(everything(old))

        threads = [threading.Thread(target=open_it) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected] * 4

    def test_by_processes(self, old: Path, tmp_path: Path) -> None:
        expected = everything(Path(copyfile(old, tmp_path / "expected.db")))
        command = [sys.executable, "-c", MIGRATE, str(old), "1000000"]
        children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        assert [child.communicate(timeout=60)[0] for child in children] == ["0\n"] * 3
        assert everything(old) == expected


ARTICLE = make_article(
    "The bridge was shut. Nobody was hurt.",
    id="bridge",
    title="Bridge shut",
    url="https://a.example/bridge",
    published="2023-07-28",
    source="Harbour Post",
    authors=("P. Desk",),
    metadata={"section": "news"},
    origin="/news/bridge.txt",
)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A database with one article of two passages."""
    path = tmp_path / "one.db"
    with closing(Store(path, create=True)) as store:
        passages = [Passage(ARTICLE, 0, 20), Passage(ARTICLE, 21, 37)]
        store.replace([Indexed(ARTICLE, passages, np.array([[0.6, 0.8], [0, 1]], dtype=np.float32))])
    return path


def read_all(path: Path) -> list[Any]:
    with closing(Store(path)) as store:
        article = store.article("bridge")
        return [article, article and article.origin, store.passages([1, 2]), store.vectors([1, 2])[1].tolist()]


class TestChecksums:
    @pytest.mark.parametrize(
        "column", ["text", "title", "url", "published", "source", "authors", "metadata", "checksum"]
    )
    @pytest.mark.parametrize("byte", [0, -1])
    def test_flipped_byte_of_an_article(self, one: Path, column: str, byte: int) -> None:
        with closing(apsw.Connection(str(one))) as db:
            value = bytearray(db.execute(f"SELECT {column} FROM article").get.encode())
            value[byte] ^= 1
            db.execute(f"UPDATE article SET {column} = ?", (value.decode(),))
        with closing(Store(one)) as store:
            for read in (lambda: store.article("bridge"), lambda: store.articles(0, 9), lambda: store.passages([1])):
                with pytest.raises(ArticleDamaged, match=r"the article 'bridge' in .* is not what was stored"):
                    read()

    def test_other_id(self, one: Path) -> None:
        with closing(apsw.Connection(str(one))) as db:
            db.execute("UPDATE article SET id = 'bridgf'")
        with closing(Store(one)) as store:
            assert store.article("bridge") is None
            with pytest.raises(ArticleDamaged, match="'bridgf'"):
                store.article("bridgf")

    def test_other_origin_is_no_damage(self, one: Path) -> None:
        with closing(apsw.Connection(str(one))) as db:
            db.execute("UPDATE article SET origin = '/elsewhere.txt'")
        assert read_all(one)[:2] == [ARTICLE, "/elsewhere.txt"]

    @pytest.mark.parametrize(
        "change",
        ["article = 7", "start = 1", '"end" = 19', "vector = x'9a99193ecdcc4c3f'", "vector = x''", "checksum = 7"],
    )
    def test_changed_passage(self, one: Path, change: str) -> None:
        with closing(apsw.Connection(str(one))) as db:
            db.execute(f"UPDATE passage SET {change} WHERE key = 1")
        with closing(Store(one)) as store:
            for read in (store.passages, store.vectors):
                with pytest.raises(LibraryCorrupt, match="passage 1 is not what was stored; see: pullquote doctor"):
                    read([1])
            assert [passage.text for passage in store.passages([2]).values()] == ["Nobody was hurt."]

    def test_any_flipped_byte_of_the_file(self, one: Path, tmp_path: Path) -> None:
        """Whatever is damaged, nothing else is ever read than what was stored, and nothing but our errors raised."""
        expected = read_all(one)
        with closing(apsw.Connection(str(one))) as db:
            pages = [db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (t,)).get for t in TABLES]
            size = db.pragma("page_size")
        data = one.read_bytes()
        refused = 0
        for place in (page * size + offset for page in [one - 1 for one in pages] for offset in range(size)):
            if not data[place]:
                continue  # what is empty says nothing
            flipped = tmp_path / "flipped.db"
            flipped.write_bytes(data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :])
            try:
                found = read_all(flipped)
            except LibraryCorrupt:
                refused += 1
            else:
                # What is not found is not wrongly quoted; an origin has no checksum.
                assert found[0] in (ARTICLE, None)
                assert [expected[2][key] for key in found[2]] == list(found[2].values())
                assert found[3] == [expected[3][key - 1] for key in found[2]]
        assert refused > 200

    def test_checksums_of_what_was_never_stored(self) -> None:
        assert passage_checksum(None, 0, 1, b"") == passage_checksum(1, 0, 1, "text") == -1
        assert article_checksum(b"bytes", None) != article_checksum("bytes", None)

    def test_checksums_stay_as_they_are(self) -> None:
        """Those of another version of ours would damage every library there is."""
        said = ("2026-11-24T09:30:00Z", "Ä?", "right", "a", 0, 1, "A", None, None)
        assert feedback_checksum(*said)[:16] == "d43002849b1c5f2a"
        assert passage_checksum(1, 0, 20, b"\0\0\x80?") == 54454529
        assert article_checksum("a", "Ä\ud83d", None, "[]", "origin")[:16] == "85f50acb72010c23"


TABLES = ("article", "passage")


def article(id: str, version: int = 0) -> Article:
    return make_article(f"Text {version} of {id}.", id=id)


def indexed(article: Article, passages: int = 1) -> Indexed:
    places = [Passage(article, 0, end + 1) for end in range(passages)]
    return Indexed(article, places, np.ones((passages, 2), dtype=np.float32))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "test.db", create=True)) as store:
        yield store


def changed(changes: Changes | None) -> tuple[int, list[int], list[int]]:
    assert changes is not None
    return changes.generation, changes.new.tolist(), sorted(changes.gone.tolist())


class TestRemovals:
    def test_nothing_yet(self, store: Store) -> None:
        assert changed(store.changes(0, 0)) == (0, [], [])

    def test_replaced(self, store: Store) -> None:
        store.replace([indexed(article("a"), 2), indexed(article("b"))])
        store.replace([indexed(article("a", 1), 3)])
        assert changed(store.changes(0, 0)) == (2, [3, 4, 5, 6], [])
        assert changed(store.changes(1, 3)) == (2, [4, 5, 6], [1, 2])
        assert changed(store.changes(2, 6)) == (2, [], [])

    def test_removed_with_its_article(self, store: Store) -> None:
        store.replace([indexed(article("a"), 2), indexed(article("b"))])
        store.remove(["b"])
        store.remove(["a"])
        assert changed(store.changes(1, 3)) == (3, [], [1, 2, 3])
        assert changed(store.changes(2, 3)) == (3, [], [1, 2])

    def test_recut(self, store: Store) -> None:
        store.replace([indexed(article("a"), 2), indexed(article("b"))])
        store.recut([indexed(article("a"), 1)], {"splitter": "new"})
        assert changed(store.changes(1, 3)) == (2, [4], [1, 2])
        assert store.setting("splitter") == "new"
        assert [count for _, count in store.articles(0, 9)] == [1, 1]

    def test_undone_with_its_transaction(self, store: Store) -> None:
        store.replace([indexed(article("a"))])
        bad = Indexed(article("a", 1), [Passage(article("a", 1), 0, 4)], np.zeros((2, 2), dtype=np.float32))
        with pytest.raises(ValueError, match="argument 2 is longer"):
            store.replace([bad])
        assert changed(store.changes(1, 1)) == (1, [], [])

    def test_forgotten(self, store: Store) -> None:
        store.replace([indexed(article("a"))])
        store.remove(["a"])
        store.forget_removals(1)
        assert store.changes(0, 0) is None
        assert changed(store.changes(1, 1)) == (2, [], [1])
        store.forget_removals(2)
        assert store.changes(1, 1) is None
        assert changed(store.changes(2, 1)) == (2, [], [])

    def test_from_the_future(self, store: Store) -> None:
        assert store.changes(1, 1) is None


Step = Callable[[Store], None]
IDS = st.sampled_from("abcd")
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda ids, version, passages: (
            lambda store: store.replace([indexed(article(id, version), passages) for id in ids])
        ),
        st.lists(IDS, min_size=1, max_size=3, unique=True),
        st.integers(0, 2),
        st.integers(1, 3),
    ),
    st.builds(lambda ids: lambda store: store.remove(ids) and None, st.lists(IDS, max_size=2)),
    st.builds(
        lambda passages: lambda store: store.recut([indexed(found, passages) for found, _ in store.articles(0, 9)], {}),
        st.integers(1, 3),
    ),
    st.builds(lambda back: lambda store: store.forget_removals(store.generation - back), st.integers(0, 4)),
)


@settings(max_examples=40)
@given(st.lists(STEPS, max_size=12))
def test_changes_equal_the_difference_of_snapshots(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    path = tmp_path_factory.mktemp("history") / "test.db"
    with closing(Store(path, create=True)) as store:
        history = {0: np.array([], dtype=np.int64)}
        greatest = {0: 0}
        for step in steps:
            step(store)
            generation, keys = store.snapshot()
            history[generation] = keys
            greatest[generation] = max(keys.tolist(), default=0)
        now, live = store.snapshot()
        since = int(store.setting("removals_since") or 0)
        for generation, keys in history.items():
            changes = store.changes(generation, greatest[generation])
            if generation < since:
                assert changes is None
            else:
                assert changed(changes) == (
                    now,
                    np.setdiff1d(live, keys).tolist(),
                    sorted(np.setdiff1d(keys, live).tolist()),
                )
        assert store.changes(now + 1, 10**6) is None
