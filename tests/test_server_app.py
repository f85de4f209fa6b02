import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from test_server_toys import TREATY, error, serving

from index.base import AnyLibrary

ROUTES = {
    ("/v1/ask", "post"),
    ("/v1/read", "post"),
    ("/v1/search", "post"),
    ("/v1/verify", "post"),
    ("/v1/feedback", "post"),
    ("/v1/articles", "get"),
    ("/v1/articles", "post"),
    ("/v1/articles/{id}", "get"),
    ("/v1/articles/{id}", "delete"),
    ("/v1/collections", "get"),
    ("/v1/collections/{name}", "put"),
    ("/v1/health", "get"),
    ("/v1/ready", "get"),
    ("/metrics", "get"),
}


def operations(tmp_path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    with serving(tmp_path) as client:
        paths = client.get("/openapi.json").json()["paths"]
    return {(path, method): operation for path, methods in paths.items() for method, operation in methods.items()}


def test_health(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        response = client.get("/v1/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "version": version("pullquote")})


def test_ready_says_nothing_of_the_articles(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        response = client.get("/v1/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def test_not_ready_where_the_library_cannot_be_read(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        client.app.state.collections.main.library.close()
        (tmp_path / "library" / "pullquote.db").unlink()
        assert client.get("/v1/ready").status_code == 500
        assert client.get("/v1/health").status_code == 200


def test_neither_readiness_nor_the_question_page_goes_through_all_articles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, TREATY) as client:
        monkeypatch.setattr(AnyLibrary, "counts", None)
        with monkeypatch.context() as patch:
            patch.setattr(AnyLibrary, "article_count", None)
            assert client.get("/v1/ready").status_code == 200
        assert "the one article" in client.get("/", headers={"accept": "text/html"}).text
        assert client.get("/v1/articles").json()["total"] == 1


@pytest.mark.parametrize("path", ["/v1", "/v1/ask/", "/v1/Ask", "/v2/ask", "/redoc", "/v1/../etc/passwd"])
def test_unknown_routes(tmp_path: Path, path: str) -> None:
    with serving(tmp_path) as client:
        response = client.get(path)
    assert response.status_code == 404
    assert error(response) == {
        "code": "not_found",
        "message": "there is nothing here; /openapi.json lists what there is",
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/ask", "POST"),
        ("PUT", "/v1/articles", "GET, POST"),
        ("POST", "/v1/articles/x", "DELETE, GET"),
        ("OPTIONS", "/v1/articles", "GET, POST"),
    ],
)
def test_methods_that_are_not_taken(tmp_path: Path, method: str, path: str, allowed: str) -> None:
    with serving(tmp_path) as client:
        response = client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    assert error(response)["code"] == "method_not_allowed"


def test_every_route_is_described(tmp_path: Path) -> None:
    found = operations(tmp_path)
    assert set(found) == ROUTES
    for place, operation in found.items():
        assert len(operation["tags"]) == 1, place
        assert operation["summary"] != operation["operationId"], place
        assert operation["description"], place


def test_every_response_is_described(tmp_path: Path) -> None:
    for place, operation in operations(tmp_path).items():
        for status, response in operation["responses"].items():
            if status == "204":
                assert "content" not in response
                continue
            if place[0] == "/metrics" and status == "200":
                assert list(response["content"]) == ["text/plain"]
                continue
            schema = response["content"]["application/json"]["schema"]
            for one in schema.get("anyOf", [schema]):
                name = one["$ref"].rpartition("/")[2]
                assert (name == "ErrorJSON") is (status >= "400"), (place, status)
                assert name.endswith("JSON"), (place, status)


def test_the_errors_that_bodies_can_have_are_declared(tmp_path: Path) -> None:
    for place, operation in operations(tmp_path).items():
        if place[1] == "post":
            assert {"408", "413", "415", "421", "422", "500"} <= set(operation["responses"]), place


def test_every_example_is_accepted(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        description = client.get("/openapi.json").json()
        sent = 0
        for path, methods in description["paths"].items():
            if "post" not in methods:
                continue
            content = methods["post"]["requestBody"]["content"]["application/json"]
            if "examples" in content:
                examples = [example["value"] for example in content["examples"].values()]
            else:
                examples = description["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]][
                    "examples"
                ]
            for example in examples:
                body = (
                    {name: value for name, value in example.items() if name != "filter"}
                    if path == "/v1/ask"
                    else example
                )
                assert client.post(path, json=body).status_code == 200, (path, example)
                sent += 1
    assert sent == 8


def test_operations_have_names_a_generator_can_use(tmp_path: Path) -> None:
    names = [operation["operationId"] for operation in operations(tmp_path).values()]
    assert len(set(names)) == len(ROUTES)
    assert all(re.fullmatch(r"\w+", name) for name in names)
