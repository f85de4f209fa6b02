"""Articles written in every format that the standard library or a dependency can write."""

import csv
import gzip
import json
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from io import BytesIO, StringIO
from xml.etree import ElementTree

import pyarrow
import zstandard
from pyarrow import parquet

from index.article import Article

Files = dict[str, bytes]
"""The content of files by their names."""

_FIELDS = ("id", "url", "title", "published", "source", "text")


def written(articles: Sequence[Article]) -> dict[str, Files]:
    """The files that the articles make in each format, by its ending."""
    return {ending: write(articles) for ending, write in _WRITERS.items()}


def _one_each(ending: str, write: Callable[[Article], str]) -> Callable[[Sequence[Article]], Files]:
    return lambda articles: {f"{article.id}{ending}": write(article).encode() for article in articles}


def _record(article: Article) -> dict[str, str]:
    return {name: getattr(article, name) or "" for name in _FIELDS}


def _markdown(article: Article) -> str:
    matter = {name: value for name, value in _record(article).items() if value and name != "text"}
    lines = "".join(f"{name}: {json.dumps(value)}\n" for name, value in matter.items())
    return f"---\n{lines}---\n\n{article.text}"


def _html(article: Article) -> str:
    facts = (("article:published_time", article.published), ("og:site_name", article.source))
    said = "".join(f'<meta property="{name}" content="{escape(value)}">' for name, value in facts if value)
    link = f'<link rel="canonical" href="{escape(article.url)}">' if article.url else ""
    title = escape(article.title or "")
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>{said}{link}</head>'
        f'<body><nav><a href="/">Home</a></nav><article><h1>{title}</h1>{_fragment(article)}</article></body></html>'
    )


def _fragment(article: Article) -> str:
    return "".join(f"<p>{escape(part.strip())}</p>" for part in article.text.split("\n\n") if part.strip())


def _lines(articles: Sequence[Article]) -> bytes:
    return "".join(f"{json.dumps(_record(article), ensure_ascii=False)}\n" for article in articles).encode()


def _table(articles: Sequence[Article], delimiter: str) -> bytes:
    table = StringIO()
    writer = csv.DictWriter(table, _FIELDS, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(map(_record, articles))
    return table.getvalue().encode()


def _parquet(articles: Sequence[Article]) -> bytes:
    data = BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([_record(article) for article in articles]), data)
    return data.getvalue()


def _pages(articles: Sequence[Article]) -> Files:
    return {f"{article.id}.md": _markdown(article).encode() for article in articles}


def _zip(articles: Sequence[Article]) -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _pages(articles).items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def _tar(articles: Sequence[Article]) -> bytes:
    data = BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in _pages(articles).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, BytesIO(content))
    return gzip.compress(data.getvalue(), mtime=0)


def _mailbox(articles: Sequence[Article]) -> bytes:
    data = b""
    for article in articles:
        message = EmailMessage()
        message["From"] = "Desk <desk@post.example>"
        message["Subject"] = " ".join((article.title or "").split())
        message["Message-ID"] = f"<{article.id}@post.example>"
        if article.published:
            message["Date"] = _mail_date(article.published)
        message.set_content(article.text)
        data += b"From desk@post.example Mon Jul 31 09:00:00 2023\n" + message.as_bytes() + b"\n"
    return data


def _mail_date(published: str) -> str:
    when = datetime.fromisoformat(published)
    return format_datetime(when if when.tzinfo else when.replace(tzinfo=UTC))


def _rss(articles: Sequence[Article]) -> bytes:
    root = ElementTree.Element("rss", version="2.0")
    channel = ElementTree.SubElement(root, "channel")
    ElementTree.SubElement(channel, "title").text = "Demo"
    for article in articles:
        date = _mail_date(article.published) if article.published else None
        entry = {"title": article.title, "link": article.url, "guid": article.id, "pubDate": date}
        item = ElementTree.SubElement(channel, "item")
        for name, value in {**entry, "description": _fragment(article)}.items():
            if value:
                ElementTree.SubElement(item, name).text = value
    return ElementTree.tostring(root, encoding="unicode").encode()


def _warc(articles: Sequence[Article]) -> bytes:
    """Each record in a member of its own, as crawlers write them."""
    return b"".join(gzip.compress(_response(article), mtime=0) for article in articles)


def _response(article: Article) -> bytes:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + _html(article).encode()
    headers = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>\r\n"
        f"WARC-Date: 2023-07-31T09:00:00Z\r\nWARC-Target-URI: {article.url or f'https://post.example/{article.id}'}\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(answer)}\r\n\r\n"
    )
    return headers.encode() + answer + b"\r\n\r\n"


_WRITERS: dict[str, Callable[[Sequence[Article]], Files]] = {
    ".txt": _one_each(".txt", lambda article: article.text),
    ".md": _pages,
    ".html": _one_each(".html", _html),
    ".json": lambda articles: {"a.json": json.dumps([_record(article) for article in articles]).encode()},
    ".jsonl": lambda articles: {"a.jsonl": _lines(articles)},
    ".csv": lambda articles: {"a.csv": _table(articles, ",")},
    ".tsv": lambda articles: {"a.tsv": _table(articles, "\t")},
    ".parquet": lambda articles: {"a.parquet": _parquet(articles)},
    ".mbox": lambda articles: {"a.mbox": _mailbox(articles)},
    ".rss": lambda articles: {"a.rss": _rss(articles)},
    ".warc.gz": lambda articles: {"a.warc.gz": _warc(articles)},
    ".zip": lambda articles: {"a.zip": _zip(articles)},
    ".tar.gz": lambda articles: {"a.tar.gz": _tar(articles)},
    ".gz": lambda articles: {"a.jsonl.gz": gzip.compress(_lines(articles), mtime=0)},
    ".zst": lambda articles: {"a.jsonl.zst": zstandard.compress(_lines(articles))},
}
