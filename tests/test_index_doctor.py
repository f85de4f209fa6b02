"""The doctor: what it finds in damaged libraries, what it mends, and that it never removes an article."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import apsw
import numpy as np
import pytest
from conftest import DIMENSIONS, OpenLibrary, ToyEmbedder
from test_index_schema import make_old

from index import doctor
from index.article import Article, make_article
from index.backup import restore
from index.doctor import check, repair
from index.embed import Embedder, Vectors
from index.errors import LibraryBusy, LibraryCorrupt, LibraryNotFound, LibraryNotWritable, ModelNotFound
from index.finding import Hurt, Kind
from index.library import DATABASE, Library
from index.lock import write_lock
from index.schema import passage_checksum
from index.store import Store

Damage = Callable[[Path], object]


def article(number: int) -> Article:
    return make_article(
        f"The bridge number {number} was shut. " + f"Engineers had found {number} cracks in its deck. " * 40,
        id=f"a{number:02}",
        title=f"Bridge {number}",
        origin=f"/news/{number}.txt",
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of forty articles with saved indexes, closed, its database one file; one article was removed."""
    path = tmp_path_factory.mktemp("built") / "library"
    with Library(path, ToyEmbedder(), create=True) as library:
        library.add([article(number) for number in range(41)])
        library.remove(["a40"])
        library.refresh()
    return path


@pytest.fixture
def well(built: Path, library_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(built, library_path))


def sql(statement: str, *values: Any) -> Damage:
    def damage(library: Path) -> None:
        with closing(apsw.Connection(str(library / DATABASE))) as db:
            db.create_scalar_function("passage_checksum", passage_checksum)
            db.execute(statement, values)

    return damage


def renew(columns: str, where: str = "key = 2") -> Damage:
    """A change of passages with the checksum that belongs to it, as a bug would make."""
    checksum = 'UPDATE passage SET checksum = passage_checksum(article, start, "end", vector)'
    return sql(f"UPDATE passage SET {columns} WHERE {where}; {checksum}")


def zero(name: str, leaf: int) -> Damage:
    """Overwrite one page of a table or an index of the database, the first or the last but so many."""

    def damage(library: Path) -> None:
        path = library / DATABASE
        with closing(apsw.Connection(str(path))) as db:
            size = db.pragma("page_size")
            root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).get
            pages = sorted(_leaves(path.read_bytes(), size, root))
        data = bytearray(path.read_bytes())
        at = (pages[leaf] - 1) * size
        data[at : at + size] = bytes(size)
        path.write_bytes(data)

    return damage


def _leaves(data: bytes, size: int, page: int) -> list[int]:
    """The pages of a b-tree that have no others below them. https://sqlite.org/fileformat2.html#b_tree_pages"""
    at = (page - 1) * size + (100 if page == 1 else 0)
    if data[at] in (10, 13):
        return [page]
    cells = int.from_bytes(data[at + 3 : at + 5], "big")
    places = [int.from_bytes(data[at + 12 + 2 * n : at + 14 + 2 * n], "big") for n in range(cells)]
    start = (page - 1) * size
    below = [int.from_bytes(data[start + place : start + place + 4], "big") for place in places]
    below.append(int.from_bytes(data[at + 8 : at + 12], "big"))
    return [leaf for child in below for leaf in _leaves(data, size, child)]


def overwrite(name: str, data: bytes) -> Damage:
    return lambda library: (library / name).write_bytes(data)


def edit(name: str, old: str, new: str) -> Damage:
    def damage(library: Path) -> None:
        text = (library / name).read_text()
        assert old in text
        (library / name).write_text(text.replace(old, new))

    return damage


def flip(pattern: str) -> Damage:
    """Change one byte in the middle of a file."""

    def damage(library: Path) -> None:
        [path, *_] = sorted(library.glob(pattern))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    return damage


def found(library: Path, embedder: Embedder | None = None) -> dict[str, Kind]:
    return {finding.check: finding.kind for finding in check(library, embedder).findings}


def contents(library: Path) -> list[Any]:
    """All articles, with their numbers of passages, and all keys."""
    with closing(Store(library / DATABASE)) as store:
        articles = [(one, one.origin, passages) for one, passages in store.articles(0, 1_000)]
        return [articles, store.snapshot()[1].tolist(), store.setting("embedder")]


def best(library: Path, number: int) -> str:
    with Library(library, ToyEmbedder()) as opened:
        return opened.search(f"bridge number {number}", 1)[0].passage.article.id


class TestWell:
    def test_nothing_is_found(self, well: Path, embedder: Embedder) -> None:
        report = check(well, embedder)
        assert (report.findings, report.skipped, report.articles) == ((), (), 40)
        assert report.passages == len(contents(well)[1])

    def test_nothing_is_changed(self, well: Path, embedder: Embedder) -> None:
        before = {path: path.read_bytes() for path in well.rglob("*") if path.is_file()}
        check(well, embedder)
        assert {path: path.read_bytes() for path in well.rglob("*") if path.is_file()} == before

    def test_repair_changes_nothing(self, well: Path, embedder: Embedder) -> None:
        before = {path: path.read_bytes() for path in well.rglob("*") if path.is_file()}
        report = repair(well, embedder)
        assert (report.findings, report.mended) == ((), ())
        assert {path: path.read_bytes() for path in well.rglob("*") if path.is_file()} == before

    def test_empty(self, library: Library, embedder: Embedder) -> None:
        report = check(library.path, embedder)
        assert (report.findings, report.skipped, report.articles) == ((), (), 0)

    def test_indexes_that_are_behind(self, well: Path, open_library: OpenLibrary, embedder: Embedder) -> None:
        with open_library() as library:
            library.add([article(50)])
            library.remove(["a07"])
            assert check(well, embedder).findings == ()

    def test_without_an_embedder(self, well: Path) -> None:
        report = check(well)
        assert report.findings == ()
        assert report.skipped == ("whether the embedder makes these vectors: there is no embedder",)

    def test_embedder_that_cannot_be_loaded(self, well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def encode(self: ToyEmbedder, texts: object) -> Vectors:
            raise ModelNotFound("its graph is damaged")

        monkeypatch.setattr(ToyEmbedder, "encode", encode)
        assert check(well, ToyEmbedder()).skipped == ("whether the embedder makes these vectors: its graph is damaged",)

    def test_beside_a_writer(self, well: Path, embedder: Embedder) -> None:
        with write_lock(well):
            report = check(well, embedder)
            assert report.findings == ()
            assert [reason.split(": ")[0] for reason in report.skipped] == ["what lies beside the database"]
            with pytest.raises(LibraryBusy):
                repair(well, embedder)

    def test_says_what_it_does(self, well: Path, embedder: Embedder) -> None:
        told: list[str] = []
        check(well, embedder, told.append)
        assert told == [
            "passage 0",
            "article 0",
            "the indexes of the database",
            "the embedder",
            "the files beside the database",
        ]

    def test_no_library(self, tmp_path: Path) -> None:
        with pytest.raises(LibraryNotFound, match="there is no library at"):
            check(tmp_path)


class TestNoDatabase:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"This is a letter. " * 100, "is no database: it begins with b'This is a letter'"),
            (b"", "is empty: nothing was ever stored in it, or it was cut off"),
            (bytes(8_192), "is no database: it begins with zeros"),
        ],
    )
    def test_explained(self, well: Path, data: bytes, said: str, embedder: Embedder) -> None:
        overwrite(DATABASE, data)(well)
        for report in (check(well, embedder), repair(well, embedder)):
            [finding] = report.findings
            assert (finding.check, finding.kind) == ("file", Kind.TRUTH)
            assert said in finding.message
            assert finding.remedy == "restore a backup with: pullquote restore FILE --force"
        assert (well / DATABASE).read_bytes() == data

    @pytest.mark.parametrize(
        ("version", "said"), [(0, "is a database, but no library"), (2, "but no library"), (999, "schema version 999")]
    )
    def test_of_another_program(self, tmp_path: Path, version: int, said: str) -> None:
        with closing(apsw.Connection(str(tmp_path / DATABASE))) as db:
            db.execute("CREATE TABLE something (a)")
            db.pragma("user_version", version)
        [finding] = check(tmp_path).findings
        assert (finding.check, finding.kind) == ("version", Kind.TRUTH)
        assert said in finding.message

    def test_damaged_beginning(self, well: Path) -> None:
        data = bytearray((well / DATABASE).read_bytes())
        data[100:4_096] = b"\x55" * 3_996
        (well / DATABASE).write_bytes(data)
        [finding] = check(well).findings
        assert (finding.check, finding.kind) == ("file", Kind.TRUTH)
        assert "cannot be read: " in finding.message


DERIVED = {
    "passages": sql("UPDATE passage SET start = start + 1 WHERE key = 2"),
    "passages, vector": sql("UPDATE passage SET vector = zeroblob(64) WHERE key = 2"),
    "places": renew('"end" = 1000000'),
    "places, reversed": renew('start = "end"'),
    "vectors": renew("vector = x'0000803f'"),
    "vectors, long": renew(f"vector = x'{'00008040' * DIMENSIONS}'"),
    "vectors, no numbers": renew(f"vector = x'{'0000c07f' * DIMENSIONS}'"),
    "cover": sql("DROP TRIGGER passage_removal; DELETE FROM passage WHERE key = 2"),
    "cover, nothing left": sql("DELETE FROM passage WHERE article = 1"),
    "orphans": sql(
        "PRAGMA foreign_keys = off;"
        'INSERT INTO passage SELECT 999, 999, start, "end", vector, passage_checksum(999, start, "end", vector) '
        "FROM passage WHERE key = 2"
    ),
    "structure": zero("passage_article", 0),
    "structure, of ids": zero("sqlite_autoindex_article_1", 0),
    "schema": sql("DROP INDEX article_source"),
    "schema, trigger": sql("DROP TRIGGER passage_removal"),
    "generation": sql("UPDATE setting SET value = 'two' WHERE name = 'generation'"),
    "setting": sql("INSERT INTO setting VALUES ('note', CAST(x'80' AS TEXT))"),
    "removals": sql("INSERT INTO removal VALUES (2, 1)"),
    "removals, of the future": sql("INSERT INTO removal VALUES (7, 999)"),
    "removals, forgotten ones": sql("UPDATE setting SET value = '9' WHERE name = 'removals_since'"),
    "removals, unknown": sql("DELETE FROM setting WHERE name = 'removals_since'"),
    "manifest": overwrite("manifest.json", b"{"),
    "manifest, of another shape": overwrite("manifest.json", b'{"format": 4}'),
    "indexes": flip("dense-*.faiss"),
    "indexes, of words": flip("lexical-*/*.term"),
    "indexes, gone": lambda library: next(library.glob("dense-*")).unlink(),
    "indexes, of another format": edit("manifest.json", '"format": 4', '"format": 1'),
}


class TestDerived:
    @pytest.mark.parametrize("name", DERIVED)
    def test_found_and_mended(self, well: Path, name: str, embedder: Embedder) -> None:
        articles = contents(well)[0]
        DERIVED[name](well)
        expected = name.split(",")[0]
        assert found(well, embedder)[expected] is Kind.DERIVED
        report = repair(well, embedder)
        assert report.findings == ()
        assert expected in [finding.check for finding in report.mended]
        assert contents(well)[0] == articles
        assert [best(well, number) for number in (0, 7, 39)] == ["a00", "a07", "a39"]
        assert check(well, embedder).findings == ()

    @pytest.mark.parametrize("name", ["structure", "schema", "removals", "orphans"])
    def test_mended_under_the_same_keys(self, well: Path, name: str) -> None:
        before = contents(well)
        DERIVED[name](well)
        assert repair(well).findings == ()
        assert contents(well) == before

    @pytest.mark.parametrize("name", ["structure", "passages"])
    def test_others_have_it_open_meanwhile(self, well: Path, name: str, embedder: Embedder) -> None:
        with Library(well, embedder) as other:
            assert other.search("bridge number 7", 1)[0].passage.article.id == "a07"
            DERIVED[name](well)
            assert repair(well, embedder).findings == ()
            assert other.search("bridge number 39", 1)[0].passage.article.id == "a39"
            assert other.counts()[0] == 40

    def test_keys_are_not_used_again_afterwards(self, well: Path, open_library: OpenLibrary) -> None:
        before = contents(well)[1]
        with open_library() as library:
            library.add([article(50)])
            greatest = contents(well)[1][-1]
            library.remove(["a50"])
        DERIVED["structure"](well)
        repair(well)
        with open_library() as library:
            library.add([article(51)])
        assert contents(well)[1][: len(before)] == before
        assert min(contents(well)[1][len(before) :]) == greatest + 1

    def test_says_which_articles(self, well: Path) -> None:
        sql("UPDATE passage SET checksum = 7 WHERE article IN (1, 3)")(well)
        [finding] = check(well).findings
        assert finding.articles == (Hurt("a00", "/news/0.txt"), Hurt("a02", "/news/2.txt"))
        assert finding.message == "articles with passages that have changed: a00 (/news/0.txt), a02 (/news/2.txt)"
        assert finding.remedy == "mend it with: pullquote doctor --repair"

    @pytest.mark.parametrize("name", ["passages", "places", "vectors", "cover"])
    def test_passages_are_not_mended_without_an_embedder(self, well: Path, name: str) -> None:
        DERIVED[name](well)
        assert repair(well).has(Kind.DERIVED)
        assert contents(well)[0] != []

    def test_what_made_the_passages_is_not_known(self, well: Path, embedder: Embedder) -> None:
        sql("DELETE FROM setting WHERE name = 'embedder'")(well)
        [finding] = [one for one in repair(well, embedder).findings if one.kind is Kind.DERIVED]
        assert finding.message == "it is not known what made the passages: there is no embedder among the settings"
        assert finding.remedy == "make all passages anew with: pullquote reindex"

    def test_indexes_of_fewer_passages(self, well: Path, tmp_path: Path, embedder: Embedder) -> None:
        """Whole files that say that they are of this generation, but are not."""
        with Library(tmp_path / "other", embedder, create=True) as other:
            other.add([article(1)])
            other.add([article(2)])
            other.refresh()
        for path in [well / "manifest.json", *well.glob("dense-*"), *well.glob("lexical-*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in [*(tmp_path / "other").glob("*-*"), tmp_path / "other" / "manifest.json"]:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, well / path.name)
        [finding] = check(well, embedder).findings
        assert finding.message == "the saved indexes do not hold the passages that they should"
        assert repair(well, embedder).findings == ()

    def test_indexes_of_a_later_state(self, well: Path, embedder: Embedder) -> None:
        sql("DELETE FROM removal; UPDATE setting SET value = '1' WHERE name = 'generation'")(well)
        [finding] = check(well, embedder).findings
        assert finding.message == "the saved indexes are of a later state than the database"


class TestEmbedder:
    def test_another(self, well: Path, other_embedder: Embedder) -> None:
        [finding] = check(well, other_embedder).findings
        assert (finding.check, finding.kind) == ("embedder", Kind.DERIVED)
        assert finding.message == (
            "the library was made with toy (toy-0123456789ab), and the embedder is other toy (toy-ba9876543210)"
        )

    def test_that_makes_other_vectors(self, well: Path, embedder: Embedder) -> None:
        vector = np.eye(DIMENSIONS, dtype="<f4")[0].tobytes()
        renew(f"vector = x'{vector.hex()}'", "key % 2 = 0")(well)
        assert check(well).findings == ()
        [finding] = check(well, embedder).findings
        assert (finding.check, finding.kind) == ("embedder", Kind.DERIVED)
        assert finding.message.startswith("of 20 passages embedded again, ")
        assert repair(well, embedder).has(Kind.DERIVED)  # it is not for the doctor to say which are right

    def test_of_other_dimensions(self, well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ToyEmbedder, "encode", lambda self, texts: np.ones((len(texts), 3), dtype=np.float32))
        [finding] = check(well, ToyEmbedder()).findings
        assert finding.message == "of 20 passages embedded again, 20 have other vectors than are kept"

    def test_other_splitter(self, well: Path, embedder: Embedder) -> None:
        sql("UPDATE setting SET value = 'old' WHERE name = 'splitter'")(well)
        report = check(well, embedder)
        assert [(one.check, one.kind) for one in report.findings] == [
            ("splitter", Kind.WARNING),
            ("indexes", Kind.WARNING),
        ]
        assert report.findings[0].remedy == "make all passages anew with: pullquote reindex"


class TestTruth:
    def test_changed_article(self, well: Path, embedder: Embedder) -> None:
        sql("UPDATE article SET text = replace(text, 'shut', 'open') WHERE id = 'a07'")(well)
        report = repair(well, embedder)
        [finding] = report.findings
        assert (finding.check, finding.kind, finding.articles) == ("changed", Kind.TRUTH, (Hurt("a07", "/news/7.txt"),))
        assert finding.message == "articles that are not what was stored: a07 (/news/7.txt)"
        assert finding.remedy.startswith("add them again from where they came from, or restore a backup")
        assert best(well, 3) == "a03"

    def test_changed_article_is_added_again(self, well: Path, embedder: Embedder) -> None:
        sql("UPDATE article SET text = 'Other.' WHERE id = 'a07'")(well)
        with Library(well, embedder) as library:
            library.add([article(7)])
            assert library.article("a07") == article(7)
            assert library.counts()[0] == 40
        assert check(well, embedder).findings == ()

    def test_changed_article_is_removed(self, well: Path, embedder: Embedder) -> None:
        sql("UPDATE article SET text = 'Other.' WHERE id = 'a07'")(well)
        with Library(well, embedder) as library:
            library.remove(["a07"])
        assert check(well, embedder).findings == ()
        assert best(well, 39) == "a39"

    @pytest.mark.parametrize("leaf", [0, 5, -1])
    def test_unreadable_articles_are_named_and_the_rest_is_saved(
        self, well: Path, leaf: int, embedder: Embedder, tmp_path: Path
    ) -> None:
        before = {one.id: one for one, *_ in contents(well)[0]}
        zero("article", leaf)(well)
        report = repair(well, embedder)
        lost = {
            hurt.id: hurt.origin for finding in report.findings if finding.check == "lost" for hurt in finding.articles
        }
        assert 0 < len(lost) < 10
        assert all(origin == f"/news/{int(id[1:])}.txt" for id, origin in lost.items())
        [salvaged] = [finding for finding in report.findings if finding.check == "salvaged"]
        assert salvaged.remedy == f"put it in place with: pullquote restore {well / DATABASE}.salvaged --force"
        restore(well / f"{DATABASE}.salvaged", well, force=True)
        assert {one.id: one for one, *_ in contents(well)[0]} == {
            id: one for id, one in before.items() if id not in lost
        }
        with Library(well, embedder) as library:
            library.add([before[id] for id in lost])
        assert found(well, embedder) == {"kept": Kind.WARNING, "salvaged": Kind.WARNING}
        assert [best(well, number) for number in (0, 7, 39)] == ["a00", "a07", "a39"]

    def test_row_that_is_gone_without_a_trace_but_in_an_index(self, well: Path, embedder: Embedder) -> None:
        """As when a page is taken for one with fewer cells."""
        path = well / DATABASE
        with closing(apsw.Connection(str(path))) as db:
            size = db.pragma("page_size")
            root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'article'").get
        data = bytearray(path.read_bytes())
        at = (_leaves(bytes(data), size, root)[-1] - 1) * size
        assert data[at] == 13
        data[at + 4] -= 1
        path.write_bytes(data)
        kinds = found(well, embedder)
        assert (kinds["lost"], kinds["structure"]) == (Kind.TRUTH, Kind.DERIVED)
        [finding] = [one for one in repair(well, embedder).findings if one.check == "lost"]
        assert finding.articles == (Hurt("a39", "/news/39.txt"),)

    def test_whatever_page_is_lost(self, well: Path, embedder: Embedder, tmp_path: Path) -> None:
        """The doctor finds it, does not fail, and no article is gone without being named."""
        path = well / DATABASE
        data, before = path.read_bytes(), {one.id: one for one, *_ in contents(well)[0]}
        with closing(apsw.Connection(str(path))) as db:
            size = db.pragma("page_size")
        pages = range(1, len(data) // size)
        for page in pages[:: len(pages) // 25]:
            library = tmp_path / f"page {page}"
            library.mkdir()
            (library / DATABASE).write_bytes(data[: page * size] + bytes(size) + data[(page + 1) * size :])
            report = repair(library, embedder)
            named = {hurt.id for finding in report.findings for hurt in finding.articles}
            assert report.mended or named or report.findings == ()
            if report.has(Kind.TRUTH):
                restore(library / f"{DATABASE}.salvaged", library, force=True)
            kept = {one.id: one for one, *_ in contents(library)[0]}
            assert {id: one for id, one in before.items() if id not in named} == kept


class TestBeside:
    def test_leftovers(self, well: Path, embedder: Embedder) -> None:
        names = ["dense-1.faiss", "dense-9.tmp", f"{DATABASE}.tmp", f"{DATABASE}.tmp-wal", "manifest.json.tmp"]
        for name in names:
            (well / name).write_bytes(b"half")
        (well / "lexical-1").mkdir()
        (well / "lexical-1" / "some.term").touch()
        kept = {path.name for path in well.iterdir()} - {*names, "lexical-1"}
        [finding] = check(well, embedder).findings
        assert (finding.check, finding.kind) == ("leftovers", Kind.WARNING)
        assert finding.message.startswith("files that nothing needs: dense-1.faiss, dense-9.tmp, lexical-1, ")
        assert repair(well, embedder).findings == ()
        assert {path.name for path in well.iterdir()} == kept

    def test_unfinished_reindex(self, well: Path, embedder: Embedder, other_embedder: Embedder) -> None:
        with Library(well / "reindex-other", other_embedder, create=True) as side:
            side.add([article(1), article(2)])
        (well / "reindex-broken").mkdir()
        broken, unfinished = check(well, embedder).findings
        assert unfinished.message == "reindex-other is an unfinished reindex with other toy: 2 articles"
        assert unfinished.remedy.startswith("go on with: pullquote reindex --embedder other toy; to give it up, ")
        assert broken.message.startswith("reindex-broken is an unfinished reindex that cannot be read: there is no")
        assert repair(well, embedder).findings == ()
        assert not list(well.glob("reindex-*"))

    def test_reindex_at_work(self, well: Path, embedder: Embedder, other_embedder: Embedder) -> None:
        with Library(well / "reindex-other", other_embedder, create=True) as side, write_lock(side.path):
            assert repair(well, embedder).findings == ()
            assert (side.path / DATABASE).exists()

    def test_kept_databases_are_not_removed(self, well: Path, embedder: Embedder) -> None:
        (well / f"{DATABASE}.before-restore").write_bytes(b"old")
        [finding] = repair(well, embedder).findings
        assert (finding.check, finding.kind) == ("kept", Kind.WARNING)
        assert (well / f"{DATABASE}.before-restore").read_bytes() == b"old"

    def test_little_room(self, well: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
        size = (well / DATABASE).stat().st_size

        class Usage:
            free = 2 * size - 1

        monkeypatch.setattr(doctor, "disk_usage", lambda path: Usage)
        assert found(well, embedder) == {"room": Kind.WARNING}
        Usage.free += 1
        assert found(well, embedder) == {}

    def test_version_1(self, well: Path, embedder: Embedder) -> None:
        before = contents(well)
        make_old(well / DATABASE)
        [finding] = check(well, embedder).findings
        assert (finding.check, finding.kind) == ("migration", Kind.WARNING)
        with closing(apsw.Connection(str(well / DATABASE))) as db:
            assert db.pragma("user_version") == 1
        assert repair(well, embedder).findings == ()
        assert contents(well) == before

    def test_version_1_is_checked_too(self, well: Path) -> None:
        make_old(well / DATABASE)
        sql('UPDATE passage SET "end" = 1000000 WHERE key = 2')(well)
        assert found(well) == {"places": Kind.DERIVED, "migration": Kind.WARNING}


class TestReadOnly:
    @pytest.fixture
    def read_only(self, well: Path) -> Iterator[Path]:
        """A copy that this process may read but not write; root gives up its rights for that."""
        parent = Path(mkdtemp())
        target = Path(shutil.copytree(well, parent / "library"))
        for path in [*target.rglob("*"), target]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        parent.chmod(0o755)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65_534)
        yield target
        if user == 0:
            os.seteuid(0)
        for path in [parent, *parent.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(parent)

    def test_is_checked_and_not_mended(self, read_only: Path, embedder: Embedder) -> None:
        report = check(read_only, embedder)
        assert (report.findings, report.articles) == ((), 40)
        assert [reason.split(": ")[0] for reason in report.skipped] == ["what lies beside the database"]
        with pytest.raises(LibraryNotWritable, match="library cannot be written to"):
            repair(read_only, embedder)


def test_damaged_library_says_where_to_go(well: Path) -> None:
    zero("article", 0)(well)
    with pytest.raises(LibraryCorrupt, match="see: pullquote doctor"), Library(well) as library:
        library.article("a00")
