"""The table of formats: who made which files, and what is counted of them; durations are not for tests."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from eval import bench_formats
from eval.bench_formats import FILES, Row, fixtures, lines, maker, row, seeds, written_to
from index.article import make_article

ROW = Row("pdf", 2, ("groff", "qpdf"), 1, 1, 1_234, 1, 0, cpu_rate=1_500.4, rate=7.6)


@pytest.mark.parametrize(
    ("name", "made_by"),
    [
        ("libreoffice-review.docx", "LibreOffice"),
        ("crawl.warc.gz", "wget"),
        ("turned.pdf", "qpdf"),
        ("thunderbird.eml", "hand"),
        ("listing.txt", "hand"),
    ],
)
def test_maker(name: str, made_by: str) -> None:
    assert maker(Path(name)) == made_by


def test_at_least_thirty_files_are_made_by_other_programs() -> None:
    makers = Counter(maker(file) for files in fixtures().values() for file in files)
    assert makers.total() - makers["hand"] >= 30


def test_every_file_is_told_of_in_their_readme() -> None:
    told = (FILES / "README.md").read_text()
    names = [file.name for files in fixtures().values() for file in files]
    assert [name for name in names if name not in told and f"{Path(name).suffix}`" not in told] == []


def test_row_counts_what_is_read() -> None:
    found = row(
        "pdf", [FILES / "pdftex-columns.pdf", FILES / "scanned.pdf", FILES / "landscape.pdf"], ["b", "a", "b"], 0.001
    )
    counts = (found.files, found.makers, found.articles, found.unreadable, found.titles, found.dates)
    assert counts == (3, ("a", "b"), 2, 1, 1, 2)
    assert found.characters == 1_202


def test_rates_are_of_all_articles_and_times(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([(2.0, 0.0, 0), (1.5, 0.0, 0), (7.5, 8.0, 2)])  # starting twice, then reading twice more
    monkeypatch.setattr(bench_formats, "_spent", lambda files, seconds: next(spent))
    found = row("table", [FILES / "sqlite-news.csv"], ["SQLite"])
    assert (found.cpu_rate, found.rate) == (2 / 3, 2 / 4)


def test_lines() -> None:
    assert list(lines([ROW, replace(ROW, format="docx", makers=())]))[2:] == [
        "| pdf | 2 | groff, qpdf | 1 | 1 | 1,234 | 1 | 0 | 1,500 | 8 |",
        "| docx | 2 |  | 1 | 1 | 1,234 | 1 | 0 | 1,500 | 8 |",
    ]


def test_the_demo_articles_are_written_in_every_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(seeds()) == 23
    monkeypatch.setattr(bench_formats, "seeds", lambda: [make_article("A.", id="a"), make_article("B.", id="b")])
    files = written_to(tmp_path)
    assert [file.name for file in files[".html"]] == ["a.html", "b.html"]
    assert files[".warc.gz"][0].read_bytes().startswith(b"\x1f\x8b")
    assert set(files) >= {
        ".md",
        ".csv",
        ".tsv",
        ".jsonl",
        ".parquet",
        ".zip",
        ".tar.gz",
        ".gz",
        ".zst",
        ".mbox",
        ".rss",
    }
