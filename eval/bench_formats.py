"""What is read of each format, and how fast: `python -m eval.bench_formats`. Needs this checkout, no other data.

The files are those in `tests/files`, made by other programs and by hand, and the articles of `seeds/` written in every
format that can be written here. They are read as `pullquote add` reads them, parser process and all.
"""

import argparse
import resource
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from eval.written import written
from index.article import Article
from index.formats import FORMATS, Item, find_files, format_of, parsing, read_file
from index.formats.format import START_BYTES

ROOT = Path(__file__).parent.parent
FILES = ROOT / "tests" / "files"
SEEDS = ROOT / "seeds" / "articles"

_MAKERS = {
    "chromium": "Chromium",
    "crawl": "wget",
    "docutils": "Docutils",
    "encrypted": "qpdf",
    "ghostscript": "Ghostscript",
    "git": "git",
    "gnutar": "GNU tar",
    "groff": "groff",
    "infozip": "Info-ZIP",
    "landscape": "pdfTeX",
    "latex": "pdfTeX",
    "libreoffice": "LibreOffice",
    "list": "Python",
    "pandoc": "pandoc",
    "pdftex": "pdfTeX",
    "restricted": "qpdf",
    "scanned": "Ghostscript",
    "sqlite": "SQLite",
    "turned": "qpdf",
    "zstd": "Zstandard",
}
"""How names of files begin, and who made those; the others are made by hand. See `tests/files/README.md`."""

_OTHERS = {"README.md"}
_HAND = "hand"
_SECONDS = 1.0
"""Each set of files is read again and again for about so long."""

_LEAST_SHARE = 0.01
"""Of the clock's time, which reading takes of the processor's at least, whatever starting a parser took before."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is read of some files of a format; `rate` in articles a second by the clock, `cpu_rate` of the processor's
    time in this process and the parser's."""

    format: str
    files: int
    makers: tuple[str, ...]
    articles: int
    unreadable: int
    characters: int
    titles: int
    dates: int
    cpu_rate: float
    rate: float


def maker(file: Path) -> str:
    return _MAKERS.get(file.name.partition(".")[0].partition("-")[0], _HAND)


def fixtures() -> dict[str, list[Path]]:
    """The files in `tests/files` by the format they are of."""
    files: dict[str, list[Path]] = {}
    for file in sorted(FILES.iterdir()):
        if file.suffix in FORMATS and file.name not in _OTHERS:
            files.setdefault(format_of(file.name, file.read_bytes()[:START_BYTES]).module, []).append(file)
    return files


def seeds() -> list[Article]:
    found = (item for file in find_files([SEEDS]) if isinstance(file, Path) for item in read_file(file))
    return [item for item in found if isinstance(item, Article)]


def written_to(folder: Path) -> dict[str, list[Path]]:
    """The demo articles written in every format, by its ending."""
    files: dict[str, list[Path]] = {}
    for ending, contents in written(seeds()).items():
        (folder / ending).mkdir()
        for name, content in contents.items():
            files.setdefault(ending, []).append(folder / ending / name)
            files[ending][-1].write_bytes(content)
    return files


def row(format: str, files: Sequence[Path], makers: Iterable[str], seconds: float = _SECONDS) -> Row:
    items = list(_read(files))
    articles = [item for item in items if isinstance(item, Article)]
    cpu, clock = _times(files, seconds)
    return Row(
        format=format,
        files=len(files),
        makers=tuple(sorted(set(makers))),
        articles=len(articles),
        unreadable=len(items) - len(articles),
        characters=sum(len(article.text) for article in articles),
        titles=sum(article.title is not None for article in articles),
        dates=sum(article.published is not None for article in articles),
        cpu_rate=len(articles) / cpu,
        rate=len(articles) / clock,
    )


def _read(files: Sequence[Path]) -> Iterator[Item]:
    for file in files:
        yield from read_file(file)


def _times(files: Sequence[Path], seconds: float) -> tuple[float, float]:
    """Seconds to read all files once, of the processor and by the clock, by a parser that has started."""
    start = min(_spent(files, 0)[0] for _ in range(2))
    cpu, clock, times = _spent(files, seconds)
    return max(cpu - start, _LEAST_SHARE * clock) / times, clock / times


def _spent(files: Sequence[Path], seconds: float) -> tuple[float, float, int]:
    """Read the files once with a new parser, then again for so many seconds: seconds of the processor in all, by the
    clock without the first time, and how many times after it."""
    parsing.end_idle()
    before, times = _cpu(), 0
    list(_read(files))
    began = perf_counter()
    while (clock := perf_counter() - began) < seconds:
        list(_read(files))
        times += 1
    parsing.end_idle()
    return _cpu() - before, clock, times


def _cpu() -> float:
    """Of this process and of those that have ended, which a parser is counted among."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + children.ru_utime + children.ru_stime


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """A table in Markdown."""
    yield "| format | files | made by | articles | not read | characters | titles | dates | per s of CPU | per s |"
    yield "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|"
    for one in rows:
        yield (
            f"| {one.format} | {one.files:,} | {', '.join(one.makers)} | {one.articles:,} | {one.unreadable:,} | "
            f"{one.characters:,} | {one.titles:,} | {one.dates:,} | {one.cpu_rate:,.0f} | {one.rate:,.0f} |"
        )


def _rows(folder: Path, seconds: float) -> Iterator[Row]:
    for format, files in sorted(fixtures().items()):
        yield row(format, files, map(maker, files), seconds)
    for ending, files in written_to(folder).items():
        yield row(f"`{ending}`", files, ["eval/written.py"], seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eval.bench_formats", description=__doc__)
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="for each row (default: %(default)s)")
    options = parser.parse_args()
    if not options.seconds > 0:
        parser.error("--seconds must be more than 0")
    made = Counter(maker(file) for files in fixtures().values() for file in files)
    print(f"{made.total() - made[_HAND]} files made by other programs, {made[_HAND]} by hand\n")
    with TemporaryDirectory() as folder:
        for line in lines(_rows(Path(folder), options.seconds)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
