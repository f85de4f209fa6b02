"""Out of the web: the only place that opens a connection to anywhere. Nothing of it is used unless it is asked for."""

from index.fetch.address import web_address
from index.fetch.fetcher import Fetcher, Limits, Page, Version
from index.fetch.guard import Guard
from index.fetch.reading import known_article, read_page

__all__ = ["Fetcher", "Guard", "Limits", "Page", "Version", "known_article", "read_page", "web_address"]
