"""The server's log: one JSON object a line, or a form for people. What was asked is in none of it, unless wanted."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging import LogRecord
from traceback import format_exception, format_tb
from typing import Literal, TextIO

from structlog.dev import ConsoleRenderer
from structlog.processors import JSONRenderer, TimeStamper
from structlog.stdlib import ProcessorFormatter, add_log_level
from structlog.types import EventDict, Processor

from server.entry import Entry, current

Form = Literal["json", "text"]

_OURS = {"pullquote", "uvicorn"}
"""Those whose messages are known to hold nothing that was sent; other libraries may quote what they worked at."""

_logger = logging.getLogger("pullquote.server")


def write(entry: Entry) -> None:
    """The line of a request that has ended."""
    if not _logger.isEnabledFor(logging.INFO):
        return
    fields = {
        "method": entry.method,
        "route": entry.route,
        "status": entry.status,
        "milliseconds": round(entry.seconds * 1000, 1),
        "waited_milliseconds": round(sum(entry.waits, 0.0) * 1000, 1),
        "bytes": entry.sent,
    }
    if entry.key_id is not None:
        fields["key"] = entry.key_id
    if entry.codes:
        fields["code"] = ",".join(dict.fromkeys(entry.codes))
    asked = [
        {"question": one.question, "confidence": round(one.confidence, 4), "reason": one.reason}
        for one in entry.answers
    ]
    _logger.info("request", extra={"fields": fields, "private": {"asked": asked} if asked else {}})


def write_state(state: str, **fields: str | float) -> None:
    """A line of the server's own course: that it is ready, say."""
    _logger.info(state, extra={"fields": fields})


@contextmanager
def logging_to(stream: TextIO, form: Form | None = None, questions: bool = False) -> Iterator[None]:
    """While this lasts, all that is logged in this process goes to `stream`: at a terminal in the form for people,
    unless told otherwise. With `questions` the line of a request has those that were answered, and the messages of
    unexpected errors and of other libraries are there too, which may hold them."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(form or ("text" if stream.isatty() else "json"), stream.isatty(), questions))
    root, ours = logging.getLogger(), logging.getLogger("pullquote")
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    logging.captureWarnings(True)  # as lines of their own form they would end who reads JSON
    try:
        yield
    finally:
        logging.captureWarnings(False)
        ours.setLevel(level)
        root.removeHandler(handler)


def _formatter(form: Form, coloured: bool, questions: bool) -> logging.Formatter:
    def told(_: object, __: str, event: EventDict) -> EventDict:
        return _told(event, questions)

    renderer: Processor = JSONRenderer() if form == "json" else ConsoleRenderer(colors=coloured, sort_keys=False)
    clean = ProcessorFormatter.remove_processors_meta
    return ProcessorFormatter(processors=[add_log_level, TimeStamper("iso"), told, clean, renderer])


def _told(event: EventDict, questions: bool) -> EventDict:
    """An event with what may be told of it."""
    record: LogRecord = event["_record"]
    event["event"] = event["event"].strip()
    if (request_id := current().request_id) is not None:
        event["request_id"] = request_id
    if record.name.partition(".")[0] not in _OURS:
        event["logger"] = record.name
        event["place"] = f"{record.pathname}:{record.lineno}"
        if not questions:
            event["event"] = "a library's message, withheld"
    event.update(getattr(record, "fields", {}))
    if questions:
        event.update(getattr(record, "private", {}))
    error = event.pop("exc_info", (None, None, None))[1]
    if error is not None:
        event["exception"] = "".join(format_exception(error)).strip() if questions else _traceback(error)
    return event


def _traceback(error: BaseException) -> str:
    """As Python writes it, but without the messages of the errors, which may hold what was asked."""
    return "\n".join("".join([*format_tb(one.__traceback__), type(one).__qualname__]) for one in _causes(error, []))


def _causes(error: BaseException, known: list[BaseException]) -> Iterator[BaseException]:
    """The errors that led to an error, and then itself."""
    if error in known:
        return
    known.append(error)
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    within = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for one in (*within, before):
        if one is not None:
            yield from _causes(one, known)
    yield error
