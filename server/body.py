"""The body of a request: bytes to JSON values that can be checked, stored and shown."""

import json
import re
from collections.abc import Callable, Coroutine
from itertools import islice
from math import isfinite
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute

from index.article import storable
from server.errors import Refusal
from server.service import service_of

MAX_DEPTH = 32
"""Deepest nesting of lists and objects. Ours have four levels; metadata may have more, but Python's and pydantic's
recursion end near a thousand and at 255."""

MAX_TOKENS = 100_000
"""Most strings, commas and opening brackets of a body: a thousand records with a hundred each. Every second one might
be a fault, which pydantic takes a third of a second to describe. 32 MiB can hold eleven million lists, and json would
take a gigabyte and seven seconds for them, with every other thread standing still."""

# Strings are closed or not, so that no part of a body is read twice.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{,]', re.DOTALL)


class JSONRoute(APIRoute):
    """A route that takes JSON only, as this module reads it."""

    queued: ClassVar[bool] = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            if self.body_field is None:
                return await handle(request)
            if not _is_json(request.headers.get("content-type", "")):
                raise Refusal(
                    415, "unsupported_media_type", "send JSON, with the header Content-Type: application/json"
                )
            taken = _JSONRequest(request.scope, request.receive)
            if self.queued:
                await taken.body()
                service_of(taken).queue.check_room()
            return await handle(taken)

        return handle_json


class QueuedRoute(JSONRoute):
    """A route that takes a place in the queue. Where there is none, the body is not looked at: in an overload, refusing
    is most of the work."""

    queued = True


class _JSONRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        return await service_of(self).reads.run(values_of, body)


def values_of(body: bytes) -> Any:
    """The JSON values of a body, with each lone surrogate and NUL in their strings replaced by U+FFFD.

    Raises Refusal (422) where it is no JSON, too long in tokens, nested too deep, or has a number that is not finite.
    """
    check_tokens(body)
    try:
        values = json.loads(body.decode())
    except RecursionError:
        raise _invalid(f"it is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise _invalid(f"{error.msg}, at character {error.pos}") from None
    except UnicodeDecodeError as error:
        raise _invalid(f"it is not UTF-8, at byte {error.start}") from None
    except ValueError:  # the one left: int() on thousands of digits
        raise _invalid("it has a number of too many digits") from None
    _check(values)
    return _storable(values)


def check_tokens(body: bytes) -> None:
    """Raises Refusal (422) where JSON is too long in tokens."""
    if next(islice(_TOKEN.finditer(body), MAX_TOKENS, None), None) is not None:
        raise _invalid(f"it has more than {MAX_TOKENS:,} strings, commas and opening brackets; send it in parts")


def _check(values: object) -> None:
    waiting = [(values, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, float) and not isfinite(value):
            raise _invalid("it has a number that is not finite; leave NaN and Infinity out")
        if not isinstance(value, dict | list):
            continue
        if depth > MAX_DEPTH:
            raise _invalid(f"it is nested deeper than {MAX_DEPTH} levels")
        waiting.extend((item, depth + 1) for item in (value.values() if isinstance(value, dict) else value))


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(name): _storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _invalid(reason: str) -> Refusal:
    return Refusal(422, "invalid_json", f"the body cannot be read as JSON: {reason}")
