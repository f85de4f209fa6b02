"""Bytes to text where a header of mail or HTTP names the character set."""

import codecs

from index.formats.encoding import decode

_MEANT = {"iso8859-1": "cp1252", "utf-8": "utf-8-sig"}
"""What is meant by a name: on the web by its standard (https://encoding.spec.whatwg.org), in mail by habit."""


def decode_as(data: bytes, charset: str | None) -> str:
    """The text of `data` in `charset`; where that is none, unknown or wrong, what `decode` makes of it.

    Raises NotText.
    """
    if charset:
        try:
            name = codecs.lookup(charset.strip("\"' ")).name
            return data.decode(_MEANT.get(name, name))
        except (LookupError, ValueError):  # ValueError: what is in another character set, or a NUL in the name
            pass
    return decode(data)
