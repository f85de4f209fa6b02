"""What a check of a library can find, and what is then to be done."""

from dataclasses import dataclass
from enum import StrEnum

RESTORE = "restore a backup with: pullquote restore FILE --force"
ADD_AGAIN = f"add them again from where they came from, or {RESTORE}"
REPAIR = "mend it with: pullquote doctor --repair"
REINDEX = "make all passages anew with: pullquote reindex"


class Kind(StrEnum):
    """What is damaged: the articles, or what people said of answers; what can be made again from the articles; or
    nothing yet."""

    TRUTH = "truth"
    DERIVED = "derived"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Hurt:
    """An article that is affected: what is still known of it."""

    id: str
    origin: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: the check that found it, what it is, and what to do."""

    check: str
    kind: Kind
    message: str
    remedy: str
    articles: tuple[Hurt, ...] = ()
