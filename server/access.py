"""Who may do what, where: which collection a request is for, and whether its key is good for it."""

import re
from functools import partial
from ipaddress import ip_address
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from index.collection import MAIN
from server.collections import Collections, not_found
from server.errors import Refusal
from server.keys import Key, KeyFile, Right
from server.limits import Limits
from server.service import Service
from server.visit import VISIT, Visit

COOKIE = "pullquote_key"
"""Holds the key of who signed in at the pages. The API takes none: a browser sends it along with everything."""

_COOKIE = re.compile(rf"(?:^|;) *{COOKIE}=([A-Za-z0-9_-]*)")
"""Not starlette's parser, which by Python's takes 19 seconds for 60 kB of backslashes in quotation marks."""

_COLLECTION = re.compile(r"/c/([^/]*)(?=/|$)")

OPEN = re.compile(r"/v1/(health|ready)|/openapi\.json|/docs(/.*)?|/static/.*|/key")
"""What nobody needs a key for, since it says nothing of any article."""

_API = re.compile(r"/(v1|mcp|metrics)(/.*)?")

_READING = {"/v1/ask", "/v1/read", "/v1/search", "/v1/verify", "/v1/feedback", "/feedback", "/mcp"}
"""What is sent by POST and leaves the articles as they are."""

_ADMIN = re.compile(r"/metrics|/v1/collections/.*")

_OF_ALL = re.compile(r"/v1/collections(/.*)?")
"""What is of no one collection."""


class Access:
    """Finds the collection that a request is for, and refuses who may not use it. Where there are keys, it needs one
    that is good for it, and what a key does not see is for it as if it were not there. Where there are none, the Host
    header must name this machine, but for what says nothing of any article: otherwise any web page could have its own
    name resolve to 127.0.0.1 (DNS rebinding) and read the library through the reader's browser.

    A collection's paths have `/c/NAME` before them; without that, they are of the main collection, or of the only one
    that the key sees. Leaves `service`, `key_id` and `spend` in the request's state, and for the pages a `VISIT`.
    """

    def __init__(self, app: ASGIApp, collections: Collections, keys: KeyFile | None) -> None:
        self._app = app
        self._collections = collections
        self._keys = keys
        self._limits = Limits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "\n" in scope["path"]:  # a route takes a path with a line end after it for its own; these patterns do not
            raise HTTPException(404)
        state, headers = scope.setdefault("state", {}), Headers(scope=scope)
        state.update(service=self._collections.main, spend=_free)
        named = _COLLECTION.match(scope["path"])
        path = scope["path"][named.end() :] if named else scope["path"]
        required = self._keys is not None and self._keys.needed
        needs_nothing = OPEN.fullmatch(path) is not None
        if not required and not needs_nothing and not is_loopback(_host(headers.get("host", ""))):
            raise Refusal(421, "unknown_host", "this server answers this machine only; use http://127.0.0.1 in the URL")
        if named:
            scope["root_path"] = scope.get("root_path", "") + named[0]
        if not needs_nothing:
            key = self._admitted(scope["method"], path, headers, state) if required else None
            name = named[1] if named else _meant(key)
            seen = () if _API.fullmatch(path) else await self._collections.seen_by(key)
            VISIT.set(Visit(scope.get("root_path", "") if name in seen else "", key, name, seen))
            if named or not _OF_ALL.fullmatch(path):
                state["service"] = await self._service(name, key)
        await self._app(scope, receive, send)

    def _admitted(self, method: str, path: str, headers: Headers, state: dict[str, Any]) -> Key:
        """The request's key, noted in its state and one request of its minute spent. Raises Refusal."""
        secret = _secret(path, headers)
        key = self._keys.find(secret) if self._keys else None
        if key is None:
            wrong = "this key is none that is known here, or was revoked"
            none = "this needs a key, as the header Authorization: Bearer pq_…; make one with: pullquote keys add NAME"
            raise Refusal(401, "key_needed", wrong if secret else none, {"WWW-Authenticate": "Bearer"})
        state.update(key_id=key.id, spend=partial(self._limits.spend, key, paid=1))
        self._limits.spend(key)
        if not key.right.includes(right := needed(method, path)):
            raise Refusal(403, "not_allowed", f"this needs a key with the right {right}; this one has {key.right}")
        return key

    async def _service(self, name: str, key: Key | None) -> Service:
        """Raises Refusal (404)."""
        found = await self._collections.service(name) if key is None or key.sees(name) else None
        if found is not None:
            return found
        raise not_found()


def _meant(key: Key | None) -> str:
    """The collection of a path that names none."""
    only = key.collections if key else ()
    return only[0] if len(only) == 1 else MAIN


def _free(requests: int) -> None:
    """Without keys nobody's requests are counted."""


def needed(method: str, path: str) -> Right:
    """What a key must allow: reading, unless it is known that more is needed."""
    if _ADMIN.fullmatch(path):
        return Right.ADMIN
    return Right.READ if method in ("GET", "HEAD") or path in _READING else Right.WRITE


def _secret(path: str, headers: Headers) -> str:
    """The key as it was sent, empty where none was."""
    kind, _, secret = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return secret.strip()
    kept = None if _API.fullmatch(path) else _COOKIE.search(headers.get("cookie", ""))
    return kept[1] if kept else ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is certain to be this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _host(header: str) -> str:
    """The host of a Host header, which may have a port after it."""
    return re.sub(r":\d*$", "", header).strip("[]").lower()
