"""POST /v1/feedback."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from test_server_toys import TREATY, error, serving

from index.feedback import Feedback, Place, Verdict
from index.lock import write_lock
from server.errors import RETRY_SECONDS

SHA256 = sha256(str(TREATY["text"]).encode()).hexdigest()
PLACE = {"article": "treaty-1648", "start": 14, "end": 21, "quote": "in 1648", "text_sha256": SHA256}
RIGHT = {"question": "When was the treaty signed?", "verdict": "right", "place": PLACE, "comment": "as it says 🕊"}


def kept(client: TestClient) -> dict[int, Feedback]:
    said: dict[int, Feedback] = client.app.state.collections.main.library.feedback()
    return said


def test_is_kept(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.post("/v1/feedback", json=RIGHT)
        said = kept(client)
    assert (response.status_code, response.json()) == (200, {"key": 1})
    place = Place("treaty-1648", 14, 21, "in 1648", SHA256)
    assert said == {1: Feedback(said[1].created, str(RIGHT["question"]), Verdict.RIGHT, place, "as it says 🕊")}


@pytest.mark.parametrize("verdict", list(Verdict))
def test_place_as_an_answer_cites_it(tmp_path: Path, verdict: Verdict) -> None:
    with serving(tmp_path, TREATY) as client:
        answer = client.post("/v1/ask", json={"question": "When was it signed?"}).json()
        place = {name: answer["citations"][0][name] for name in PLACE}
        response = client.post("/v1/feedback", json={"question": "When?", "verdict": verdict.value, "place": place})
        assert (response.status_code, kept(client)[1].verdict) == (200, verdict)


def test_no_answer_needs_no_place(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        for body in ({}, {"place": None, "comment": None}):
            response = client.post("/v1/feedback", json={"question": "Who paid?", "verdict": "unanswerable", **body})
            assert response.status_code == 200
        assert [(one.place, one.comment) for one in kept(client).values()] == [(None, None)] * 2


@pytest.mark.parametrize(
    ("change", "status", "code", "message"),
    [
        ({"place": {**PLACE, "article": "peace"}}, 404, "article_not_found", "there is no article 'peace'"),
        ({"place": {**PLACE, "start": 13, "end": 20}}, 422, "invalid_input", "the quote stands in it at 14"),
        ({"place": {**PLACE, "quote": "in 1649"}}, 422, "invalid_input", "the quote is not in it; quote the article"),
        ({"place": {**PLACE, "text_sha256": "0" * 64}}, 422, "invalid_input", "the article's text has changed since"),
        ({"place": {**PLACE, "quote": " "}}, 422, "invalid_input", "the quote that is right is empty"),
        ({"place": None}, 422, "invalid_input", "it is not said what is right; name the article and the quote"),
        ({"question": " "}, 422, "invalid_input", "the question is empty"),
        ({"question": "?" * 10_001}, 422, "validation", "body.question: String should have at most 10000 characters"),
        ({"comment": "c" * 2_001}, 422, "validation", "body.comment: String should have at most 2000 characters"),
        ({"verdict": "splendid"}, 422, "validation", "body.verdict: Input should be 'right', 'wrong', 'better' or"),
        ({"verdict": 1}, 422, "validation", "body.verdict: Input should be 'right'"),
        ({"place": {**PLACE, "title": "x"}}, 422, "validation", "body.place.title: Extra inputs are not permitted"),
        ({"place": [PLACE]}, 422, "validation", "body.place: Input should be an object"),
    ],
)
def test_refused(tmp_path: Path, change: dict[str, Any], status: int, code: str, message: str) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.post("/v1/feedback", json={**RIGHT, **change})
        assert kept(client) == {}
    assert (response.status_code, error(response)["code"]) == (status, code)
    assert message in error(response)["message"]


def test_while_another_process_writes(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client, write_lock(tmp_path / "library"):
        response = client.post("/v1/feedback", json=RIGHT)
    assert (response.status_code, response.headers["retry-after"]) == (503, str(RETRY_SECONDS[503]))
    assert error(response)["code"] == "library_busy"


def test_while_too_many_wait(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY, waiting=0) as client, client.app.state.collections.main.queue.place():
        response = client.post("/v1/feedback", json=RIGHT)
    assert (response.status_code, error(response)["code"]) == (429, "overloaded")


def test_is_described(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        description = client.get("/openapi.json").json()
    operation = description["paths"]["/v1/feedback"]["post"]
    assert set(operation["responses"]) == {
        *("200", "401", "403", "404", "408", "413", "415", "421", "422", "429", "500", "503", "507")
    }
    body = description["components"]["schemas"]["FeedbackBody"]
    assert body["required"] == ["question", "verdict"]
    assert description["components"]["schemas"]["Verdict"]["enum"] == ["right", "wrong", "better", "unanswerable"]
