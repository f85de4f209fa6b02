"""The description of the API as a page, `/docs`, from files of an installed package: no browser fetches anything
from elsewhere for it."""

from pathlib import Path

import fastapi_offline
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_ASSETS = "/docs/assets"


async def _docs(_: Request) -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Pullquote",
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{_ASSETS}/favicon.png",
    )


routes: list[BaseRoute] = [
    Mount(_ASSETS, StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")),
    Route("/docs", _docs),
]
