from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import ToyEmbedder
from fastapi.testclient import TestClient
from test_server_toys import RECIPE, TREATY, error, serving

from index.library import Library
from index.passage import Passage
from qa.answer import Answer, NoAnswer, Question, load
from qa.confidence import Calibration
from qa.reader import Span
from server.app import create_app


class Finding:
    """A reader that knows the answer, where it stands."""

    def __init__(self, words: str) -> None:
        self.words = words

    def read(self, question: str, passages: Sequence[Passage]) -> list[list[Span]]:
        starts = [passage.text.find(self.words) for passage in passages]
        return [
            [Span(passage, passage.start + start, passage.start + start + len(self.words), 3.0)] if start >= 0 else []
            for passage, start in zip(passages, starts, strict=True)
        ]


QUOTE = {"article": "treaty-1648", "start": 7, "end": 21, "quote": "signed in 1648"}


def test_ask_answers_with_a_citation(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.post("/v1/ask", json={"question": "When was it signed?"})
    assert response.status_code == 200
    answer = response.json()
    assert answer["answer"] == TREATY["text"]
    assert answer["confidence"] == 0.9
    assert answer["reason"] is None
    assert answer["citations"][0]["article"] == "treaty-1648"
    assert answer["citations"][0]["url"] == "https://example.org/treaty"
    assert [hit["article"] for hit in answer["hits"]] == ["treaty-1648"]


def test_a_citation_of_an_answer_passes_verification(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        citation = client.post("/v1/ask", json={"question": "When?"}).json()["citations"][0]
        fields = {name: citation[name] for name in ("article", "start", "end", "quote", "text_sha256")}
        response = client.post("/v1/verify", json=fields)
    assert response.json() == {
        "validity": "valid",
        "reason": "the quote stands at its place, word for word",
        "places": [0],
    }


def test_every_part_of_a_question_reaches_ask(tmp_path: Path) -> None:
    asked = []

    def ask(question: Question) -> Answer:
        asked.append(question)
        return Answer(question.text, None, NoAnswer.NOTHING_RETRIEVED, 0.0, (), (), 0, True, {})

    filter = {"articles": ["a"], "sources": ["b", "c"], "since": "2023-01-01", "until": "2023-12-31T09:30:00+02:00"}
    with serving(tmp_path, ask=ask) as client:
        whole = {
            "question": "Why?",
            "k": 3,
            "filter": filter,
            "threshold": 0.25,
            "budget_ms": 60_000,
            "exhaustive": True,
        }
        response = client.post("/v1/ask", json=whole)
    assert response.json()["answer"] is None
    assert response.json()["reason"] == "nothing retrieved"
    assert (asked[0].text, asked[0].k, asked[0].threshold) == ("Why?", 3, 0.25)
    assert asked[0].budget_ms == 10_000
    assert asked[0].exhaustive is True
    assert asked[0].filter.articles == {"a"}
    assert asked[0].filter.sources == {"b", "c"}
    assert (asked[0].filter.since, asked[0].filter.until) == ("2023-01-01", "2023-12-31T07:30:00Z")


def test_null_is_the_same_as_left_out(tmp_path: Path) -> None:
    asked = []

    def ask(question: Question) -> Answer:
        asked.append(question)
        return Answer(question.text, None, NoAnswer.NOTHING_RETRIEVED, 0.0, (), (), 0, True, {})

    with serving(tmp_path, ask=ask) as client:
        client.post("/v1/ask", json={"question": "Why?"})
        client.post("/v1/ask", json={"question": "Why?", "filter": None, "threshold": None, "budget_ms": None})
        client.post("/v1/ask", json={"question": "Why?", "filter": {"articles": None, "since": None}})
    assert asked == [Question("Why?", budget_ms=10_000)] * 3  # so long may any question keep the thread


def test_answer_says_what_was_left_unread(tmp_path: Path) -> None:
    def ask(question: Question) -> Answer:
        return Answer(question.text, None, NoAnswer.NOTHING_ANSWERS, 0.0, (), (), 7, False, {})

    with serving(tmp_path, ask=ask) as client:
        answer = client.post("/v1/ask", json={"question": "Why?", "budget_ms": 1}).json()
    assert (answer["unread"], answer["complete"]) == (7, False)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("budget_ms", 0, "Input should be greater than or equal to 1"),
        ("budget_ms", -5, "Input should be greater than or equal to 1"),
        ("budget_ms", 600_001, "Input should be less than or equal to 600000"),
        ("budget_ms", "100", "Input should be a valid number"),
        ("exhaustive", 1, "Input should be a valid boolean"),
        ("exhaustive", None, "Input should be a valid boolean"),
    ],
)
def test_how_to_read_that_cannot_be(tmp_path: Path, field: str, value: object, message: str) -> None:
    with serving(tmp_path) as client:
        response = client.post("/v1/ask", json={"question": "Why?", field: value})
    assert response.status_code == 422
    assert error(response)["details"] == [{"place": f"body.{field}", "message": message}]


TEXTS = [{"text": "Nobody came."}, {"id": "log", "title": "Log", "text": "The ferry was seen at noon."}]


def test_read_answers_out_of_the_texts_and_stores_nothing(tmp_path: Path) -> None:
    with Library(tmp_path, ToyEmbedder(), create=True) as library:
        ask = load(library, Finding("at noon"), Calibration())
        with TestClient(create_app(ask, library), base_url="http://localhost") as client:
            client.post("/v1/articles", json=TREATY)
            response = client.post("/v1/read", json={"question": "When was the ferry seen?", "texts": TEXTS})
            assert client.get("/v1/articles").json()["total"] == 1
    answer = response.json()
    assert (response.status_code, answer["answer"]) == (200, "at noon")
    [citation] = answer["citations"]
    assert (citation["article"], citation["title"], citation["start"], citation["end"]) == ("log", "Log", 19, 26)
    assert citation["sentence"] == "The ferry was seen at noon."
    assert [hit["text"] for hit in answer["hits"]] == ["The ferry was seen at noon.", "Nobody came."]


def test_every_part_of_a_question_to_texts_reaches_ask(tmp_path: Path) -> None:
    asked = []

    def ask(question: Question) -> Answer:
        asked.append(question)
        return Answer(question.text, None, NoAnswer.NOTHING_RETRIEVED, 0.0, (), (), 0, True, {})

    whole = {"question": "Why?", "texts": TEXTS, "k": 3, "threshold": 0.25, "budget_ms": 9_999, "exhaustive": True}
    with serving(tmp_path, ask=ask) as client:
        assert client.post("/v1/read", json=whole).status_code == 200
    [question] = asked
    assert (question.text, question.k, question.threshold, question.exhaustive) == ("Why?", 3, 0.25, True)
    assert 0 < question.budget_ms < 9_999
    assert [(text.id, text.title, text.text) for text in question.texts][1] == (
        "log",
        "Log",
        "The ferry was seen at noon.",
    )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "body.texts: List should have at least 1 item"),
        ([{"text": ""}], "body.texts[0].text: String should have at least 1 character"),
        ([{"text": "x"}, {"text": " "}], "body.texts[1]: the article has no text"),
        ([{"text": "x", "size": 1}], "body.texts[0].size: Extra inputs are not permitted"),
        ([{"text": "x" * 500_001}] * 2, "body.texts: Texts should have at most 1,000,000 characters together"),
        ([{"text": "x", "id": "a"}, {"text": "y", "id": "a"}], "two texts have the same id"),
        ("x", "body.texts: Input should be a valid list"),
    ],
)
def test_texts_that_cannot_be_read(tmp_path: Path, texts: object, message: str) -> None:
    with Library(tmp_path, ToyEmbedder(), create=True) as library:
        ask = load(library, Finding("x"), Calibration())
        with TestClient(create_app(ask, library), base_url="http://localhost") as client:
            response = client.post("/v1/read", json={"question": "Why?", "texts": texts})
    assert response.status_code == 422
    assert message in error(response)["message"]


def test_search_reads_nothing_and_takes_no_budget(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.post("/v1/search", json={"question": "Why?", "budget_ms": 100})
    assert [detail["place"] for detail in error(response)["details"]] == ["body.budget_ms"]


def test_search_finds_by_words_best_first(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY, RECIPE) as client:
        found = client.post("/v1/search", json={"question": "boil leeks", "k": 1}).json()
    assert found["question"] == "boil leeks"
    assert [hit["text"] for hit in found["hits"]] == ["Boil the leeks for ten minutes."]
    assert list(found["milliseconds"]) == ["search"]


def test_search_keeps_to_the_filter(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY, RECIPE) as client:
        question = {"question": "boil leeks", "filter": {"sources": ["Almanac"]}}
        found = client.post("/v1/search", json=question).json()
    assert [hit["article"] for hit in found["hits"]] == ["treaty-1648"]


def test_search_keeps_to_the_languages(tmp_path: Path) -> None:
    german = {"id": "lauch", "text": "Leeks: Den Lauch zehn Minuten kochen.", "metadata": {"language": "de-AT"}}
    with serving(tmp_path, RECIPE, german) as client:
        found = [
            client.post("/v1/search", json={"question": "leeks", "filter": {"languages": codes}}).json()["hits"]
            for codes in (["de"], ["en", "de"], ["fr"])
        ]
        assert client.get("/v1/articles/lauch").json()["language"] == "de"
        refused = client.post("/v1/search", json={"question": "leeks", "filter": {"languages": ["German"]}})
    assert [len(hits) for hits in found] == [1, 2, 0]
    assert found[0][0]["article"] == "lauch"
    assert refused.status_code == 422


@pytest.mark.parametrize("route", ["/v1/ask", "/v1/search"])
def test_a_lone_surrogate_and_nul_in_a_question_are_replaced(tmp_path: Path, route: str) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.post(
            route, content=rb'{"question": "a\ud800b\u0000c"}', headers={"content-type": "application/json"}
        )
    assert response.status_code == 200
    assert response.json()["question"] == "a\ufffdb\ufffdc"


@pytest.mark.parametrize(
    ("change", "validity", "places"),
    [
        ({}, "valid", [7]),
        ({"start": 6, "end": 20}, "stale", [7]),
        ({"quote": "signed in 1649"}, "stale", []),
        ({"text_sha256": "0" * 64}, "stale", [7]),
        ({"text_sha256": None}, "valid", [7]),
        ({"article": "treaty-1649"}, "unknown", []),
    ],
)
def test_verify(tmp_path: Path, change: dict[str, object], validity: str, places: list[int]) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.post("/v1/verify", json=QUOTE | change)
    assert response.status_code == 200
    assert response.json()["validity"] == validity
    assert response.json()["places"] == places


def test_verify_notices_that_an_article_was_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        sha256 = client.get("/v1/articles/treaty-1648").json()["text_sha256"]
        cited = QUOTE | {"text_sha256": sha256}
        assert client.post("/v1/verify", json=cited).json()["validity"] == "valid"
        client.post("/v1/articles", json=TREATY | {"text": "It was, they say, signed in 1648."})
        response = client.post("/v1/verify", json=cited)
    assert response.json()["validity"] == "stale"
    assert response.json()["places"] == [18]


def test_verify_refuses_a_whole_citation(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        citation = client.post("/v1/ask", json={"question": "When?"}).json()["citations"][0]
        response = client.post("/v1/verify", json=citation)
    assert response.status_code == 422
    assert "body.sentence_start" in [detail["place"] for detail in error(response)["details"]]
