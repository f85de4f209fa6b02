"""Feedback: what is kept, what is refused, and that it outlives its article and every way of keeping a library."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from conftest import OpenLibrary
from test_index_doctor import zero

from index.article import Article, make_article
from index.backup import backup, restore
from index.compact import compact
from index.doctor import check, repair
from index.embed import Embedder
from index.errors import ArticleNotFound, InvalidInput, LibraryBusy
from index.feedback import Feedback, Place, Verdict, feedback_of, feedback_row, make_feedback
from index.finding import Kind
from index.library import DATABASE, Library
from index.lock import write_lock
from index.reindex import reindex

QUESTION = "When was the bridge shut?"
MONDAY = Place("bridge", 35, 41, "Monday")
"""Without the SHA-256, which the library adds."""


@pytest.fixture
def filled(library: Library, articles: list[Article]) -> Library:
    library.add(articles)
    return library


@pytest.fixture
def said(filled: Library) -> dict[int, Feedback | None]:
    """Three verdicts that the library keeps; it is closed."""
    filled.give_feedback(make_feedback(QUESTION, Verdict.RIGHT, MONDAY))
    filled.give_feedback(make_feedback("Who won?", Verdict.BETTER, Place("chess", 0, 9, "Castle FC"), "The cup\n🏆"))
    filled.give_feedback(make_feedback("Who lost the ferry?", Verdict.UNANSWERABLE))
    kept = filled.feedback()
    filled.close()
    return kept


def kept_in(path: Path) -> dict[int, Feedback | None]:
    with Library(path) as library:
        return library.feedback()


def damage(path: Path, statement: str) -> None:
    with closing(apsw.Connection(str(path / DATABASE))) as db:
        db.execute(statement)


class TestMaking:
    def test_is_of_now(self) -> None:
        made = make_feedback("Who?", Verdict.UNANSWERABLE)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made.created)

    def test_what_can_not_be_stored_is_replaced(self) -> None:
        made = make_feedback(" Wh\ud800?\n", Verdict.RIGHT, MONDAY, " s\0 ", "2026-11-24T09:30:00Z")
        assert made == Feedback("2026-11-24T09:30:00Z", "Wh\ufffd?", Verdict.RIGHT, MONDAY, "s\ufffd")

    @pytest.mark.parametrize("verdict", [Verdict.RIGHT, Verdict.WRONG, Verdict.BETTER])
    def test_needs_a_place(self, verdict: Verdict) -> None:
        with pytest.raises(InvalidInput, match=f"it is not said what is {verdict}; name the article and the quote, or"):
            make_feedback("Who?", verdict)

    def test_blank_quote(self) -> None:
        with pytest.raises(InvalidInput, match="the quote that is right is empty; give its words"):
            make_feedback("Who?", Verdict.RIGHT, Place("bridge", 3, 4, " "))

    def test_comment(self) -> None:
        assert make_feedback("Who?", Verdict.UNANSWERABLE, None, " \n").comment is None
        assert make_feedback("Who?", Verdict.UNANSWERABLE, None, "c" * 2_000).comment == "c" * 2_000
        with pytest.raises(InvalidInput, match="the comment has 2,001 characters; 2,000 are the most"):
            make_feedback("Who?", Verdict.UNANSWERABLE, None, "c" * 2_001)

    @pytest.mark.parametrize("verdict", list(Verdict))
    def test_row_and_back(self, verdict: Verdict) -> None:
        made = make_feedback("Who?", verdict, MONDAY, "why")
        assert feedback_of(feedback_row(made)) == made
        assert feedback_of(feedback_row(make_feedback("Who?", Verdict.UNANSWERABLE))).place is None


class TestGiving:
    def test_is_kept_with_the_text_it_is_about(self, filled: Library, open_library: OpenLibrary) -> None:
        given = make_feedback(QUESTION, Verdict.RIGHT, MONDAY, "as the Post says", "2026-11-24T09:30:00Z")
        assert filled.give_feedback(given) == 1
        place = Place("bridge", 35, 41, "Monday", filled.article("bridge").sha256)
        expected = Feedback("2026-11-24T09:30:00Z", QUESTION, Verdict.RIGHT, place, "as the Post says")
        assert open_library().feedback() == {1: expected}

    @pytest.mark.parametrize(
        ("place", "message"),
        [
            (
                Place("bridge", 34, 40, "Monday"),
                "not this quote at this place; the quote stands in it at 35; quote the",
            ),
            (Place("bridge", 35, 42, "Monday"), "not this quote at this place; the quote stands in it at 35"),
            (Place("bridge", -1, 5, "Monday"), "not this quote at this place; the quote stands in it at 35"),
            (Place("bridge", 35, 41, "Friday"), "not in it; quote the article word for word, with its place"),
            (Place("bridge", 35, 41, "Monday", "0" * 64), "text has changed since; the quote stands in it at 35"),
            (Place("bridge", 0, 1, "a"), "stands in it at 11, 15, 19, 24, 39; quote"),
        ],
    )
    def test_quote_that_is_not_there(self, filled: Library, place: Place, message: str) -> None:
        with pytest.raises(InvalidInput, match=message):
            filled.give_feedback(make_feedback(QUESTION, Verdict.WRONG, place))
        assert filled.feedback() == {}

    def test_unknown_article(self, filled: Library) -> None:
        with pytest.raises(ArticleNotFound, match="there is no article 'tunnel' in the library; see: pullquote list"):
            filled.give_feedback(make_feedback(QUESTION, Verdict.UNANSWERABLE, Place("tunnel", 0, 1, "A")))

    @pytest.mark.parametrize(("question", "message"), [(" ", "question is empty"), ("?" * 10_001, "10,001 characters")])
    def test_question_that_is_none(self, filled: Library, question: str, message: str) -> None:
        with pytest.raises(InvalidInput, match=message):
            filled.give_feedback(make_feedback(question, Verdict.UNANSWERABLE))

    def test_while_another_process_writes(self, filled: Library) -> None:
        with write_lock(filled.path), pytest.raises(LibraryBusy, match="is being written to by process"):
            filled.give_feedback(make_feedback("Who?", Verdict.UNANSWERABLE))
        with write_lock(filled.path), pytest.raises(LibraryBusy, match="is being written to by process"):
            filled.remove_feedback([])

    def test_does_not_change_the_articles(self, filled: Library) -> None:
        filled.search("bridge", 1)
        before = filled._store.generation
        filled.give_feedback(make_feedback(QUESTION, Verdict.RIGHT, MONDAY))
        assert filled._store.generation == before


class TestRemoving:
    def test_all_or_none(self, said: dict[int, Feedback | None], open_library: OpenLibrary) -> None:
        library = open_library()
        with pytest.raises(InvalidInput, match="there is no feedback 7; see: pullquote feedback list"):
            library.remove_feedback([1, 7])
        assert library.feedback() == said
        library.remove_feedback([3, 1])
        assert library.feedback() == {2: said[2]}

    def test_keys_are_never_used_again(self, said: dict[int, Feedback | None], open_library: OpenLibrary) -> None:
        library = open_library()
        library.remove_feedback([1, 2, 3])
        assert library.give_feedback(make_feedback("Who?", Verdict.UNANSWERABLE)) == 4


def remove_articles(path: Path, embedder: Embedder) -> None:
    with Library(path) as library:
        library.remove(["bridge", "chess"])


def replace_articles(path: Path, embedder: Embedder) -> None:
    with Library(path, embedder) as library:
        library.add([make_article("Another text.", id="bridge")])


def compact_it(path: Path, embedder: Embedder) -> None:
    remove_articles(path, embedder)
    compact(path)


def reindex_it(path: Path, embedder: Embedder) -> None:
    reindex(path, embedder)


def restore_it(path: Path, embedder: Embedder) -> None:
    backup(path, path.with_name("backup"))
    with Library(path) as library:
        library.remove_feedback([1, 2, 3])
    restore(path.with_name("backup"), path, force=True)


def mend_in_place(path: Path, embedder: Embedder) -> None:
    damage(path, "DROP INDEX article_source")
    assert {finding.check for finding in repair(path, embedder).mended} == {"schema"}


def salvage(path: Path, embedder: Embedder) -> None:
    zero("article", 0)(path)
    repair(path, embedder)
    restore(path / f"{DATABASE}.salvaged", path, force=True)


@pytest.mark.parametrize(
    "happens",
    [remove_articles, replace_articles, compact_it, reindex_it, restore_it, mend_in_place, salvage],
)
def test_feedback_outlives(
    happens: Callable[[Path, Embedder], None],
    said: dict[int, Feedback | None],
    library_path: Path,
    embedder: Embedder,
) -> None:
    happens(library_path, embedder)
    assert kept_in(library_path) == said
    with Library(library_path, embedder) as library:
        library.settle()
    assert [one.check for one in check(library_path, embedder).findings if one.kind is not Kind.WARNING] == []


CHANGES = [
    "created = '2026'",
    "question = 'Who lost?'",
    "verdict = 'wrong'",
    "verdict = 'splendid'",
    "article = 'ferry'",
    "article = NULL",
    "start = 1",
    '"end" = 8',
    "quote = 'Castle F'",
    "quote = CAST(x'ff' AS TEXT)",
    "text_sha256 = NULL",
    "comment = NULL",
    "checksum = ''",
]


class TestDamage:
    @pytest.mark.parametrize("change", CHANGES)
    def test_harms_nothing_else(
        self, change: str, said: dict[int, Feedback | None], library_path: Path, embedder: Embedder
    ) -> None:
        damage(library_path, f"UPDATE feedback SET {change} WHERE key = 2")
        [finding] = check(library_path, embedder).findings
        assert (finding.check, finding.kind) == ("feedback", Kind.TRUTH)
        assert finding.message == "feedback that is not what was stored: 2"
        assert finding.remedy == "remove it with: pullquote feedback remove KEY"
        with Library(library_path, embedder) as library:
            assert library.feedback() == {1: said[1], 2: None, 3: said[3]}
            assert library.search("bridge", 1)[0].passage.article.id == "bridge"
        assert backup(library_path, library_path.with_name("backup")).articles == 4
        restore(library_path.with_name("backup"), library_path, force=True)
        with Library(library_path, embedder) as library:
            assert library.feedback() == {1: said[1], 2: None, 3: said[3]}
            library.remove_feedback([2])
        assert {one.check for one in check(library_path, embedder).findings} == {"kept"}

    def test_is_kept_when_the_database_is_mended(
        self, said: dict[int, Feedback | None], library_path: Path, embedder: Embedder
    ) -> None:
        damage(library_path, "UPDATE feedback SET verdict = 'wrong' WHERE key = 2; DROP INDEX article_source")
        report = repair(library_path, embedder)
        assert ({one.check for one in report.mended}, {one.check for one in report.findings}) == (
            {"schema"},
            {"feedback"},
        )
        assert kept_in(library_path) == {1: said[1], 2: None, 3: said[3]}

    def test_many_are_named_in_short(self, filled: Library, embedder: Embedder) -> None:
        for _ in range(7):
            filled.give_feedback(make_feedback("Who?", Verdict.UNANSWERABLE))
        damage(filled.path, "UPDATE feedback SET question = 'Why?' WHERE key > 1")
        [finding] = check(filled.path, embedder).findings
        assert finding.message == "feedback that is not what was stored: 2, 3, 4, 5, 6 and 1 more"

    def test_lost_page(self, said: dict[int, Feedback | None], library_path: Path, embedder: Embedder) -> None:
        """Nobody knows what was in it: the library stays as it is, and a copy beside it has all articles."""
        zero("feedback", 0)(library_path)
        report = repair(library_path, embedder)
        assert {one.check for one in report.findings if one.kind is Kind.TRUTH} == {"feedback_lost"}
        with Library(library_path, embedder) as library:
            assert library.search("bridge", 1)[0].passage.article.id == "bridge"
        assert restore(library_path / f"{DATABASE}.salvaged", library_path, force=True).articles == 4
        assert kept_in(library_path) == {}
        assert {one.check for one in check(library_path, embedder).findings} == {"kept", "salvaged"}

    def test_lost_page_of_none(self, filled: Library, library_path: Path, embedder: Embedder) -> None:
        filled.close()
        zero("feedback", 0)(library_path)
        report = repair(library_path, embedder)
        assert ({one.check for one in report.mended}, report.findings) == ({"structure"}, ())

    def test_table_that_is_gone(self, said: dict[int, Feedback | None], library_path: Path, embedder: Embedder) -> None:
        damage(library_path, "DROP TABLE feedback")
        assert {one.check for one in repair(library_path, embedder).mended} == {"schema"}
        assert kept_in(library_path) == {}


def test_compact_leaves_no_removed_feedback(said: dict[int, Feedback | None], library_path: Path) -> None:
    with Library(library_path) as library:
        library.remove_feedback([2])
    assert "🏆".encode() in (library_path / DATABASE).read_bytes()
    compact(library_path)
    assert "🏆".encode() not in (library_path / DATABASE).read_bytes()


def test_earlier_version_has_none(library_path: Path, filled: Library, embedder: Embedder) -> None:
    filled.settle()
    filled.close()
    damage(library_path, "DROP TABLE feedback; DROP TABLE trait; DROP TABLE band; PRAGMA user_version = 2")
    [finding] = check(library_path, embedder).findings
    assert (finding.check, finding.message) == ("migration", "the schema is of version 2")
    assert repair(library_path, embedder).findings == ()
    assert kept_in(library_path) == {}
