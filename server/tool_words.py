"""What tools give, in words that an assistant can quote from."""

from collections.abc import Iterator, Sequence

from qa.wire import AnswerJSON, CandidateJSON, CitationJSON, SliceJSON
from server.pages.words import percent, reason_words
from server.responses import ArticlePartJSON, SearchJSON

_MAX_PLACES = 3
_MAX_OTHERS = 3
_MAX_NAME_CHARACTERS = 200
"""More of a title or a source than this names nothing any better."""


def answer_words(answer: AnswerJSON) -> str:
    """The quote with its places, or why there is none; then what else was found."""
    return "\n".join(_answer_lines(answer))


def search_words(found: SearchJSON) -> str:
    """The passages, each after the place it stands."""
    hits = enumerate(found["hits"], start=1)
    passages = [f"{number}. {_place(hit, hit['start'], hit['end'])}\n{hit['text']}" for number, hit in hits]
    return "\n\n".join(passages) or "No passages: the library has no article that passes the filter."


def article_words(part: ArticlePartJSON) -> str:
    """The part of the text, after the place it stands and how much more there is."""
    end, characters = part["end"], part["characters"]
    more = f"; to go on, start at {end}" if end < characters else ""
    return f"{_place(part, part['start'], end)} of {characters}{more}\n\n{part['text']}"


def _answer_lines(answer: AnswerJSON) -> Iterator[str]:
    if answer["reason"] is None:
        yield f"“{answer['answer']}”"
        yield f"{percent(answer['confidence'])} sure"
        yield from _citation_lines(answer["citations"])
    else:
        yield f"No answer. {reason_words(answer['reason'])}"
    others = answer["alternatives"][:_MAX_OTHERS]
    if others:
        yield "Came closest, and is not to be given as the answer:" if answer["reason"] else "Also considered:"
    yield from map(_other_line, others)


def _citation_lines(citations: Sequence[CitationJSON]) -> Iterator[str]:
    for citation in citations[:_MAX_PLACES]:
        yield f"— {_place(citation, citation['start'], citation['end'])}"
        yield f"  in: “{citation['sentence']}”"
        if citation["link"]:
            yield f"  {citation['link']}"
        if citation["copies"]:
            yield f"  the same, from the same source, in article {', '.join(citation['copies'][:_MAX_PLACES])}"
    if len(citations) > _MAX_PLACES:
        yield f"— and in {len(citations) - _MAX_PLACES} more places"


def _other_line(candidate: CandidateJSON) -> str:
    citation = candidate["citations"][0]
    place = _place(citation, citation["start"], citation["end"])
    return f"- “{candidate['answer']}”, {percent(candidate['confidence'])} sure — {place}"


def _place(article: SliceJSON, start: int, end: int) -> str:
    """Like `Bridge shut, Harbour Post, 2023-07-28, article bridge, characters 0 to 11`."""
    names = [_name(name) for name in (article["title"], article["source"], article["published"]) if name]
    page = article.get("page")
    paged = [f"page {page}"] if page else []
    return ", ".join([*names, *paged, f"article {article['article']}, characters {start} to {end}"])


def _name(name: str) -> str:
    """On one line, which no title is then mistaken for another of."""
    return " ".join(name.split())[:_MAX_NAME_CHARACTERS]
