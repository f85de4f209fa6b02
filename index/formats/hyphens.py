"""Lines of a paragraph joined, with the words that were parted at their ends."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:[-\u2010][^\W_]+)*")
_PARTED = re.compile(rf"({_WORD.pattern})([-\u2010\u00ad])$")
_SUSPENDED = re.compile(r"(?:and|or|und|oder|bis)\b")
"""After "low-" in "low- and high-water" the hyphen ends its word."""

_NO_SPACES = "[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]"
"""Chinese and Japanese, which write none between words."""

_HYPHENATED = 0.02
"""Of the lines: so many and fewer end in a hyphen by chance, in words that have one anyway."""

_FIRST = re.compile(
    "two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|"
    "first|second|third|well|long|short|high|low|half|self|full|part"
)
"""Of words with a hyphen these are first parts so often that they count as known."""

_MIN_PART = 3
"""Letters. Two parts that are words elsewhere speak for a real hyphen, but "be-" and "-er" are of many words."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text that stand whole on a line, and whether it is one that parts words at line ends."""

    counts: Counter[str]
    hyphenated: bool


def words_of(lines: Sequence[str]) -> Words:
    """What the lines of a text tell of how its words are written."""
    counts: Counter[str] = Counter()
    ends = 0
    goes_on = False
    for line in lines:
        whole = _WORD.sub("", line, count=1) if goes_on else line
        goes_on = _PARTED.search(line) is not None
        ends += goes_on
        counts.update(word.replace("\u2010", "-") for word in _WORD.findall(_PARTED.sub("", whole).lower()))
    return Words(counts, ends > _HYPHENATED * len(lines))


def joined(before: str, after: str, words: Words) -> str:
    """What `before` becomes when `after` is written behind it: with a space, or where its last word is parted,
    without its hyphen, unless the word has one elsewhere in the text or looks as if it had."""
    parted = _PARTED.search(before)
    rest = _WORD.match(after)
    if parted is None:
        closed = re.search(r"\S\u2014$", before) or (
            re.match(_NO_SPACES, after) and re.search(f"{_NO_SPACES}$", before)
        )
        return before if closed else before + " "
    if rest is None or (_SUSPENDED.match(after) and not words.counts[(parted[1] + rest[0]).lower()]):
        return before + " "
    return before if _has_hyphen(parted[1], parted[2], rest[0], words) else before[:-1]


def _has_hyphen(first: str, mark: str, second: str, words: Words) -> bool:
    """Whether the hyphen between two parts of a word is its own; a soft hyphen is none, most others are none."""
    if mark == "\u00ad":
        return False
    left, right = first.lower().replace("\u2010", "-"), second.lower().replace("\u2010", "-")
    whole, hyphenated = words.counts[left + right], words.counts[f"{left}-{right}"]
    if whole or hyphenated:
        return hyphenated > whole
    if second[0].isupper() or second[0].isdigit() or first[-1].isdigit() or (first.isupper() and len(first) > 1):
        return True
    if "-" in left or "-" in right:
        return True
    known = [len(part) >= _MIN_PART and words.counts[part] > 0 for part in (left, right)]
    known[0] |= _FIRST.fullmatch(left) is not None
    return all(known) if words.hyphenated else any(known)
