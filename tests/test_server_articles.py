import errno
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import ToyEmbedder
from fastapi.testclient import TestClient
from test_server_toys import RECIPE, TREATY, error, quoting, serving

from index.article import Article
from index.library import Acknowledge, Library
from index.lock import write_lock
from server.app import create_app
from server.articles import TURN_CHARACTERS


def test_adding_the_same_again_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        first = client.post("/v1/articles", json=[TREATY, RECIPE])
        again = client.post("/v1/articles", json=[RECIPE, TREATY])
        total = client.get("/v1/articles").json()["total"]
    assert first.status_code == 200
    assert first.json() == {
        "results": [{"id": "treaty-1648", "outcome": "added"}, {"id": "recipes/soup #1?", "outcome": "added"}]
    }
    assert again.json() == {
        "results": [{"id": "recipes/soup #1?", "outcome": "unchanged"}, {"id": "treaty-1648", "outcome": "unchanged"}]
    }
    assert total == 2


def test_results_are_in_the_order_of_the_records(tmp_path: Path) -> None:
    """Though the library acknowledges what is unchanged before what is in the same batch and new."""
    changed = TREATY | {"text": "It was signed in 1649."}
    new = {"id": "new", "text": "New."}
    with serving(tmp_path, TREATY, RECIPE) as client:
        response = client.post("/v1/articles", json=[new, RECIPE, changed, changed])
    assert [(result["id"], result["outcome"]) for result in response.json()["results"]] == [
        ("new", "added"),
        ("recipes/soup #1?", "unchanged"),
        ("treaty-1648", "replaced"),
        ("treaty-1648", "unchanged"),
    ]


def test_long_records_are_added_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that questions are answered in between."""
    turns = []
    add = Library.add

    def noted(library: Library, articles: list[Article], acknowledge: Acknowledge) -> None:
        turns.append([article.id for article in articles])
        add(library, articles, acknowledge)

    monkeypatch.setattr(Library, "add", noted)
    long = "The river rose again. " * (TURN_CHARACTERS // 22 - 1)
    records = [{"id": str(n), "text": text} for n, text in enumerate([long * 2, "a", "b", long, long * 2, "c", "d"])]
    with serving(tmp_path) as client:
        response = client.post("/v1/articles", json=records)
        listed = client.get("/v1/articles").json()
    assert turns == [["0"], ["1", "2", "3"], ["4"], ["5", "6"]]
    assert [result["id"] for result in response.json()["results"]] == list("0123456")
    assert [article["id"] for article in listed["articles"]] == list("0123456")


def test_one_record_may_come_alone(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        response = client.post("/v1/articles", json={"url": "https://example.org/a", "text": "Some text."})
    # sha256sum of the URL, its first 16 digits
    assert response.json() == {"results": [{"id": "b5b10dd0429e69ac", "outcome": "added"}]}


def test_no_records_are_no_error(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        response = client.post("/v1/articles", json=[])
    assert (response.status_code, response.json()) == (200, {"results": []})


def test_an_article_is_shown_as_it_was_sent(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        shown = client.get("/v1/articles/treaty-1648").json()
    assert {name: shown[name] for name in TREATY} == TREATY
    assert shown["characters"] == len(TREATY["text"])
    assert set(shown) == {*TREATY, "characters", "text_sha256", "language", "duplicate_of"}
    assert (shown["language"], shown["duplicate_of"]) == ("en", None)


@pytest.mark.parametrize(
    "id", ["recipes/soup #1?", "https://example.org/a//b/?c=d&e#f", "Ærø 🕊 100%", "/", "a/", "..."]
)
def test_odd_ids_are_shown_and_removed(tmp_path: Path, id: str) -> None:
    place = f"/v1/articles/{quote(id, safe='')}"
    with serving(tmp_path, {"id": id, "text": "Some text."}) as client:
        assert client.get(place).json()["id"] == id
        removed = client.delete(place)
        assert (removed.status_code, removed.content) == (204, b"")
        assert client.get(place).status_code == 404
        again = client.delete(place)
    assert again.status_code == 404
    assert error(again)["code"] == "article_not_found"


def test_a_lone_surrogate_and_nul_in_an_article_are_replaced(tmp_path: Path) -> None:
    body = rb'{"id": "i\ud800", "text": "a\ud800b\u0000c", "metadata": {"k\udfff": ["\ud800", {"x": "\u0000"}]}}'
    with serving(tmp_path) as client:
        added = client.post("/v1/articles", content=body, headers={"content-type": "application/json"})
        shown = client.get("/v1/articles/i\ufffd").json()
    assert added.json() == {"results": [{"id": "i\ufffd", "outcome": "added"}]}
    assert shown["text"] == "a\ufffdb\ufffdc"
    assert shown["metadata"] == {"k\ufffd": ["\ufffd", {"x": "\ufffd"}]}


def test_listing_in_pages(tmp_path: Path) -> None:
    records = [{"id": str(n), "text": f"Text {n}."} for n in range(5)]
    with serving(tmp_path, *records) as client:
        whole = client.get("/v1/articles").json()
        page = client.get("/v1/articles?offset=3&limit=1").json()
        beyond = client.get("/v1/articles?offset=9223372036854775807").json()
    assert [article["id"] for article in whole["articles"]] == ["0", "1", "2", "3", "4"]
    assert (whole["total"], whole["offset"], whole["limit"]) == (5, 0, 100)
    assert page["articles"] == [
        {
            "id": "3",
            "title": None,
            "url": None,
            "published": None,
            "source": None,
            "language": None,
            "duplicate_of": None,
            "authors": [],
            "metadata": {},
            "characters": 7,
            "text_sha256": "81eb4cd8ffa09bc603f25c7f326f7699becfa0b0210e66d7a5d77c315852576e",
            "passages": 1,
        }
    ]
    assert (page["total"], page["offset"], page["limit"]) == (5, 3, 1)
    assert (beyond["articles"], beyond["total"]) == ([], 5)


@pytest.mark.parametrize(
    "query", ["offset=-1", "limit=0", "limit=1001", "limit=x", "offset=9223372036854775808", "limt=5"]
)
def test_bad_pages(tmp_path: Path, query: str) -> None:
    with serving(tmp_path) as client:
        response = client.get(f"/v1/articles?{query}")
    assert response.status_code == 422
    assert [detail["place"] for detail in error(response)["details"]] == [f"query.{query.partition('=')[0]}"]


@pytest.mark.parametrize(
    ("bad", "code", "place"),
    [
        ({"text": " \n "}, "unreadable_article", "body[1]"),
        ({"text": "Fine.", "id": " " * 512 + "x" * 513}, "validation", "body[1].id"),
        ({"title": "No text"}, "validation", "body[1].text"),
        ({"text": ""}, "validation", "body[1].text"),
        ({"text": 3}, "validation", "body[1].text"),
        ({"text": "Fine.", "id": 3}, "validation", "body[1].id"),
        ({"text": "Fine.", "origin": "/etc/passwd"}, "validation", "body[1].origin"),
        ({"text": "Fine.", "authors": "Desk"}, "validation", "body[1].authors"),
        ({"text": "Fine.", "authors": [None]}, "validation", "body[1].authors[0]"),
        ({"text": "Fine.", "metadata": []}, "validation", "body[1].metadata"),
        ({"text": "Fine.", "title": "x" * 10_001}, "validation", "body[1].title"),
        ("Fine.", "validation", "body[1]"),
    ],
)
def test_a_bad_record_is_named_and_nothing_is_added(tmp_path: Path, bad: Any, code: str, place: str) -> None:
    with serving(tmp_path) as client:
        response = client.post("/v1/articles", json=[TREATY, bad])
        total = client.get("/v1/articles").json()["total"]
    assert response.status_code == 422
    assert error(response)["code"] == code
    assert f"{place}: " in error(response)["message"]
    assert total == 0


def test_at_most_a_thousand_records(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        response = client.post("/v1/articles", json=[{"id": "x", "text": "X."}] * 1_001)
        total = client.get("/v1/articles").json()["total"]
    assert response.status_code == 422
    assert [detail["place"] for detail in error(response)["details"]] == ["body"]
    assert "at most 1000 items" in error(response)["message"]
    assert total == 0


def test_a_text_that_is_too_long(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        response = client.post("/v1/articles", json={"text": "x" * 20_000_001})
    assert response.status_code == 422
    assert error(response)["details"] == [
        {"place": "body.text", "message": "String should have at most 20000000 characters"}
    ]


def test_another_writer_means_come_again(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client, write_lock(tmp_path / "library"):
        added = client.post("/v1/articles", json=RECIPE)
        removed = client.delete("/v1/articles/treaty-1648")
        shown = client.get("/v1/articles/treaty-1648")
    for response in (added, removed):
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert error(response)["code"] == "library_busy"
    assert shown.status_code == 200


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [(errno.ENOSPC, 507, "disk_full"), (errno.EDQUOT, 507, "disk_full"), (errno.EIO, 500, "internal_error")],
)
def test_what_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int, code: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "the disk says no")

    monkeypatch.setattr(Library, "add", fail)
    with serving(tmp_path) as client:
        response = client.post("/v1/articles", json=TREATY)
    assert response.status_code == status
    assert error(response)["code"] == code
    assert "the disk says no" not in response.text


def test_at_the_end_the_indexes_are_saved(tmp_path: Path) -> None:
    saved = tmp_path / "library" / "manifest.json"
    with Library(tmp_path / "library", ToyEmbedder(), create=True) as library:
        with TestClient(create_app(quoting(library), library), base_url="http://localhost") as client:
            client.post("/v1/articles", json=TREATY)
            client.post("/v1/search", json={"question": "When?"})
            assert not saved.exists()
        assert saved.exists()
        assert library.counts() == (1, 1)  # and the library is still open
