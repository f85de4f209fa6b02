"""The pages: every state, their headers, and that nothing on them is more than text."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from zipfile import ZipFile

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from test_server_toys import RECIPE, TREATY, serving

from index.feedback import Verdict
from index.library import Library
from index.lock import write_lock
from qa.answer import Answer, Ask, Candidate, Citation, NoAnswer, Question
from qa.confidence import Evidence
from server.pages import articles as article_pages
from server.pages import cut
from server.pages.cut import PART_CHARACTERS, Part, around, parts
from server.pages.paths import web_address
from server.pages.places import MAX_PLACES, places
from server.pages.render import HEADERS, STATIC
from server.pages.routes import routes
from server.pages.words import date_words, percent, sureness

BROWSER = {"accept": "text/html,application/xhtml+xml", "origin": "http://localhost", "sec-fetch-site": "same-origin"}
QUESTION = "When was it signed?"
SHA256 = sha256(str(TREATY["text"]).encode()).hexdigest()
LATER = {"id": "treaty-later", "title": "Looking back", "source": "Almanac", "text": "As said, it was in 1648."}


@dataclass
class Page(HTMLParser):
    """A page's elements, and its text as a reader sees it."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag == "mark":
            self.marks.append("")
        if tag not in ("meta", "link", "input"):
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if "mark" in self.inside:
            self.marks[-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str, **wanted: str | None) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag and wanted.items() <= found.items()]

    def links(self) -> list[str]:
        return [str(found["href"]) for found in self.all("a")]

    def fields(self) -> dict[str, str | None]:
        """The hidden fields of the page's forms."""
        return {str(found["name"]): found["value"] for found in self.all("input", type="hidden")}


def read(response: Any) -> Page:
    """The page, once it is known to be a whole one with its headers."""
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    for name, value in HEADERS.items():
        assert response.headers[name] == value
    assert response.headers["x-content-type-options"] == "nosniff"
    page = Page()
    page.feed(response.text)
    page.close()
    assert page.inside == []
    assert (len(page.all("main")), len(page.all("h1"))) == (1, 1)
    return page


@contextmanager
def browsing(path: Path, *records: dict[str, Any], **settings: Any) -> Iterator[TestClient]:
    """A client as a browser is one."""
    with serving(path, *records, **settings) as client:
        client.headers.update(BROWSER)
        yield client


def said(client: TestClient) -> list[tuple[str, Verdict, tuple[str, int, int, str] | None]]:
    kept = client.app.state.collections.main.library.feedback().values()  # type: ignore[attr-defined]
    return [
        (one.question, one.verdict, one.place and (one.place.article, one.place.start, one.place.end, one.place.quote))
        for one in kept
    ]


def candidate(library: Library, confidence: float, *slices: tuple[str, str]) -> Candidate:
    """What quotes the words in the articles; a sentence is the whole text."""
    evidence = Evidence(score=3.0, margin=3.0, fused=1.0, cosine=0.5, places=1, words=2)
    citations = []
    for id, words in slices:
        article = library.article(id)
        start = article.text.index(words)
        citations.append(Citation(article, start, start + len(words), 0, len(article.text)))
    return Candidate(confidence, evidence, tuple(citations))


def answering(
    best: tuple[float, tuple[tuple[str, str], ...]] | None,
    others: tuple[tuple[float, tuple[tuple[str, str], ...]], ...] = (),
    *,
    reason: NoAnswer | None = None,
    unread: int = 0,
    complete: bool = True,
    nothing: bool = False,
) -> Callable[[Library], Ask]:
    """An ask that gives this answer, whatever is asked."""

    def over(library: Library) -> Ask:
        def ask(question: Question) -> Answer:
            hits = () if nothing else tuple(library.search(question.text, 10, question.filter))
            given = candidate(library, best[0], *best[1]) if best else None
            alternatives = tuple(candidate(library, sure, *slices) for sure, slices in others)
            confidence = given.confidence if given else 0.0
            return Answer(question.text, given, reason, confidence, alternatives, hits, unread, complete, {"total": 1})

        return ask

    return over


@contextmanager
def asking(path: Path, over: Callable[[Library], Ask], *records: dict[str, Any]) -> Iterator[TestClient]:
    """A browser of a server whose answers are given."""
    box: list[Ask] = []

    def ask(question: Question) -> Answer:
        return box[0](question)

    with browsing(path, *records, ask=ask) as client:
        box.append(over(client.app.state.collections.main.library))  # type: ignore[attr-defined]
        yield client


# The answer


def test_front_page(tmp_path: Path) -> None:
    with browsing(tmp_path, TREATY, RECIPE) as client:
        page = read(client.get("/"))
    assert "The answer is quoted word for word from the 2 articles of this library" in page.text
    assert page.all("input", name="q")[0]["value"] == ""
    assert page.all("label", **{"for": "q"})


def test_empty_library(tmp_path: Path) -> None:
    with browsing(tmp_path) as client:
        for path in ("/", f"/?q={quote(QUESTION)}"):
            page = read(client.get(path))
            assert "There are no articles yet" in page.text
            assert "/add" in page.links()


def test_answer(tmp_path: Path) -> None:
    with asking(tmp_path, answering((0.72, (("treaty-1648", "in 1648"),))), TREATY) as client:
        page = read(client.get("/", params={"q": QUESTION}))
    assert "Answer in 1648 The treaty, Almanac, 24 October 1998 likely, 72 % sure" in page.text
    assert page.all("time") == [{"datetime": "1998-10-24"}]
    assert page.marks == ["in 1648"]
    place = f"start=14&end=21&text_sha256={SHA256[:12]}&q=When+was+it+signed%3F#quote"
    assert f"/articles/treaty-1648?{place}" in page.links()
    assert "https://example.org/treaty#:~:text=in%201648" in page.links()
    assert page.all("input", name="q")[0]["value"] == QUESTION
    assert "The one passage found was read." in page.text


def test_page_of_the_printed_source_is_cited(tmp_path: Path) -> None:
    cup = {"id": "cup", "title": "Chess cup", "text": "Castle FC won it.", "metadata": {"pages": {"0": "4", "10": "5"}}}
    with asking(tmp_path, answering((0.9, (("cup", "won"),))), cup) as client:
        assert "Answer won Chess cup, page 5 almost certain" in read(client.get("/", params={"q": "Who won it?"})).text


def test_quote_behind_an_emoji_is_marked_at_its_place(tmp_path: Path) -> None:
    text = "🕊🕊 Peace 🕊 came in 1648 🕊 at last."
    with asking(tmp_path, answering((0.5, (("dove", "in 1648 🕊"),))), {"id": "dove", "text": text}) as client:
        page = read(client.get("/", params={"q": QUESTION}))
        link = next(link for link in page.links() if "#quote" in link)
        article = read(client.get(link))
    assert (page.marks, article.marks) == (["in 1648 🕊"], ["in 1648 🕊"])


def test_quote_in_the_passage_it_was_found_in_or_else_in_its_sentence() -> None:
    citation = {"article": "a", "start": 25, "end": 29, "sentence": "It was here.", "sentence_start": 18}
    hits = [
        {"article": "b", "start": 20, "end": 40, "text": "another article"},
        {"article": "a", "start": 0, "end": 28, "text": "a passage that ends within it"},
        {"article": "a", "start": 10, "end": 34, "text": "Before. It was here. After."},
    ]
    assert around(citation, hits) == ("Before. It was ", "here", ". After.")  # type: ignore[arg-type]
    assert around(citation, hits[:2]) == ("It was ", "here", ".")  # type: ignore[arg-type]


def test_copies_are_one_place(tmp_path: Path) -> None:
    copies = [{**TREATY, "id": f"copy {number}", "url": None, "title": None} for number in range(4)]
    best = (0.95, (("treaty-1648", "in 1648"), *((str(copy["id"]), "in 1648") for copy in copies)))
    with asking(tmp_path, answering(best), TREATY, *copies) as client:
        page = read(client.get("/", params={"q": QUESTION}))
        copy = read(client.get("/articles/copy%200"))
    assert "It also stands here" not in page.text
    assert "; the same in a copy, another, another and 1 more" in page.text
    assert [link for link in page.links() if "copy" in link] == [f"/articles/copy%20{number}" for number in range(3)]
    assert "A copy of another article" in copy.text
    assert "/articles/treaty-1648" in copy.links()


def test_places_that_say_the_same_and_other_answers(tmp_path: Path) -> None:
    best = (0.95, (("treaty-1648", "in 1648"), ("treaty-later", "in 1648")))
    others = ((0.2, (("treaty-1648", "Nobody"), ("treaty-1648", "expected"), ("treaty-later", "As said"))),)
    with asking(tmp_path, answering(best, others), TREATY, LATER) as client:
        page = read(client.get("/", params={"q": QUESTION}))
    assert "It also stands here As said, it was in 1648." in page.text
    assert "Other answers Nobody doubtful, 20 % sure" in page.text
    assert page.marks == ["in 1648", "in 1648", "Nobody"]
    places = [re.sub(r"&text_sha256=.*", "", link) for link in page.links() if "?start=" in link]
    assert places == [
        *("/articles/treaty-1648?start=14&end=21", "/articles/treaty-1648?start=14&end=21"),
        *("/articles/treaty-later?start=16&end=23", "/articles/treaty-1648?start=14&end=21"),
        *("/articles/treaty-1648?start=23&end=29", "/articles/treaty-later?start=0&end=7"),
    ]


@pytest.mark.parametrize(
    ("complete", "told"), [(True, "since the answer was settled before"), (False, "since the time was up")]
)
def test_what_was_not_read(tmp_path: Path, complete: bool, told: str) -> None:
    over = answering((0.9, (("treaty-1648", "in 1648"),)), unread=1, complete=complete)
    with asking(tmp_path, over, TREATY, RECIPE) as client:
        page = read(client.get("/", params={"q": QUESTION, "since": ""}))
    assert f"1 of 2 passages found was not read, {told}" in page.text
    assert "/?q=When+was+it+signed%3F&exhaustive=true" in page.links()


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (NoAnswer.NOTHING_ANSWERS, "The passages that come closest were read, and none of them answers this."),
        (NoAnswer.BELOW_THRESHOLD, "Something was found that may answer this, but it is not sure enough to be given."),
    ],
)
def test_no_answer(tmp_path: Path, reason: NoAnswer, told: str) -> None:
    over = answering(None, ((0.1, (("treaty-1648", "Nobody"),)),), reason=reason)
    with asking(tmp_path, over, TREATY) as client:
        page = read(client.get("/", params={"q": "Who?"}))
    assert f"No answer {told}" in page.text
    assert "The closest passages The treaty, Almanac, 24 October 1998 It was signed in 1648." in page.text
    assert "Not sure enough to be given Nobody doubtful, 10 % sure" in page.text
    assert page.fields() == {"question": "Who?"}


def test_nothing_passes_the_filter(tmp_path: Path) -> None:
    over = answering(None, reason=NoAnswer.NOTHING_RETRIEVED)
    with asking(tmp_path, over, TREATY) as client:
        page = read(client.get("/", params={"q": "Who?", "source": "Nobody's", "since": "2024-01-01"}))
    assert "There was nothing to read: no article passes the filter." in page.text
    assert "/?q=Who%3F" in page.links()
    assert page.all("input", name="source")[0]["value"] == "Nobody's"
    assert page.all("input", name="since")[0]["value"] == "2024-01-01"
    assert page.all("details", open=None)


def test_nothing_found_without_a_filter(tmp_path: Path) -> None:
    over = answering(None, reason=NoAnswer.NOTHING_RETRIEVED, nothing=True)
    with asking(tmp_path, over, TREATY) as client:
        assert "no passage was found" in read(client.get("/", params={"q": "Who?"})).text


def test_filters_are_asked_for(tmp_path: Path) -> None:
    asked = []

    def ask(question: Question) -> Answer:
        asked.append(question)
        return Answer(question.text, None, NoAnswer.NOTHING_RETRIEVED, 0.0, (), (), 0, True, {"total": 1.0})

    with browsing(tmp_path, TREATY, ask=ask) as client:
        client.get(
            "/?q=Who%3F&source=Almanac&source=Kitchen&language=en&since=1998-01-01&until=1999-01-01&exhaustive=true"
        )
    (question,) = asked
    assert (question.filter.sources, question.filter.languages) == ({"Almanac", "Kitchen"}, {"en"})
    assert (question.filter.since, question.filter.until, question.exhaustive) == ("1998-01-01", "1999-01-01", True)


def test_a_url_has_nothing_that_was_left_empty(tmp_path: Path) -> None:
    with browsing(tmp_path, TREATY) as client:
        response = client.get("/?q=Who%3F&source=+&since=&until=1999-01-01", follow_redirects=False)
        assert (response.status_code, response.headers["location"]) == (307, "/?q=Who%3F&until=1999-01-01")
        assert client.get("/?q=+", follow_redirects=False).headers["location"] == "/"


# Errors


def test_what_cannot_be_asked_is_told_above_the_form_as_it_was(tmp_path: Path) -> None:
    with browsing(tmp_path, TREATY) as client:
        response = client.get("/", params={"q": "Who?", "since": "yesterday"})
        page = read(response)
        named = read(client.get("/", params={"q": "Who?", "language": "German"}))
        long = client.get("/", params={"q": "?" * 10_001})
    assert response.status_code == 422
    assert "since: Input should be a date like 2023-07-28" in page.text
    assert page.all("input", name="q")[0]["value"] == "Who?"
    assert named.all("input", name="language")[0]["value"] == "German"
    assert "languages" in named.text
    assert (long.status_code, "at most 10000 characters" in read(long).text) == (422, True)


def test_too_many_wait(tmp_path: Path) -> None:
    with browsing(tmp_path, TREATY, waiting=0) as client, client.app.state.collections.main.queue.place():  # type: ignore[attr-defined]
        response = client.get("/", params={"q": QUESTION})
        page = read(response)
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert "Too many are asking at once" in page.text
    assert "Come again in 1 second" in page.text
    assert "/?q=When+was+it+signed%3F" in page.links()


def test_a_fault_of_ours_says_nothing_of_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def ask(question: Question) -> Answer:
        raise ZeroDivisionError("<b>secret</b>")

    with browsing(tmp_path, TREATY, ask=ask) as client:
        response = client.get("/", params={"q": QUESTION})
    assert response.status_code == 500
    assert "something went wrong on our side" in read(response).text
    assert "secret" not in response.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere", 404), ("/articles/none", 404), ("/remove?id=none", 404), ("/remove", 422), ("/feedback", 405)],
)
def test_nothing_there(tmp_path: Path, path: str, status: int) -> None:
    with browsing(tmp_path) as client:
        response = client.get(path)
        assert response.status_code == status
        read(response)
        assert client.get(path, headers={"accept": "*/*"}).headers["content-type"] == "application/json"


def test_the_api_answers_in_json_whatever_is_accepted(tmp_path: Path) -> None:
    with browsing(tmp_path) as client:
        assert client.get("/v1/articles/none").headers["content-type"] == "application/json"


def test_a_strange_host_is_told_so_on_a_page(tmp_path: Path) -> None:
    with browsing(tmp_path) as client:
        response = client.get("/", headers={"host": "example.org"})
    assert response.status_code == 421
    assert "this server answers this machine only" in read(response).text


# Articles


def test_list_and_its_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(article_pages, "PAGE_ARTICLES", 2)
    with browsing(tmp_path, TREATY, RECIPE, LATER) as client:
        first, second = read(client.get("/articles")), read(client.get("/articles?offset=2"))
        beyond = read(client.get("/articles?offset=7"))
        wrong = client.get("/articles?offset=-1")
    assert "1 to 2 of 3" in first.text
    assert "The treaty Almanac, 24 October 1998 · 48 characters" in first.text
    assert "/articles/recipes%2Fsoup%20%231%3F" in first.links()
    assert [found["href"] for found in first.all("a", rel="next")] == ["/articles?offset=2"]
    assert [found["href"] for found in second.all("a", rel="prev")] == ["/articles?offset=0"]
    assert "Looking back" in second.text
    assert second.all("a", rel="next") == []
    assert "There are only 3" in beyond.text
    assert wrong.status_code == 422


def test_empty_list(tmp_path: Path) -> None:
    with browsing(tmp_path) as client:
        assert "There are no articles yet" in read(client.get("/articles")).text
        assert "Nothing was found" in read(client.get("/articles?q=peace")).text


def test_search(tmp_path: Path) -> None:
    with browsing(tmp_path, TREATY, RECIPE) as client:
        page = read(client.get("/articles", params={"q": "leeks"}))
    assert "Boil the leeks for ten minutes." in page.text
    assert "/articles/recipes%2Fsoup%20%231%3F?start=0&end=31#quote" in page.links()


def test_article(tmp_path: Path) -> None:
    with browsing(tmp_path, TREATY) as client:
        page = read(client.get("/articles/treaty-1648?start=14&end=21"))
        plain = read(client.get("/articles/treaty-1648"))
    assert "The treaty Almanac, 24 October 1998 By Almanac staff" in page.text
    assert "It was signed in 1648. Nobody had expected it 🕊." in page.text
    assert (page.marks, page.all("mark")[0]["id"]) == (["in 1648"], "quote")
    assert "https://example.org/treaty" in page.links()
    assert "Mark the right place" not in page.text
    assert (plain.marks, "signed in 1648" in plain.text) == ([], True)


@pytest.mark.parametrize("place", ["start=40&end=490", "start=7&end=7", "start=9&end=3", "start=-5&end=3", "end=3"])
def test_a_place_that_is_none_marks_nothing(tmp_path: Path, place: str) -> None:
    with browsing(tmp_path, TREATY) as client:
        page = read(client.get(f"/articles/treaty-1648?{place}"))
    assert page.marks == (["It "] if place == "end=3" else [])


def test_nothing_is_marked_in_another_text_than_the_link_was_made_for(tmp_path: Path) -> None:
    link = f"/articles/treaty-1648?start=14&end=21&text_sha256={SHA256[:12]}"
    with browsing(tmp_path, TREATY) as client:
        before = read(client.get(link))
        client.post("/v1/articles", json={**TREATY, "text": "Another text has come, with other words."})
        after = read(client.get(link))
    told = "The article has changed since this link was made"
    assert (before.marks, told in before.text) == (["in 1648"], False)
    assert (after.marks, told in after.text, "Another text has come" in after.text) == ([], True, True)


def test_characters_that_no_page_can_hold(tmp_path: Path) -> None:
    with browsing(tmp_path, {"id": "a", "text": "One\r\ntwo\x0bthree\x0c\x1bfour\x85.", "title": "\x00\x07"}) as client:
        response = client.get("/articles/a")
    assert read(response).all("article")
    assert "One\r\ntwo\ufffdthree\x0c\ufffdfour\ufffd." in response.text


def test_long_article_is_shown_in_parts(tmp_path: Path) -> None:
    text = "".join(f"Line {number} of the log 🕊.\n" for number in range(10_000)).strip()
    start = text.index("Line 9000 ")
    with browsing(tmp_path, {"id": "log", "text": text}) as client:
        first = read(client.get("/articles/log"))
        second = read(client.get("/articles/log?part=2"))
        marked = read(client.get(f"/articles/log?start={start}&end={start + 9}"))
        last = read(client.get("/articles/log?part=99"))
    assert ("Part 1 of 3" in first.text, "Line 0 of" in first.text, "Line 9000" in first.text) == (True, True, False)
    assert "Part 2 of 3" in second.text
    assert ("Part 3 of 3" in marked.text, marked.marks) == (True, ["Line 9000"])
    assert ("Part 3 of 3" in last.text, "Line 9999" in last.text) == (True, True)


@pytest.mark.parametrize("text", ["", "a" * 350_000, "word " * 70_000, "line\n" * 70_000, "🕊" * PART_CHARACTERS])
def test_parts_are_the_whole_text(text: str) -> None:
    found = parts(text)
    assert "".join(text[part.start : part.end] for part in found) == text
    assert max(part.end - part.start for part in found) <= PART_CHARACTERS
    assert len(found) <= len(text) // (PART_CHARACTERS - cut._SLACK_CHARACTERS) + 1


def test_a_quote_across_two_parts_is_shown_whole(tmp_path: Path) -> None:
    start = PART_CHARACTERS - 3
    with browsing(tmp_path, {"id": "a", "text": "x" * PART_CHARACTERS + "yyy" + "z" * 10}) as client:
        page = read(client.get(f"/articles/a?start={start}&end={start + 6}"))
    assert page.marks == ["xxxyyy"]


# Adding and removing


def test_add_a_text(tmp_path: Path) -> None:
    typed = {"text": "Peace came.\r\n\r\nAt last.", "title": "Peace", "source": " Almanac ", "published": "", "url": ""}
    with browsing(tmp_path) as client:
        assert "multipart/form-data" in {found["enctype"] for found in read(client.get("/add")).all("form")}
        page = read(client.post("/articles", files={name: (None, value) for name, value in typed.items()}))
        (listed,) = client.get("/v1/articles").json()["articles"]
        article = client.get(f"/v1/articles/{listed['id']}").json()
    assert "The article is in the library Peace added" in page.text
    assert (article["text"], article["title"], article["source"]) == ("Peace came.\n\nAt last.", "Peace", "Almanac")


@pytest.mark.parametrize(
    ("name", "data", "titles"),
    [
        ("a.md", b"---\ntitle: Peace\n---\nIt *came*.", ["Peace"]),
        ("a.txt", b"Peace\n\nIt came.", ["Peace"]),
        ("a.jsonl", b'{"text": "One.", "title": "1"}\n{"text": "Two.", "title": "2"}', ["1", "2"]),
        ("noname", b'{"text": "One.", "title": "1"}', ["1"]),
        (
            "a.html",
            b"<html><title>Peace</title><article><p>It came at last, as the council said.</p>",
            ["Peace"],
        ),
        ("a.csv", b"headline,body\nPeace,It came.", ["Peace"]),
        ("a.md.gz", gzip.compress(b"# Peace\n\nIt came."), ["Peace"]),
    ],
)
def test_add_a_file(tmp_path: Path, name: str, data: bytes, titles: list[str]) -> None:
    with browsing(tmp_path) as client:
        response = client.post("/articles", files={"file": (name, data)})
        listed = client.get("/v1/articles").json()["articles"]
    assert response.status_code == 200
    read(response)
    assert [article["title"] for article in listed] == titles


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"text": (None, " ")}, "there is no text; paste one or choose a file"),
        ({"file": ("", b"")}, "there is no text; paste one or choose a file"),
        ({"file": ("a.txt", b"")}, "a.txt: it is empty"),
        ({"file": ("a.jsonl", b'{"text": 2}\n{"text": 1}')}, 'a.jsonl, line 1: it has no "text"'),
        ({"file": ("a.json", b"[" + b"[]," * 60_000 + b"[]]")}, "more than 100,000 strings, commas"),
        (
            {"file": ("a.json.gz", gzip.compress(bytes(100_000_000)))},
            "it unfolds to more than 100 times",
        ),
        ({"file": ("a.pdf", b"%PDF-1.7 and no more")}, "a.pdf: it is no PDF, or a damaged one"),
        ({"text": (None, "x"), "title": (None, "t" * 10_001)}, "title: String should have at most 10000 characters"),
    ],
)
def test_what_cannot_be_added(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with browsing(tmp_path) as client:
        response = client.post("/articles", files=files)
        assert client.get("/v1/articles").json()["total"] == 0
    assert response.status_code == 422
    assert message in read(response).text


def test_files_are_parsed_two_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with browsing(tmp_path) as client, article_pages._FILES.place():
        assert client.post("/articles", files={"file": ("a.txt", b"One.")}).status_code == 200
        with article_pages._FILES.place():
            response = client.post("/articles", files={"file": ("a.txt", b"One.")})
    assert response.status_code == 429
    assert "too many requests are waiting" in read(response).text


def test_a_file_of_too_many_articles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(article_pages, "MAX_RECORDS", 1)
    with browsing(tmp_path) as client:
        response = client.post("/articles", files={"file": ("a.jsonl", b'{"text": "One."}\n{"text": "Two."}')})
        assert client.get("/v1/articles").json()["total"] == 0
    assert (response.status_code, "more than 1 articles" in response.text) == (422, True)


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    with browsing(tmp_path, max_body_bytes=1_000) as client:
        response = client.post("/articles", files={"file": ("a.txt", b"x" * 1_000)})
    assert response.status_code == 413
    assert "This is too large the body is larger than 1,000 bytes" in read(response).text


@pytest.mark.parametrize(
    ("content_type", "body", "status", "message"),
    [
        ("multipart/form-data", b"text=x", 400, "Missing boundary in multipart"),
        ("multipart/form-data; boundary=x", b"--xnonsense", 400, "multipart"),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(21)), 400, "Too many fields"),
        ("text/plain", b"text=x", 422, "there is no text"),
    ],
)
def test_forms_that_are_none(tmp_path: Path, content_type: str, body: bytes, status: int, message: str) -> None:
    with browsing(tmp_path) as client:
        response = client.post("/articles", content=body, headers={"content-type": content_type})
    assert response.status_code == status
    assert message in read(response).text


def test_remove(tmp_path: Path) -> None:
    with browsing(tmp_path, TREATY, RECIPE) as client:
        form = read(client.get("/remove", params={"id": RECIPE["id"]}))
        assert client.get("/v1/articles").json()["total"] == 2
        page = read(client.post("/remove", data=form.fields()))
        again = client.post("/remove", data=form.fields())
        left = [article["id"] for article in client.get("/v1/articles").json()["articles"]]
    assert "Remove this article?" in form.text
    assert "Removed “recipes/soup #1?” is no longer in the library." in page.text
    assert (again.status_code, left) == (404, ["treaty-1648"])


def test_while_another_process_writes(tmp_path: Path) -> None:
    with browsing(tmp_path, TREATY) as client, write_lock(tmp_path / "library"):
        response = client.post("/remove", data={"id": "treaty-1648"})
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert "Not just now" in read(response).text


# Feedback


@pytest.mark.parametrize("verdict", [Verdict.RIGHT, Verdict.WRONG, Verdict.UNANSWERABLE])
def test_feedback_by_the_buttons_of_an_answer(tmp_path: Path, verdict: Verdict) -> None:
    with asking(tmp_path, answering((0.7, (("treaty-1648", "in 1648"),))), TREATY) as client:
        answer = read(client.get("/", params={"q": QUESTION}))
        assert verdict in [found.get("value") for found in answer.all("button", name="verdict")]
        page = read(client.post("/feedback", data={**answer.fields(), "verdict": verdict.value}))
        assert said(client) == [(QUESTION, verdict, ("treaty-1648", 14, 21, "in 1648"))]
    assert "Thank you." in page.text
    assert "/?q=When+was+it+signed%3F" in page.links()


def test_feedback_that_there_is_no_answer(tmp_path: Path) -> None:
    with asking(tmp_path, answering(None, reason=NoAnswer.NOTHING_ANSWERS), TREATY) as client:
        fields = read(client.get("/", params={"q": "Who?"})).fields()
        read(client.post("/feedback", data={**fields, "verdict": "unanswerable"}))
        assert said(client) == [("Who?", Verdict.UNANSWERABLE, None)]


def test_mark_the_right_place(tmp_path: Path) -> None:
    text = "Signed in\n1648. Not in 1649, not at all. In 1649 it was kept."
    with browsing(tmp_path, {"id": "a/b", "text": text}) as client:
        article = read(client.get("/articles/a%2Fb?start=7&end=14&q=When%3F"))
        assert article.fields() == {"question": "When?", "verdict": "better", "article": "a/b"}
        page = read(client.post("/feedback", data={**article.fields(), "quote": " in\r\n1648"}))
        assert said(client) == [("When?", Verdict.BETTER, ("a/b", 7, 14, "in\n1648"))]
    assert "in 1648 is the right answer" in page.text


def test_words_that_stand_at_several_places(tmp_path: Path) -> None:
    with browsing(tmp_path, {"id": "a", "text": "Peace in 1648. War in 1648?"}) as client:
        sent = {"question": "When?", "verdict": "better", "article": "a", "quote": "in 1648"}
        page = read(client.post("/feedback", data=sent))
        assert said(client) == []
        assert "These words stand at 2 places" in page.text
        assert page.marks == ["in 1648", "in 1648"]
        read(client.post("/feedback", data=page.fields()))  # the last form's
        assert said(client) == [("When?", Verdict.BETTER, ("a", 19, 26, "in 1648"))]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"quote": "in 1649"}, 422, "these words do not stand in the article"),
        ({"quote": " "}, 422, "these words do not stand in the article"),
        ({"article": "none"}, 404, "there is no article 'none'"),
        ({"start": "x", "end": "2"}, 422, "start is no place in an article"),
        ({"start": "²", "end": "2"}, 422, "start is no place in an article"),
        ({"start": "14", "end": "14"}, 422, "quote: String should have at least 1 character"),
        ({"start": "14", "end": "21", "text_sha256": "0" * 64}, 422, "the article's text has changed since"),
        ({"quote": "in 1648", "verdict": "splendid"}, 422, "verdict: Input should be 'right'"),
        ({"quote": "in 1648", "question": ""}, 422, "question: String should have at least 1 character"),
        ({"article": "", "verdict": "right"}, 422, "it is not said what is right"),
    ],
)
def test_feedback_that_is_refused(tmp_path: Path, change: dict[str, str], status: int, message: str) -> None:
    with browsing(tmp_path, TREATY) as client:
        sent = {"question": "When?", "verdict": "better", "article": "treaty-1648", **change}
        response = client.post("/feedback", data=sent)
        assert said(client) == []
    assert response.status_code == status
    assert message in read(response).text


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("in 1648", [(4, 11), (20, 27)]),
        ("1648.  In", [(7, 15)]),
        ("1648.", [(7, 12)]),
        ("in 164", []),
        ("n 1648", []),
        ("in (", []),
        ("", []),
    ],
)
def test_places(quote: str, found: list[tuple[int, int]]) -> None:
    assert places("Not in 1648. In war in 1648, again", quote) == [Part(*place) for place in found]


@given(st.text("ab \n\u00a0🕊.", max_size=60), st.data())
def test_places_are_the_words_whatever_is_between_them(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    found = places(text, text[start:end])
    assert {" ".join(text[place.start : place.end].split()) for place in found} <= {" ".join(text[start:end].split())}
    stripped = text[start:end].strip()
    begins = start + text[start:end].find(stripped)
    whole = not re.match(r"\w", text[begins + len(stripped) :]) and not re.search(r"\w$", text[:begins])
    if stripped and whole and len(found) < MAX_PLACES:
        assert Part(begins, begins + len(stripped)) in found


def test_places_in_a_long_text_of_one_word() -> None:
    assert places("a " * 100_000 + "b", "a " * 50_000 + "b") == [Part(100_000, 200_001)]
    assert places("a\n" * 100, "a") == [Part(at, at + 1) for at in range(0, 2 * MAX_PLACES, 2)]


# Only from here


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://example.org"},
        {"origin": "null"},
        {"origin": "http://localhost.example.org"},
        {"origin": "http://localhost:8000"},
        {"origin": "https://localhost:8000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://localhost", "sec-fetch-site": "cross-site"},
        {"origin": "https://example.org", "sec-fetch-site": "same-origin"},
    ],
)
@pytest.mark.parametrize("path", ["/feedback", "/articles", "/remove", "/key"])
def test_no_other_site_can_send_a_form(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    sent = {"id": "treaty-1648", "article": "treaty-1648", "text": "x", "question": "?", "verdict": "unanswerable"}
    with serving(tmp_path, TREATY) as client:
        response = client.post(path, data=sent, headers={"accept": "text/html", **headers})
        assert (said(client), client.get("/v1/articles").json()["total"]) == ([], 1)
    assert response.status_code == 403
    assert "this form was not sent from this site's own page" in read(response).text


@pytest.mark.parametrize(
    "headers", [{"origin": "http://localhost"}, {"sec-fetch-site": "same-origin"}, {"origin": "HTTP://LOCALHOST"}]
)
def test_our_own_forms_are_taken(tmp_path: Path, headers: dict[str, str]) -> None:
    with serving(tmp_path, TREATY) as client:
        origin = {name: value.lower() for name, value in headers.items()}
        assert client.post("/remove", data={"id": "treaty-1648"}, headers=origin).status_code == 200


def test_every_form_that_changes_something_is_one_of_those() -> None:
    changing = {
        route.path for route in routes if {"POST", "PUT", "PATCH", "DELETE"} & set(getattr(route, "methods", ()))
    }  # type: ignore[attr-defined]
    assert changing == {"/feedback", "/articles", "/key", "/remove"}


# Nothing on a page is more than text


ALERT = "alert(document.domain)"
PAYLOADS = [
    f"<script>{ALERT}</script>",
    f"</script><script>{ALERT}</script>",
    f"<ScRiPt >{ALERT}</sCrIpT>",
    "<script src=https://example.org/x.js></script>",
    f"<script/src=data:,{ALERT}></script>",
    f"<img src=x onerror={ALERT}>",
    f"<img src=x oneonerrorrror={ALERT}//",
    f"<svg onload={ALERT}>",
    f"<svg><script>{ALERT}</script></svg>",
    f"<svg><animate onbegin={ALERT} attributeName=x></svg>",
    f"<body onload={ALERT}>",
    f"<iframe src=javascript:{ALERT}></iframe>",
    f"<iframe srcdoc='<script>{ALERT}</script>'></iframe>",
    f"<object data=javascript:{ALERT}>",
    f"<embed src=javascript:{ALERT}>",
    f"<a href=javascript:{ALERT}>x</a>",
    f"<a href='java\tscript:{ALERT}'>x</a>",
    f"<form action=javascript:{ALERT}><button>x</button></form>",
    f"<button formaction=javascript:{ALERT}>x</button>",
    f"<input autofocus onfocus={ALERT}>",
    f"<details open ontoggle={ALERT}>",
    f"<video><source onerror={ALERT}></video>",
    f"<math><mtext></form><form><mglyph><style></math><img src onerror={ALERT}>",
    f"<noscript><p title='</noscript><img src=x onerror={ALERT}>'>",
    f"<textarea></textarea><script>{ALERT}</script>",
    f"</textarea><script>{ALERT}</script>",
    f"</title><script>{ALERT}</script>",
    "<style>@import 'https://example.org/x.css';</style>",
    "<link rel=stylesheet href=https://example.org/x.css>",
    f"<meta http-equiv=refresh content='0;url=javascript:{ALERT}'>",
    "<base href=https://example.org/>",
    f"<div hx-get=/remove hx-trigger=load hx-on:load={ALERT}>x</div>",
    f"<hx-partial hx-target=body><script>{ALERT}</script></hx-partial>",
    f'" autofocus onfocus={ALERT} x="',
    f"' autofocus onfocus={ALERT} x='",
    f"` onmouseover={ALERT} `",
    f"javascript:{ALERT}",
    f"JaVaScRiPt:{ALERT}//https://example.org",
    f"data:text/html,<script>{ALERT}</script>",
    f"vbscript:{ALERT}",
    f"{{{{ {ALERT} }}}}{{% raw %}}${{{ALERT}}}",
    f"<!--><script>{ALERT}</script>-->",
    f"<![CDATA[<script>{ALERT}</script>]]>",
    f"&lt;script&gt;{ALERT}&#60;/script&#62;",
    f"%3Cscript%3E{ALERT}%3C/script%3E",
    f"\u202e<script>{ALERT}</script>\u0000\u0001",
]
ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "header",
        "main",
        "footer",
        "nav",
        "search",
        "section",
    ),
    *("article", "h1", "h2", "h3", "p", "a", "ul", "ol", "li", "div", "span", "strong", "q", "cite", "mark", "time"),
    *(
        "data",
        "figure",
        "figcaption",
        "blockquote",
        "form",
        "label",
        "input",
        "textarea",
        "button",
        "details",
        "summary",
    ),
}
ATTRIBUTES = {
    *("accept", "action", "aria-current", "aria-describedby", "aria-hidden", "aria-label", "aria-labelledby"),
    *(
        "autocomplete",
        "autofocus",
        "charset",
        "class",
        "content",
        "datetime",
        "defer",
        "dir",
        "enctype",
        "enterkeyhint",
    ),
    *("for", "href", "hx-get", "hx-indicator", "hx-post", "hx-push-url", "hx-select", "hx-select-oob", "hx-swap"),
    *("hx-sync", "hx-target", "id", "lang", "maxlength", "method", "name", "open", "rel", "required", "role", "rows"),
    *("src", "tabindex", "type", "value"),
}


def harmless(page: Page) -> None:
    """All of the page's elements and attributes are the templates' own, and all it loads, or links to, is safe."""
    for tag, attributes in page.elements:
        assert tag in ELEMENTS
        assert set(attributes) <= ATTRIBUTES
        for name in ("src", "action", "hx-get", "hx-post"):
            assert str(attributes.get(name, "/")).startswith("/")
        href = str(attributes.get("href", "/"))
        assert re.match(
            r"/(?!/)|#|https?://" if tag == "a" else r"/static/", href if tag in ("a", "link") else "/static/"
        )
    assert len(page.all("script")) == 2


def pages_of(client: TestClient, article: str, question: str) -> Iterator[tuple[str, Page]]:
    """Every page that can show something of an article."""
    path = f"/articles/{quote(article, safe='')}"
    for where in (
        *("/", "/articles", "/articles?offset=1", path, f"{path}?start=0&end=9", "/add", f"{path}?part=2"),
        *(f"{path}?start=0&end=5&q={quote(question)}", f"/?q={quote(question)}", f"/articles?q={quote(question)}"),
        *(f"/?q={quote(question)}&source={quote(question)}", f"/?q={quote(question)}&since={quote(question)}"),
        *(f"/articles/{quote(question, safe='')}x", f"/remove?id={quote(article)}", f"/{quote(question, safe='')}"),
    ):
        yield where, read(client.get(where))
    sent = {"question": question, "article": article}
    yield "wrong", read(client.post("/feedback", data={**sent, "verdict": "wrong", "start": "0", "end": "5"}))
    yield "bad", read(client.post("/feedback", data={**sent, "verdict": question, "start": "0", "end": "5"}))
    yield "better", read(client.post("/feedback", data={**sent, "verdict": "better", "quote": question}))
    yield "several", read(client.post("/feedback", data={**sent, "verdict": "better", "quote": "alert"}))
    yield "remove", read(client.post("/remove", data={"id": article}))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_stays_text(tmp_path: Path, payload: str) -> None:
    record = {
        **dict.fromkeys(("id", "title", "url", "source"), payload),
        "authors": [payload],
        "text": f"{payload} and alert\n\n{payload}",
        "published": "2023-07-28",
        "metadata": {payload: payload},
    }
    linked = {**record, "id": f"{payload}/2", "url": f"https://example.org/{payload}"}
    shown = " ".join(payload.translate({0: "\ufffd", 1: "\ufffd"}).split())
    with browsing(tmp_path, record, linked) as client:
        for id in [article["id"] for article in client.get("/v1/articles").json()["articles"]]:
            showing = {"/articles", f"/remove?id={quote(id)}"}
            if unquote(id) == id:  # the test client decodes a path twice, and so does not find any other
                showing.add(f"/articles/{quote(id, safe='')}")
            for where, page in pages_of(client, id, payload):
                harmless(page)
                assert where not in showing or shown in page.text, where
        harmless(read(client.post("/articles", files={"file": ("a.jsonl", json.dumps(record).encode())})))
        harmless(read(client.post("/articles", files={"file": ("a<b>.json", payload.encode())})))


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("https://example.org/a?b=c#d", True),
        ("HTTP://example.org", True),
        (None, False),
        ("", False),
        ("javascript:alert(1)", False),
        (" https://example.org", False),
        ("https://example.org/\n", False),
        ("ftp://example.org", False),
        ("//example.org", False),
        ("/remove?id=x", False),
    ],
)
def test_addresses_that_may_be_linked(url: str | None, linked: bool) -> None:
    assert web_address(url) == (url if linked else None)


# What browsers load


def test_csp_allows_no_inline_script_or_style_and_nothing_from_elsewhere() -> None:
    policy = HEADERS["Content-Security-Policy"]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives == {
        "default-src": "'none'",
        **{f"{kind}-src": "'self'" for kind in ("script", "style", "font", "connect")},
        "img-src": "'self' data:",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert HEADERS["Referrer-Policy"] == "same-origin"


def test_vendored_files_are_those_that_were_vendored() -> None:
    vendored = json.loads((STATIC / "vendor" / "vendored.json").read_text())
    licences = {one["licence_file"] for one in vendored.values()}
    assert {path.name for path in (STATIC / "vendor").iterdir()} == {*vendored, *licences, "vendored.json"}
    for name, one in vendored.items():
        assert sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == one["sha256"], name
        assert (STATIC / "vendor" / one["licence_file"]).stat().st_size > 500


def test_stylesheets_and_icon_load_nothing_from_elsewhere() -> None:
    for path in (*STATIC.rglob("*.css"), *STATIC.rglob("*.svg")):
        text = path.read_text()
        assert "@import" not in text
        for loaded in re.findall(r"url\(\s*[\"']?([^)\"']+)", text):
            assert loaded.startswith("data:image/svg+xml") or (path.parent / loaded).is_file(), loaded
        assert "href=" not in text


def test_all_that_a_page_loads_is_here(tmp_path: Path) -> None:
    with browsing(tmp_path) as client:
        page = read(client.get("/"))
        loaded = [str(found["href"]) for found in page.all("link")] + [
            str(found["src"]) for found in page.all("script")
        ]
        kinds = [client.get(path).headers["content-type"].partition(";")[0] for path in loaded]
        fonts = [client.get(f"/static/vendor/{path.name}").headers["content-type"] for path in STATIC.rglob("*.woff2")]
        assert client.get("/static/../render.py").status_code == 404
        assert client.get("/static/%2e%2e/render.py").status_code == 404
    assert kinds == ["image/svg+xml", "text/css", "text/css", "text/javascript", "text/javascript"]
    assert fonts == ["font/woff2"] * 2


# Words


@pytest.mark.parametrize(
    ("confidence", "words"),
    [
        (1.0, "almost certain"),
        (0.9, "almost certain"),
        (0.8999, "likely"),
        (0.6, "likely"),
        (0.5999, "possible"),
        (0.3, "possible"),
        (0.2999, "doubtful"),
        (0.0, "doubtful"),
    ],
)
def test_sureness(confidence: float, words: str) -> None:
    assert sureness(confidence) == words


@pytest.mark.parametrize(
    ("confidence", "number"),
    [(1.0, "over 99"), (0.994, "99"), (0.5, "50"), (0.006, "1"), (0.004, "under 1"), (0, "under 1")],
)
def test_percent(confidence: float, number: str) -> None:
    assert percent(confidence) == f"{number}\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("published", "words"),
    [
        ("2023-07-28", "28 July 2023"),
        ("2023-07-28T09:30:00Z", "28 July 2023, 09:30 UTC"),
        ("0999-01-02", "2 January 999"),
        ("9999-12-31T23:59:59Z", "31 December 9999, 23:59 UTC"),
    ],
)
def test_date_words(published: str, words: str) -> None:
    assert date_words(published) == words


def test_what_can_be_read_of_an_archive_is_added_and_the_rest_is_told(tmp_path: Path) -> None:
    file = tmp_path / "all.zip"
    with ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "The treaty was signed in 1648.")
        archive.writestr("b.txt", "")
    with serving(tmp_path) as client:
        response = client.post("/articles", files={"file": ("all.zip", file.read_bytes())}, headers=BROWSER)
        listed = client.get("/v1/articles").json()["total"]
    assert response.status_code == 200
    assert "The article is in the library" in read(response).text
    assert "all.zip!b.txt: it is empty" in read(response).text
    assert listed == 1
