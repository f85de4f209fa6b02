"""What a server gave: a line of JSON that says what is known of it, then the content as it came."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import BinaryIO

from index.article import Article, make_article
from index.errors import UnreadableArticle
from index.formats import feed, html
from index.formats.charset import decode_as
from index.formats.encoding import NotText
from index.formats.format import FEED, HTML, Format, Item
from index.formats.reading import buffered, read_here

FETCHED = Format("fetched", binary=True, many=True, tabular=True)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of what a server gave. `metadata` is for the article, if it is one; `follow` as feeds have it."""

    address: str
    format: Format
    charset: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    follow: bool = False


def packed(known: Known, content: bytes) -> bytes:
    """A file for `read`."""
    return json.dumps(asdict(known)).encode() + b"\n" + content


def read(file: BinaryIO, where: str, columns: Mapping[str, str]) -> Iterator[Item]:
    fields = json.loads(file.readline())
    known = Known(**{**fields, "format": Format(**fields["format"])})
    content = file.read()
    try:
        if not content.strip():
            yield UnreadableArticle(where, "it is empty")
        elif known.format == HTML:
            yield html.article_of(decode_as(content, known.charset), where, known.address, known.metadata)
        elif known.format == FEED:
            yield from feed.read(BytesIO(content), where, known.address, follow=known.follow)
        else:
            if not known.format.binary:
                content = decode_as(content, known.charset).encode(errors="surrogatepass")
            for item in read_here(buffered(BytesIO(content)), where, known.format, columns):
                yield _placed(item, known) if isinstance(item, Article) and not known.format.many else item
    except NotText as error:
        yield UnreadableArticle(where, str(error))


def _placed(article: Article, known: Known) -> Article:
    """With the address as its URL unless it has one, and an id from it unless it was given one."""
    unplaced = make_article(article.text, url=article.url).id
    return make_article(
        article.text,
        id=None if article.id == unplaced else article.id,
        title=article.title,
        url=article.url or known.address,
        published=article.published,
        source=article.source,
        authors=article.authors,
        metadata={**article.metadata, **known.metadata},
    )
