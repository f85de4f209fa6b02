"""Plain text: the whole file is the article, kept to the character."""

from collections.abc import Iterator

from index.article import make_article
from index.errors import InvalidInput, UnreadableArticle
from index.formats import Item

_MAX_TITLE_CHARACTERS = 150


def read(text: str, where: str) -> Iterator[Item]:
    try:
        yield make_article(text, title=_title(text))
    except InvalidInput as error:
        yield UnreadableArticle(where, str(error))


def _title(text: str) -> str | None:
    """The first line, where it is short, followed by a blank one, and no sentence."""
    first, _, rest = text.lstrip().partition("\n")
    second = rest.partition("\n")[0]
    if rest.strip() and not second.strip() and len(first) <= _MAX_TITLE_CHARACTERS and not first.rstrip().endswith("."):
        return first
    return None
