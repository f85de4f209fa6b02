"""The page at `/`: a question, its answer as a quote in its place, or why there is none."""

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import QueryParams

from server import questions
from server.pages.paths import path
from server.pages.render import page
from server.pages.site import checked
from server.service import ServiceOf
from server.wire import AskBody

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the page's URL has it, so that an answer can be shared and come back to."""

    question: str
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    exhaustive: bool = False

    @property
    def filtered(self) -> bool:
        return bool(self.sources or self.languages or self.since or self.until)

    @property
    def path(self) -> str:
        """`/` with what was given, and nothing that was left empty."""
        fields = [("q", self.question), *(("source", source) for source in self.sources)]
        fields += [("language", language) for language in self.languages]
        fields += [("since", self.since), ("until", self.until), ("exhaustive", "true" if self.exhaustive else "")]
        given = urlencode([(name, value) for name, value in fields if value])
        return path(f"/?{given}" if given else "/")

    @property
    def exhaustive_path(self) -> str:
        """Where all passages are read."""
        return replace(self, exhaustive=True).path

    @property
    def unfiltered_path(self) -> str:
        """Where all articles are asked."""
        return Asked(self.question).path

    def body(self) -> AskBody:
        """What the API is asked. Raises InvalidInput."""
        filter = {
            "sources": list(self.sources) or None,
            "languages": list(self.languages) or None,
            "since": self.since or None,
            "until": self.until or None,
        }
        return checked(AskBody, {"question": self.question, "filter": filter, "exhaustive": self.exhaustive})


def asked_of(query: QueryParams) -> Asked:
    """What the page's URL asks; unknown fields are nothing to it."""
    return Asked(
        query.get("q", "").strip(),
        _given(query, "source"),
        _given(query, "language"),
        query.get("since", "").strip(),
        query.get("until", "").strip(),
        bool(query.get("exhaustive")),
    )


def _given(query: QueryParams, name: str) -> tuple[str, ...]:
    """The values of a field that may be there several times, each once."""
    return tuple(dict.fromkeys(value.strip() for value in query.getlist(name) if value.strip()))


@router.get("/")
async def ask(request: Request, service: ServiceOf) -> Response:
    """The form, and with a question in the URL the answer. A form sends its empty fields too: the browser is sent on
    to the URL without them."""
    asked = asked_of(request.query_params)
    if not all(value.strip() for _, value in request.query_params.multi_items()):
        return RedirectResponse(asked.path)
    articles = await service.reads.run(service.library.article_count)
    answer = await questions.ask(asked.body(), service) if asked.question and articles else None
    return page("ask.html.jinja", asked=asked, answer=answer, articles=articles)
