"""Rows C1, C4 to C7, C10 and C13 of the reliability matrix in short; `make fuzz` sends more, and takes the time."""

import gzip
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import cycle, product
from pathlib import Path

import pytest
from conftest import ToyEmbedder
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from openapi import SNAPSHOT
from test_server_toys import error

from index import feedback
from index.article import make_article, parse_published
from index.library import Library
from index.passage import TokenSpans
from qa.answer import load
from qa.confidence import Calibration
from server.app import create_app
from tests.fuzz import described
from tests.fuzz_hostile import FILES, SYNTAX, TEXTS, TRAVERSALS, paths
from tests.served import serving, toy
from tests.toy_server import FirstWords

JSON = {"content-type": "application/json"}
FORM = {"sec-fetch-site": "same-origin", "accept": "text/html"}
LIBRARY_FILES = {"pullquote.db", "pullquote.db-wal", "pullquote.db-shm", "lock"}
FERRY = {"id": "ferry", "text": "The ferry hit the breakwater in fog. Nobody was killed."}

PATHS = json.loads(SNAPSHOT.read_text(encoding="utf-8"))["paths"]
POSTED = [path for path, methods in PATHS.items() if "post" in methods]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """Of a server that searches, reads and answers, over two articles."""
    with Library(tmp_path / "library", ToyEmbedder(), create=True) as library:
        library.add([make_article(**FERRY), make_article("It was signed in 1648.", id="treaty")])
        app = create_app(load(library, FirstWords(), Calibration()), library)
        with TestClient(app, base_url="http://localhost") as one:
            yield one


def test_what_is_made_from_the_description(tmp_path: Path) -> None:
    """C1. Every operation is sent its examples, boundary values, random requests and sequences of others."""
    with serving(toy(), tmp_path / "library", tmp_path / "log") as server:
        server.wait_until_ready()
        fuzzed, _ = described(server, cases=10, seed=None)
        assert fuzzed.failures == []
        assert len(fuzzed.operations) == sum(map(len, PATHS.values()))
        assert {"examples", "coverage", "fuzzing", "stateful"} == set(fuzzed.phases)
        assert server.tracebacks == 0


def test_pathological_texts(client: TestClient, word_pieces: TokenSpans, monkeypatch: pytest.MonkeyPatch) -> None:
    """C4. They are stored as they are, read from, and asked."""
    monkeypatch.setattr(ToyEmbedder, "token_spans", staticmethod(word_pieces))
    for name, text_of in TEXTS.items():
        text = text_of(20_000)
        added = client.post("/v1/articles", json={"id": name, "text": text})
        assert added.json() == {"results": [{"id": name, "outcome": "added"}]}
        assert client.get(f"/v1/articles/{name}").json()["text"] == text, name
        read = client.post("/v1/read", json={"question": "Who was killed?", "texts": [{"text": text}]})
        asked = client.post("/v1/ask", json={"question": text[:10_000]})
        assert (name, read.status_code) == (name, 200)
        assert (name, asked.status_code) == (name, 422 if text[:10_000].isspace() else 200)
        assert client.get(f"/articles/{name}", headers=FORM).status_code == 200, name


def test_pathological_files(client: TestClient) -> None:
    for name, text_of in FILES.items():
        sent = client.post("/articles", files={"file": (name, text_of(20_000).encode())}, headers=FORM)
        assert sent.status_code in (200, 422), name
        assert "text/html" in sent.headers["content-type"]


def test_a_question_is_no_query(client: TestClient) -> None:
    """C5. Nothing in it is syntax, and what else it says is still searched for."""
    for syntax in SYNTAX:
        for route in ("/v1/search", "/v1/ask"):
            alone = client.post(route, content=json.dumps({"question": syntax}), headers=JSON)
            beside = client.post(route, content=json.dumps({"question": f"ferry fog {syntax}"}), headers=JSON)
            assert {hit["article"] for hit in alone.json()["hits"]} == {"ferry", "treaty"}, syntax
            assert beside.json()["hits"][0]["article"] == "ferry", syntax
            assert beside.json()["hits"][0]["lexical"] > 0, syntax
        question = f"ferry fog {syntax}".encode(errors="replace").decode()
        assert "breakwater" in client.get("/articles", params={"q": question}, headers=FORM).text, syntax


ODD = ("-1", "1000000000", "9" * 5_000, "1e3", "1.5", "NaN", "inf", "", " ", "x", "0x1", "\0")


@pytest.mark.parametrize("name", ["offset", "limit"])
def test_odd_parameters_of_a_listing(client: TestClient, name: str) -> None:
    """C6."""
    for value in ODD:
        response = client.get("/v1/articles", params={name: value})
        if (name, value) == ("offset", "1000000000"):
            assert response.json()["articles"] == []
        else:
            assert (value, response.status_code) == (value, 422)
            assert error(response)["details"][0]["place"] == f"query.{name}"


def test_odd_parameters_of_pages(client: TestClient) -> None:
    for path, name, value in product(("/", "/articles", "/articles/ferry"), ("start", "part", "q", "offset"), ODD):
        response = client.get(path, params={name: value}, headers=FORM)
        assert response.status_code in (200, 422), (path, name, value)


@pytest.mark.parametrize("path", POSTED)
def test_odd_json(client: TestClient, path: str) -> None:
    """Ten thousand levels, and numbers that are none or hardly any."""
    for opened in ("[", '{"question":', '{"metadata":{"a":'):
        response = client.post(path, content=opened * 10_000, headers=JSON)
        assert response.status_code == 422, opened
    for number in ("1e400", "-1e400", "NaN", "-Infinity", "1" * 5_000, "-0.0", "1e-400", "9e18"):
        content = f'{{"question": "When?", "k": {number}, "start": {number}, "texts": [{{"text": {number}}}]}}'
        assert client.post(path, content=content, headers=JSON).status_code == 422, number


@given(st.text(max_size=64) | st.from_regex(r"\d{4}[-/]\d\d[-/]\d\d([T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:?\d\d)?)?"))
def test_any_text_is_a_date_or_none(text: str) -> None:
    published = parse_published(text)
    assert published is None or parse_published(published) == published


def test_a_compressed_body_is_not_unpacked(client: TestClient) -> None:
    """C7. Ten megabytes of blanks are ten kilobytes then."""
    content = gzip.compress(b'{"question": "When?"}' + b" " * 10**7)
    response = client.post("/v1/ask", content=content, headers={**JSON, "content-encoding": "gzip"})
    assert response.status_code == 422
    assert error(response)["code"] == "invalid_json"


def test_no_name_leads_to_a_file(client: TestClient, tmp_path: Path) -> None:
    """C10. An id is a name and no path; a file's name says how it is read."""
    for path in (path for name in TRAVERSALS for path in paths(name)):
        response = client.get(path)
        assert response.status_code in (200, 404, 422), path
        assert "root:" not in response.text
        assert client.delete(path).status_code in (404, 405, 422), path
        assert client.put(path.replace("articles", "collections", 1)).status_code in (404, 405, 422), path
    for name in TRAVERSALS:
        record = json.dumps({"id": name, "text": "Nobody was killed."})
        assert client.post("/v1/articles", content=record, headers=JSON).status_code == 200, name
        sent = client.post("/articles", files={"file": (f"{name}.txt", b"Nobody was killed.")}, headers=FORM)
        assert sent.status_code == 200, name
    assert {one.name for one in tmp_path.iterdir()} == {"library"}
    assert {one.name for one in (tmp_path / "library").iterdir()} <= LIBRARY_FILES


class Stepping(datetime):
    """A clock that somebody sets back by an hour and ahead by ten years, in turn."""

    steps = cycle([timedelta(hours=-1), timedelta(days=3_650), timedelta()])

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Stepping":
        now = datetime.now(UTC) + next(cls.steps)
        return cls.fromtimestamp(now.timestamp(), tz)


def test_a_clock_that_is_set_changes_nothing(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """C13. What is in order is so by its number, and no time that is waited for is read off a clock."""
    steps = cycle([-3_600.0, 10 * 365 * 86_400.0, 0.0])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(steps))
    monkeypatch.setattr(feedback, "datetime", Stepping)
    place = {"article": "ferry", "start": 4, "end": 9, "quote": "ferry"}
    for number in range(6):
        record = {"id": f"{number}", "text": f"Article {number} of six."}
        assert client.post("/v1/articles", json=record).json()["results"][0]["outcome"] == "added"
        given = {"question": f"{number}?", "verdict": "right", "place": place}
        assert client.post("/v1/feedback", json=given).json() == {"key": number + 1}
        asked = client.post("/v1/ask", json={"question": "What hit the breakwater?", "budget_ms": 600_000})
        assert (asked.status_code, asked.json()["complete"]) == (200, True)
        assert all(0 <= milliseconds < 60_000 for milliseconds in asked.json()["milliseconds"].values())
    listed = client.get("/v1/articles").json()["articles"]
    assert [article["id"] for article in listed] == ["ferry", "treaty", "0", "1", "2", "3", "4", "5"]
    library = client.app.state.collections.main.library
    assert [one.question for one in library.feedback().values()] == [f"{number}?" for number in range(6)]
