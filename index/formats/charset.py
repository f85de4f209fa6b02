"""Bytes to text where a header of mail or HTTP names the character set."""

from index.formats.encoding import decode


def decode_as(data: bytes, charset: str | None) -> str:
    """The text of `data` in `charset`; where that is none, unknown or wrong, what `decode` makes of it.

    Raises NotText.
    """
    if charset:
        try:
            return data.decode(charset)
        except (LookupError, UnicodeError, ValueError):  # ValueError: a NUL in the name
            pass
    return decode(data)
