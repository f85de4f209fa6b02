"""Where things are: paths of the pages, and addresses elsewhere that may be linked to."""

import re
from urllib.parse import quote as percent_encode
from urllib.parse import urlencode

from server.visit import VISIT

SHA256_DIGITS = 12
"""Of a text's SHA-256 in a URL, which people read: by chance, one text in 2**48 has the same."""

_WEB = re.compile(r"https?://[^\x00-\x20]+", re.IGNORECASE)


def path(below: str) -> str:
    """A path in the collection that the request is for."""
    return VISIT.get().root + below


def question_path(question: str) -> str:
    """The page of the answer."""
    return path(f"/?{urlencode({'q': question})}")


def article_path(
    id: str,
    start: int | None = None,
    end: int | None = None,
    text_sha256: str | None = None,
    question: str | None = None,
) -> str:
    """The page of an article; with a slice, at the mark. With the text's SHA-256, nothing is marked in another text;
    with a question, the right place can be marked there."""
    digits = text_sha256 and text_sha256[:SHA256_DIGITS]
    given = {"start": start, "end": end, "text_sha256": digits, "q": question}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    anchor = "" if start is None else "#quote"
    return path(f"/articles/{percent_encode(id, safe='')}{'?' + query if query else ''}{anchor}")


def part_path(id: str, part: int) -> str:
    """The page of one part of a long article, the first being 1."""
    return f"{article_path(id)}?part={part}"


def remove_path(id: str) -> str:
    """The page that asks whether an article is to be removed."""
    return path(f"/remove?{urlencode({'id': id})}")


def web_address(url: str | None) -> str | None:
    """The URL where it may be a link: others, like `javascript:`, could do something here when they are followed."""
    return url if url and _WEB.fullmatch(url) else None
