import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import pytest
from fastapi.testclient import TestClient
from test_server_toys import RECIPE, TREATY, error, serving

from index.library import Library
from qa.answer import Answer, NoAnswer, Question
from server import questions
from server.admission import Queue, Threads
from server.app import READING_THREADS
from server.errors import Refusal
from server.wire import AskBody

SECONDS = 30
"""After this a test has failed; none takes nearly as long."""


@contextmanager
def reading(path: Path, waiting: int) -> Iterator[tuple[TestClient, Callable[[], int]]]:
    """A server that is reading for a question, and a function that lets it finish and returns the answer's status."""
    begun, go_on = threading.Event(), threading.Event()

    def ask(question: Question) -> Answer:
        begun.set()
        assert go_on.wait(SECONDS)
        return Answer(question.text, None, NoAnswer.NOTHING_ANSWERS, 0.0, (), (), 0, True, {})

    with serving(path, TREATY, ask=ask, waiting=waiting) as client, ThreadPoolExecutor(1) as other:
        asked = other.submit(client.post, "/v1/ask", json={"question": "When?"})

        def finish() -> int:
            go_on.set()
            return asked.result(SECONDS).status_code

        try:
            assert begun.wait(SECONDS)
            yield client, finish
        finally:
            go_on.set()


def test_all_that_only_reads_is_answered_while_a_question_is_read(tmp_path: Path) -> None:
    citation = {"article": "treaty-1648", "start": 7, "end": 21, "quote": "signed in 1648"}
    with reading(tmp_path, waiting=0) as (client, finish):
        assert client.get("/v1/health").json()["status"] == "ok"
        assert client.get("/v1/ready").json() == {"status": "ready"}
        assert client.post("/v1/verify", json=citation).json()["validity"] == "valid"
        assert client.get("/v1/articles").json()["total"] == 1
        assert client.get("/v1/articles/treaty-1648").json()["text"] == TREATY["text"]
        assert finish() == 200


def test_readiness_is_told_while_all_readers_are_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()
    counts = Library.rough_counts

    def late(library: Library) -> tuple[int, int]:
        begun.release()
        assert go_on.wait(SECONDS)
        return counts(library)

    monkeypatch.setattr(Library, "rough_counts", late)
    with serving(tmp_path, TREATY) as client, ThreadPoolExecutor(READING_THREADS + 1) as others:
        told = [others.submit(client.get, "/metrics") for _ in range(READING_THREADS)]
        try:
            assert all(begun.acquire(timeout=SECONDS) for _ in told)
            assert others.submit(client.get, "/v1/ready").result(SECONDS).json() == {"status": "ready"}
        finally:
            go_on.set()
        assert [one.result(SECONDS).status_code for one in told] == [200] * READING_THREADS


def test_whatever_is_too_much_is_refused_at_once(tmp_path: Path) -> None:
    with reading(tmp_path, waiting=0) as (client, finish):
        refused = [
            client.post("/v1/ask", json={"question": "When?"}),
            client.post("/v1/search", json={"question": "When?"}),
            client.post("/v1/articles", json=RECIPE),
            client.delete("/v1/articles/treaty-1648"),
        ]
        assert finish() == 200
        after = client.post("/v1/articles", json=RECIPE)
    for response in refused:
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        assert error(response) == {
            "code": "overloaded",
            "message": "too many requests are waiting; send this again in a second",
        }
    assert after.json()["results"][0]["outcome"] == "added"


def test_where_there_is_no_place_a_body_is_not_looked_at(tmp_path: Path) -> None:
    with serving(tmp_path, TREATY, waiting=0) as client:
        queue = client.app.state.collections.main.queue
        with queue.place():
            refused = [client.post(path, json={"question": " "}).status_code for path in ("/v1/ask", "/v1/verify")]
        assert refused == [429, 422]  # checking a citation takes no place
        assert client.post("/v1/ask", json={"question": " "}).status_code == 422
        assert queue.empty


def test_a_request_that_may_wait_is_answered_after_the_one_before(tmp_path: Path) -> None:
    with reading(tmp_path, waiting=1) as (client, finish), ThreadPoolExecutor(1) as other:
        second = other.submit(client.post, "/v1/search", json={"question": "When?"})
        assert finish() == 200
        assert second.result(SECONDS).status_code == 200


def test_a_budget_that_is_used_up_while_waiting_ends_the_waiting(tmp_path: Path) -> None:
    with reading(tmp_path, waiting=1) as (client, finish):
        refused = client.post("/v1/ask", json={"question": "When?", "budget_ms": 1})
        again = client.post("/v1/ask", json={"question": "When?", "budget_ms": 1})  # the place is free
        assert finish() == 200
    for response in (refused, again):
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert error(response) == {
            "code": "out_of_time",
            "message": "the time given was over before anything could be read; send this again",
        }


def test_a_budget_counts_from_when_the_request_came(tmp_path: Path) -> None:
    """A question that had to wait is asked with what is left."""
    budgets = []

    def ask(question: Question) -> Answer:
        budgets.append(question.budget_ms)
        return Answer(question.text, None, NoAnswer.NOTHING_ANSWERS, 0.0, (), (), 0, True, {})

    with serving(tmp_path, TREATY, ask=ask) as client:
        service = client.app.state.collections.main
        body = AskBody(question="When?", budget_ms=60_000)
        client.portal.call(questions.ask, body, service, perf_counter() - 50)
        client.portal.call(questions.ask, AskBody(question="When?"), service, perf_counter() - 50)
    assert 0 < budgets[0] < 10_000
    assert budgets[1] == 10_000


def test_all_that_writes_is_done_on_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for one another, writers would take the reading threads up."""
    used = []

    def noted(method: Callable[..., None]) -> Callable[..., None]:
        def note(*args: object) -> None:
            used.append((method.__name__, threading.current_thread().name))
            method(*args)

        return note

    monkeypatch.setattr(Library, "add", noted(Library.add))
    monkeypatch.setattr(Library, "remove", noted(Library.remove))
    with serving(tmp_path, TREATY) as client:
        client.delete("/v1/articles/treaty-1648")
    assert used == [("add", "inference_0"), ("remove", "inference_0")]


def test_places_in_the_queue() -> None:
    queue = Queue(waiting=1)
    with queue.place():
        with queue.place(), pytest.raises(Refusal, match="too many requests are waiting"), queue.place():
            pass
        with queue.place():
            pass


def test_a_place_is_free_again_after_an_error() -> None:
    queue = Queue(waiting=0)
    with pytest.raises(ZeroDivisionError), queue.place():
        raise ZeroDivisionError
    with queue.place():
        pass


def test_calls_are_made_one_after_another_on_one_thread() -> None:
    threads = Threads(1, "toy")
    began = []

    def call(number: int) -> str:
        began.append(number)
        return threading.current_thread().name

    async def main() -> list[str]:
        return await asyncio.gather(*(threads.run(call, number) for number in range(5)))

    names = asyncio.run(main())
    threads.close()
    assert began == [0, 1, 2, 3, 4]
    assert names == ["toy_0"] * 5


def test_a_call_that_is_given_up_is_dropped_unless_it_has_begun() -> None:
    threads = Threads(1, "toy")
    begun, go_on = threading.Event(), threading.Event()
    done = []

    def first() -> None:
        begun.set()
        assert go_on.wait(SECONDS)
        done.append("first")

    async def main() -> tuple[bool, bool]:
        jobs = [asyncio.create_task(threads.run(first)), asyncio.create_task(threads.run(done.append, "second"))]
        await asyncio.to_thread(begun.wait, SECONDS)
        for job in jobs:
            job.cancel()
        await asyncio.wait([jobs[1]])
        pending = not jobs[0].done()
        go_on.set()
        await asyncio.wait([jobs[0]])
        await threads.run(done.append, "third")
        return pending, all(job.cancelled() for job in jobs)

    assert asyncio.run(main()) == (True, True)
    assert done == ["first", "third"]
    threads.close()


def test_a_call_that_has_not_begun_by_its_deadline_is_refused() -> None:
    threads = Threads(1, "toy")
    begun, go_on = threading.Event(), threading.Event()
    done = []

    def first() -> str:
        begun.set()
        assert go_on.wait(SECONDS)
        return "first"

    async def main() -> str:
        job = asyncio.create_task(threads.run_by(perf_counter() + SECONDS, first))
        await asyncio.to_thread(begun.wait, SECONDS)
        with pytest.raises(Refusal, match="the time given was over") as refused:
            await threads.run_by(perf_counter(), done.append, "second")
        assert (refused.value.status_code, refused.value.code) == (503, "out_of_time")
        go_on.set()
        return await job

    assert asyncio.run(main()) == "first"
    threads.close()
    assert done == []


def test_an_error_of_a_call_that_was_given_up_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    threads = Threads(1, "toy")
    begun, go_on = threading.Event(), threading.Event()

    def fail() -> None:
        begun.set()
        assert go_on.wait(SECONDS)
        raise ZeroDivisionError

    async def main() -> None:
        job = asyncio.create_task(threads.run(fail))
        await asyncio.to_thread(begun.wait, SECONDS)
        job.cancel()
        go_on.set()
        await asyncio.wait([job])
        assert job.cancelled()

    asyncio.run(main())
    threads.close()
    gc.collect()
    assert caplog.records == []


def test_what_has_not_begun_is_dropped_at_the_end() -> None:
    threads = Threads(1, "toy")
    begun, go_on = threading.Event(), threading.Event()
    done = []

    def first() -> None:
        begun.set()
        assert go_on.wait(SECONDS)
        done.append("first")

    async def main() -> list[object]:
        jobs = [asyncio.create_task(threads.run(first)), asyncio.create_task(threads.run(done.append, "second"))]
        await asyncio.to_thread(begun.wait, SECONDS)
        closing = asyncio.create_task(asyncio.to_thread(threads.close))
        await asyncio.wait([jobs[1]])
        go_on.set()
        await closing
        return await asyncio.gather(*jobs, return_exceptions=True)

    results = asyncio.run(main())
    assert done == ["first"]
    assert isinstance(results[1], asyncio.CancelledError)
