"""`pullquote copy`, and the other commands on a library in Milvus."""

import json
from pathlib import Path

import pytest
from conftest import Run, ToyEmbedder

from index import copying
from index.article import make_article
from index.base import AnyLibrary
from index.feedback import Verdict, make_feedback
from index.library import Library
from index.milvus import MilvusLibrary
from index.opening import open_at
from index.passage import Passage
from qa import cli_copy
from qa.reader import Span

ARTICLES = [
    {"id": f"a{number}", "text": f"The bridge number {number} was shut. Nobody was hurt.", "title": f"Bridge {number}"}
    for number in range(9)
]
MILVUS = "there.milvus"
QUESTION = "Which bridge was shut?"


class WordReader:
    """Answers with the first three characters of each passage."""

    def read(self, question: str, passages: list[Passage]) -> list[list[Span]]:
        return [[Span(passage, passage.start, passage.start + 3, 5.0)] for passage in passages]


@pytest.fixture
def reader() -> WordReader:
    return WordReader()


@pytest.fixture
def library(run: Run, tmp_path: Path) -> Path:
    """A library of nine articles with a setting and feedback, two of them from one file."""
    path = tmp_path / "library"
    assert run("add", "-", stdin="\n".join(map(json.dumps, ARTICLES))).code == 0
    with Library(path, ToyEmbedder()) as opened:
        opened.add([make_article("One.", id="one", origin="/a"), make_article("Two.", id="two", origin="/b")])
        opened.add([make_article("Two.", id="two", origin="/a")])
        opened.note("dense_weight", "0.25")
        opened.give_feedback(make_feedback("Who?", Verdict.UNANSWERABLE))
    return path


def all_of(path: Path) -> object:
    """Everything that a copy has to have."""
    with open_at(path) as opened:
        articles = [(article, article.origin, article.language, count) for article, count in opened.articles()]
        vectors = [item.vectors.tolist() for article, *_ in articles if (item := opened.indexed(article.id))]
        return articles, vectors, opened.settings(), list(opened.feedback().values()), opened.fingerprint()


@pytest.mark.parametrize("there", [MILVUS, "other"])
def test_copied_there_and_back(run: Run, library: Path, tmp_path: Path, there: str) -> None:
    copied = run("copy", "library", there, library=None)
    assert (copied.code, copied.out) == (
        0,
        f"11 articles and 11 passages are in {there} as in library; 11 articles were copied now\n",
    )
    assert run("copy", there, "back", "--json", library=None).lines == [{"articles": 11, "passages": 11, "copied": 11}]
    assert all_of(library) == all_of(tmp_path / there) == all_of(tmp_path / "back")
    again = run("add", "-", stdin=json.dumps(ARTICLES[0]), library=there)
    assert again.out == "0 added, 0 replaced, 1 unchanged\n"


@pytest.mark.parametrize("there", [MILVUS, "other"])
def test_interrupted_and_resumed(
    run: Run, library: Path, tmp_path: Path, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_BATCH_PASSAGES", 2)
    receive = AnyLibrary.receive
    batches: list[int] = []

    def interrupted(library: AnyLibrary, batch: list[object], *rest: object) -> None:
        if sum(batches) == 4:
            raise KeyboardInterrupt
        receive(library, batch, *rest)  # type: ignore[arg-type]
        batches.append(len(batch))

    with monkeypatch.context() as patch:
        patch.setattr(AnyLibrary, "receive", interrupted)
        stopped = run("copy", "library", there, library=None)
    assert (stopped.code, stopped.out) == (130, "")
    assert "run the same command again to go on" in stopped.err
    with open_at(tmp_path / there) as opened:
        assert opened.counts() == (4, 4)
    assert run("copy", "library", there, "--json", library=None).lines == [
        {"articles": 11, "passages": 11, "copied": 7}
    ]
    assert all_of(library) == all_of(tmp_path / there)


def test_what_a_kill_has_left_half_written_stands_in_nobodys_way(run: Run, library: Path, tmp_path: Path) -> None:
    with open_at(library) as here, open_at(tmp_path / MILVUS, create=True) as there:
        item = here.indexed("a3")
        assert item is not None
        assert isinstance(there, MilvusLibrary)
        there.store._written(item)
    copied = {"articles": 11, "passages": 11, "copied": 11}
    assert run("copy", "library", MILVUS, "--json", library=None).lines == [copied]
    assert run("copy", MILVUS, "back", "--json", library=None).lines == [copied]
    assert all_of(library) == all_of(tmp_path / MILVUS) == all_of(tmp_path / "back")


def test_collection_is_copied_into_the_one_of_its_name(run: Run, tmp_path: Path) -> None:
    run("--collection", "press", "add", "-", stdin=json.dumps(ARTICLES[0]))
    assert run("--collection", "press", "copy", "library", MILVUS, library=None).code == 0
    assert [line["id"] for line in run("--collection", "press", "list", "--json", library=MILVUS).lines] == ["a0"]
    assert run("list", library=MILVUS).code == 66


def test_what_is_changed_in_the_source_is_copied_again(run: Run, library: Path, tmp_path: Path) -> None:
    run("copy", "library", MILVUS, library=None)
    run("add", "-", stdin=json.dumps({"id": "a3", "text": "The bridge is open."}))
    assert run("copy", "library", MILVUS, "--json", library=None).lines[0]["copied"] == 1
    assert all_of(library) == all_of(tmp_path / MILVUS)


def test_what_was_lost_in_milvus_is_copied_again(run: Run, library: Path, tmp_path: Path) -> None:
    run("copy", "library", MILVUS, library=None)
    with open_at(tmp_path / MILVUS) as there:
        assert isinstance(there, MilvusLibrary)
        rows = {row.id: row for row in there.store.article_rows()}
        there._milvus.delete(there.store._records, rows["a3"].piece_keys)
        there._milvus.delete(there.store.passage_rows, rows["a5"].passage_keys)
        assert there.incomplete() == {"a3", "a5"}
    copied = {"articles": 11, "passages": 11, "copied": 2}
    assert run("copy", "library", MILVUS, "--json", library=None).lines == [copied]
    assert run("copy", MILVUS, "back", "--json", library=None).lines == [{**copied, "copied": 11}]
    with open_at(library) as here, open_at(tmp_path / "back") as back:
        assert {article.id: (article, count) for article, count in back.articles()} == {
            article.id: (article, count) for article, count in here.articles()
        }


@pytest.mark.usefixtures("library")
def test_what_is_lost_as_soon_as_it_is_copied_is_noticed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MilvusLibrary, "incomplete", lambda library: {"a3"})
    lacking = run("copy", "library", MILVUS, library=None)
    assert lacking.code == 75
    assert "there.milvus and library differ in articles; run the same command again" in lacking.err


@pytest.mark.parametrize("there", [MILVUS, "other"])
def test_setting_that_the_source_has_no_more_goes(run: Run, library: Path, tmp_path: Path, there: str) -> None:
    run("copy", "library", there, library=None)
    with open_at(library) as opened:
        opened.forget("dense_weight")
        opened.note("feed https://example.org/", "{}")
    assert run("copy", "library", there, "--json", library=None).lines[0]["copied"] == 0
    assert all_of(library) == all_of(tmp_path / there)


@pytest.mark.parametrize("there", [MILVUS, "other"])
def test_feedback_of_its_own_is_left_alone(run: Run, library: Path, tmp_path: Path, there: str) -> None:
    run("copy", "library", there, library=None)
    own = make_feedback("Who won?", Verdict.UNANSWERABLE)
    with open_at(tmp_path / there) as opened:
        opened.give_feedback(own)
    refused = run("copy", "library", there, library=None)
    assert refused.code == 64
    assert f"{there} has feedback that library has not, like that on 'Who won?'; copy to a library that" in refused.err
    with open_at(tmp_path / there) as opened:
        assert own in opened.feedback().values()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("source", "target"), [("library", MILVUS), (MILVUS, "back")])
def test_damaged_feedback_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, source: str, target: str) -> None:
    run("copy", "library", MILVUS, library=None)
    feedback = AnyLibrary.feedback

    def damaged(library: AnyLibrary) -> object:
        found = feedback(library)
        return dict.fromkeys(found) if library.where == source else found

    monkeypatch.setattr(AnyLibrary, "feedback", damaged)
    refused = run("copy", source, target, library=None)
    assert refused.code == 65
    assert f"of {source} is not what was stored; see: pullquote --library {source} doctor" in refused.err


@pytest.mark.usefixtures("library")
def test_copy_that_lacks_something_is_noticed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = copying._batches
    monkeypatch.setattr(copying, "_batches", lambda source, ids: batches(source, ids[:-1]))
    lacking = run("copy", "library", MILVUS, library=None)
    assert lacking.code == 75
    assert "there.milvus and library differ in articles; run the same command again" in lacking.err


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("source", "target", "code", "message"),
    [
        ("nowhere", MILVUS, 66, "there is no library at nowhere"),
        ("library", "./library", 64, "library cannot be copied onto itself"),
        ("library", "milvus://host", 64, "milvus://host names no library"),
        (MILVUS, "library", 66, "there is no library at there.milvus"),
    ],
)
def test_refused(run: Run, tmp_path: Path, source: str, target: str, code: int, message: str) -> None:
    refused = run("copy", source, target, library=None)
    assert (refused.code, refused.out) == (code, "")
    assert message in refused.err
    assert not (tmp_path / MILVUS).exists()


@pytest.mark.usefixtures("library")
def test_library_with_articles_of_its_own_is_left_alone(run: Run) -> None:
    run("add", "-", stdin=json.dumps({"id": "own", "text": "Its own article."}), library=MILVUS)
    refused = run("copy", "library", MILVUS, library=None)
    assert refused.code == 64
    assert "there.milvus has 1 articles that library has not, like 'own'; copy to a library that is not" in refused.err
    assert run("list", "--json", library=MILVUS).lines[0]["id"] == "own"


@pytest.mark.usefixtures("library")
class TestQuestions:
    @pytest.fixture(autouse=True)
    def questions(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: WordReader) -> None:
        (tmp_path / "questions.txt").write_text(f"{QUESTION}\n\nWho was hurt?\n")
        monkeypatch.setattr(cli_copy, "load_reader", lambda name, runtime: reader)

    def test_answered_alike(self, run: Run) -> None:
        copied = run("copy", "library", MILVUS, "--questions", "questions.txt", library=None)
        assert copied.code == 0
        assert "2 of 2 questions are answered alike\n" in copied.out

    def test_answered_unlike(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        run("copy", "library", MILVUS, library=None)
        search = AnyLibrary.search

        def worse(library: AnyLibrary, question: str, *rest: object) -> object:
            hits = search(library, question, *rest)  # type: ignore[arg-type]
            return hits[:0] if library.where == MILVUS and question == QUESTION else hits

        monkeypatch.setattr(AnyLibrary, "search", worse)
        copied = run("copy", "library", MILVUS, "--questions", "questions.txt", "--json", library=None)
        assert copied.code == 1
        assert copied.lines == [{"articles": 11, "passages": 11, "copied": 0, "asked": 2, "unlike": [QUESTION]}]

    @pytest.mark.parametrize(("content", "message"), [(b"\n \n", "holds no questions"), (b"\xff", "no UTF-8 text")])
    def test_no_questions(self, run: Run, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "none.txt").write_bytes(content)
        refused = run("copy", "library", MILVUS, "--questions", "none.txt", library=None)
        assert refused.code == 64
        assert message in refused.err


@pytest.mark.parametrize("command", ["backup b.db", "restore b.db", "reindex", "compact"])
def test_what_is_done_to_files_is_not_done_to_milvus(run: Run, command: str) -> None:
    refused = run(*command.split(), library=MILVUS)
    assert refused.code == 64
    assert refused.err.replace("\n", " ") == (
        f"error: {command.split()[0]} is for libraries in directories, and {MILVUS} is in Milvus; copy it to one: "
        f"pullquote copy {MILVUS} DIR "
    )


def test_commands_on_a_library_in_milvus(run: Run) -> None:
    added = run("add", "-", stdin="\n".join(map(json.dumps, ARTICLES)), library=MILVUS)
    assert added.out == "9 added, 0 replaced, 0 unchanged\n"
    assert [line["id"] for line in run("list", "--json", library=MILVUS).lines] == [one["id"] for one in ARTICLES]
    assert run("search", "bridge number 4", "--json", library=MILVUS).lines[0]["article"] == "a4"
    answer = run("ask", "bridge number 4?", "--json", library=MILVUS)
    assert answer.lines[0]["answer"] == "The"
    verified = run("verify", "--json", stdin=answer.out, library=MILVUS)
    assert {line["verification"]["validity"] for line in verified.lines} == {"valid"}
    assert run("feedback", "add", "right", stdin=answer.out, library=MILVUS).code == 0
    assert run("feedback", "list", "--json", library=MILVUS).lines[0]["verdict"] == "right"
    assert run("remove", "a4", library=MILVUS).out == "removed 1\n"
    assert run("show", "a4", library=MILVUS).code == 66
    assert run("--collection", "other", "list", library=MILVUS).code == 66
