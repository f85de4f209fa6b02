"""A library copied into another of any kind: articles with their passages and vectors, settings and feedback."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from index.base import AnyLibrary
from index.errors import InvalidInput, LibraryBusy, LibraryCorrupt, ModelMismatch
from index.feedback import Feedback
from index.store import Indexed

_BATCH_PASSAGES = 256
"""Stored together: little enough to lose to Ctrl-C."""

_MODELS = ("embedder", "embedder_name", "splitter")

_ELSEWHERE = "copy to a library that is not there yet, or was left by an interrupted copy"

Advance = Callable[[int, int], None]
"""Takes how many articles are done and how many there are."""


@dataclass(frozen=True, slots=True)
class Copied:
    """Both libraries have so many articles and passages now, of which these articles were not there before."""

    articles: int
    passages: int
    copied: int


def copy(source: AnyLibrary, target: AnyLibrary, advance: Advance = lambda done, total: None) -> Copied:
    """Make the target hold what the source does, and check that. What it has already is left alone, so that whoever was
    interrupted goes on, unless it has lost some of it; no text is embedded again. Settings that the source has not go.

    Raises InvalidInput where the target has articles or feedback of its own, ModelMismatch where it was built with
    other models, LibraryCorrupt where feedback is damaged, LibraryBusy where the source is changed meanwhile.
    """
    settings, wanted, held = source.settings(), source.checksums(), target.checksums()
    said, kept = _feedback(source), _feedback(target)
    _check_models(source, target, settings)
    if others := sorted(held.keys() - wanted.keys()):
        raise InvalidInput(
            f"{target.where} has {len(others):,} articles that {source.where} has not, like {others[0]!r}; {_ELSEWHERE}"
        )
    if own := list(kept - said):
        raise InvalidInput(
            f"{target.where} has feedback that {source.where} has not, like that on {own[0].question!r}; {_ELSEWHERE}"
        )
    target.receive([], {name: settings[name] for name in _MODELS if name in settings}, [])
    left = [id for id, checksum in wanted.items() if held.get(id) != checksum]
    done = len(wanted) - len(left)
    advance(done, len(wanted))
    for batch in _batches(source, left):
        target.receive(batch, {}, [])
        done += len(batch)
        advance(done, len(wanted))
    lost = target.incomplete()
    for batch in _batches(source, sorted(lost)):
        target.receive(batch, {}, [])
    target.receive([], settings, list((said - kept).elements()))
    for name in target.settings().keys() - settings.keys():
        target.forget(name)
    differing = "articles" if lost and target.incomplete() else _differing(source, target)
    if differing is not None:
        raise LibraryBusy(f"{target.where} and {source.where} differ in {differing}; run the same command again")
    return Copied(*target.counts(), len(lost.union(left)))


def _check_models(source: AnyLibrary, target: AnyLibrary, settings: Mapping[str, str]) -> None:
    built = target.settings()
    if any(name in built and built[name] != settings.get(name) for name in _MODELS):
        raise ModelMismatch(
            f"{target.where} was built with other models than {source.where}; copy to a library that is not there yet"
        )


def _feedback(library: AnyLibrary) -> Counter[Feedback]:
    found = library.feedback()
    if damaged := [key for key, one in found.items() if one is None]:
        said = f"feedback {damaged[0]} of {library.where} is not what was stored"
        raise LibraryCorrupt(f"{said}; see: pullquote --library {library.where} doctor")
    return Counter(one for one in found.values() if one)


def _batches(source: AnyLibrary, ids: list[str]) -> Iterator[list[Indexed]]:
    """The articles that are still there."""
    batch: list[Indexed] = []
    for id in ids:
        if (item := source.indexed(id)) is not None:
            batch.append(item)
        if sum(len(item.passages) for item in batch) >= _BATCH_PASSAGES:
            yield batch
            batch = []
    if batch:
        yield batch


def _differing(source: AnyLibrary, target: AnyLibrary) -> str | None:
    """In what the two differ: each article's hash is that of its text and all that is known about it."""
    facts: dict[str, Callable[[AnyLibrary], object]] = {
        "articles": AnyLibrary.checksums,
        "passages": AnyLibrary.counts,
        "settings": AnyLibrary.settings,
        "feedback": _feedback,
    }
    return next((name for name, fact in facts.items() if fact(source) != fact(target)), None)
