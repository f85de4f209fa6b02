"""What was fetched to articles, in a process of its own as files are."""

from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO

from index.article import Article, make_article
from index.base import AnyLibrary
from index.errors import ArticleDamaged, ArticleNotFound, InvalidInput
from index.fetch.address import web_address
from index.fetch.fetcher import Page
from index.formats import NO_COLUMNS
from index.formats.fetched import FETCHED, Known, packed
from index.formats.format import Items
from index.formats.parsing import read_apart


def read_page(page: Page, columns: Mapping[str, str] = NO_COLUMNS, *, follow: bool = False) -> Items:
    """The articles of a page, of a table by its columns. Where it is one article, that has the page's address for its
    URL unless it names another, and the page's version in its metadata. `follow`: of a feed, also the entries that have
    a title or a link alone, with that as their text."""
    version = {name: value for name, value in asdict(page.version).items() if value}
    known = Known(page.address, page.format, page.charset, version, follow)
    return read_apart(BytesIO(packed(known, page.content)), page.address, FETCHED, columns)


def known_article(library: AnyLibrary, address: str) -> Article | None:
    """The article that a library has of an address, whole."""
    try:
        return library.article(make_article(address, url=str(web_address(address))).id)
    except (InvalidInput, ArticleNotFound, ArticleDamaged):
        return None
