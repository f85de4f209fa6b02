"""What a web page says of itself: its canonical link, JSON-LD, OpenGraph, meta elements and HTML attributes."""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from index.article import parse_published

SOURCES = ("address", "link", "json-ld", "opengraph", "meta", "html")
"""Who says it, in order of trust; `address` is where the page was found."""

_OPENGRAPH = {
    "title": ("og:title",),
    "published": ("article:published_time", "og:article:published_time"),
    "section": ("article:section", "og:article:section"),
    "language": ("og:locale",),
    "url": ("og:url",),
}
_META = {
    "title": ("citation_title", "dc.title", "dcterms.title", "headline", "parsely-title"),
    "published": (
        "datepublished",
        "citation_publication_date",
        "citation_date",
        "dc.date.issued",
        "dcterms.issued",
        "dc.date",
        "dcterms.date",
        "parsely-pub-date",
        "sailthru.date",
        "publish-date",
        "pubdate",
        "date",
    ),
    "section": ("articlesection", "parsely-section", "section"),
    "language": ("dc.language", "dcterms.language", "inlanguage", "content-language", "language"),
}
_META_AUTHORS = ("citation_author", "dc.creator", "dcterms.creator", "author")
_SEVERAL_NAMES = re.compile(r"[,;/|&]|\b(?:and|und|et|y)\b|^(?:by|von|par|por)\b", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
_ARTICLE_TYPES = re.compile(r"\w*article|\w*(?:blog|media|forum)posting|report", re.IGNORECASE)

Said = dict[str, str]
"""One field's values by who says them, the most trusted first."""


def said(tree: Any, address: str | None = None) -> dict[str, Said]:
    """What is said of `title, published, section, language, url, authors`; only fields of which anything is.

    `tree` is an lxml element. `published` is as written, but always one that parse_published reads; `url` is
    absolute; several authors are separated by semicolons.
    """
    by_source = {
        "address": {"url": address},
        "link": {"url": _attribute(tree, "//head//link[@rel='canonical']/@href")},
        "json-ld": _json_ld(tree),
        **_metas(tree),
        "html": {
            "language": _attribute(tree, "/html/@lang"),
            "published": _attribute(tree, "//time[@itemprop='datePublished' or @pubdate]/@datetime"),
        },
    }
    fields: dict[str, Said] = {}
    for source in SOURCES:
        for field, value in by_source[source].items():
            if value and (usable := _usable(field, value, address)):
                fields.setdefault(field, {})[source] = usable
    return fields


def conflicts(fields: Mapping[str, Said]) -> dict[str, Said]:
    """The fields whose values do not say the same, with all of them."""
    return {field: values for field, values in fields.items() if len(_meanings(field, list(values.values()))) > 1}


def _meanings(field: str, values: list[str]) -> set[str]:
    if field == "published":
        instants = [parse_published(value) or value for value in values]
        if all("T" in instant for instant in instants):
            return set(instants)
        # beside a mere day an instant counts as the day that it is where it was written, not in UTC
        return {parse_published(value[:10]) or instant[:10] for value, instant in zip(values, instants, strict=True)}
    return {_MEANINGS.get(field, str.casefold)(value) for value in values}


_MEANINGS: dict[str, Callable[[str], str]] = {
    "language": lambda value: value.lower()[:2],
    "url": lambda value: value.partition("://")[2].rstrip("/"),
    "authors": lambda value: "; ".join(sorted(value.casefold().split("; "))),
}


def _usable(field: str, value: str, address: str | None) -> str | None:
    value = " ".join(value.split())
    if field == "published":
        return value if parse_published(value) else None
    if field == "language":
        return value.replace("_", "-") if _LANGUAGE.fullmatch(value) else None
    if field == "url":
        return absolute(value, address)
    return value or None


def absolute(link: str, base: str | None = None) -> str | None:
    """The link as an absolute address of the web, or None where it is none."""
    try:
        url = urljoin(base or "https:", link.strip())
        return url if urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname else None
    except ValueError:  # brackets that are no IPv6 address
        return None


def _attribute(tree: Any, path: str) -> str | None:
    return next((str(value) for value in tree.xpath(path)), None)


def _metas(tree: Any) -> dict[str, dict[str, str | None]]:
    """What OpenGraph and the other meta elements say."""
    contents: dict[str, list[str]] = {}
    for element in tree.xpath("//meta[@content]"):
        for attribute in ("property", "name", "itemprop", "http-equiv"):
            if name := element.get(attribute):
                contents.setdefault(name.strip().lower(), []).append(element.get("content"))

    def first(names: tuple[str, ...]) -> str | None:
        return next((content for name in names for content in contents.get(name, ()) if content.strip()), None)

    meta = {field: first(names) for field, names in _META.items()}
    # which of several names in one element is a name is guessed elsewhere
    names = next((contents[name] for name in _META_AUTHORS if name in contents), [])
    meta["authors"] = _joined(names if len(names) > 1 or not any(map(_SEVERAL_NAMES.search, names)) else [])
    return {"opengraph": {field: first(names) for field, names in _OPENGRAPH.items()}, "meta": meta}


def _joined(names: list[str]) -> str | None:
    """The names, less those that are links to a profile."""
    return "; ".join(name.strip() for name in names if name.strip() and "://" not in name) or None


def _json_ld(tree: Any) -> dict[str, str | None]:
    """What the first article in the page's JSON-LD says of itself."""
    for script in tree.xpath("//script[starts-with(@type, 'application/ld+json')]"):
        try:
            data = json.loads(script.text or "", strict=False)
        except (ValueError, RecursionError):
            continue  # the page says the same elsewhere, if at all
        for node in _nodes(data):
            if any(_ARTICLE_TYPES.fullmatch(kind) for kind in _strings(node.get("@type"))):
                return {
                    "title": _first(node.get("headline")) or _first(node.get("name")),
                    "published": _first(node.get("datePublished")),
                    "section": _first(node.get("articleSection")),
                    "language": _first(node.get("inLanguage")),
                    "url": _first(node.get("url")) or _first(node.get("mainEntityOfPage")),
                    "authors": _joined(list(_strings(node.get("author")))),
                }
    return {}


def _nodes(data: object) -> Iterator[Mapping[str, object]]:
    """The objects of JSON-LD in their order: those of lists and graphs, and what a page is about."""
    waiting = [data]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(reversed(node))
        elif isinstance(node, Mapping):
            yield node
            waiting.extend(node[name] for name in ("mainEntity", "@graph") if name in node)


def _strings(value: object) -> Iterator[str]:
    """The strings in a value that may be one, a list, or an object with a name; HTML's entities are resolved."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield html.unescape(item)
        elif isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, Mapping):
            waiting.append(next((item[name] for name in ("@value", "name", "@id") if name in item), None))


def _first(value: object) -> str | None:
    return next((item for item in _strings(value) if item.strip()), None)
