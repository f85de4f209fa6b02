"""`run`: the server as a process."""

import asyncio
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from index.errors import InvalidInput
from server.access import is_loopback
from server.admission import Door
from server.connection import IDLE_SECONDS, Connection
from server.keys import KeyFile
from server.log import write_state
from server.service import Service

GRACE_SECONDS = 10
"""How long requests may take to finish once the server is told to stop; the supervisor's patience is often 30."""

LINGER_SECONDS = 2
"""How long after that a response may take to be sent, and a request to come in whole, to be told to come again."""

_TICK_SECONDS = 0.1

OPEN_FILES = 16_384
"""Each of a thousand collections takes up to 13, for a database connection of every thread; often 1,024 are allowed."""


def run(app: FastAPI, host: str = "127.0.0.1", port: int = 8000, load: Callable[[], object] = lambda: None) -> None:
    """Serve until SIGINT or SIGTERM, then return; the libraries' indexes are saved, closing them is the caller's part.

    `load` is called once, on the inference thread, while the port is open already: until it returns, what needs that
    thread is refused (503). What it raises ends the server, and is raised here.

    Raises InvalidInput where `host` is not this machine's own and the app needs no keys, or the port is taken.
    """
    keys: KeyFile | None = app.state.keys
    if not is_loopback(host) and not (keys and keys.always):
        raise InvalidInput(f"{host} may be reached from other machines, and anyone there could remove articles")
    check_address(host, port)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        lifespan="on",
        ws="none",
        server_header=False,
        proxy_headers=False,
        http=Connection,
        log_config=None,  # the caller's part
        access_log=False,  # its lines have the question of a page's URL; ours are in `server.log`
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=LINGER_SECONDS,
    )
    allow_open_files()
    # uvicorn repeats the signal that stopped it, and SIGTERM's usual effect would end the process before its caller
    # had closed the library; KeyboardInterrupt does not.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        Server(config, app.state.collections.main, load).run()
    finally:
        signal.signal(signal.SIGTERM, previous)


def check_address(host: str, port: int) -> None:
    """Raises InvalidInput where nothing can listen there, which uvicorn would end the process for."""
    try:
        [*_, (family, kind, protocol, _, address)] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise InvalidInput(
            f"nothing can listen at port {port} of {host}: {error.strerror}; choose another with --port"
        ) from None


def allow_open_files() -> None:
    """Let this process have as many files open as collections may take, or as many as it can be let have."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if resource.RLIM_INFINITY != allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class Server(uvicorn.Server):
    """Opens its port before it has loaded, and closes it only after it has finished."""

    def __init__(self, config: uvicorn.Config, service: Service, load: Callable[[], object]) -> None:
        super().__init__(config)
        self._service = service
        self._load = load
        self._loading: asyncio.Task[object] | None = None

    def run(self, sockets: Any = None) -> None:
        """Raises what loading raised."""
        with suppress(KeyboardInterrupt):
            super().run(sockets)
        if self._loading is not None and not self._loading.cancelled():
            self._loading.result()

    async def startup(self, sockets: Any = None) -> None:
        self._service.queue.door = Door.LOADING
        await super().startup(sockets)
        write_state("listening", url=_url(*self.servers[0].sockets[0].getsockname()[:2]))
        self._loading = asyncio.create_task(self._service.inference.run(self._load))
        self._loading.add_done_callback(self._loaded)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.queue.door = Door.ENDING
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: Any = None) -> None:
        """Whoever has a place is answered, and whoever comes meanwhile told so, which a closed port could not."""
        write_state("ending")
        deadline = perf_counter() + GRACE_SECONDS
        while not self._service.queue.empty and not self.force_exit and perf_counter() < deadline:
            await asyncio.sleep(_TICK_SECONDS)
        await super().shutdown(sockets)
        write_state("ended")

    def _loaded(self, loading: asyncio.Task[object]) -> None:
        if loading.cancelled() or loading.exception() is not None:
            self.should_exit = True
        elif self._service.queue.door is Door.LOADING:
            self._service.queue.door = Door.OPEN
            write_state("ready")


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
