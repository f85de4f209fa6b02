"""Metrics, one formula a function: of answers (SQuAD's), and of confidences. All are in [0, 1]."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import ir_measures
import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-12
"""Sums of shares are whole but for that."""

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


def given_scores(given: str | None, accepted: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 of what was given, None where nothing was: which is right where nothing is accepted, and there
    alone, whatever normalisation leaves of the words."""
    if given is None or not accepted:
        right = float(given is None and not accepted)
        return right, right
    return exact_match(given, accepted), f1(given, accepted)


def _f1(answer: Sequence[str], accepted: Sequence[str]) -> float:
    if not answer or not accepted:
        return float(answer == accepted)
    shared = (Counter(answer) & Counter(accepted)).total()
    return 2 * shared / (len(answer) + len(accepted))


Confidences = NDArray[np.float64]
"""Shape (questions,), each in [0, 1]."""

Truths = NDArray[np.bool_]
"""Shape (questions,)."""


def calibration_error(confidence: Confidences, right: Truths, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al. 2015): the mean distance, over bins of confidence weighted by their
    size, between mean confidence and the share that is right."""
    numbers = np.minimum((confidence * bins).astype(int), bins - 1)
    inside = [numbers == number for number in np.unique(numbers)]
    return float(sum(abs(confidence[bin].mean() - right[bin].mean()) * bin.mean() for bin in inside))


def brier_score(confidence: Confidences, right: Truths) -> float:
    """Mean squared distance of confidence and truth (Brier 1950)."""
    return float(np.mean((confidence - right) ** 2))


def risk_coverage(confidence: Confidences, right: Truths) -> NDArray[np.float64]:
    """Share wrong among the n most confident, for n from 1 to all (El-Yaniv and Wiener 2010); shape (questions,). Of
    equal confidences it is what any order of them gives in the mean."""
    _, places, counts = np.unique(-confidence, return_inverse=True, return_counts=True)
    shares = np.bincount(places, right) / counts
    return 1 - np.cumsum(np.repeat(shares, counts)) / np.arange(1, len(right) + 1)


def risk_coverage_area(confidence: Confidences, right: Truths) -> float:
    """Mean of `risk_coverage` over all coverages: AURC; lower is better."""
    return float(risk_coverage(confidence, right).mean())


def coverage_at(confidence: Confidences, right: Truths, precision: float) -> float:
    """The largest share of questions that a threshold of confidence lets through of which at least `precision` are
    right."""
    in_order = np.sort(-confidence)
    ends = np.append(in_order[1:] != in_order[:-1], True)  # of equal ones no threshold lets through a part
    kept = np.flatnonzero(ends & (1 - risk_coverage(confidence, right) >= precision - _ROUNDING))
    return float(kept[-1] + 1) / len(right) if len(kept) else 0.0


def auroc(score: NDArray[np.float64], positive: Truths) -> float:
    """The probability that a positive scores above a negative, ties half (Mann and Whitney 1947); NaN where there is
    only one sort."""
    _, places, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def rank_metrics(ranks: Sequence[int | None], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reciprocal rank and nDCG at k of each question, by ir-measures (trec_eval's own), where one passage is wanted and
    stands at that rank, from 1, or is not there; each of shape (questions,)."""
    wanted, at_k = "wanted", (ir_measures.RR @ k, ir_measures.nDCG @ k)
    asked = [str(number) for number in range(len(ranks))]
    relevant = [ir_measures.Qrel(question, wanted, 1) for question in asked]
    found = [
        ir_measures.ScoredDoc(question, wanted if place == rank else str(place), -place)
        for question, rank in zip(asked, ranks, strict=True)
        for place in range(1, (rank or 1) + 1)
    ]
    values = {measure: np.zeros(len(ranks)) for measure in at_k}
    for one in ir_measures.iter_calc(list(at_k), relevant, found):
        values[one.measure][int(one.query_id)] = one.value
    return values[at_k[0]], values[at_k[1]]
