"""Errors that a caller can mend. Everything else that is raised is a bug and is not caught."""


class PullquoteError(Exception):
    """Base of all errors a caller can mend; the message says what to do next."""


class InvalidInput(PullquoteError):
    """A question, a number or a filter is not one that can be answered."""


class UnreadableArticle(PullquoteError):
    """One article of the input cannot be read; the others are not affected."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class NotFetched(UnreadableArticle):
    """What is at an address of the web cannot be had; its server may say after how many seconds to ask again."""

    def __init__(self, where: str, reason: str, wait: int | None = None) -> None:
        super().__init__(where, reason)
        self.wait = wait


class ArticleNotFound(PullquoteError):
    """No article of the library has the given id."""


class LibraryNotFound(PullquoteError):
    """There is no library at the given place."""


class LibraryBusy(PullquoteError):
    """Another process is writing to the library."""


class LibraryUnreachable(PullquoteError):
    """The server that keeps the library does not answer, or refuses to."""


class LibraryNotWritable(PullquoteError):
    """The library's directory cannot be written to."""


class DiskFull(LibraryNotWritable):
    """There is no room left for the library; nothing that was stored is lost."""


class LibraryCorrupt(PullquoteError):
    """The database of the library cannot be read, or is not one of ours."""


class ArticleDamaged(LibraryCorrupt):
    """One article is not what was stored; the others are not affected. It may be added again, or removed."""


class ModelNotFound(PullquoteError):
    """There is no usable model under the given name."""


class ModelMismatch(PullquoteError):
    """The library was built with another embedder than the one given."""
