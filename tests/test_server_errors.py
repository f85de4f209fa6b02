import inspect
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from test_server_toys import TREATY, error, serving

import index.errors
from index.errors import (
    DiskFull,
    LibraryBusy,
    LibraryCorrupt,
    LibraryNotWritable,
    LibraryUnreachable,
    ModelMismatch,
    PullquoteError,
    UnreadableArticle,
)
from qa.answer import Answer, Question
from server.body import MAX_DEPTH, MAX_TOKENS, values_of
from server.errors import _PULLQUOTE, MAX_FAULTS, Refusal, response_to

JSON = {"content-type": "application/json"}


def faults(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 422
    assert error(response)["code"] == "validation"
    return [(detail["place"], detail["message"]) for detail in error(response)["details"]]


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"k": "10"}, "body.k", "Input should be a valid integer"),
        ({"k": True}, "body.k", "Input should be a valid integer"),
        ({"k": 10.5}, "body.k", "Input should be a valid integer"),
        ({"k": []}, "body.k", "Input should be a valid integer"),
        ({"k": 0}, "body.k", "Input should be greater than or equal to 1"),
        ({"k": -1}, "body.k", "Input should be greater than or equal to 1"),
        ({"k": 1_001}, "body.k", "Input should be less than or equal to 1000"),
        ({"k": 10**400}, "body.k", "Input should be less than or equal to 1000"),
        ({"question": ""}, "body.question", "String should have at least 1 character"),
        ({"question": "x" * 10_001}, "body.question", "String should have at most 10000 characters"),
        ({"question": ["x"]}, "body.question", "Input should be a valid string"),
        ({"answer": "42"}, "body.answer", "Extra inputs are not permitted"),
        ({"filter": []}, "body.filter", "Input should be an object"),
        ({"filter": {"author": "x"}}, "body.filter.author", "Extra inputs are not permitted"),
        ({"filter": {"sources": "x"}}, "body.filter.sources", "Input should be a valid list"),
        ({"filter": {"sources": [1]}}, "body.filter.sources[0]", "Input should be a valid string"),
        (
            {"filter": {"sources": []}},
            "body.filter.sources",
            "List should have at least 1 item after validation, not 0",
        ),
        (
            {"filter": {"articles": ["x"] * 1_001}},
            "body.filter.articles",
            "List should have at most 1000 items after validation, not 1001",
        ),
        (
            {"filter": {"articles": ["x" * 513]}},
            "body.filter.articles[0]",
            "String should have at most 512 characters",
        ),
        (
            {"filter": {"since": "yesterday"}},
            "body.filter.since",
            "Input should be a date like 2023-07-28 or 2023-07-28T09:30:00Z",
        ),
        ({"filter": {"until": 2023}}, "body.filter.until", "Input should be a valid string"),
        ({"filter": {"until": "2023" * 17}}, "body.filter.until", "String should have at most 64 characters"),
    ],
)
@pytest.mark.parametrize("route", ["/v1/ask", "/v1/search"])
def test_bad_questions(tmp_path: Path, route: str, fields: dict[str, Any], place: str, message: str) -> None:
    with serving(tmp_path, TREATY) as client:
        assert faults(client.post(route, json={"question": "When?"} | fields)) == [(place, message)]


def test_a_whole_number_may_have_a_decimal_point(tmp_path: Path) -> None:
    """As JSON Schema has it, and as some programs write every number."""
    with serving(tmp_path, TREATY) as client:
        response = client.post("/v1/search", json={"question": "When?", "k": 1.0})
    assert len(response.json()["hits"]) == 1


@pytest.mark.parametrize("threshold", ["0.5", True, -0.1, 1.1])
def test_bad_thresholds(tmp_path: Path, threshold: Any) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.post("/v1/ask", json={"question": "When?", "threshold": threshold})
    assert [place for place, _ in faults(response)] == ["body.threshold"]


@pytest.mark.parametrize("route", ["/v1/ask", "/v1/search"])
def test_a_blank_question(tmp_path: Path, route: str) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.post(route, json={"question": " \n\t"})
    assert response.status_code == 422
    assert error(response)["code"] == "invalid_input"
    assert error(response)["message"].startswith("the question is empty; ask something")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"article": ""}, "body.article"),
        ({"article": "x" * 513}, "body.article"),
        ({"start": -1}, "body.start"),
        ({"start": "7"}, "body.start"),
        ({"end": 10**30}, "body.end"),
        ({"end": None}, "body.end"),
        ({"quote": ""}, "body.quote"),
        ({"quote": "x" * 100_001}, "body.quote"),
        ({"text_sha256": "abc"}, "body.text_sha256"),
        ({"text_sha256": "0" * 64 + "\n"}, "body.text_sha256"),
        ({"sentence": "x"}, "body.sentence"),
    ],
)
def test_bad_citations(tmp_path: Path, fields: dict[str, Any], place: str) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.post("/v1/verify", json={"article": "a", "start": 0, "end": 1, "quote": "x"} | fields)
    assert [where for where, _ in faults(response)] == [place]


def nested(depth: int) -> bytes:
    """A record whose deepest list is at that level: the body is the first, its metadata the second."""
    lists = depth - 2
    return b'{"text": "x", "metadata": {"a": ' + b"[" * lists + b"]" * lists + b"}}"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "Expecting property name enclosed in double quotes, at character 1"),
        (b'{"question": "a', "Unterminated string starting at, at character 13"),
        (b"question=When", "Expecting value, at character 0"),
        (b'{"question": "\xff"}', "it is not UTF-8, at byte 14"),
        (b'{"question": "x", "threshold": NaN}', "a number that is not finite; leave NaN and Infinity out"),
        (b'{"question": "x", "threshold": -Infinity}', "a number that is not finite"),
        (b'{"question": "x", "threshold": 1e999}', "a number that is not finite"),
        (b'{"question": "x", "k": ' + b"1" * 5_000 + b"}", "a number of too many digits"),
        ('{"question": "x"}'.encode("utf-16"), "it is not UTF-8, at byte 0"),
        (b"[" * 40_000, "nested deeper than 32 levels"),
        (b'{"a":' * 40_000, "nested deeper than 32 levels"),
        (b"[" + b"0," * MAX_TOKENS + b"0]", "more than 100,000 strings, commas and opening brackets; send it in parts"),
        (b'""' * (MAX_TOKENS + 1), "more than 100,000 strings, commas and opening brackets; send it in parts"),
        (b'["' + b'\\"' * 1_000_000, "Unterminated string starting at, at character 1"),
        (nested(MAX_DEPTH + 1), "nested deeper than 32 levels"),
    ],
)
@pytest.mark.parametrize("route", ["/v1/ask", "/v1/articles"])
def test_bodies_that_are_no_usable_json(tmp_path: Path, route: str, body: bytes, reason: str) -> None:
    with serving(tmp_path) as client:
        response = client.post(route, content=body, headers=JSON)
    assert response.status_code == 422
    assert error(response)["code"] == "invalid_json"
    assert reason in error(response)["message"]


def test_metadata_may_be_nested_up_to_the_limit(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        added = client.post("/v1/articles", content=nested(MAX_DEPTH), headers=JSON)
        listed = client.get("/v1/articles")
    assert added.status_code == 200
    assert str(listed.json()["articles"][0]["metadata"]["a"]) == "[" * 30 + "]" * 30


def test_the_tokens_of_a_body_are_counted_and_not_what_is_in_strings() -> None:
    text = ',[{"\\' * MAX_TOKENS
    most = [text] + [0] * (MAX_TOKENS - 2)  # one bracket, one string, the rest commas
    assert values_of(json.dumps(most).encode()) == most
    with pytest.raises(Refusal, match="more than 100,000"):
        values_of(json.dumps([*most, 0]).encode())


def test_a_missing_body(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        assert faults(client.post("/v1/ask", headers=JSON)) == [("body", "Field required")]


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/jsonp", "\xff/;;=", ""])
def test_a_body_that_is_not_declared_as_json(tmp_path: Path, kind: str) -> None:
    with serving(tmp_path) as client:
        response = client.post(
            "/v1/ask", content=b'{"question": "When?"}', headers={"content-type": kind.encode("utf-8")}
        )
    assert response.status_code == 415
    assert error(response) == {
        "code": "unsupported_media_type",
        "message": "send JSON, with the header Content-Type: application/json",
    }


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/ld+json"])
def test_ways_to_declare_json(tmp_path: Path, kind: str) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.post("/v1/ask", content=b'{"question": "When?"}', headers={"content-type": kind})
    assert response.status_code == 200


def test_a_validation_error_never_repeats_what_was_sent(tmp_path: Path) -> None:
    secret = "s3cret"
    body = {
        "question": [secret],
        "k": secret,
        "threshold": secret,
        "filter": {"since": secret, "articles": [{secret: 1}], "sources": secret},
    }
    with serving(tmp_path) as client:
        response = client.post("/v1/ask", json=body)
    assert len(faults(response)) == 6
    assert secret not in response.text


def test_the_name_of_an_unknown_field_may_be_anything(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        response = client.post("/v1/ask", content=rb'{"question": "x", "\ud800\u0000": 1}', headers=JSON)
    assert faults(response) == [("body.\ufffd\ufffd", "Extra inputs are not permitted")]


def test_only_the_first_faults_are_listed_and_long_names_are_cut(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        response = client.post("/v1/ask", json={"question": "x"} | {f"{n:03}" + "x" * 1_000: 1 for n in range(500)})
    assert len(faults(response)) == MAX_FAULTS == 20
    assert faults(response)[0][0] == "body.000" + "x" * 61


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (LibraryBusy("process 7 is writing; try again"), 503, "library_busy"),
        (LibraryUnreachable("milvus://host/press: it does not answer"), 503, "library_unreachable"),
        (LibraryNotWritable("the directory is read-only"), 503, "library_not_writable"),
        (DiskFull("make room"), 507, "disk_full"),
        (LibraryCorrupt("the database cannot be read"), 500, "library_corrupt"),
        (ModelMismatch("built with another embedder"), 500, "model_mismatch"),
        (UnreadableArticle("body[3]", "it has no text"), 422, "unreadable_article"),
    ],
)
def test_errors_that_can_be_mended_say_how(tmp_path: Path, raised: Exception, status: int, code: str) -> None:
    def ask(_: Question) -> Answer:
        raise raised

    with serving(tmp_path, ask=ask) as client:
        response = client.post("/v1/ask", json={"question": "When?"})
    assert response.status_code == status
    assert error(response) == {"code": code, "message": str(raised)}
    assert response.headers.get("retry-after") == ("5" if status == 503 else None)


def test_every_error_has_its_status() -> None:
    ours = [kind for _, kind in inspect.getmembers(index.errors, inspect.isclass)]
    assert set(_PULLQUOTE) == {kind for kind in ours if issubclass(kind, PullquoteError)}


def test_an_error_derived_from_ours_has_the_status_of_its_base() -> None:
    class VeryBusy(LibraryBusy):
        pass

    assert response_to(VeryBusy("try tomorrow")).status_code == 503


def test_an_unexpected_error_is_logged_and_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def ask(_: Question) -> Answer:
        raise ZeroDivisionError("the secret of the house")

    with serving(tmp_path, ask=ask) as client, caplog.at_level(logging.ERROR, "pullquote.server"):
        response = client.post("/v1/ask", json={"question": "When?"})
    assert response.status_code == 500
    assert error(response) == {
        "code": "internal_error",
        "message": "something went wrong on our side; the server's log says what",
    }
    assert response.headers["x-content-type-options"] == "nosniff"
    [record] = [record for record in caplog.records if record.name == "pullquote.server"]
    assert "ZeroDivisionError: the secret of the house" in caplog.text
    assert record.exc_info is not None


def test_after_an_unexpected_error_the_server_goes_on(tmp_path: Path) -> None:
    failures = iter([ZeroDivisionError()])

    def ask(question: Question) -> Answer:
        for failure in failures:
            raise failure
        return Answer(question.text, None, None, 0.0, (), (), 0, True, {})

    with serving(tmp_path, ask=ask, waiting=0) as client:
        statuses = [client.post("/v1/ask", json={"question": "When?"}).status_code for _ in range(2)]
    assert statuses == [500, 200]
