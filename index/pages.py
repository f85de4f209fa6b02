"""Which page of a printed source a place in an article stands on."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from index.article import Article

MAX_PAGES = 4_900
"""Each page has a place in the article's metadata, and one more where its notes stand behind the text."""


def page_starts(starts: Iterable[tuple[int, int]], labels: Sequence[str]) -> dict[str, str]:
    """An article's `metadata["pages"]`: the offset where a page's text begins, as JSON's names are strings, to the
    page's label. A page may begin more than once: its notes follow the whole text."""
    return {str(start): labels[page] for start, page in starts}


def page_of(article: Article, offset: int) -> str | None:
    """The label of the page that the character at `offset` stands on; None where the article has no pages."""
    pages = article.metadata.get("pages")
    if not isinstance(pages, Mapping):
        return None
    try:
        starts = sorted((int(start), " ".join(str(label).split())) for start, label in pages.items())
    except ValueError:  # pages of somebody's records, which are of another kind
        return None
    at = bisect_right([start for start, _ in starts], offset)
    return starts[at - 1][1] if at else None
