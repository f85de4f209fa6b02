"""The description of the API as a page, `/docs`, from files of an installed package: no browser fetches anything
from elsewhere for it."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import fastapi_offline
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_ASSETS = "/docs/assets"

_PAGE = bytes(
    get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Pullquote",
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{_ASSETS}/favicon.png",
    ).body
).decode()

_SCRIPTS = [
    b64encode(sha256(script.encode()).digest()).decode()
    for script in re.findall(r"<script>(.*?)</script>", _PAGE, re.DOTALL)
]

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' "
    + " ".join(f"'sha256-{script}'" for script in _SCRIPTS)
    + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
"""The page has one script of its own, known by its hash, and writes styles into its elements."""


async def _docs(_: Request) -> HTMLResponse:
    return HTMLResponse(_PAGE, headers=_HEADERS)


routes: list[BaseRoute] = [
    Mount(_ASSETS, StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")),
    Route("/docs", _docs),
]
