from typing import Any

from qa.answer import NoAnswer
from qa.wire import AnswerJSON, CandidateJSON, CitationJSON
from server.tool_words import answer_words


def citation(quote: str, **fields: Any) -> CitationJSON:
    made: dict[str, Any] = {
        "article": "bridge",
        "title": None,
        "url": None,
        "published": None,
        "source": None,
        "start": 4,
        "end": 4 + len(quote),
        "quote": quote,
        "sentence": f"The {quote}.",
        "sentence_start": 0,
        "sentence_end": 5 + len(quote),
        "text_sha256": "0" * 64,
        "link": None,
        "copies": [],
        **fields,
    }
    return made  # type: ignore[return-value]


def candidate(quote: str, confidence: float) -> CandidateJSON:
    return {"answer": quote, "confidence": confidence, "score": 1.0, "citations": [citation(quote)]}


def answer(*citations: CitationJSON, reason: NoAnswer | None = None, alternatives: int = 0) -> AnswerJSON:
    return {
        "question": "What?",
        "answer": citations[0]["quote"] if citations else None,
        "confidence": 0.634,
        "reason": reason,
        "citations": list(citations),
        "alternatives": [candidate(f"other {number}", 0.3 - number / 10) for number in range(alternatives)],
        "hits": [],
        "unread": 0,
        "complete": True,
        "milliseconds": {},
    }


def test_an_answer_in_several_places() -> None:
    first = citation("deck", title="Bridge\n\nshut", source="Post", published="2023-07-28", link="https://e.example/#x")
    others = [citation("deck", article=f"copy {number}") for number in range(4)]
    assert answer_words(answer(first, *others)).splitlines() == [
        "“deck”",
        "63\N{NO-BREAK SPACE}% sure",
        "— Bridge shut, Post, 2023-07-28, article bridge, characters 4 to 8",
        "  in: “The deck.”",
        "  https://e.example/#x",
        "— article copy 0, characters 4 to 8",
        "  in: “The deck.”",
        "— article copy 1, characters 4 to 8",
        "  in: “The deck.”",
        "— and in 2 more places",
    ]


def test_a_quote_stays_as_it_is() -> None:
    assert answer_words(answer(citation("two\n  lines"))).startswith("“two\n  lines”\n")


def test_a_long_title_is_cut() -> None:
    place = answer_words(answer(citation("deck", title="x" * 1_000))).splitlines()[2]
    assert place == f"— {'x' * 200}, article bridge, characters 4 to 8"


def test_what_else_was_found() -> None:
    assert answer_words(answer(citation("deck"), alternatives=4)).splitlines()[4:] == [
        "Also considered:",
        "- “other 0”, 30\N{NO-BREAK SPACE}% sure — article bridge, characters 4 to 11",
        "- “other 1”, 20\N{NO-BREAK SPACE}% sure — article bridge, characters 4 to 11",
        "- “other 2”, 10\N{NO-BREAK SPACE}% sure — article bridge, characters 4 to 11",
    ]


def test_no_answer() -> None:
    found = answer(reason=NoAnswer.BELOW_THRESHOLD, alternatives=1)
    assert answer_words(found).splitlines() == [
        "No answer. Something was found that may answer this, but it is not sure enough to be given.",
        "Came closest, and is not to be given as the answer:",
        "- “other 0”, 30\N{NO-BREAK SPACE}% sure — article bridge, characters 4 to 11",
    ]
    assert answer_words(answer(reason=NoAnswer.NOTHING_RETRIEVED)) == (
        "No answer. There was nothing to read: no article passes the filter."
    )
