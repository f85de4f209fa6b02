"""What was fetched to articles, in a process of its own as files are."""

from dataclasses import asdict
from io import BytesIO

from index.fetch.fetcher import Page
from index.formats.fetched import FETCHED, packed
from index.formats.format import Items
from index.formats.parsing import read_apart


def read_page(page: Page) -> Items:
    """The articles of a page. Where it is one article, that has the page's address for its URL unless it names another,
    and the page's version in its metadata."""
    version = {name: value for name, value in asdict(page.version).items() if value}
    data = packed(page.content, page.address, page.format, page.charset, version)
    return read_apart(BytesIO(data), page.address, FETCHED, {})
