import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import ToyEmbedder
from test_server_toys import RECIPE, TREATY, Places, error, listening, serving

from index.library import Library
from qa.answer import Answer, NoAnswer, Question
from server import admission, guard, questions
from server.app import create_app

SECONDS = 30
"""After this a test has failed; none takes nearly as long."""

LINES = {"accept": "application/x-ndjson"}


class Asked:
    """An `ask` that keeps the questions, and reads for each that has an event until that is set."""

    def __init__(self, **until: threading.Event) -> None:
        self.questions: list[Question] = []
        self.until = until

    def __call__(self, question: Question) -> Answer:
        self.questions.append(question)
        if question.text in self.until:
            assert self.until[question.text].wait(SECONDS)
        return Answer(question.text, None, NoAnswer.NOTHING_ANSWERS, 0.0, (), (), 0, True, {})

    @property
    def texts(self) -> list[str]:
        return [question.text for question in self.questions]


def several(*texts: str) -> dict[str, Any]:
    return {"questions": [{"question": text} for text in texts]}


def test_answers_are_in_the_order_of_the_questions(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        body = {"questions": [{"question": "When was it signed?"}, {"question": "Who expected it?", "k": 1}]}
        response = client.post("/v1/ask", json=body)
        alone = client.post("/v1/ask", json=body["questions"][0])
    assert response.status_code == 200
    answers = response.json()["answers"]
    assert [answer["question"] for answer in answers] == ["When was it signed?", "Who expected it?"]
    assert answers[0]["citations"] == alone.json()["citations"]


def test_every_question_is_asked_as_it_is(tmp_path: Path) -> None:
    ask = Asked()
    body = {
        "questions": [{"question": "a", "k": 3, "exhaustive": True}, {"question": "b", "filter": {"sources": ["c"]}}]
    }
    with serving(tmp_path, ask=ask) as client:
        client.post("/v1/ask", json=body)
    assert [(one.text, one.k, one.exhaustive) for one in ask.questions] == [("a", 3, True), ("b", None, False)]
    assert ask.questions[1].filter.sources == {"c"}


def test_one_that_cannot_be_answered_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    def ask(question: Question) -> Answer:
        if question.text == "b":
            raise ZeroDivisionError
        return Asked()(question)

    with serving(tmp_path, ask=ask) as client:
        response = client.post("/v1/ask", json=several("a", " ", "b", "c"))
    assert response.status_code == 200
    answers = response.json()["answers"]
    assert [answer.get("question") for answer in answers] == ["a", None, None, "c"]
    assert [answers[place]["error"]["code"] for place in (1, 2)] == ["invalid_input", "internal_error"]


@pytest.mark.parametrize(
    ("body", "place", "message"),
    [
        ({"questions": []}, "body.questions", "List should have at least 1 item after validation, not 0"),
        (several(*"x" * 101), "body.questions", "List should have at most 100 items after validation, not 101"),
        ({"questions": [{"question": "a"}, {"text": "b"}]}, "body.questions[1].question", "Field required"),
        ({"questions": ["a"]}, "body.questions[0]", "Input should be an object"),
        ({"questions": [{"question": "a"}], "question": "b"}, "body.question", "Extra inputs are not permitted"),
        ({"questions": [{"question": "a"}], "k": 3}, "body.k", "Extra inputs are not permitted"),
        ([{"question": "a"}], "body", "Input should be an object"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, body: object, place: str, message: str) -> None:
    ask = Asked()
    with serving(tmp_path, ask=ask) as client:
        response = client.post("/v1/ask", json=body)
    assert response.status_code == 422
    assert error(response)["details"][0] == {"place": place, "message": message}
    assert ask.questions == []


def test_as_lines(tmp_path: Path) -> None:
    with serving(tmp_path, ask=Asked()) as client:
        response = client.post("/v1/ask", json=several("a", " ", "ž\u2028c"), headers=LINES)
    lines = lines_of(response)
    assert [line.get("question") for line in lines] == ["a", None, "ž\u2028c"]
    assert lines[1]["error"]["code"] == "invalid_input"


def lines_of(response: Any) -> list[dict[str, Any]]:
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in response.text.removesuffix("\n").split("\n")]


@pytest.mark.parametrize(("more", "hits"), [({}, 2), ({"k": 1}, 1), ({"k": 3, "filter": {"sources": ["Almanac"]}}, 1)])
def test_of_one_question_the_passages_come_first(tmp_path: Path, more: dict[str, Any], hits: int) -> None:
    with serving(tmp_path, TREATY, RECIPE, RECIPE | {"id": "other"}, hits=2) as client:
        body = {"question": "Who boils leeks?"} | more
        found, answer = lines_of(client.post("/v1/ask", json=body, headers=LINES))
        alone = client.post("/v1/ask", json=body).json()
        searched = client.post("/v1/search", json={"k": 2} | body).json()
    assert answer == alone
    assert found["hits"] == searched["hits"]
    assert list(found) == ["question", "hits", "milliseconds"]
    assert len(found["hits"]) == hits


def test_an_error_after_the_passages_is_a_line(tmp_path: Path) -> None:
    def ask(_: Question) -> Answer:
        raise ZeroDivisionError

    with serving(tmp_path, TREATY, ask=ask) as client:
        found, failed = lines_of(client.post("/v1/ask", json={"question": "When?"}, headers=LINES))
    assert [hit["article"] for hit in found["hits"]] == ["treaty-1648"]
    assert failed["error"]["code"] == "internal_error"


def test_an_error_before_the_passages_is_the_response(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    until = threading.Event()
    places = Places(monkeypatch)
    with serving(tmp_path, TREATY, ask=Asked(a=until), waiting=1) as client, ThreadPoolExecutor(2) as others:
        empty = client.post("/v1/ask", json={"question": " "}, headers=LINES)
        assert places.taken.acquire(timeout=SECONDS)  # by the article that was added
        first = others.submit(client.post, "/v1/ask", json={"question": "a"})
        assert places.taken.acquire(timeout=SECONDS)
        late = client.post("/v1/ask", json={"question": "b", "budget_ms": 1}, headers=LINES)
        second = others.submit(client.post, "/v1/ask", json={"question": "b"}, headers=LINES)
        assert places.taken.acquire(timeout=SECONDS)
        assert places.taken.acquire(timeout=SECONDS)
        full = client.post("/v1/ask", json={"question": "c"}, headers=LINES)
        until.set()
        assert [first.result(SECONDS).status_code, second.result(SECONDS).status_code] == [200, 200]
    assert [(one.status_code, error(one)["code"]) for one in (empty, late, full)] == [
        (422, "invalid_input"),
        (503, "out_of_time"),
        (429, "overloaded"),
    ]


def test_others_have_their_turn_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    until = threading.Event()
    ask, places = Asked(a=until), Places(monkeypatch)
    with serving(tmp_path, ask=ask, waiting=1) as client, ThreadPoolExecutor(2) as others:
        batch = others.submit(client.post, "/v1/ask", json=several("a", "b", "c"))
        assert places.taken.acquire(timeout=SECONDS)
        other = others.submit(client.post, "/v1/ask", json={"question": "other"})
        assert places.taken.acquire(timeout=SECONDS)
        full = client.post("/v1/ask", json=several("d", "e"))
        full_of_lines = client.post("/v1/ask", json=several("d", "e"), headers=LINES)
        until.set()
        assert [batch.result(SECONDS).status_code, other.result(SECONDS).status_code] == [200, 200]
    assert ask.texts == ["a", "other", "b", "c"]
    for response in (full, full_of_lines):
        assert (response.status_code, error(response)["code"]) == (429, "overloaded")


def test_a_budget_counts_from_the_question_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    for module in (admission, guard, questions):
        monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    budgets = []

    def ask(question: Question) -> Answer:
        budgets.append(question.budget_ms)
        now[0] += 50
        return Asked()(question)

    body = {"questions": [{"question": "a", "budget_ms": 9_000}, {"question": "b", "budget_ms": 8_000}]}
    with serving(tmp_path, ask=ask) as client:
        client.post("/v1/ask", json=body)
    assert budgets == [9_000.0, 8_000.0]


def test_lines_come_as_soon_as_they_can_and_one_who_has_left_gets_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = threading.Event()
    ask, places = Asked(b=until), Places(monkeypatch)
    with (
        Library(tmp_path / "library", ToyEmbedder(), create=True) as library,
        listening(create_app(ask, library)) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client,
    ):
        try:
            with client.stream("POST", "/v1/ask", json=several("a", "b", "c"), headers=LINES) as response:
                assert json.loads(next(response.iter_lines()))["question"] == "a"
            assert places.given_back.acquire(timeout=SECONDS)
        finally:
            until.set()
        assert client.post("/v1/ask", json={"question": "d"}).status_code == 200
    assert ask.texts[-1] == "d"
    assert "c" not in ask.texts


def test_a_hundred_questions(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        answers = client.post("/v1/ask", json=several(*["When?"] * 100)).json()["answers"]
    assert [answer["answer"] for answer in answers] == [TREATY["text"]] * 100
