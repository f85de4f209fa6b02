import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from test_server_toys import TREATY, serving

from qa.answer import Answer, NoAnswer, Question
from server.metrics import Metrics

SECONDS = 30
"""After this a test has failed; none takes nearly as long."""


class Figures:
    """What `/metrics` says at a time."""

    def __init__(self, client: TestClient) -> None:
        self.response = client.get("/metrics")
        assert self.response.status_code == 200
        families = text_string_to_metric_families(self.response.text)
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value for one in families for sample in one.samples
        }

    def of(self, name: str, **labels: str) -> float | None:
        return self._values.get((f"pullquote_{name}", frozenset(labels.items())))

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sums of one name, by one of its labels."""
        sums: Counter[str] = Counter()
        for (one, labels), value in self._values.items():
            if one == f"pullquote_{name}":
                sums[dict(labels)[label]] += value  # type: ignore[assignment]  # counts may be fractions
        return dict(sums)

    def labels(self) -> set[str]:
        return {value for _, labels in self._values for _, value in labels}


def unanswered(question: Question) -> Answer:
    milliseconds = {"search": 20.0, "read": 300.0, "total": 320.0}
    return Answer(question.text, None, NoAnswer.BELOW_THRESHOLD, 0.1, (), (), 0, True, milliseconds)


def test_requests_are_counted_by_method_route_and_status(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        client.get("/v1/articles/treaty-1648")
        client.get("/v1/articles/treaty-1648")
        client.get("/v1/articles/none")
        client.get("/static/none")
        client.get("/docs")
        client.get("/docs/assets/none")
        client.get("/openapi.json")
        client.put("/v1/articles")
        figures = Figures(client)
    one = {"method": "GET", "route": "/v1/articles/{id}"}
    assert figures.of("requests_total", **one, status="200") == 2
    assert figures.of("requests_total", **one, status="404") == 1
    assert figures.of("request_seconds_count", **one) == 3
    assert figures.by("requests_total", "route") == {
        "/v1/articles": 2,
        "/v1/articles/{id}": 3,
        "/static/{path}": 1,
        "/docs": 1,
        "/docs/assets/{path}": 1,
        "/openapi.json": 1,
    }


def test_no_label_has_what_a_client_sent(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        before = Figures(client).labels()
        for number in range(5):
            client.get(f"/v1/canary{number}")
            client.get(f"/canary{number}")
            client.get(f"/static/canary{number}")
            client.get(f"/v1/articles/canary{number}")
            client.request(f"CANARY{number}", "/v1/ask")
            client.post("/v1/ask", json={"question": f"canary{number}?", f"canary{number}": 1})
            client.post("/v1/search", json={"question": f"canary{number}?", "filter": {"sources": ["canary"]}})
        figures = Figures(client)
    assert figures.labels() - before == {
        "GET", "other", "none", "/metrics", "/static/{path}", "/v1/articles/{id}", "/v1/ask", "/v1/search",
        "404", "405", "422", "not_found", "article_not_found", "method_not_allowed", "validation",
    }  # fmt: skip
    assert figures.of("requests_total", method="GET", route="none", status="404") == 10
    assert figures.of("requests_total", method="other", route="/v1/ask", status="405") == 5
    assert figures.of("errors_total", code="validation") == 5


def test_answers_by_outcome_and_stage(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        client.post("/v1/ask", json={"question": "When?"})
        client.get("/", params={"q": "When?"})
        given = Figures(client)
    with serving(tmp_path / "other", TREATY, ask=unanswered) as client:
        client.post("/v1/ask", json={"questions": [{"question": "When?"}, {"question": " "}, {"question": "Who?"}]})
        client.post("/v1/ask", json={"question": "When?"}, headers={"Accept": "application/x-ndjson"})
        withheld = Figures(client)
    assert given.by("answers_total", "outcome") == {
        "answered": 2,
        "nothing retrieved": 0,
        "nothing in the passages answers": 0,
        "below the threshold": 0,
    }
    assert withheld.by("answers_total", "outcome")["below the threshold"] == 3
    assert withheld.by("answer_seconds_count", "stage") == {"search": 3, "read": 3, "total": 3}
    assert withheld.of("answer_seconds_sum", stage="read") == pytest.approx(0.9)
    assert withheld.of("answer_seconds_bucket", stage="read", le="0.25") == 0
    assert withheld.of("answer_seconds_bucket", stage="read", le="0.5") == 3
    assert withheld.of("errors_total", code="invalid_input") == 1


def test_what_waits_and_what_is_refused(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def ask(question: Question) -> Answer:
        begun.set()
        assert go_on.wait(SECONDS)
        return unanswered(question)

    with serving(tmp_path, TREATY, ask=ask, waiting=1) as client, ThreadPoolExecutor(2) as others:
        idle = Figures(client)
        try:
            asked = [others.submit(client.post, "/v1/ask", json={"question": "When?"})]
            assert begun.wait(SECONDS)
            working = Figures(client)
            refused = client.post("/v1/ask", json={"question": "When?", "budget_ms": 1})
            asked.append(others.submit(client.post, "/v1/ask", json={"question": "When?"}))
            while (waiting := Figures(client)).of("queue_waiting") == 0:
                pass
            overloaded = client.post("/v1/ask", json={"question": "When?"})
        finally:
            go_on.set()
        assert [one.result(SECONDS).status_code for one in asked] == [200, 200]
        after = Figures(client)
    assert (refused.status_code, overloaded.status_code) == (503, 429)
    for figures, at_work, behind in [(idle, 0, 0), (working, 1, 0), (waiting, 1, 1), (after, 0, 0)]:
        assert (figures.of("queue_working"), figures.of("queue_waiting")) == (at_work, behind)
    assert after.by("errors_total", "code") == {"out_of_time": 1, "overloaded": 1}
    # The addition of the article, the two questions that were answered, and the one that had not begun in time.
    assert after.of("queue_seconds_count") == 4
    assert (after.of("queue_seconds_sum") or 0) > 0.001


def test_articles_passages_version_and_process(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY) as client:
        figures = Figures(client)
        client.delete("/v1/articles/treaty-1648")
        after = Figures(client)
        version = client.get("/v1/health").json()["version"]
    assert figures.response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert (figures.of("articles"), figures.of("passages")) == (1, 1)
    assert (after.of("articles"), after.of("passages")) == (0, 0)
    assert figures.of("build_info", version=version) == 1
    assert "process_resident_memory_bytes " in figures.response.text


def test_each_app_has_its_own(tmp_path: Path) -> None:
    with serving(tmp_path / "one", TREATY) as one, serving(tmp_path / "other") as other:
        one.post("/v1/ask", json={"question": "When?"})
        assert Figures(one).of("answers_total", outcome="answered") == 1
        assert Figures(other).of("answers_total", outcome="answered") == 0


def test_a_library_that_cannot_be_read_is_told_to_who_scrapes(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        client.app.state.collections.main.library.close()
        (tmp_path / "library" / "pullquote.db").unlink()
        assert client.get("/metrics").status_code == 500


def test_a_collection_is_told_its_own_figures_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, told = Metrics("1"), list[Future[bytes]]()

    def generate_late(registry: CollectorRegistry) -> bytes:
        if not told:  # meanwhile another is asked for its own
            told.append(others.submit(metrics.text, 0, 0, 7, 7))
            with suppress(TimeoutError):
                told[0].result(0.2)
        return generate_latest(registry)

    monkeypatch.setattr("server.metrics.generate_latest", generate_late)
    with ThreadPoolExecutor(1) as others:
        assert b"pullquote_articles 3.0" in metrics.text(0, 0, 3, 3)
        assert b"pullquote_articles 7.0" in told[0].result(SECONDS)
