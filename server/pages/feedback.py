"""What readers say of answers, by the forms of the pages."""

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from index.errors import InvalidInput
from qa.wire import ArticleJSON
from server import articles, feedback
from server.pages.cut import Part
from server.pages.places import places
from server.pages.render import page
from server.pages.site import checked, form_of, text_of
from server.service import Service, ServiceOf
from server.wire import FeedbackBody

router = APIRouter(include_in_schema=False)


@router.post("/feedback")
async def give_feedback(request: Request, service: ServiceOf) -> Response:
    """Keep it as POST /v1/feedback does. The place is given by its offsets, or by words alone: where these stand at
    several places of the article, the answer is a page that asks which is meant."""
    async with form_of(request) as form:
        sent = {name: text_of(form, name) for name in form}
    article = await articles.show_article(sent["article"], service) if sent.get("article") else None
    found = await service.reads.run(_places, article, sent)
    if article and len(found) > 1:
        return page("places.html.jinja", sent=sent, article=article, places=found)
    return await _kept(sent, article, found, service)


async def _kept(sent: Mapping[str, str], article: ArticleJSON | None, found: list[Part], service: Service) -> Response:
    place = None
    if article:
        start, end = found[0]
        place = {"article": article["id"], "start": start, "end": end, "quote": article["text"][start:end]}
        place["text_sha256"] = sent.get("text_sha256") or article["text_sha256"]
    said = {"question": sent.get("question", ""), "verdict": sent.get("verdict", ""), "place": place}
    body = checked(FeedbackBody, said)
    await feedback.give_feedback(body, service)
    return page("thanks.html.jinja", body=body)


def _places(article: ArticleJSON | None, sent: Mapping[str, str]) -> list[Part]:
    """At least one where there is an article. Raises InvalidInput."""
    if article is None:
        return []
    if "start" in sent:
        return [Part(_offset(sent, "start"), _offset(sent, "end"))]
    found = places(article["text"], sent.get("quote", ""))
    if not found:
        raise InvalidInput("these words do not stand in the article; copy them from it word for word")
    return found


def _offset(sent: Mapping[str, str], name: str) -> int:
    digits = sent.get(name, "")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise InvalidInput(f"{name} is no place in an article; go back to the answer and send this again from there")
    return int(digits)
