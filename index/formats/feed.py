"""Feeds: the entries of RSS and Atom, by feedparser, and of JSON Feed; the text is the content they have themselves."""

import json
import re
from collections.abc import Iterator, Mapping
from email.utils import parseaddr
from io import BytesIO
from typing import Any, BinaryIO

import feedparser

from index.errors import InvalidInput, UnreadableArticle
from index.formats import Item
from index.formats.encoding import NotText, decode
from index.formats.html import text_of
from index.formats.page import absolute
from index.formats.parts import parts
from index.formats.records import article_of

MAX_FEED_BYTES = 32 * 1024 * 1024
"""A feed is taken apart in memory, at up to 25 times its size."""

_NO_FEED = "it is no feed: neither RSS, Atom nor JSON Feed"
_CLOSED = re.compile(rb"</(?:[\w.-]+:)?(?:rss|feed|rdf)\s*>(?:\s|<!--.*?-->)*$", re.IGNORECASE | re.DOTALL)
_ENDING_BYTES = 2_048


def read(file: BinaryIO, where: str, address: str | None = None, *, follow: bool = False) -> Iterator[Item]:
    """`address` is where the feed was found, to which its links may be relative. `follow`: what entries link to is
    meant, and one without a text has its title for one, or its link."""
    data = file.read(MAX_FEED_BYTES + 1)
    if len(data) > MAX_FEED_BYTES:
        yield UnreadableArticle(where, f"the feed is larger than {MAX_FEED_BYTES >> 20} MiB")
    elif data[:100].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n").startswith(b"{"):  # NULs: UTF-16
        yield from _read_json(data, where, address, follow)
    else:
        yield from _read_xml(data, where, address, follow)


def _read_xml(data: bytes, where: str, address: str | None, follow: bool) -> Iterator[Item]:
    # As a file: feedparser takes bytes for a file's name, and text for an address. It must leave HTML as it is.
    try:
        feed = feedparser.parse(BytesIO(data), sanitize_html=False, resolve_relative_uris=False)
    except (ValueError, OverflowError) as error:  # a number that no character has
        yield UnreadableArticle(where, f"the feed cannot be read: {error}")
        return
    if not feed.get("version") and not feed.entries:
        yield UnreadableArticle(where, _NO_FEED)
        return
    named = ((f"{where}, entry {number}", entry) for number, entry in enumerate(feed.entries, start=1))
    for place, entry in parts(named):
        try:
            yield _item(_xml_record(entry, feed, address), place, follow)
        except InvalidInput as error:
            yield UnreadableArticle(place, str(error))
    if feed.bozo and not _CLOSED.search(data[-_ENDING_BYTES:].replace(b"\0", b"")):
        yield UnreadableArticle(where, "the feed breaks off before its end; get it again")


def _item(record: object, where: str, follow: bool) -> Item:
    if follow and isinstance(record, Mapping) and not record["text"]:
        record = {**record, "text": record.get("title") or record.get("url") or ""}
    return article_of(record, where)


def _xml_record(entry: Any, feed: Any, address: str | None) -> Mapping[str, object]:
    """The fields of an entry of RSS or Atom. Raises InvalidInput where its HTML cannot be read."""
    contents = [content for content in entry.get("content", ()) if _is_text(content)]
    contents.append(entry.get("summary_detail") or {})
    named = entry.get("link") or ""
    link = _link(named, None if named == entry.get("id") else address)  # an id need be no address
    source = entry.get("source") or feed.feed
    published, updated = _dates(entry)
    return _record(
        text=next(filter(None, map(_text, contents)), ""),
        id=_id(entry.get("id"), link, feed.feed.get("link") or feed.feed.get("title")),
        url=link,
        title=_text(entry.get("title_detail") or {}),
        published=published,
        updated=updated,
        source=_text(source.get("title_detail") or feed.feed.get("title_detail") or {}),
        authors=_atom_authors(entry, source, feed.feed) if feed.version.startswith("atom") else _rss_authors(entry),
        language=next((found for content in contents if (found := content.get("language"))), None)
        or feed.feed.get("language"),
        tags=[tag.get("label") or tag.get("term") for tag in entry.get("tags", ())],
    )


def _atom_authors(*holders: Any) -> list[str]:
    """Those of the first that has any: the entry, its source, the feed."""
    found: list[Any] = next((authors for holder in holders if (authors := holder.get("authors"))), [])
    return [name for author in found if (name := author.get("name") or author.get("email"))]


def _rss_authors(entry: Any) -> list[str]:
    """Names as they are, or of addresses such as `jo@post.example (Jo Lund)`, of which feedparser cuts long ends."""
    if "@" in (address := entry.get("author") or ""):
        return [next(filter(None, parseaddr(address)), address)]
    return [name for author in entry.get("authors", ()) if (name := author.get("name"))]


def _dates(entry: Any) -> tuple[str | None, str | None]:
    """When an entry was published and, where that is another time, updated: as the feed says it."""
    plain = dict(entry)  # feedparser's own lookup takes each for the other, and warns of it
    published, updated = plain.get("published"), plain.get("updated")
    return published or updated, updated if published and updated != published else None


def _record(**fields: object) -> Mapping[str, object]:
    """A record without what is not known; what no field of an article is for becomes metadata."""
    return {name: value for name, value in fields.items() if value or name == "text"}


def _id(own: object, link: str | None, home: object) -> str | None:
    """None where the link makes the id. One that only this feed knows, such as a number, gets the feed's home before
    it: another feed has the same."""
    if link or not own:
        return None
    return f"{own}" if not home or ":" in f"{own}" else f"{home}#{own}"


def _link(link: str, address: str | None) -> str | None:
    return absolute(link, address) if link else None


def _is_text(content: Mapping[str, str]) -> bool:
    return content.get("type", "text/html").startswith("text/") or content.get("type") == "application/xhtml+xml"


def _text(detail: Mapping[str, str]) -> str:
    value = detail.get("value") or ""
    return value.strip() if detail.get("type") == "text/plain" else text_of(value)


def _read_json(data: bytes, where: str, address: str | None, follow: bool) -> Iterator[Item]:
    try:
        feed = json.loads(decode(data))
    except (NotText, ValueError, RecursionError) as error:
        yield UnreadableArticle(where, f"it is no valid JSON: {error}")
        return
    if "jsonfeed.org/version/" not in str(feed.get("version")) or not isinstance(feed.get("items"), list):
        yield UnreadableArticle(where, _NO_FEED)
        return
    named = ((f"{where}, entry {number}", entry) for number, entry in enumerate(feed["items"], start=1))
    for place, entry in parts(named):
        try:
            yield _item(_json_record(entry, feed, address), place, follow)
        except InvalidInput as error:
            yield UnreadableArticle(place, str(error))


def _json_record(entry: object, feed: Mapping[str, object], address: str | None) -> object:
    """The fields of an item of JSON Feed. Raises InvalidInput where its HTML cannot be read."""
    if not isinstance(entry, Mapping):
        return entry
    html, plain, summary = (_string(entry.get(name)) for name in ("content_html", "content_text", "summary"))
    link = _link(_string(entry.get("url")), address)
    return _record(
        text=text_of(html) or plain or summary,
        id=_id(entry.get("id"), link, feed.get("home_page_url") or feed.get("title")),
        url=link,
        title=entry.get("title"),
        published=entry.get("date_published") or entry.get("date_modified"),
        updated=entry.get("date_modified") if entry.get("date_published") else None,
        source=feed.get("title"),
        authors=_names(entry) or _names(feed),
        language=entry.get("language") or feed.get("language"),
        tags=entry.get("tags"),
    )


def _names(holder: Mapping[str, object]) -> list[str]:
    """The authors of an item or a feed: a list, or the one of version 1."""
    authors = holder.get("authors") or [holder.get("author")]
    found = authors if isinstance(authors, list) else [authors]
    return [name for author in found if isinstance(author, Mapping) and (name := _string(author.get("name")))]


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
