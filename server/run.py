"""`run`: the server as a process."""

import signal

import uvicorn

from index.errors import InvalidInput
from index.library import Library
from qa.answer import Ask
from server.app import create_app
from server.guard import is_loopback

GRACE_SECONDS = 10
"""How long requests may take to finish once the server is told to stop; the supervisor's patience is often 30."""

KEEP_ALIVE_SECONDS = 30
"""How long an idle connection is kept for a client's next question."""


def run(ask: Ask, library: Library, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until SIGINT or SIGTERM, then return; the library's indexes are saved, closing it is the caller's part.

    Raises InvalidInput where `host` is not this machine's own: there is no authentication yet. Ends the process with
    a message where the port is taken.
    """
    if not is_loopback(host):
        raise InvalidInput(
            f"{host} may be reached from other machines, and anyone there could read and remove articles; "
            "serve on 127.0.0.1"
        )
    app = create_app(ask, library)
    # uvicorn repeats the signal that stopped it, and SIGTERM's usual effect would end the process before its caller
    # had closed the library; as KeyboardInterrupt, uvicorn knows it.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        uvicorn.run(
            app,
            host=host,
            port=port,
            lifespan="on",
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    finally:
        signal.signal(signal.SIGTERM, previous)
