"""What a server gave: a line of JSON that says what is known of it, then the content as it came."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from io import BytesIO
from typing import Any, BinaryIO

from index.article import Article, make_article
from index.errors import UnreadableArticle
from index.formats import html
from index.formats.charset import decode_as
from index.formats.encoding import NotText
from index.formats.format import HTML, Format, Item
from index.formats.reading import buffered, read_here

FETCHED = Format("fetched", binary=True, many=True, tabular=True)


def packed(content: bytes, address: str, format: Format, charset: str | None, metadata: Mapping[str, str]) -> bytes:
    """A file for `read`."""
    known = {"address": address, "format": asdict(format), "charset": charset, "metadata": dict(metadata)}
    return json.dumps(known).encode() + b"\n" + content


def read(file: BinaryIO, where: str, columns: Mapping[str, str]) -> Iterator[Item]:
    known = json.loads(file.readline())
    format, content = Format(**known["format"]), file.read()
    if not content.strip():
        yield UnreadableArticle(where, "it is empty")
        return
    if not format.binary:
        try:
            text = decode_as(content, known["charset"])
        except NotText as error:
            yield UnreadableArticle(where, str(error))
            return
        if format == HTML:
            yield html.article_of(text, where, known["address"], known["metadata"])
            return
        content = text.encode(errors="surrogatepass")
    for item in read_here(buffered(BytesIO(content)), where, format, columns):
        yield _placed(item, known) if isinstance(item, Article) and not format.many else item


def _placed(article: Article, known: Mapping[str, Any]) -> Article:
    """With the address as its URL unless it has one, and an id from it unless it was given one."""
    unplaced = make_article(article.text, url=article.url).id
    return make_article(
        article.text,
        id=None if article.id == unplaced else article.id,
        title=article.title,
        url=article.url or known["address"],
        published=article.published,
        source=article.source,
        authors=article.authors,
        metadata={**article.metadata, **known["metadata"]},
    )
