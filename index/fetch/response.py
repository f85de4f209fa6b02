"""What a server answers: the status, the headers, and as much of the content as is wanted."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpcore2
from httpx2 import URL

from index.fetch.guard import GuardedNetwork

_GZIP = ("gzip", "x-gzip")


class Unusable(Exception):
    """The content of a response cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` by their names in lower case; of several with one name, the last."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterable[bytes]

    def content(self, most: int) -> bytes:
        """All of it, unpacked. Raises Unusable where that is more than `most` bytes, however little came."""
        said = self.headers.get("content-length", "")
        if said.isdecimal() and int(said) > most:
            raise _too_large(most)
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding in _GZIP:
            return _unpacked(self.pieces, most)
        if encoding not in ("", "identity"):
            raise Unusable(f"it came packed as {encoding!r}, which was not asked for")
        data = bytearray()
        for piece in self.pieces:
            data += piece
            if len(data) > most:
                raise _too_large(most)
        return bytes(data)


@contextmanager
def opened(url: URL, headers: Mapping[str, str], network: GuardedNetwork) -> Iterator[Response]:
    """The response to a GET. Raises Refused, and what httpcore2 does: TimeoutException where there is no time left."""
    target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    pairs = [(b"Host", url.netloc), *((name.encode(), value.encode("latin-1")) for name, value in headers.items())]
    with (
        httpcore2.ConnectionPool(network_backend=network, max_connections=1) as pool,
        pool.stream("GET", target, headers=pairs) as response,
    ):
        given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        yield Response(response.status, given, response.iter_stream())


def _unpacked(pieces: Iterable[bytes], most: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    data = bytearray()
    try:
        for piece in pieces:
            data += unpacker.decompress(piece, most + 1 - len(data))  # a kilobyte may hold a thousand
            if len(data) > most:
                raise _too_large(most)
    except zlib.error as error:
        raise Unusable(f"it cannot be unpacked: {error}") from None
    if not unpacker.eof and (data or unpacker.unconsumed_tail):
        raise Unusable("it breaks off before its end")
    return bytes(data)


def _too_large(most: int) -> Unusable:
    return Unusable(f"it is larger than {most / (1 << 20):,.4g} MiB")
