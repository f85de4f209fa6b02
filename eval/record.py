"""`Record`: what became of one gold question. `Run`: all of them, and what they were asked of. The run file."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.misses import Miss
from index.errors import InvalidInput

FORMAT = 1
"""Of the run file; rises when a file of before can no longer be read."""

NOTHING = "–"

_OF_A_RUN = {"made", "seconds", "peak memory mib"}
"""Facts that are new with each run."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A quote to be shown in its sentence: `quote` is the slice from `start` of the article, `before` and `after` what
    its sentence has around it."""

    article: str
    title: str | None
    start: int
    before: str
    quote: str
    after: str


@dataclass(frozen=True, slots=True)
class SeenHit:
    """A passage that was retrieved: the slice of an article with its scores, whether it was read, and whether it holds
    a gold answer."""

    article: str
    title: str | None
    start: int
    end: int
    score: float
    dense: float
    lexical: float
    read: bool
    holds: bool


@dataclass(frozen=True, slots=True)
class Card:
    """What a person needs to see why a question was missed; `gold` is None where its place is not known, `ours` where
    there was no candidate."""

    gold: Shown | None
    ours: Shown | None
    hits: tuple[SeenHit, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One gold question and what became of it.

    `given` is the answer, `best` the best candidate, given or withheld, with its `confidence`. Scores are in [0, 1]:
    `exact_match` and `f1` of what was given (nothing is right where there is no answer), `best_` of the best candidate.
    `exact_span` says whether a cited place is the gold's, None where that is not known. `rank` is that of the first
    passage that holds a gold answer, from 1, among the `hits` or, where fewer were asked for, the ten best; `read` of
    the hits were read. `oracle` is the exact match had one stage been perfect, by its name. Of `quotes` cited quotes
    `misplaced` do not stand where they were said to. `miss` says what went wrong where the exact match is 0, and `card`
    shows it.
    """

    question: str
    answers: tuple[str, ...]
    article: str | None
    source: str | None
    tags: tuple[str, ...]
    given: str | None
    best: str | None
    confidence: float
    exact_match: float
    f1: float
    best_exact_match: float
    best_f1: float
    exact_span: float | None
    rank: int | None
    hits: int
    read: int
    oracle: Mapping[str, float]
    quotes: int
    misplaced: int
    milliseconds: Mapping[str, float]
    miss: Miss | None
    card: Card | None

    @property
    def answerable(self) -> bool:
        return bool(self.answers)

    @property
    def key(self) -> tuple[str, str | None, tuple[str, ...]]:
        """Two records with the same key are of the same gold question: of one that was corrected since, the scores say
        nothing about what answers."""
        return self.question, self.article if self.answers else None, self.answers


@dataclass(frozen=True, slots=True)
class Run:
    """All records of one evaluation. `about` says what made them: versions, models, library, settings, gold and
    machine."""

    about: Mapping[str, Any]
    records: tuple[Record, ...]


def facts(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is noted about a run, as names and texts; what is within something else has that in its name."""
    return ((name, _told(value)) for name, value in _flat(values))


def unlike(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What two runs were not made with alike: its name, and what it was in each."""
    old, new = ({name: value for name, value in _flat(about) if name not in _OF_A_RUN} for about in (before, after))
    for name in dict.fromkeys([*new, *old]):
        if (one := old.get(name)) != (other := new.get(name)):
            alike = _told(one) == _told(other)  # but for digits that are not shown
            yield (name, repr(one), repr(other)) if alike else (name, _told(one), _told(other))


def _flat(values: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{inside}{name}, ")
        else:
            yield f"{inside}{name}".replace("_", " "), value


def _told(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_told, value)) or NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_run(file: Path, run: Run) -> None:
    """A line for each record, so that two files can be compared by eye. Raises InvalidInput where it cannot be
    written."""
    head = json.dumps({"format": FORMAT, "about": run.about}, ensure_ascii=False, indent=1).removesuffix("\n}")
    lines = ",\n".join(json.dumps(asdict(record), ensure_ascii=False) for record in run.records)
    try:
        file.write_text(f'{head},\n "records": [\n{lines}\n]}}\n', encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from None


def read_run(file: Path) -> Run:
    """Raises InvalidInput where the file is none that `write_run` has written."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise InvalidInput(f"{file}: it is of format {content['format']}; this version reads {FORMAT}")
        return Run(dict(content["about"]), tuple(map(_record, content["records"])))
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(f"{file}: it is no run of pullquote eval --out: {error!r}") from None


def _record(stored: Mapping[str, Any]) -> Record:
    miss, card = stored["miss"], stored["card"]
    return Record(
        **{
            **stored,
            "answers": tuple(stored["answers"]),
            "tags": tuple(stored["tags"]),
            "miss": None if miss is None else Miss(miss),
            "card": None if card is None else _card(card),
        }
    )


def _card(stored: Mapping[str, Any]) -> Card:
    gold, ours = (None if stored[name] is None else Shown(**stored[name]) for name in ("gold", "ours"))
    return Card(gold, ours, tuple(SeenHit(**hit) for hit in stored["hits"]))
