"""What language a text is in: what its source says, else what it looks like (naive Bayes over n-grams of bytes; Lui and
Baldwin 2012). Offline: the model comes with its library."""

import re
from collections.abc import Mapping
from functools import cache
from tempfile import gettempdir
from typing import TYPE_CHECKING

from index.errors import DiskFull, InvalidInput

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

ENGLISH = "en"
"""The language of the models that come with the installation."""

_METADATA = "language"
"""Where the formats put what a source says."""

_LOOKED_AT = 2_000
"""Characters: 0.7 ms. More do not change what comes out."""

_LEAST_CONFIDENCE = 0.5
"""Of a guess. What was wrong among 60 texts of a line in 22 languages was below, and nothing of an article's length."""

_NO_LANGUAGE = "zxx"

_TAG = re.compile("([A-Za-z]{2})(?:[-_].*)?", re.DOTALL)
_CODE = re.compile("[a-z]{2,3}")


def language_of(text: str, metadata: Mapping[str, object]) -> str | None:
    """ISO 639-1 where there is such a code, else 639-3; None where it cannot be told."""
    said = _TAG.fullmatch(str(metadata.get(_METADATA) or "").strip())
    if said:
        return said[1].lower()
    language, confidence = _identifier().classify(text[:_LOOKED_AT])
    return None if confidence < _LEAST_CONFIDENCE or language == _NO_LANGUAGE else str(language)


def check_language(language: str) -> None:
    """Raises InvalidInput where it is no code such as `language_of` gives."""
    if _CODE.fullmatch(language) is None:
        raise InvalidInput(f"language: {language!r} is no code of ISO 639; write it like en")


@cache
def _identifier() -> "LanguageIdentifier":
    """Raises DiskFull: the model is unpacked into a temporary file."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # a second and 100 MB, for additions alone

    try:
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError as error:
        said = f"the model that tells languages cannot be unpacked in {gettempdir()}: {error.strerror}"
        raise DiskFull(f"{said}; make room there, or set TMPDIR to another place") from None
