"""Errors to responses: one JSON shape for all of them, and never a traceback."""

import errno
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from index.errors import (
    ArticleDamaged,
    ArticleNotFound,
    DiskFull,
    InvalidInput,
    LibraryBusy,
    LibraryCorrupt,
    LibraryNotFound,
    LibraryNotWritable,
    LibraryUnreachable,
    ModelMismatch,
    ModelNotFound,
    NotFetched,
    PullquoteError,
    UnreadableArticle,
)
from server.entry import note_error
from server.responses import ErrorJSON, FaultJSON
from server.wire import UNION_TAGS

MAX_FAULTS = 20
"""Faults of a request that are listed: nobody mends more at a time, and a large body may have a hundred thousand."""

_MAX_NAME_CHARACTERS = 64
"""What is shown of a field's name, which may be the client's own."""

RETRY_SECONDS = {429: 1, 503: 5}
"""When to come again: most questions take less than a second; another process that adds articles takes longer."""

_logger = logging.getLogger("pullquote.server")

_PULLQUOTE = {
    PullquoteError: (500, "error"),
    InvalidInput: (422, "invalid_input"),
    UnreadableArticle: (422, "unreadable_article"),
    NotFetched: (422, "not_fetched"),
    ArticleNotFound: (404, "article_not_found"),
    LibraryBusy: (503, "library_busy"),
    LibraryUnreachable: (503, "library_unreachable"),
    LibraryNotWritable: (503, "library_not_writable"),
    DiskFull: (507, "disk_full"),
    LibraryNotFound: (500, "library_not_found"),
    LibraryCorrupt: (500, "library_corrupt"),
    ArticleDamaged: (500, "article_damaged"),
    ModelNotFound: (500, "model_not_found"),
    ModelMismatch: (500, "model_mismatch"),
}

_HTTP = {
    404: ("not_found", "there is nothing here; /openapi.json lists what there is"),
    405: ("method_not_allowed", "this does not take that method; see the Allow header for those it takes"),
}

_FULL = {errno.ENOSPC, errno.EDQUOT}
"""What the system says where a disk, or the user's share of it, is full: the one for temporary files, say."""

_MESSAGES = {
    "model_attributes_type": "Input should be an object",
    "dict_type": "Input should be an object",
}
"""Where pydantic speaks of Python rather than of JSON."""

_DESCRIPTIONS = {
    401: "No key that is known came with the request",
    403: "The key does not allow this",
    404: "There is no such article, or collection, for this key to see",
    408: "The request took too long to arrive",
    413: "The body is too large",
    415: "The body is not declared to be JSON",
    421: "The host in the URL is not this machine, and no keys were made",
    422: "The request cannot be answered as it stands",
    429: "Too many requests are waiting, or came with this key; come again after the seconds in `Retry-After`",
    500: "A fault on our side",
    503: "Not now, as `code` says: the library cannot be written to, the models are being loaded, the server is about "
    "to end, or the time given is over; come again after the seconds in `Retry-After`",
    507: "The disk is full",
}


class Refusal(HTTPException):
    """A request that is turned away; `code` is for programs, `message` for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.code = code


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of a route's error responses: these, and those of whoever may not use it."""
    return open_to_all(401, 403, 404, 429, *statuses)


def open_to_all(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """As `declared`, of a route that needs no key."""
    return {status: {"model": ErrorJSON, "description": _DESCRIPTIONS[status]} for status in sorted({421, *statuses})}


def response_to(error: Exception) -> JSONResponse:
    """The response to any error. What is not foreseen is logged with its traceback and answered in fixed words."""
    if isinstance(error, RequestValidationError):
        return _validation_response(error.errors())
    if isinstance(error, Refusal):
        return _response(error.status_code, error.code, str(error.detail), error.headers)
    if isinstance(error, StarletteHTTPException):
        code, message = _HTTP.get(error.status_code, ("bad_request", str(error.detail)))
        return _response(error.status_code, code, message, error.headers)
    if isinstance(error, PullquoteError):
        status, code = next(_PULLQUOTE[kind] for kind in type(error).__mro__ if kind in _PULLQUOTE)
        if status >= 500:
            _logger.warning("%s: %s", code, error)
        return _response(status, code, str(error))
    if isinstance(error, OSError) and error.errno in _FULL:
        return _response(507, "disk_full", "the disk is full; make room and send this again")
    _logger.error("unexpected error", exc_info=error)
    return _response(500, "internal_error", "something went wrong on our side; the server's log says what")


def error_json(error: Exception) -> ErrorJSON:
    """What the response to an error says, to stand among answers."""
    told: ErrorJSON = json.loads(bytes(response_to(error).body))
    return told


def faults_of(errors: Sequence[Any]) -> list[FaultJSON]:
    """Where pydantic's errors are and what is expected there, never what was sent."""
    return [
        {"place": _place(error["loc"]), "message": _MESSAGES.get(error["type"], error["msg"])}
        for error in errors[:MAX_FAULTS]
    ]


def _response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    note_error(code)
    body: ErrorJSON = {"error": {"code": code, "message": message}}
    retry = {"Retry-After": str(RETRY_SECONDS[status])} if status in RETRY_SECONDS else {}
    return JSONResponse(body, status, {**retry, **(headers or {})})


def _validation_response(errors: Sequence[Any]) -> JSONResponse:
    faults = faults_of(errors)
    message = f"the request is not as /openapi.json describes it: {faults[0]['place']}: {faults[0]['message']}"
    note_error("validation")
    body: ErrorJSON = {"error": {"code": "validation", "message": message, "details": faults}}
    return JSONResponse(body, 422)


def _place(location: Sequence[str | int]) -> str:
    """Like `body[3].text`."""
    place = ""
    for part in location:
        if isinstance(part, int):
            place += f"[{part}]"
        elif part not in UNION_TAGS:
            place += f".{part[:_MAX_NAME_CHARACTERS]}"
    return place.removeprefix(".")
