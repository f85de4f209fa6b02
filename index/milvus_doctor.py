"""Checks a library in Milvus: every article against its hash and its passages, feedback against its hash; and rows that
nobody reads."""

import time
from collections.abc import Callable

from index.base import AnyLibrary
from index.doctor import Report
from index.finding import REPAIR, Finding, Hurt, Kind, changed_feedback
from index.milvus import MilvusLibrary
from index.milvus_rows import UNFINISHED_SECONDS, ArticleRow

_AT_ONCE = 100


def check_milvus(library: AnyLibrary, *, mend: bool = False, tell: Callable[[str], None] = lambda text: None) -> Report:
    """Check a library, and to mend it delete what writing has left behind; others may search and write meanwhile. No
    article is ever removed. Raises LibraryUnreachable."""
    assert isinstance(library, MilvusLibrary)
    store = library.store
    tell("rows that nobody reads")
    old = time.time_ns() - UNFINISHED_SECONDS * 10**9
    left = store.unnamed(old)
    rows = store.article_rows()
    damaged: list[ArticleRow] = []
    bare: list[ArticleRow] = []
    for start in range(0, len(rows), _AT_ONCE):
        tell(f"article {start:,} of {len(rows):,}")
        some = rows[start : start + _AT_ONCE]
        damaged += store.damaged(some)
        bare += store.bare(some)
    findings = [*_about(damaged, "articles", Kind.TRUTH, "are not what was stored", "add them again")]
    findings += _about(bare, "passages", Kind.TRUTH, "have lost passages", "remove them, and add them again")
    findings += changed_feedback([key for key, one in library.feedback().items() if one is None])
    unread: tuple[Finding, ...] = ()
    if left:
        said = f"{len(left):,} rows were left by writing that was interrupted; nobody reads them"
        unread = (Finding("unfinished", Kind.WARNING, said, REPAIR),)
    if mend:
        store.delete_unnamed(left)
        store.delete_gone(old)
    sound = [row for row in rows if row not in damaged and row not in bare]
    passages = sum(row.passages for row in sound)
    return Report(tuple(findings) + (() if mend else unread), unread if mend else (), (), len(sound), passages)


def _about(rows: list[ArticleRow], check: str, kind: Kind, said: str, remedy: str) -> list[Finding]:
    if not rows:
        return []
    hurt = tuple(Hurt(row.id, row.origin) for row in rows)
    return [Finding(check, kind, f"{len(rows):,} articles {said}", remedy, hurt)]
