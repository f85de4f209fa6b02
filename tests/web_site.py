"""A site on this machine that tests fetch from, and a guard that takes it, and nothing else here, for a public one."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

from index.fetch.guard import Address, Guard, is_public, resolve

HOST = "site.example"
KEY = Path(__file__).parent / "files/tls/site.pem"

BRIDGE = "The bridge at Saltgate was shut on Monday. Engineers had found cracks in the deck."
PAGE = f"<html><head><title>Bridge shut</title></head><body><article><p>{BRIDGE}</p></article></body></html>"

Headers = dict[str, str]
Respond = Callable[["Handler"], None]


class Trusted(IPv4Address):
    """An address of this machine that stands for one of the Internet."""


TRUSTED = Trusted("127.0.0.1")


def resolve_site(host: str, port: int) -> list[Address]:
    return [TRUSTED] if host == HOST else resolve(host, port)


GUARD = Guard(lambda address: isinstance(address, Trusted) or is_public(address), resolve_site)


@dataclass
class Site:
    """What a site has at each path, and the requests for it so far, less those for a robots.txt that it has not."""

    port: int = 0
    scheme: str = "http"
    paths: dict[str, Respond] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)

    def address(self, path: str) -> str:
        return f"{self.scheme}://{HOST}:{self.port}{path}"

    def has(
        self, path: str, content: bytes | str = PAGE, kind: str | None = "text/html", status: int = 200, **headers: str
    ) -> str:
        """Have it at a path, with its length said; `_` in the names of headers are hyphens. Returns the address."""
        data = content.encode() if isinstance(content, str) else content
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.paths[path] = lambda handler: handler.respond(
            status, {**({"Content-Type": kind} if kind else {}), "Content-Length": str(len(data)), **named}, data
        )
        return self.address(path)


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        if self.path in self.site.paths or self.path != "/robots.txt":
            self.site.asked.append(self.path)
            self.site.headers.append({name.lower(): value for name, value in self.headers.items()})
        respond = self.site.paths.get(self.path)
        try:
            if respond is not None:
                respond(self)
            else:
                self.respond(404, {"Content-Length": "0"})
        except (ConnectionError, ssl.SSLError):
            pass  # whoever asked has heard enough

    def respond(self, status: int, headers: Headers, content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def serving(*, tls: bool = False) -> Iterator[Site]:
    site = Site(scheme="https" if tls else "http")
    server = Server(("127.0.0.1", 0), type("SiteHandler", (Handler,), {"site": site}))
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(KEY)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
