"""HTML: the article of a page without its menus and advertisements, by trafilatura."""

from collections.abc import Iterator

import trafilatura
from trafilatura.settings import Document

from index.article import make_article
from index.errors import InvalidInput, UnreadableArticle
from index.formats import Item


def read(text: str, where: str) -> Iterator[Item]:
    page = trafilatura.bare_extraction(text, with_metadata=True, include_comments=False)
    if not isinstance(page, Document) or not page.text:
        yield UnreadableArticle(where, "no article text was found in the page")
        return
    authors = tuple(name.strip() for name in (page.author or "").split(";"))
    try:
        yield make_article(
            # trafilatura ends a paragraph with one line feed; a blank line is what ends one for us
            page.text.replace("\n", "\n\n"),
            title=page.title,
            url=page.url,
            published=page.date,
            source=page.sitename or page.hostname,
            authors=authors,
        )
    except InvalidInput as error:
        yield UnreadableArticle(where, str(error))
