"""What a check of a library can find, and what is then to be done."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

RESTORE = "restore a backup with: pullquote restore FILE --force"
ADD_AGAIN = f"add them again from where they came from, or {RESTORE}"
REPAIR = "mend it with: pullquote doctor --repair"
REINDEX = "make all passages anew with: pullquote reindex"

FEEDBACK = "feedback"
"""The check that finds changed feedback, which harms nothing else."""

MAX_NAMED = 5
"""Of what is found, named one by one; the rest is counted."""


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


def named(hurt: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(hurt) - MAX_NAMED:,} more" if len(hurt) > MAX_NAMED else ""
    return ", ".join(hurt[:MAX_NAMED]) + more


def changed_feedback(keys: Sequence[int]) -> list[Finding]:
    if not keys:
        return []
    said = f"feedback that is not what was stored: {named([str(key) for key in keys])}"
    return [Finding(FEEDBACK, Kind.TRUTH, said, "remove it with: pullquote feedback remove KEY")]
