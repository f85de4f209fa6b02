"""Files of every format with mistakes in them, by chance, through the parser: nothing may end but the parser."""

import argparse
import gzip
import resource
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random
from time import perf_counter

import pyarrow
from pyarrow import parquet

from index.article import Article
from index.errors import UnreadableArticle
from index.formats import NAMED, Item, format_of, parsing, read

FILES = Path(__file__).parent / "files"
_PAGE = b"""<!DOCTYPE html><html><head><title>Bridge shut | Post</title><meta name=author content="P. Desk">
<script type="application/ld+json">{"@type": "NewsArticle", "datePublished": "2023-07-28T09:30:00+02:00"}</script>
</head>
<body><nav><a href=/>Home</a></nav><article><h1>Bridge shut</h1><p>The bridge at Saltgate was shut on Monday after
engineers found cracks in the deck, the council said.</p><ul><li>One &amp; two<li>&#8220;Three&#8221;</ul>
<table><tr><td>4</table><p>The repair is expected to take six weeks, and ferries will run every twenty minutes.</p>
</article></body></html>
"""
_TEXT = "Bridge shut\n\nThe bridge at Saltgate was shut on Monday – for six weeks. 👩‍🚀 Łódź, “żółw”.\n"
_MARKDOWN = (
    "---\ntitle: Bridge\nauthors: [A, B]\n---\n# Bridge\n\n*It* was `shut`.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
)
_LINES = '{"id": "a", "text": "It was \\u201cshut\\u201d.", "authors": ["A"], "n": {"m": [1]}}\n{"text": "B."}\n'
_RECORDS = f"[{_LINES.replace(chr(10), ',')}7]"
_TABLE = 'headline,body,date\r\n"Bridge, shut","It was\n""shut"".",2023-07-28\r\nFerry,It sank.,\r\n'


def samples(name: str) -> list[tuple[str, bytes]]:
    """Names and bytes of files of a format that are as they should be."""
    if name == "archive":
        return [
            ("a.zip", _zipped(_members())),
            ("a.tar", _tarred(_members())),
            ("a.tgz", gzip.compress(_tarred(_members()), mtime=0)),
        ]
    if name == "parquet":
        return [("a.parquet", _parquet())]
    made = {"html": ("a.html", _PAGE), "text": ("a.txt", _TEXT), "markdown": ("a.md", _MARKDOWN)}
    made |= {"lines": ("a.jsonl", _LINES), "records": ("a.json", _RECORDS), "table": ("a.csv", _TABLE)}
    if name in made:
        file, content = made[name]
        return [(file, content if isinstance(content, bytes) else content.encode())]
    files = ((path.name, path.read_bytes()) for path in sorted(FILES.iterdir()) if path.suffix)
    return [(file, data) for file, data in files if format_of(file, data).module == name]


def mutated(name: str, number: int) -> tuple[str, bytes]:
    """A file of a format with mistakes, always the same for a number; every second ZIP file has them in a member."""
    random = Random(f"{name} {number}")
    file, data = random.choice(samples(name))
    if number % 2 and data.startswith(b"PK\3\4"):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        spoilt = random.choice([member for member, content in members.items() if content])
        return file, _zipped(members | {spoilt: _spoilt(members[spoilt], random)})
    return file, _spoilt(data, random)


def _spoilt(data: bytes, random: Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(random.choice((1, 3, 10))):
        at = random.randrange(len(spoilt) + 1)
        kind = random.choice(("flip", "flip", "cut", "drop", "insert", "repeat", "number"))
        if kind == "flip":
            spoilt[at : at + 1] = bytes(byte ^ 1 << random.randrange(8) for byte in spoilt[at : at + 1])
        elif kind == "cut" and random.random() < 0.3:
            del spoilt[at:]
        elif kind == "drop":
            del spoilt[at : at + random.randrange(1, 50)]
        elif kind == "insert":
            spoilt[at:at] = random.randbytes(random.randrange(1, 50))
        elif kind == "repeat":
            spoilt[at:at] = spoilt[at : at + random.randrange(1, 200)] * random.choice((1, 10, 1000))
        elif kind == "number":  # what is taken for a length or an offset
            spoilt[at : at + 4] = random.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"9999"))
    return bytes(spoilt)


@dataclass(slots=True)
class Tally:
    """What became of the mutated files of a format."""

    name: str
    files: int = 0
    articles: int = 0
    unreadable: int = 0
    unforeseen: int = 0
    crashed: int = 0
    too_large: int = 0
    hung: int = 0
    slowest: float = 0.0

    def count(self, items: list[Item], seconds: float) -> None:
        reasons = [item.reason for item in items if isinstance(item, UnreadableArticle)]
        self.files += 1
        self.articles += sum(isinstance(item, Article) for item in items)
        self.unreadable += len(reasons)
        self.unforeseen += sum(reason.startswith("it cannot be parsed") for reason in reasons)
        self.crashed += sum(reason.startswith("its parser") for reason in reasons)
        self.too_large += sum(reason.startswith("parsing it takes more") for reason in reasons)
        self.hung += sum(reason.startswith("it could not be parsed in") for reason in reasons)
        self.slowest = max(self.slowest, seconds)


def run(name: str, files: int) -> Tally:
    """Read so many mutated files of a format. Raises whatever reading does, which is what must not be."""
    tally = Tally(name)
    for number in range(files):
        file, data = mutated(name, number)
        began = perf_counter()
        try:
            items = list(read(data, file, format_of(file, data)))
        except BaseException as error:
            error.add_note(f"{name} {number}")
            raise
        tally.count(items, perf_counter() - began)
    return tally


def _members() -> dict[str, bytes]:
    return {"a.html": _PAGE, "b/c.md": _MARKDOWN.encode(), "d.txt": _TEXT.encode(), "e.csv": _TABLE.encode()}


def _zipped(files: dict[str, bytes]) -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def _tarred(files: dict[str, bytes]) -> bytes:
    data = BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, BytesIO(content))
    return data.getvalue()


def _parquet() -> bytes:
    data = BytesIO()
    rows = [{"id": number, "text": f"{_TEXT} {number}", "authors": ["A", "B"]} for number in range(20)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), data, row_group_size=7)
    return data.getvalue()


def _lines(tallies: Iterator[Tally]) -> Iterator[str]:
    yield (
        f"{'format':12}{'files':>7}{'articles':>10}{'unreadable':>12}{'unforeseen':>12}{'crashed':>9}{'memory':>8}"
        f"{'hung':>6}{'slowest s':>11}"
    )
    for tally in tallies:
        yield (
            f"{tally.name:12}{tally.files:7}{tally.articles:10}{tally.unreadable:12}{tally.unforeseen:12}"
            f"{tally.crashed:9}{tally.too_large:8}{tally.hung:6}{tally.slowest:11.2f}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=__doc__)
    parser.add_argument("--files", type=int, default=100, help="of each format (default: 100)")
    parser.add_argument("formats", nargs="*", default=sorted(NAMED))
    given = parser.parse_args()
    tallies: list[Tally] = []
    for line in _lines(_kept(tallies, given.formats, given.files)):
        print(line, flush=True)
    parsing.end_idle()
    here, there = (resource.getrusage(who).ru_maxrss >> 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"peak memory: {here:,} MiB here, {there:,} MiB in a parser")
    return int(any(tally.hung for tally in tallies))


def _kept(tallies: list[Tally], names: list[str], files: int) -> Iterator[Tally]:
    for name in names:
        tallies.append(run(name, files))
        yield tallies[-1]


if __name__ == "__main__":
    sys.exit(main())
