"""The route that takes what people say of answers."""

from fastapi import APIRouter

from index.feedback import make_feedback
from server.body import QueuedRoute
from server.errors import declared
from server.responses import GivenJSON
from server.service import ServiceOf
from server.wire import FeedbackBody

router = APIRouter(route_class=QueuedRoute, tags=["questions"])


@router.post(
    "/v1/feedback",
    summary="Say whether an answer is right",
    responses=declared(408, 413, 415, 422, 500, 503, 507),
)
async def give_feedback(body: FeedbackBody, service: ServiceOf) -> GivenJSON:
    """Keep with the library that an answer is `right` or `wrong`, that another quote is `better`, or that the question
    is `unanswerable` from these articles. It is for gold questions: no answer changes by it.

    The quote must stand at its place in the article: send a citation's `article`, `start`, `end`, `quote` and
    `text_sha256` as `place`. Only `unanswerable` may come without; with a place, that is what was wrongly given.
    """
    given = make_feedback(body.question, body.verdict, body.made_place(), body.comment)
    with service.queue.place():
        return {"key": await service.inference.run(service.library.give_feedback, given)}
