"""A Milvus server, or Milvus Lite within this process, with its errors as ours."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from pymilvus import CollectionSchema, DataType, MilvusClient, MilvusException
from pymilvus.milvus_client.index import IndexParams

from index.errors import LibraryBusy, LibraryNotWritable, LibraryUnreachable
from index.milvus_address import MilvusAddress

Row = dict[str, Any]

STRING_BYTES = 65_535
"""The longest string Milvus stores, in UTF-8."""

_CONNECTING_SECONDS = 10.0
_ANSWERING_SECONDS = 300.0
"""A server takes none of them, and Milvus Lite a minute for 25,000 passages when it first looks for words."""

_SEARCHING_SECONDS = 10.0
"""The same for what a question waits for, on a server: a thread of ours waits too, and others for it."""

_AT_ONCE = 1_000
"""Rows asked for by key in one request, and told of in one page: 16,384 are the most a server answers with."""

_SENT_BYTES = 16_000_000
"""Sent in one request: a server takes 64 MB."""

_NOT_LOADED = 101
"""The code of Milvus's error where a collection is not in memory."""

for _name in ("pymilvus", "pymilvus.milvus_client", "milvus_lite"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # their errors are raised as well, and told once


@dataclass(slots=True)
class _Lite:
    """One folder's server within this process, and how many use it."""

    stop: Callable[[], None]
    uri: str
    users: int


_lites: dict[Path, _Lite] = {}
_lites_lock = threading.Lock()


class Milvus:
    """All that libraries ask of Milvus. What was written is seen by every later reading, here and elsewhere (strong
    consistency), and was in the server's log when the call returned. Raises LibraryUnreachable."""

    def __init__(self, address: MilvusAddress, token: str | None = None) -> None:
        self._where = address.where
        self._folder = address.folder.resolve() if address.folder else None
        self._searching_seconds = _ANSWERING_SECONDS if self._folder else _SEARCHING_SECONDS
        uri = address.uri or _start_lite(address)
        try:
            with self._understood():
                self._client = MilvusClient(uri=uri, token=token or "", timeout=_CONNECTING_SECONDS, dedicated=True)
        except LibraryUnreachable:
            self._end_lite()
            raise

    def close(self) -> None:
        self._client.close()
        self._end_lite()

    def has(self, collection: str) -> bool:
        with self._understood():
            return bool(self._client.has_collection(collection, timeout=_ANSWERING_SECONDS))

    def collections(self) -> list[str]:
        with self._understood():
            return sorted(self._client.list_collections(timeout=_ANSWERING_SECONDS))

    def make(self, collection: str, schema: CollectionSchema, indexes: IndexParams) -> None:
        """Make a collection that is not there, whoever else does so too, and make it ready."""
        with self._understood():
            try:
                if not self._client.has_collection(collection):
                    # one shard, so that what is written in one request is seen at once, and words are counted once
                    self._client.create_collection(
                        collection, schema=schema, consistency_level="Strong", num_shards=1, timeout=_ANSWERING_SECONDS
                    )
            except MilvusException:
                if not self._client.has_collection(collection):
                    raise
            there = self._client.list_indexes(collection)
            for index in indexes:
                if index.index_name not in there:
                    one = IndexParams()
                    one.append(index)
                    self._client.create_index(collection, one, sync=False, timeout=_ANSWERING_SECONDS)
            self._client.load_collection(collection, timeout=_ANSWERING_SECONDS)

    def load(self, collection: str, indexes: Sequence[str]) -> bool:
        """Make a collection ready, if it is there with these indexes: the making of one may have been interrupted."""
        with self._understood():
            there = self._client.has_collection(collection, timeout=_ANSWERING_SECONDS)
            if not there or not set(indexes) <= set(self._client.list_indexes(collection)):
                return False
            self._client.load_collection(collection, timeout=_ANSWERING_SECONDS)
            return True

    def upsert(self, collection: str, rows: Sequence[Row], bytes_each: int) -> None:
        """Write rows over those of the same keys; what fits into one request, and so a single row, is seen as one."""
        step = max(1, _SENT_BYTES // bytes_each)
        for start in range(0, len(rows), step):
            with self._understood():
                self._client.upsert(collection, list(rows[start : start + step]), timeout=_ANSWERING_SECONDS)

    def delete(self, collection: str, keys: Sequence[str]) -> None:
        """Those that are there; up to 1,000 at one moment."""
        for start in range(0, len(keys), _AT_ONCE):
            with self._understood():
                ids = list(keys[start : start + _AT_ONCE])
                self._client.delete(collection, ids=ids, timeout=_ANSWERING_SECONDS)

    def delete_where(self, collection: str, filter: str) -> None:
        """All rows that the filter lets through."""
        with self._understood():
            self._client.delete(collection, filter=filter, timeout=_ANSWERING_SECONDS)

    def get(self, collection: str, keys: Sequence[str], fields: list[str], at_once: int = _AT_ONCE) -> Iterator[Row]:
        """The rows that are there, in no order; so many are asked for in one request."""
        for start in range(0, len(keys), at_once):
            ids = list(keys[start : start + at_once])
            yield from self._asked(
                collection, partial(self._client.query, ids=ids, output_fields=fields, timeout=self._searching_seconds)
            )

    def rows(self, collection: str, filter: str, fields: list[str]) -> Iterator[Row]:
        """All rows that the filter lets through, by key."""
        ask = partial(self._client.query_iterator, batch_size=_AT_ONCE, filter=filter, output_fields=fields)
        pages = self._asked(collection, partial(ask, timeout=_ANSWERING_SECONDS))
        with self._understood():
            try:
                while page := pages.next():
                    yield from page
            finally:
                pages.close()

    def count(self, collection: str, filter: str) -> int:
        """How many rows the filter lets through."""
        ask = partial(self._client.query, filter=filter, output_fields=["count(*)"], timeout=self._searching_seconds)
        [found] = self._asked(collection, ask)
        return int(found["count(*)"])

    def search(
        self, collection: str, query: list[float] | str, field: str, k: int, filter: str, how: dict[str, object]
    ) -> list[tuple[str, float]]:
        """The k best rows' keys and scores, in Milvus's order."""
        ask = partial(
            self._client.search,
            data=[query],
            anns_field=field,
            limit=k,
            filter=filter,
            search_params={"params": how},
            output_fields=["key"],
            timeout=self._searching_seconds,
        )
        [hits] = self._asked(collection, ask)
        return [(hit["key"], float(hit["distance"])) for hit in hits]

    def flush(self, collection: str) -> None:
        """Have what is in the log written to where it stays."""
        with self._understood():
            self._client.flush(collection, timeout=_ANSWERING_SECONDS)

    def _asked(self, collection: str, ask: Callable[[str], Any]) -> Any:
        """What a collection answers. One that the server has let go of meanwhile, as Milvus Lite's does when it is
        started anew, is loaded first."""
        with self._understood():
            try:
                return ask(collection)
            except MilvusException as error:
                if error.code != _NOT_LOADED:
                    raise
            self._client.load_collection(collection, timeout=_ANSWERING_SECONDS)
            return ask(collection)

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except (MilvusException, grpc.RpcError) as error:
            said = error.message if isinstance(error, MilvusException) else error
            raise LibraryUnreachable(f"{self._where}: {said}; is the server there, and is this its address?") from None

    def _end_lite(self) -> None:
        folder, self._folder = self._folder, None  # once, however often it is closed
        if folder is None:
            return
        with _lites_lock:
            lite = _lites[folder]
            lite.users -= 1
            if not lite.users:
                lite.stop()
                del _lites[folder]


def _start_lite(address: MilvusAddress) -> str:
    """The URI of the folder's server, which its users in this process share. Raises LibraryBusy, LibraryNotWritable."""
    from milvus_lite.adapter.grpc.server import start_server_in_thread  # which whoever has a server need not wait for
    from milvus_lite.exceptions import DataDirLockedError

    assert address.folder is not None
    folder = address.folder.resolve()
    with _lites_lock:
        if folder not in _lites:
            try:
                server, db, port = start_server_in_thread(str(folder))
            except DataDirLockedError:
                raise LibraryBusy(
                    f"{address.where} is in use by another process, and Milvus Lite lets in one; "
                    "try again when it is done, or run: milvus-lite server"
                ) from None
            except OSError as error:
                raise LibraryNotWritable(f"no library can be made at {address.where}: {error.strerror}") from None

            def stop() -> None:
                server.stop(grace=1.0).wait()
                db.close()

            _lites[folder] = _Lite(stop, f"http://127.0.0.1:{port}", 0)
        _lites[folder].users += 1
        return _lites[folder].uri


def schema_of(fields: Sequence[tuple[str, DataType, dict[str, object]]], key_length: int) -> CollectionSchema:
    """Of a collection whose rows have a string `key`."""
    schema: CollectionSchema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=key_length)
    for name, kind, how in fields:
        schema.add_field(name, kind, **how)
    return schema
