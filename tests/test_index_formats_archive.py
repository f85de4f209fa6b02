"""Archives and compressed files: what is in them is read under its own name; bombs, loops and locks are reported."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from index.article import Article
from index.errors import UnreadableArticle
from index.formats import archive, find_files, read_file
from index.formats.format import ARCHIVE
from index.formats.reading import read_here, safely

Files = dict[str, bytes]
NEWS: Files = {
    "b.txt": b"The bridge was shut.",
    "news/a.md": b"# Ferry\n\nIt *sank*.",
    "c.jsonl": b'{"text": "Chess."}',
}


def zipped(files: Files, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return data.getvalue()


def tarred(files: Files) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return data.getvalue()


def read(data: bytes, name: str = "x") -> list[str]:
    """Texts, and errors."""
    items = safely(read_here(io.BytesIO(data), name, ARCHIVE, {}), name)
    return [item.text if isinstance(item, Article) else str(item) for item in items]


COMPRESSED: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress, zstandard.compress]
TEXTS = ["The bridge was shut.", "Ferry\n\nIt sank.", "Chess."]


@pytest.mark.parametrize("compress", [bytes, *COMPRESSED])
@pytest.mark.parametrize("made", [zipped, tarred])
def test_files_in_an_archive(made: Callable[[Files], bytes], compress: Callable[[bytes], bytes]) -> None:
    if made is tarred or compress is bytes:
        assert read(compress(made(NEWS))) == TEXTS
    else:
        assert read(compress(made(NEWS)), "x.zip.gz") == TEXTS


@pytest.mark.parametrize("compress", COMPRESSED)
@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("x.md.gz", b"# Ferry", "Ferry"),
        ("x.txt.zst", b"# Ferry", "# Ferry"),
        ("x.gz", b'{"text": "Ferry"}', "Ferry"),
        ("x", b"Ferry", "Ferry"),
        (".gz", b"Ferry", "Ferry"),
    ],
)
def test_compressed_file(compress: Callable[[bytes], bytes], name: str, data: bytes, text: str) -> None:
    assert read(compress(data), name) == [text]


def test_compressed_in_several_pieces() -> None:
    for compress in COMPRESSED:
        assert read(compress(b"one ") + compress(b"two"), "x.txt.gz") == ["one two"]


@pytest.mark.parametrize("compress", COMPRESSED)
def test_compressed_file_cut_short(compress: Callable[[bytes], bytes]) -> None:
    data = compress(b"".join(b'{"text": "%d"}\n' % number for number in range(100_000)))
    found = read(data[: len(data) * 3 // 4], "x.jsonl.gz")
    assert found[-1] == "x.jsonl.gz: it breaks off before its end; get it again"
    assert found[:2] == ["0", "1"]


def test_errors_name_the_file_in_the_archive() -> None:
    assert read(zipped({"a/b.json": b"7", "e.txt": b""}), "x.zip") == [
        "x.zip!a/b.json: it holds no articles: it is neither a record, a list of records nor SQuAD",
        "x.zip!e.txt: it is empty",
    ]
    assert read(gzip.compress(b""), "x.txt.gz") == ["x.txt.gz: it is empty"]


@pytest.mark.parametrize("made", [zipped, tarred])
def test_hidden_files_and_others_are_left_out_as_in_a_folder(made: Callable[[Files], bytes]) -> None:
    files = {".hidden.txt": b"h", ".git/a.txt": b"g", "a.png": b"p", "__MACOSX/._b.txt": b"m", "README": b"r"}
    assert read(made({**files, "./b.txt": b"B."})) == ["B."]
    assert read(made(files)) == ["x: it holds no file of a known format"]


def test_empty() -> None:
    assert read(zipped({})) == ["x: it holds no file of a known format"]
    assert read(tarred({})) == ["x: it is no archive that can be read, or a damaged one"]  # it is all zeros


def test_links_folders_and_devices_are_not_read() -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        for name, kind in {
            "s.txt": tarfile.SYMTYPE,
            "h.txt": tarfile.LNKTYPE,
            "d.txt": tarfile.DIRTYPE,
            "f.txt": tarfile.FIFOTYPE,
            "c.txt": tarfile.CHRTYPE,
        }.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            made.addfile(info)
    assert read(data.getvalue()) == ["x: it holds no file of a known format"]


def test_links_in_zip_are_not_read() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        link = zipfile.ZipInfo("s.txt")
        link.external_attr = 0o120777 << 16
        made.writestr(link, "/etc/passwd")
        made.mkdir("d.txt")
    assert read(data.getvalue()) == ["x: it holds no file of a known format"]


def test_encrypted() -> None:
    data = bytearray(zipped(NEWS))
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the first file: locally and in the directory
        data[data.index(mark) + flags] |= 1
    assert read(bytes(data)) == ["x!b.txt: it is encrypted; unpack it first", *TEXTS[1:]]


def test_damaged_file_among_others() -> None:
    data = bytearray(zipped(NEWS, zipfile.ZIP_STORED))
    data[data.index(b"bridge")] ^= 1
    assert read(bytes(data)) == ["x!b.txt: it cannot be parsed: BadZipFile: Bad CRC-32 for file 'b.txt'", *TEXTS[1:]]


@pytest.mark.parametrize("made", [zipped, lambda files: gzip.compress(tarred(files))])
def test_cut_short(made: Callable[[Files], bytes]) -> None:
    data = made({"a.txt": bytes(range(32, 127)) * 10_000, **NEWS})
    for length in (10, len(data) // 2, len(data) - 10):
        assert any(reason in read(data[:length])[-1] for reason in ("no archive", "cannot be parsed", "breaks off"))


def nested(depth: int, made: Callable[[Files], bytes], name: str) -> bytes:
    data = made({"a.txt": b"Deep."})
    for _ in range(depth - 1):
        data = made({name: data})
    return data


@pytest.mark.parametrize(("made", "name"), [(zipped, "n.zip"), (tarred, "n.tar")])
def test_archives_in_archives(made: Callable[[Files], bytes], name: str) -> None:
    assert read(nested(archive.MAX_DEPTH, made, name)) == ["Deep."]
    [error] = read(nested(archive.MAX_DEPTH + 1, made, name))
    assert error == f"x{('!' + name) * 3}: archives lie more than 3 deep in one another; unpack them first"


def test_archive_that_holds_itself() -> None:
    """As r.zip does; no more than MAX_DEPTH are opened."""
    data = b"bottom"
    for _ in range(50):
        data = gzip.compress(data)
    assert read(data, "x" + ".gz" * 50) == [
        f"x{'.gz' * 50}: archives lie more than 3 deep in one another; unpack them first"
    ]


@pytest.mark.parametrize(
    "bomb",
    [
        zipped({"a.txt": bytes(200 << 20), "b.txt": b"B."}),
        zipped({f"{number}.txt": b" " * (20 << 20) for number in range(10)}),
        gzip.compress(tarred({"a.txt": bytes(200 << 20)})),
        zipped({"a.zip": zipped({"a.txt": bytes(200 << 20)})}),
    ],
    ids=["one", "many", "tar", "nested"],
)
def test_bomb(bomb: bytes) -> None:
    found = read(bomb)
    assert found[-1] == "x: it unfolds to more than 100 times its size; unpack it first"
    assert len(found) <= 5


def test_too_many_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 2)
    assert read(zipped(NEWS))[2:] == ["x: it holds more than 2 files; unpack it first"]


def test_archives_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(NEWS))
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(tarred({"d.json": json.dumps([{"text": "D."}]).encode()})))
    items = [item for file in find_files([tmp_path]) if isinstance(file, Path) for item in read_file(file)]
    assert [item.text for item in items if not isinstance(item, UnreadableArticle)] == [*TEXTS, "D."]
    assert {item.origin for item in items if isinstance(item, Article)} == {None}
