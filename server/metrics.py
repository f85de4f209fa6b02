"""What happened since the server was started, in figures for Prometheus."""

from threading import Lock

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from qa.answer import NoAnswer
from server.entry import Entry
from server.errors import declared
from server.service import ServiceOf

ANSWERED = "answered"
"""The outcome of a question that has an answer; of others it is the reason why there is none."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds of what is counted together: from a page without an answer to the time after which nobody waits."""

_AS_TEXT = {
    "content": {"text/plain": {"schema": {"type": "string"}}},
    "description": "Prometheus' text format, version 0.0.4",
}

router = APIRouter(tags=["server"])


class Metrics:
    """The figures of one app. No label has a value that a client could choose: there are as many as we name."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        self._telling = Lock()  # no collection is told the figures of another
        of = self._registry
        self._requests = Counter(
            "pullquote_requests", "Requests; status 499: the client left.", ["method", "route", "status"], registry=of
        )
        self._request_seconds = Histogram(
            "pullquote_request_seconds",
            "Seconds from the head of a request to the end of its response.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=of,
        )
        self._errors = Counter("pullquote_errors", "Requests and questions that were refused.", ["code"], registry=of)
        self._answers = Counter(
            "pullquote_answers", "Questions by answer: given, or why there is none.", ["outcome"], registry=of
        )
        self._answer_seconds = Histogram(
            "pullquote_answer_seconds", "Seconds of an answer, by stage.", ["stage"], buckets=_SECONDS, registry=of
        )
        self._queue_seconds = Histogram(
            "pullquote_queue_seconds", "Seconds until a call had its turn at inference.", buckets=_SECONDS, registry=of
        )
        self._waiting = Gauge("pullquote_queue_waiting", "Requests behind the one at work.", registry=of)
        self._working = Gauge("pullquote_queue_working", "Requests at work: 0 or 1.", registry=of)
        self._articles = Gauge("pullquote_articles", "Articles in the collection.", registry=of)
        self._passages = Gauge("pullquote_passages", "Passages in the collection.", registry=of)
        Info("pullquote_build", "The version that runs.", registry=of).info({"version": version})
        ProcessCollector(registry=of)
        for outcome in (ANSWERED, *NoAnswer):  # from 0 on, so that the first one is an increase
            self._answers.labels(outcome)

    def count(self, entry: Entry) -> None:
        """Take in a request that has ended."""
        self._requests.labels(entry.method, entry.route, entry.status).inc()
        self._request_seconds.labels(entry.method, entry.route).observe(entry.seconds)
        for code in entry.codes:
            self._errors.labels(code).inc()
        for waited in entry.waits:
            self._queue_seconds.observe(waited)
        for answer in entry.answers:
            self._answers.labels(answer.reason or ANSWERED).inc()
            for stage, milliseconds in answer.milliseconds.items():
                self._answer_seconds.labels(stage).observe(milliseconds / 1000)

    def text(self, waiting: int, working: int, articles: int, passages: int) -> bytes:
        """All figures in Prometheus' text format, with those that are known only now."""
        with self._telling:
            self._waiting.set(waiting)
            self._working.set(working)
            self._articles.set(articles)
            self._passages.set(passages)
            return generate_latest(self._registry)


@router.get(
    "/metrics",
    summary="What happened so far, in figures",
    response_class=Response,
    responses={200: _AS_TEXT, **declared(500)},
)
async def metrics(request: Request, service: ServiceOf) -> Response:
    """Requests, errors, answers, and the time they took by stage, since the server was started; how many requests wait
    now, in `pullquote_queue_waiting`; how many articles and passages the collection has; what the process uses."""
    of: Metrics = request.app.state.metrics
    waiting, working = service.queue.waiting, service.queue.working
    counts = await service.reads.run(service.library.rough_counts)
    text = await service.reads.run(of.text, waiting, working, *counts)
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
