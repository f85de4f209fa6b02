"""What a process asks of the system and in which order, by strace, which can also let a call fail."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.faults import Impossible


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that has ended: on the open file `path`, or on a path. `text` is the last of its texts: another
    path, or the first letters of what was written."""

    thread: int
    name: str
    path: str
    text: str
    succeeded: bool


def traced(command: Sequence[str], calls: Iterable[str], fault: str | None = None, **options: Any) -> list[Call]:
    """Run a command to its end and return its calls of those names, in the order they ended.

    `fault` is a rule like `fsync:error=EIO:when=3`. Raises Impossible without strace; CalledProcessError.
    """
    if (reason := strace_missing()) is not None:
        raise Impossible(reason)
    with tempfile.NamedTemporaryFile() as log:
        rules = ["-e", f"trace={','.join(calls)}", *(["-e", f"inject={fault}"] if fault else [])]
        strace = ["strace", "-f", "-y", "-q", "--seccomp-bpf", "-s", "8", "-o", log.name, *rules]
        subprocess.run([*strace, *command], check=True, capture_output=True, **options)
        return list(parse(Path(log.name).read_text(errors="replace").splitlines()))


@cache
def strace_missing() -> str | None:
    """Why nothing can be traced here; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    ended = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True)
    return f"strace may not trace here: {ended.stderr.strip()}" if ended.returncode else None


_BEGIN = re.compile(r"(\d+) +(\w+)\((.*)")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_UNFINISHED = " <unfinished ...>"


def parse(lines: Iterable[str]) -> Iterator[Call]:
    """The calls in what strace has written with -f and -y."""
    unfinished: dict[tuple[str, str], str] = {}
    for line in lines:
        if resumed := _RESUMED.match(line):
            thread, name, rest = resumed.groups()
            rest = unfinished.pop((thread, name), "") + rest
        elif begun := _BEGIN.match(line):
            thread, name, rest = begun.groups()
            if rest.endswith(_UNFINISHED):
                unfinished[thread, name] = rest.removesuffix(_UNFINISHED)
                continue
        else:
            continue
        opened = re.match(r"\d+<([^>]*)>", rest)
        texts = re.findall(r'"((?:[^"\\]|\\.)*)"', rest)
        path = opened.group(1) if opened else texts[0] if texts else ""
        result = rest.rpartition(" = ")[2]
        yield Call(int(thread), name, path, texts[-1] if texts else "", not result.startswith(("-1", "?")))


WRITES = ("write", "pwrite64", "writev", "ftruncate")
SYNCS = ("fsync", "fdatasync")
RENAMES = ("rename", "renameat", "renameat2")
REMOVALS = ("unlink", "unlinkat", "rmdir")
ORDERED = (*WRITES, *SYNCS, *RENAMES, *REMOVALS)


def acknowledged_unsynced(calls: Iterable[Call], library: Path, journal: Path) -> list[str]:
    """What was acknowledged (the journal says "done") before the database's log was on the disk."""
    found: list[str] = []
    unsynced: set[str] = set()
    for call in calls:
        if call.path == str(journal) and "done" in call.text:
            found += [f"acknowledged before {Path(path).name} was synced" for path in unsynced]
        elif call.name in WRITES and call.path.startswith(str(library)) and call.path.endswith("-wal"):
            unsynced.add(call.path)
        elif call.name in SYNCS and call.succeeded:
            unsynced.discard(call.path)
    return found


def renamed_unsynced(calls: Iterable[Call], library: Path) -> list[str]:
    """Files of the library that got their name before their content was on the disk, and names that were not there
    before something else was removed, or ever."""
    found = []
    unsynced: set[str] = set()
    names: dict[str, str] = {}  # by their directory
    for call in calls:
        if not call.path.startswith(str(library)) or not call.succeeded:
            continue
        name, directory = Path(call.path).name, str(Path(call.path).parent)
        if call.name in WRITES:
            unsynced.add(call.path)
        elif call.name in SYNCS:
            unsynced.discard(call.path)
            names.pop(call.path, None)
        elif call.name in RENAMES:
            found += [f"{name} was renamed before it was synced"] * (call.path in unsynced)
            names[str(Path(call.text).parent)] = Path(call.text).name
        elif call.name in REMOVALS and directory in names:
            found.append(f"{name} was removed before the name {names[directory]} was synced")
    return found + [f"the name {name} was never synced" for name in names.values()]


def unsynced_files(calls: Sequence[Call], library: Path) -> list[str]:
    """The manifest and the files it names, so far as they were not on the disk when it got its name."""
    manifest = library / "manifest.json"
    named = max(number for number, call in enumerate(calls) if call.text == str(manifest))
    synced = {call.path for call in calls[:named] if call.name in SYNCS and call.succeeded}
    synced |= {call.text for call in calls[: named + 1] if call.name in RENAMES and call.path in synced}
    return [
        name
        for name in (*json.loads(manifest.read_bytes())["files"], manifest.name)
        if str(library / name) not in synced
    ]
