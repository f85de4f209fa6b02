"""All that the pages are made of, to be mounted."""

from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from server.pages import articles, ask, feedback, key
from server.pages.render import STATIC

routes: list[BaseRoute] = [
    *ask.router.routes,
    *feedback.router.routes,
    *articles.router.routes,
    *key.router.routes,
    Mount("/static", StaticFiles(directory=STATIC)),
]
