"""Which addresses of the network may be connected to, and connections to those alone, until a deadline.

A name is resolved once, all its addresses are checked, and one of these very addresses is connected to: what the name
resolves to afterwards does not matter. TLS is held to the name.
"""

import re
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from time import monotonic
from typing import Any

from httpcore2 import ConnectError, ConnectTimeout, NetworkBackend, NetworkStream, ReadTimeout, SyncBackend

Address = IPv4Address | IPv6Address

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that is given to anybody so far (RFC 4291)."""

_NAT64 = IPv6Network("64:ff9b::/96")
_NUMBER = re.compile(r"\d+|0x[\da-f]*", re.IGNORECASE)


class Refused(Exception):
    """An address must not be connected to; says why."""


def is_public(address: Address) -> bool:
    """Whether it is one of the Internet, of no network of its own: not this machine, not private, link-local, shared,
    multicast or reserved. Of an address of IPv6 that stands for one of IPv4, whether that is."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        tunnelled = address.sixtofour is not None or address.teredo is not None
        if address not in _GLOBAL_UNICAST or tunnelled:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve(host: str, port: int) -> list[Address]:
    """What the system's resolver says. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [ip_address(str(sockaddr[0])) for *_, sockaddr in found]


@dataclass(frozen=True, slots=True)
class Guard:
    """Which addresses are `allowed`, and what resolves names to them. Other than the defaults are for tests alone."""

    allowed: Callable[[Address], bool] = is_public
    resolve: Callable[[str, int], list[Address]] = resolve

    def addresses(self, host: str, port: int) -> list[Address]:
        """All that a host has. Raises Refused where one of them is not allowed, and OSError."""
        if _is_disguised(host):
            raise Refused(f"{host} is an address of IPv4 that is not written as one")
        addresses = self.resolve(host, port)
        if any(not self.allowed(address) for address in addresses):
            raise Refused(f"{host} is on this machine or in a network that is not public")
        return list(dict.fromkeys(addresses))


def _is_disguised(host: str) -> bool:
    """Whether it ends with a number and yet is no address, by which rule browsers tell those of IPv4 (see
    https://url.spec.whatwg.org/#ends-in-a-number-checker): 2130706433, 0x7f.1 and 0177.0.0.1 are this machine."""
    last = host.rstrip(".").rpartition(".")[2]
    if ":" in host or not _NUMBER.fullmatch(last):
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


class Deadline:
    """A moment by which something has to be done."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds. Raises ReadTimeout where there are none."""
        left = self._end - monotonic()
        if left <= 0:
            raise ReadTimeout
        return left


class GuardedNetwork(NetworkBackend):
    """Connects to where the guard allows, and waits for nothing beyond the deadline."""

    def __init__(self, guard: Guard, deadline: Deadline) -> None:
        self._guard = guard
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> NetworkStream:
        """Raises Refused, ConnectError or ConnectTimeout."""
        try:
            addresses = self._guard.addresses(host, port)
        except (OSError, UnicodeError) as error:  # UnicodeError: a label of the name is too long
            raise ConnectError(f"its host {host} is not known") from error
        failure: Exception = ConnectError(f"its host {host} has no address")
        for address in addresses:
            try:
                stream = SyncBackend().connect_tcp(str(address), port, self._deadline.left, None, socket_options)
            except (ConnectError, ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._deadline)
        raise failure


class _TimedStream(NetworkStream):
    """A stream that knows no time limits but the deadline."""

    def __init__(self, stream: NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, self._deadline.left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
