"""Templates to HTML responses: everything in them is escaped, and their headers keep a page to itself."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from server.pages.cut import around, excerpt, marked
from server.pages.paths import article_path, part_path, path, question_path, remove_path, web_address
from server.pages.words import date_words, percent, reason_words, sureness
from server.visit import VISIT

STATIC = Path(__file__).parent / "static"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # Not `no-referrer`: with it a browser says of our own forms that they come from nowhere.
    "Referrer-Policy": "same-origin",
}
"""Of every page. What is not said is not allowed: no inline script or style, nothing from elsewhere, no frame."""

_HASH_DIGITS = 12

_UNFIT = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What HTML cannot hold, or shows in no way."""

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")


def page(template: str, status: int = 200, headers: Mapping[str, str] = {}, **values: object) -> HTMLResponse:
    """The page that a template makes of the values."""
    html = _templates.get_template(template).render(visit=VISIT.get(), **values)
    return HTMLResponse(html, status, {**HEADERS, **headers})


def _tidy(text: str) -> str:
    """With one blank line where there are more: words stay as they are."""
    return _BLANK_LINES.sub("\n\n", text)


def _asset(name: str) -> str:
    """The path of a file of ours. It has the file's hash, so that no browser keeps an old one."""
    return f"/static/{name}?{sha256((STATIC / name).read_bytes()).hexdigest()[:_HASH_DIGITS]}"


def _fit(value: object) -> object:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", value)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_fit,
    )
    files = [path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()]
    environment.globals.update(
        assets={name: _asset(name) for name in files},
        around=around,
        excerpt=excerpt,
        marked=marked,
        article_path=article_path,
        part_path=part_path,
        path=path,
        question_path=question_path,
        remove_path=remove_path,
    )
    environment.filters.update(
        date=date_words, percent=percent, reason=reason_words, sureness=sureness, tidy=_tidy, web=web_address
    )
    return environment


_templates = _environment()
