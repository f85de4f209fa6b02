"""Compacting: no word of a removed article is left in any file of the library."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from conftest import OpenLibrary

from index import compact as compacting
from index.article import Article, make_article
from index.backup import restore
from index.compact import compact
from index.doctor import check
from index.embed import Embedder
from index.errors import LibraryBusy, LibraryNotFound
from index.files import size
from index.lexical import LexicalIndex
from index.library import DATABASE, Library
from index.lock import write_lock
from index.reindex import reindex

SECRETS = ("xylophone", "quokka", "zeppelin")
STEMS = {"xylophone": "xylophon", "quokka": "quokka", "zeppelin": "zeppelin", "bridge": "bridg"}
"""Words of the article that is removed, of the one that is replaced, and of the title of the first."""


def article(number: int, words: str = "was shut") -> Article:
    return make_article(f"The bridge number {number} {words}. " * 20, id=f"a{number:02}")


SECRET = make_article("A xylophone was found on the bridge. " * 50, id="secret", title="The zeppelin")


@pytest.fixture
def library(open_library: OpenLibrary) -> Iterator[Library]:
    """With saved indexes that have the words, and some of them removed since."""
    with open_library() as library:
        library.add([*(article(number) for number in range(20)), SECRET, article(20, "had a quokka on it")])
        library.settle()
        library.remove(["secret"])
        library.add([article(20)])
        yield library


def words_in(path: Path) -> set[str]:
    """Those of the secrets, and one of what remains, that are in any file."""
    files = [file.read_bytes().lower() for file in path.rglob("*") if file.is_file()]
    return {word for word in (*SECRETS, "bridge") if any(word.encode() in data for data in files)} | terms_in(path)


def terms_in(path: Path) -> set[str]:
    """Those that an index of words has a term for: in its files they are written in pieces."""
    found = set()
    for index in map(LexicalIndex, {file.parent for file in path.rglob("meta.json")}):
        searcher = index._index.searcher()
        for field, term_of in (("stems", STEMS), ("words", {word: word for word in STEMS})):
            found |= {word for word in (*SECRETS, "bridge") if searcher.doc_freq(field, term_of[word])}
    return found


def keys(path: Path) -> list[int]:
    with closing(apsw.Connection(str(path / DATABASE))) as db:
        return [key for (key,) in db.execute("SELECT key FROM passage ORDER BY key")]


def test_removed_words_are_in_the_files_before(library: Library) -> None:
    library.close()
    assert words_in(library.path) == {*SECRETS, "bridge"}
    assert terms_in(library.path) == {*SECRETS, "bridge"}


def test_removed_words_are_in_no_file(library: Library, embedder: Embedder) -> None:
    before, total = keys(library.path), size(library.path)
    library.close()
    compact(library.path)
    assert words_in(library.path) == {"bridge"}
    assert keys(library.path) == before
    assert size(library.path) < total
    with Library(library.path, embedder) as again:
        again.settle()
    assert words_in(library.path) == {"bridge"}
    assert sorted(path.name.split("-")[0] for path in library.path.glob("*-*")) == ["dense", "lexical"]
    assert check(library.path, embedder).findings == ()


def test_process_that_has_the_old_indexes_does_not_save_them(library: Library) -> None:
    """It has the removed words in its memory, and in files of its own while it runs."""
    assert library.search("bridge number 7", 1)[0].passage.article.id == "a07"
    assert words_in(library._scratch.path) == {*SECRETS, "bridge"}
    compact(library.path)
    assert library.search("bridge number 7", 1)[0].passage.article.id == "a07"
    library.close()
    assert words_in(library.path) == {"bridge"}


def test_nothing_is_left_of_the_last_article(open_library: OpenLibrary, library_path: Path) -> None:
    with open_library() as library:
        library.add([SECRET])
        library.settle()
        library.remove(["secret"])
    compact(library_path)
    with open_library() as library:
        library.settle()
        assert library.search("xylophone") == []
    assert words_in(library_path) == set()


def test_unfinished_reindex_forgets_them_and_goes_on(
    library: Library, other_embedder: Embedder, open_library: OpenLibrary
) -> None:
    library.add([SECRET])

    def interrupt(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reindex(library.path, other_embedder, interrupt)
    library.remove(["secret"])
    library.close()
    assert {"xylophone", "zeppelin"} <= words_in(library.path)
    compact(library.path)
    assert words_in(library.path) == {"bridge"}
    steps: list[int] = []
    reindex(library.path, other_embedder, lambda done, total: steps.append(done))
    assert steps[0] == 21


def test_what_a_killed_process_left(library: Library) -> None:
    library.close()
    (library.path / f"{DATABASE}.tmp").write_text("xylophone")
    compact(library.path)
    assert words_in(library.path) == {"bridge"}


def test_log_of_removals_is_forgotten(library: Library) -> None:
    compact(library.path)
    with closing(apsw.Connection(str(library.path / DATABASE))) as db:
        assert db.execute("SELECT count(*) FROM removal").get == 0


def test_a_reader_keeps_what_it_reads(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the log keeps it too, and it must be said."""
    monkeypatch.setattr(compacting, "_BUSY_MILLISECONDS", 10)
    with closing(apsw.Connection(str(library.path / DATABASE))) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM article").get == 21
        with pytest.raises(LibraryBusy, match=r"is being read by another process, .*; end that and try again"):
            compact(library.path)
    compact(library.path)
    library.close()
    assert words_in(library.path) == {"bridge"}


def test_beside_a_writer(library: Library) -> None:
    with write_lock(library.path), pytest.raises(LibraryBusy, match="is being written to"):
        compact(library.path)


def test_no_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryNotFound):
        compact(tmp_path)


def test_kept_databases_are_left_alone(library: Library, open_library: OpenLibrary, tmp_path: Path) -> None:
    library.close()
    with open_library(tmp_path / "other") as other:
        other.add([article(1)])
    restore(tmp_path / "other" / DATABASE, library.path, force=True)
    compact(library.path)
    assert "xylophone" in words_in(library.path)  # the command says so
