"""SQuAD's metrics, one formula a function: an answer given and the answers accepted to a number in [0, 1]."""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(text: str) -> str:
    """Lower case, without punctuation, English articles and stray white space: SQuAD's own normalisation
    (Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, accepted: Sequence[str]) -> float:
    """1 where the answer is one of those accepted, after normalisation. With none accepted, 1 for an empty answer."""
    return float(normalize(answer) in {normalize(text) for text in accepted or [""]})


def f1(answer: str, accepted: Sequence[str]) -> float:
    """The best harmonic mean of precision and recall over words, after normalisation; where one of the two has no
    words, whether both have none."""
    return max(_f1(normalize(answer).split(), normalize(text).split()) for text in accepted or [""])


def _f1(answer: Sequence[str], accepted: Sequence[str]) -> float:
    if not answer or not accepted:
        return float(answer == accepted)
    shared = (Counter(answer) & Counter(accepted)).total()
    return 2 * shared / (len(answer) + len(accepted))
