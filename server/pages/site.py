"""Forms that are sent to the pages, and that they were sent from these pages."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, Headers

from index.errors import InvalidInput
from server.errors import Refusal
from server.guard import MAX_BODY_BYTES

_MAX_FIELDS = 20

Model = TypeVar("Model", bound=BaseModel)


@asynccontextmanager
async def form_of(request: Request) -> AsyncIterator[FormData]:
    """The fields of a form. There is no other way to them, so that no page takes one from another site.

    Raises Refusal (403) where it may come from elsewhere. Its size is the guard's to limit.
    """
    check_origin(request.headers, request.url.scheme)
    async with request.form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=MAX_BODY_BYTES) as form:
        yield form


def check_origin(headers: Headers, scheme: str) -> None:
    """Refuse what another site's page may have sent through the reader's browser (cross-site request forgery).

    A browser says with every form where it comes from, in `Sec-Fetch-Site`, `Origin` or both, and no page can change
    what it says. What has neither is no browser's form: the API is for that.
    """
    fetched_from, origin = headers.get("sec-fetch-site"), headers.get("origin")
    host = headers.get("host", "").lower()
    own = (f"{scheme}://{host}", f"https://{host}")  # behind a proxy with TLS, this server speaks plain HTTP
    if (
        (fetched_from is None and origin is None)
        or fetched_from not in (None, "same-origin")
        or origin not in (None, *own)
    ):
        raise Refusal(
            403, "cross_site", "this form was not sent from this site's own page; open it here and send it again"
        )


def text_of(form: FormData, name: str) -> str:
    """A field's text without surrounding white space; empty where there is none."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def checked(model: type[Model], values: Mapping[str, object]) -> Model:
    """What the API would take. Raises InvalidInput where it would not."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        name = next(part for part in reversed(fault["loc"]) if isinstance(part, str))
        raise InvalidInput(f"{name}: {fault['msg']}") from None
