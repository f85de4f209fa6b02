"""Titles as programs write them into files, many of which are none."""

import re

_FILE_NAME = re.compile(
    r"\S+\.(?:docx?|odt|rtf|txt|pdf|tex|dvi|indd|qxd|pptx?|xlsx?|html?|epub|pages|ps)", re.IGNORECASE
)
_PROGRAM = re.compile(r"(?:microsoft (?:word|powerpoint|excel)|openoffice|libreoffice)\s*-\s*", re.IGNORECASE)
_NOTHING = re.compile(
    r"(?:untitled|document|dokument|unbenannt|title|unknown|word document|slide)[\s\d]*", re.IGNORECASE
)


def sensible(title: str | None) -> str | None:
    """The title, without the program's name before it; None where it is a file name or says nothing."""
    title = _PROGRAM.sub("", (title or "").strip(" \0\r\n\t"))
    return title if title and not _FILE_NAME.fullmatch(title) and not _NOTHING.fullmatch(title) else None
