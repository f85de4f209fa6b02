"""The page where a person shows a key, so that the browser has it from then on."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from server.access import COOKIE
from server.pages.render import page
from server.pages.site import form_of, text_of

router = APIRouter(include_in_schema=False)


@router.get("/key")
async def show_key_form(next: str = "/") -> Response:
    """A form for the key; `next` is where to go with it."""
    return page("key.html.jinja", next=next, refused=False)


@router.post("/key")
async def take_key(request: Request) -> Response:
    """Let the browser keep the key, until it is closed; or, sent without one, forget it. No script can read it, and no
    other site can make the browser send it along with a form."""
    async with form_of(request) as form:
        secret, next = text_of(form, "key"), _below(text_of(form, "next"))
    keys = request.app.state.keys
    if secret and not (keys and keys.find(secret)):
        return page("key.html.jinja", 401, next=next, refused=True)
    response = RedirectResponse(next, 303)
    if secret:
        secure = request.headers.get("origin", "").startswith("https://")
        response.set_cookie(COOKIE, secret, httponly=True, samesite="lax", secure=secure)
    else:
        response.delete_cookie(COOKIE)
    return response


def _below(path: str) -> str:
    """A path of this site: `//example.org` would lead to another."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
