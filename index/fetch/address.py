"""Addresses of the web: which of them are fetched at all."""

from httpx2 import URL, InvalidURL

from index.errors import InvalidInput

_SCHEMES = ("http", "https")
_USUAL_PORTS = (None, 80, 443)
_FREE_PORTS = range(1024, 65_536)
"""Below are mail, shells and the like, which might take a request for something that they are told."""


def web_address(text: str) -> URL:
    """With its host as the name system has it, its path escaped and without a fragment. Raises InvalidInput."""
    try:
        url = URL(text.strip())
    except InvalidURL as error:
        raise InvalidInput(f"it is no address of the web: {error}") from None
    if url.scheme not in _SCHEMES:
        raise InvalidInput("only addresses with http and https are fetched")
    if not url.host:
        raise InvalidInput("it is no address of the web: it has no host")
    if url.userinfo:
        raise InvalidInput("no name and password are sent to a server; leave them out of the address")
    if url.port not in _USUAL_PORTS and url.port not in _FREE_PORTS:
        raise InvalidInput(f"no server of the web has the port {url.port}")
    return url.copy_with(raw_path=url.raw_path, fragment=None)
