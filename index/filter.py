"""`Filter`: which articles a search may use."""

from dataclasses import dataclass

from index.article import parse_published
from index.errors import InvalidInput
from index.language import check_language


@dataclass(frozen=True, slots=True)
class Filter:
    """Which articles a search may use; a field left out does not restrict.

    `since` and `until` are ISO 8601 dates or instants, both inclusive (an `until` date means that whole day); an
    article without a date is outside every range. `languages` are codes as an article has them. Raises InvalidInput
    where they are no dates or no codes.
    """

    articles: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    since: str | None = None
    until: str | None = None
    languages: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for language in self.languages:
            check_language(language)
        for name in ("since", "until"):
            given = getattr(self, name)
            if given is not None:
                if (parsed := parse_published(given)) is None:
                    raise InvalidInput(f"{name}: {given!r} is no date; write it like 2023-07-28")
                object.__setattr__(self, name, parsed)

    @property
    def empty(self) -> bool:
        return self == Filter()
