"""What the commands share that take something out of the web."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from index.errors import InvalidInput

if TYPE_CHECKING:
    from index.fetch import Fetcher

AllowNetworkOption = Annotated[
    bool,
    typer.Option(
        "--allow-network",
        envvar="PULLQUOTE_ALLOW_NETWORK",
        help="Fetch addresses of the web; without it none is.",
    ),
]

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def is_address(argument: str) -> bool:
    """Whether what stands on the command line is meant as an address of the web, and not as a file."""
    return _ADDRESS.match(argument) is not None


def make_fetcher(allow_network: bool) -> "Fetcher":
    """Raises InvalidInput where the network is not to be used."""
    if not allow_network:
        raise InvalidInput(
            "nothing is fetched unless you allow it: say --allow-network, or set PULLQUOTE_ALLOW_NETWORK=1"
        )
    from index.fetch import Fetcher  # a tenth of a second that no other command waits for

    return Fetcher()
