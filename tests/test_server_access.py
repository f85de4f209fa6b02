from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from time import thread_time
from typing import Any

import pytest
from conftest import ToyEmbedder
from fastapi.testclient import TestClient
from starlette.datastructures import Headers
from test_server_toys import RECIPE, TREATY, error, quoting

from index.collection import collection_names, collection_path
from index.library import Library
from qa.answer import Ask
from server.access import _secret, needed
from server.app import create_app
from server.collections import Shelf
from server.keys import KeyFile, Right

SECONDS = 30
"""After this a test has failed; none takes nearly as long."""

SECRET_SOUP = {"id": "soup", "title": "Secret soup", "text": "The secret soup was signed in 1999 by the cook."}


@contextmanager
def shelved(path: Path, *, always: bool = False, **settings: Any) -> Iterator[tuple[TestClient, KeyFile]]:
    """A server over a library with the collections `main` and `press`, and its keys."""
    with ExitStack() as libraries:

        def opened(name: str) -> tuple[Ask, Library, int]:
            library = Library(collection_path(path / "library", name), ToyEmbedder(), create=True)
            libraries.enter_context(library)
            return quoting(library), library, 10

        keys = KeyFile(path / "library" / "keys.json", always=always)
        ask, main, hits = opened("main")
        shelf = Shelf(lambda: collection_names(path / "library"), opened)
        app = create_app(ask, main, hits=hits, keys=keys, shelf=shelf, **settings)
        with TestClient(app, base_url="http://localhost") as client:
            assert client.post("/v1/articles", json=[TREATY, RECIPE]).status_code == (401 if always else 200)
            if not always:
                assert client.put("/v1/collections/press").json() == {"name": "press", "made": True}
                assert client.post("/c/press/v1/articles", json=SECRET_SOUP).status_code == 200
            yield client, keys


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


# Collections


def test_a_collection_has_its_own_articles(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, _):
        listed = [
            [article["id"] for article in client.get(f"{root}/v1/articles").json()["articles"]]
            for root in ("", "/c/main", "/c/press")
        ]
        names = client.get("/v1/collections").json()
        again = client.put("/v1/collections/press").json()
        answers = [client.post(f"{root}/v1/ask", json={"question": "Who signed?"}) for root in ("", "/c/press")]
    assert listed == [["treaty-1648", "recipes/soup #1?"]] * 2 + [["soup"]]
    assert names == {"collections": ["main", "press"]}
    assert again == {"name": "press", "made": False}
    assert [answer.json()["citations"][0]["article"] for answer in answers] == ["treaty-1648", "soup"]


def test_another_collection_changes_no_score(tmp_path: Path) -> None:
    def scores(client: TestClient) -> list[dict[str, Any]]:
        hits = client.post("/v1/search", json={"question": "signed soup"}).json()["hits"]
        return [{name: value for name, value in hit.items() if name in ("article", "score")} for hit in hits]

    with shelved(tmp_path) as (client, _):
        before = scores(client)
        more = [{"id": str(number), "text": f"Soup {number} was signed."} for number in range(20)]
        assert client.post("/c/press/v1/articles", json=more).status_code == 200
        assert scores(client) == before


@pytest.mark.parametrize("name", ["none", "", "%2e%2e", "Press", "press%2fx", "a" * 65, "%00"])
@pytest.mark.parametrize("below", ["v1/articles", "", "articles"])
def test_what_is_no_collection(tmp_path: Path, name: str, below: str) -> None:
    with shelved(tmp_path) as (client, _):
        response = client.get(f"/c/{name}/{below}")
    assert response.status_code == 404
    assert error(response)["code"] in ("collection_not_found", "not_found")
    assert [path.name for path in (tmp_path / "library" / "collections").iterdir()] == ["press"]


@pytest.mark.parametrize("name", ["Press", "-a", "a" * 65, "a.b", "%00"])
def test_a_collection_needs_a_name(tmp_path: Path, name: str) -> None:
    with shelved(tmp_path) as (client, _):
        response = client.put(f"/v1/collections/{name}")
    assert (response.status_code, error(response)["code"]) == (422, "invalid_input")


def test_a_collection_that_another_process_makes_is_seen(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, _):
        path = collection_path(tmp_path / "library", "sport")
        with Library(path, ToyEmbedder(), create=True):
            pass
        assert client.get("/c/sport/v1/articles").json()["total"] == 0
        assert client.get("/v1/collections").json() == {"collections": ["main", "press", "sport"]}


def test_who_asks_for_others_does_not_wait_for_one_that_is_opened(tmp_path: Path) -> None:
    opening, go_on, times = Event(), Event(), []
    with Library(tmp_path / "main", ToyEmbedder(), create=True) as main, ThreadPoolExecutor(7) as others:

        def opened(name: str) -> tuple[Ask, Library, int]:
            times.append(name)
            opening.set()
            assert go_on.wait(SECONDS)
            return quoting(main), main, 10

        shelf = Shelf(lambda: ["main", "press", "sport"], opened)
        app = create_app(quoting(main), main, shelf=shelf)
        with TestClient(app, base_url="http://localhost") as client:
            names = ["press", "press", "sport", "sport", "press", "sport"]
            waiting = [others.submit(client.get, f"/c/{name}/v1/articles") for name in names]
            try:
                assert opening.wait(SECONDS)
                asked = others.submit(client.get, "/v1/articles")
                assert asked.result(SECONDS).json()["total"] == 0
            finally:
                go_on.set()
            assert [one.result(SECONDS).status_code for one in waiting] == [200] * 6
    assert sorted(times) == ["press", "sport"]


def test_a_server_of_one_library_makes_no_collections(tmp_path: Path) -> None:
    with (
        Library(tmp_path, ToyEmbedder(), create=True) as library,
        TestClient(create_app(quoting(library), library), base_url="http://localhost") as client,
    ):
        assert error(client.put("/v1/collections/press"))["code"] == "invalid_input"
        assert client.get("/v1/collections").json() == {"collections": ["main"]}


# Keys


def routes(client: TestClient) -> list[tuple[str, str]]:
    paths = client.get("/openapi.json").json()["paths"]
    return [
        (method.upper(), path.replace("{id}", "treaty-1648").replace("{name}", "new"))
        for path in paths
        for method in paths[path]
    ]


OPEN = {("GET", "/v1/health"), ("GET", "/v1/ready")}


def test_every_route_needs_a_key_as_soon_as_there_is_one(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        secret = keys.add("desk", Right.ADMIN)
        other = KeyFile(tmp_path / "elsewhere.json").add("desk", Right.ADMIN)
        tried = 0
        for method, path in routes(client):
            for root in ("", "/c/press", "/c/none"):
                wrong: list[tuple[dict[str, str], str]] = [
                    ({}, ""),
                    (bearer(other), ""),
                    (bearer(secret[:-1]), ""),
                    ({"Authorization": f"Basic {secret}"}, ""),
                    ({"Cookie": f"pullquote_key={secret}"}, ""),
                    ({"X-API-Key": secret}, ""),
                    ({}, f"?key={secret}&api_key={secret}&access_token={secret}"),
                ]
                for headers, query in wrong:
                    response = client.request(method, root + path + query, headers=headers)
                    if (method, path) in OPEN:
                        assert response.status_code == 200, (method, path)
                    else:
                        assert (response.status_code, error(response)["code"]) == (401, "key_needed"), (method, path)
                        assert response.headers["www-authenticate"] == "Bearer"
                        tried += 1
    assert tried > 200


def test_a_public_server_needs_keys_also_where_there_are_none(tmp_path: Path) -> None:
    with shelved(tmp_path, always=True) as (client, keys):
        assert client.get("/v1/articles", headers={"host": "example.org"}).status_code == 401
        assert client.get("/v1/health", headers={"host": "example.org"}).status_code == 200
        secret = keys.add("desk", Right.READ)
        assert client.get("/v1/articles", headers={"host": "example.org", **bearer(secret)}).status_code == 200
        keys.revoke([keys.all()[0].id])
        assert client.get("/v1/articles", headers={"host": "example.org", **bearer(secret)}).status_code == 401


ASK = ("POST", "/v1/ask", {"question": "Who signed?"})
ADD = ("POST", "/v1/articles", {"text": "New."})
REMOVE = ("DELETE", "/v1/articles/treaty-1648", None)
MAKE = ("PUT", "/v1/collections/new", None)
METRICS = ("GET", "/metrics", None)


@pytest.mark.parametrize(
    ("right", "allowed"),
    [
        (Right.READ, [200, 403, 403, 403, 403]),
        (Right.WRITE, [200, 200, 204, 403, 403]),
        (Right.ADMIN, [200, 200, 204, 200, 200]),
    ],
)
def test_what_a_right_allows(tmp_path: Path, right: Right, allowed: list[int]) -> None:
    with shelved(tmp_path) as (client, keys):
        headers = bearer(keys.add("desk", right))
        responses = [
            client.request(method, path, json=body, headers=headers)
            for method, path, body in (ASK, ADD, REMOVE, MAKE, METRICS)
        ]
    assert [response.status_code for response in responses] == allowed
    assert {error(response)["code"] for response in responses if response.status_code == 403} <= {"not_allowed"}


@pytest.mark.parametrize("root", ["", "/c/press"])
@pytest.mark.parametrize("path", ["/metrics", "/v1/articles/soup", "/v1/articles/treaty-1648", "/v1/health", "/docs"])
def test_a_line_end_makes_no_other_path(tmp_path: Path, root: str, path: str) -> None:
    with shelved(tmp_path) as (client, keys):
        secret = keys.add("desk", Right.READ)
        sent = [bearer(secret), {"Cookie": f"pullquote_key={secret}"}, {}]
        responses = [client.get(f"{root}{path}%0A", headers=headers) for headers in sent]
    assert [(response.status_code, error(response)["code"]) for response in responses] == [(404, "not_found")] * 3


def test_a_collection_is_made_by_who_sees_it(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        headers = bearer(keys.add("desk", Right.ADMIN, ["main", "sport"]))
        made = [
            client.put(f"{root}/v1/collections/{name}", headers=headers)
            for root in ("", "/c/main")
            for name in ("press", "none", "sport")
        ]
    assert [response.status_code for response in made] == [404, 404, 200] * 2
    assert {made[number].text for number in (0, 1, 3, 4)} == {made[0].text}
    assert [made[number].json()["made"] for number in (2, 5)] == [True, False]
    assert sorted(path.name for path in (tmp_path / "library" / "collections").iterdir()) == ["press", "sport"]


def test_a_key_that_does_not_see_the_main_collection_is_told_of_its_own(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        client.put("/v1/collections/sport")
        client.put("/v1/collections/secret")
        secret = keys.add("desk", Right.READ, ["press", "sport"])
        names = client.get("/v1/collections", headers=bearer(secret))
        page = client.get("/", headers={**PAGE, "Cookie": f"pullquote_key={secret}"})
    assert names.json() == {"collections": ["press", "sport"]}
    assert page.status_code == 404
    assert [f'href="/c/{name}/"' in page.text for name in ("press", "sport", "secret")] == [True, True, False]
    assert 'href="/articles"' in page.text


def test_what_is_not_known_to_be_reading_needs_more() -> None:
    assert [needed(method, "/v1/new") for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")] == (
        ["read"] * 2 + ["write"] * 4
    )
    assert needed("POST", "//v1/ask") == "write"


def test_a_key_sees_nothing_of_other_collections(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        headers = bearer(keys.add("desk", Right.ADMIN, ["main"]))
        elsewhere = [
            client.request(method, f"/c/press{path}", json=body, headers=headers)
            for method, path, body in (
                ASK,
                ADD,
                ("GET", "/v1/articles/soup", None),
                METRICS,
                ("GET", "/articles", None),
            )
        ]
        nowhere = client.get("/c/none/v1/articles", headers=headers)
        names = client.get("/v1/collections", headers=headers).json()
        here = client.get("/v1/articles/soup", headers=headers)
        found = client.post("/v1/search", json={"question": "secret soup"}, headers=headers).json()["hits"]
    assert {(response.status_code, response.text) for response in elsewhere} == {(404, nowhere.text)}
    assert error(here)["code"] == "article_not_found"
    assert names == {"collections": ["main"]}
    assert "soup" not in {hit["article"] for hit in found}


def test_a_key_for_one_collection_need_not_name_it(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        one, two = (bearer(keys.add("desk", Right.READ, names)) for names in (["press"], ["press", "sport"]))
        assert client.get("/v1/articles/soup", headers=one).status_code == 200
        assert client.get("/c/press/v1/articles/soup", headers=one).status_code == 200
        assert client.get("/c/main/v1/articles", headers=one).status_code == 404
        assert error(client.get("/v1/articles/soup", headers=two))["code"] == "collection_not_found"


def test_an_id_of_another_collection_may_be_used_anew(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        headers = bearer(keys.add("desk", Right.WRITE, ["main"]))
        added = client.post("/v1/articles", json={"id": "soup", "text": "Another soup."}, headers=headers)
        assert added.json()["results"] == [{"id": "soup", "outcome": "added"}]
        other = bearer(keys.add("other", Right.READ, ["press"]))
        assert client.get("/c/press/v1/articles/soup", headers=other).json()["text"] == SECRET_SOUP["text"]


def test_damaged_keys_let_nobody_in(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        headers = bearer(keys.add("desk", Right.ADMIN))
        (tmp_path / "library" / "keys.json").write_text("{")
        response = client.get("/v1/articles", headers=headers)
    assert (response.status_code, error(response)["code"]) == (500, "library_corrupt")


def test_whoever_has_seen_a_key_needs_one(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        secret = keys.add("desk", Right.READ)
        assert client.get("/v1/articles", headers=bearer(secret)).status_code == 200
        keys.revoke([keys.all()[0].id])
        assert client.get("/v1/articles").status_code == 401
        assert client.get("/v1/articles", headers=bearer(secret)).status_code == 401
        (tmp_path / "library" / "keys.json").unlink()
        assert client.get("/v1/articles").status_code == 401
        assert client.get("/v1/articles", headers=bearer(keys.add("desk", Right.READ))).status_code == 200


def test_as_many_questions_as_a_minute_has_can_be_asked_at_once(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        batch = {"questions": [{"question": "Who signed?"}] * 4}
        for per_minute in (1, 3, 4):
            headers = bearer(keys.add("desk", Right.READ, per_minute=per_minute))
            statuses = [client.post("/v1/ask", json=batch, headers=headers).status_code for _ in range(2)]
            assert statuses == [200, 429], per_minute


@pytest.mark.parametrize("odd", ['"' + "\\" * 30_000 + '"', ";" * 60_000, " " * 60_000, "; " * 30_000, "=" * 60_000])
def test_no_cookie_takes_long(odd: str) -> None:
    began = thread_time()
    assert _secret("/", Headers({"cookie": f"pullquote_key={odd}"})) == ""
    assert _secret("/", Headers({"cookie": f"{odd}; a=b; pullquote_key=pq_1; xpullquote_key=pq_2"})) == "pq_1"
    assert thread_time() - began < 1  # in seconds; starlette's parser takes 19 for the first


def test_a_key_may_ask_so_often(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        headers, others = bearer(keys.add("desk", Right.READ, per_minute=3)), bearer(keys.add("b", Right.READ))
        batch = {"questions": [{"question": "Who signed?"}] * 2}
        statuses = [client.post("/v1/ask", json=body, headers=headers).status_code for body in (batch, ASK[2], ASK[2])]
        refused = client.get("/v1/articles", headers=headers)
        assert client.get("/v1/articles", headers=others).status_code == 200
        assert client.get("/v1/health", headers=headers).status_code == 200
    assert statuses == [200, 200, 429]
    assert error(refused)["code"] == "too_many_requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 21


# In a browser


PAGE = {"Accept": "text/html"}
FORM = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin", **PAGE}


def test_a_browser_is_asked_for_a_key_and_keeps_it(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        secret = keys.add("desk", Right.READ)
        asked = client.get("/articles?q=soup", headers=PAGE)
        wrong = client.post("/key", data={"key": "pq_", "next": "/articles"}, headers=FORM)
        signed = client.post(
            "/key", data={"key": secret, "next": "/articles?q=soup"}, headers=FORM, follow_redirects=False
        )
        page = client.get("/articles?q=soup", headers=PAGE)
        api = client.get("/v1/articles")
        not_allowed = client.post("/articles", data={"text": "New."}, headers=FORM)
        out = client.post("/key", headers=FORM, follow_redirects=False)
        after = client.get("/", headers=PAGE)
    assert asked.status_code == 401
    assert 'name="next" value="/articles?q=soup"' in asked.text
    assert (wrong.status_code, "no key that is known" in wrong.text) == (401, True)
    assert (signed.status_code, signed.headers["location"]) == (303, "/articles?q=soup")
    cookie = signed.headers["set-cookie"]
    assert cookie == f"pullquote_key={secret}; HttpOnly; Path=/; SameSite=lax"
    assert (page.status_code, "Sign out desk" in page.text) == (200, True)
    assert api.status_code == 401
    assert not_allowed.status_code == 403
    assert 'pullquote_key=""' in out.headers["set-cookie"]
    assert after.status_code == 401


@pytest.mark.parametrize("next", ["//example.org", "/\\example.org", "https://example.org", "javascript:alert(1)", ""])
def test_signing_in_leads_nowhere_else(tmp_path: Path, next: str) -> None:
    with shelved(tmp_path) as (client, keys):
        data = {"key": keys.add("desk", Right.READ), "next": next}
        response = client.post("/key", data=data, headers=FORM, follow_redirects=False)
    assert response.headers["location"] == "/"


def test_no_other_site_can_sign_somebody_in(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        data = {"key": keys.add("desk", Right.READ)}
        response = client.post("/key", data=data, headers={"Origin": "https://example.org"})
    assert response.status_code == 403
    assert "set-cookie" not in response.headers


def test_behind_a_proxy_with_tls_the_cookie_is_sent_over_tls_alone(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        data = {"key": keys.add("desk", Right.READ)}
        headers = {"Origin": "https://localhost", "Sec-Fetch-Site": "same-origin"}
        response = client.post("https://localhost/key", data=data, headers=headers, follow_redirects=False)
    assert "; Secure" in response.headers["set-cookie"]


def test_behind_a_proxy_with_tls_somebody_can_sign_in(tmp_path: Path) -> None:
    """The browser speaks TLS with the proxy, and the proxy plain HTTP with this server."""
    with shelved(tmp_path) as (client, keys):
        headers = {"Host": "quotes.example.org", "Origin": "https://quotes.example.org"}
        data = {"key": keys.add("desk", Right.READ)}
        response = client.post("/key", data=data, headers=headers, follow_redirects=False)
    assert response.status_code == 303
    assert "; Secure" in response.headers["set-cookie"]


def test_no_link_of_an_error_leads_to_another_site(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys):
        headers = {"Cookie": f"pullquote_key={keys.add('desk', Right.READ, per_minute=1)}", **PAGE}
        pages = [client.get("http://localhost//example.org/", headers=headers) for _ in range(2)]
    assert [page.status_code for page in pages] == [404, 429]
    assert 'href="/example.org/"' in pages[1].text


def test_links_of_a_page_stay_in_its_collection(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, _):
        pages = [
            client.get(f"/c/press{path}", headers=PAGE).text
            for path in ("/", "/?q=Who+signed%3F", "/articles", "/articles/soup", "/add", "/remove?id=soup", "/nowhere")
        ]
        sent_on = client.get("/c/press/?q=", follow_redirects=False)
    for page in pages:
        links = {
            part.partition('"')[0]
            for name in ("href", "action", "hx-get", "hx-post")
            for part in page.split(f'{name}="/')[1:]
        }
        assert links
        assert {link for link in links if not link.startswith(("c/press/", "static/"))} <= {""}  # to `main`
    assert sent_on.headers["location"] == "/c/press/"


# Other origins


def test_pages_of_a_site_that_is_allowed_may_read(tmp_path: Path) -> None:
    site = "https://example.org"
    with shelved(tmp_path, origins=[site]) as (client, keys):
        keys.add("desk", Right.READ)
        asked = client.options(
            "/v1/ask",
            headers={
                "Origin": site,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version,mcp-method,mcp-name",
            },
        )
        refused = client.get("/v1/articles", headers={"Origin": site})
        other = client.get("/v1/articles", headers={"Origin": "https://other.example"})
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, site)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, site)
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-credentials" not in refused.headers


def test_what_says_nothing_of_articles_is_said_to_anybody(tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, _):
        asked = {
            path: client.get(path, headers={"host": "10.1.2.3"}) for path in ("/v1/health", "/v1/ready", "/", "/add")
        }
    assert [response.status_code for response in asked.values()] == [200, 200, 421, 421]
