"""Errors to pages: what the API says, for who asks for a page."""

import json
from urllib.parse import quote as percent_encode

from fastapi.responses import Response
from starlette.datastructures import Headers, QueryParams
from starlette.types import Scope

from server import errors
from server.pages.ask import asked_of
from server.pages.render import page

_HEADINGS: dict[int | str, str] = {
    "too_many_requests": "That was often enough for now",
    403: "This was not taken",
    404: "There is nothing here",
    413: "This is too large",
    429: "Too many are asking at once",
    500: "Something went wrong",
    503: "Not just now",
    507: "The disk is full",
}
_HEADING = "This cannot be done as it stands"


def response_to(scope: Scope, error: Exception) -> Response:
    """The response to any error: JSON from the API and to programs, a page that says the same to browsers."""
    told = errors.response_to(error)
    below = scope["path"].removeprefix(scope.get("root_path", ""))
    if below.startswith("/v1/") or "text/html" not in Headers(scope=scope).get("accept", ""):
        return told
    query = QueryParams(scope["query_string"])
    here = "/" + percent_encode(scope["path"]).lstrip("/") + (f"?{query}" if query else "")
    if told.status_code == 401:
        return page("key.html.jinja", 401, next=here if scope["method"] == "GET" else "/", refused=False)
    said = json.loads(bytes(told.body))["error"]
    return page(
        "error.html.jinja",
        told.status_code,
        {name: value for name, value in told.headers.items() if not name.startswith("content-")},
        heading=_HEADINGS.get(said["code"]) or _HEADINGS.get(told.status_code, _HEADING),
        message=said["message"],
        retry_seconds=told.headers.get("Retry-After"),
        again=here if scope["method"] == "GET" and told.headers.get("Retry-After") else None,
        asked=asked_of(query) if below == "/" else None,
    )
