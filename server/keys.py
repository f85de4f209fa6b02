"""Keys: who may do what, in which collections. Their file has hashes, and cannot give a key away."""

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Any

from index.collection import check_collection_name
from index.errors import InvalidInput, LibraryCorrupt, LibraryNotWritable

KEYS = "keys.json"
"""The file's name in a library's directory."""

PER_MINUTE = 600
"""Requests that a key may send a minute where nothing else is said: more than two cores can answer."""

MAX_PER_MINUTE = 1_000_000
MAX_NAME_CHARACTERS = 64

_SECRET_BYTES = 32
_ID_BYTES = 4
_KEY = re.compile(r"pq_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")


class Right(StrEnum):
    """What a key allows; each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def includes(self, other: "Right") -> bool:
        return list(Right).index(other) <= list(Right).index(self)


@dataclass(frozen=True, slots=True)
class Key:
    """`id` is the part of the key that may be told to anybody; `sha256` that of the whole key. No `collections` means
    all of them. `made` is an instant in ISO 8601."""

    id: str
    name: str
    sha256: str
    right: Right
    collections: tuple[str, ...]
    per_minute: int
    made: str

    def sees(self, collection: str) -> bool:
        return not self.collections or collection in self.collections


class KeyFile:
    """The keys in a file, which is read again as soon as it has changed: a key that is revoked is refused at once."""

    def __init__(self, path: Path, *, always: bool = False) -> None:
        """`always` needs a key, also where none was made. So does, from then on, what has seen one: that the last is
        revoked, or the file gone, lets nobody in."""
        self._path = path
        self.always = always
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    def all(self) -> tuple[Key, ...]:
        """In the order they were made; none where there is no file. Raises LibraryCorrupt."""
        try:
            state = self._path.stat()
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
            if seen != self._seen:
                self._keys = _parsed(self._path.read_bytes())
                self._seen = seen
                self.always = self.always or bool(self._keys)
        except FileNotFoundError:
            self._seen, self._keys = None, ()
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise LibraryCorrupt(f"no keys can be read in {self._path}: {error}; remove it and make others") from None
        return self._keys

    @property
    def needed(self) -> bool:
        """Whether requests need a key: as soon as one was made. Raises LibraryCorrupt."""
        return bool(self.all()) or self.always

    def find(self, secret: str) -> Key | None:
        """The key that this is; None where it is none of them. Raises LibraryCorrupt."""
        parts = _KEY.fullmatch(secret)
        found = next((key for key in self.all() if parts and key.id == parts[1]), None)
        return found if found and compare_digest(found.sha256, _hash(secret)) else None

    def add(self, name: str, right: Right, collections: Sequence[str] = (), per_minute: int = PER_MINUTE) -> str:
        """Make a key and return it: it cannot be had again. Raises InvalidInput, LibraryNotWritable, LibraryCorrupt."""
        if not name.strip() or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
            raise InvalidInput(f"a key needs a name, of at most {MAX_NAME_CHARACTERS} characters")
        if not 1 <= per_minute <= MAX_PER_MINUTE:
            raise InvalidInput(f"a key allows between 1 and {MAX_PER_MINUTE:,} requests a minute")
        for collection in collections:
            check_collection_name(collection)
        id = secrets.token_hex(_ID_BYTES)
        secret = f"pq_{id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        unique = tuple(dict.fromkeys(collections))
        with self._changing():
            self._write([*self.all(), Key(id, name.strip(), _hash(secret), right, unique, per_minute, made)])
        return secret

    def revoke(self, ids: Sequence[str]) -> None:
        """Raises InvalidInput, having revoked none, where one is not there; LibraryNotWritable, LibraryCorrupt."""
        with self._changing():
            known = {key.id for key in self.all()}
            if missing := [id for id in ids if id not in known]:
                raise InvalidInput(f"there is no key {missing[0]!r}; see: pullquote keys list")
            self._write([key for key in self.all() if key.id not in ids])

    @property
    def _target(self) -> Path:
        """Where the file is: a link to it stays one."""
        return Path(os.path.realpath(self._path))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One at a time. Raises LibraryNotWritable."""
        try:
            folder = self._target.parent
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise LibraryNotWritable(f"{self._path} cannot be written: {error.strerror}") from None

    def _write(self, keys: Sequence[Key]) -> None:
        unfinished = self._target.with_name(f"{self._target.name}.tmp")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"keys": [asdict(key) for key in keys]}, file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(descriptor)
        os.replace(unfinished, self._target)


def _hash(secret: str) -> str:
    """Not a slow one: a key has 256 bits of chance, and nobody tries them all."""
    return sha256(secret.encode()).hexdigest()


def _parsed(data: bytes) -> tuple[Key, ...]:
    """Raises ValueError, TypeError or KeyError where it is not as `_write` leaves it."""
    listed = json.loads(data)["keys"]
    if not isinstance(listed, list):
        raise TypeError("there is no list of them")
    return tuple(map(_key, listed))


def _key(fields: dict[str, Any]) -> Key:
    """Raises as `_parsed` does; no names of collections must not come of what is no list, since they mean all."""
    key = Key(**{**fields, "right": Right(fields["right"]), "collections": tuple(fields["collections"])})
    if not isinstance(fields["collections"], list) or not 1 <= key.per_minute <= MAX_PER_MINUTE:
        raise ValueError(f"{key.id} is not as it was made")
    return key
