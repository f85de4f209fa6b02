"""Questions altered so that what answered them no longer does: a name, number or date for another of its kind."""

import random
import re
from collections.abc import Mapping
from functools import lru_cache

from qa.training.labels import words

_KINDS = re.compile(
    r"(?P<month>\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\b)"
    r"|(?P<year>(?<![\w.,])(?:1\d|20)\d\d(?![\w]|[.,]\d))"
    r"|(?P<number>(?<![\w.,])\d+(?:[.,]\d+)*(?!\w))"
    # Behind a word, so that it is not merely the first of its sentence.
    r"|(?P<name>(?<=[\w,;] )[A-Z][^\W\d_]+(?:[ -][A-Z][^\W\d_]+)*)"
)
_NEAR_SHARE = 0.5
"""Of the replacements, those taken from the paragraph itself where it has one: there, they mislead most."""


def altered(question: str, answer: str, near: str, article: str, rng: random.Random) -> str | None:
    """The question with one of its names, numbers or dates replaced by another of the same kind, from the paragraph
    `near` its answer or from the article. None where there is nothing to replace or to replace it with.

    The other shares no word with the question nor with the answer. As the altered questions of SQuAD 2.0 (Rajpurkar
    et al. 2018, arXiv 1806.03822), made without people.
    """
    known = words(question) | words(answer)
    found = list(_KINDS.finditer(question))
    rng.shuffle(found)
    for match in found:
        for text in (near, article) if rng.random() < _NEAR_SHARE else (article,):
            others = _by_kind(text).get(str(match.lastgroup), ())
            fitting = [other for other in others if not words(other) & known]
            if fitting:
                return question[: match.start()] + rng.choice(fitting) + question[match.end() :]
    return None


@lru_cache(maxsize=1_024)
def _by_kind(text: str) -> Mapping[str, tuple[str, ...]]:
    """Everything in the text that could replace something, sorted."""
    found: dict[str, set[str]] = {}
    for match in _KINDS.finditer(text):
        found.setdefault(str(match.lastgroup), set()).add(match.group())
    return {kind: tuple(sorted(texts)) for kind, texts in found.items()}
