"""Confidence: what speaks for a candidate to the probability that it is right."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from index.embed import model_fingerprint
from index.errors import InvalidInput, ModelNotFound
from index.library import MAX_HITS, AnyLibrary
from index.onnx import json_object

FILE = "calibration.json"
DEFAULT_HITS = 10

_MOST = 10.0
"""Logits beyond which a lead or a lag says nothing more."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one candidate among those of a question.

    `score` is its best span's, over "no answer here"; `margin` how far that, with what retrieval adds to it, is above
    the best other candidate's (negative where it is below); `fused` and `cosine` are the retrieval scores of the
    passage the span is of; `places` is the number of places that say the same, those in copies of one article counted
    once; `words` the number of words of the quote.
    """

    score: float
    margin: float
    fused: float
    cosine: float
    places: int
    words: int


FEATURES: Mapping[str, Callable[[Evidence], float]] = {
    "score": lambda evidence: evidence.score,
    "lead": lambda evidence: min(max(evidence.margin, 0.0), _MOST),
    "lag": lambda evidence: max(min(evidence.margin, 0.0), -_MOST),
    "fused": lambda evidence: evidence.fused,
    "cosine": lambda evidence: evidence.cosine,
    "places": lambda evidence: math.log2(evidence.places),
    "words": lambda evidence: math.log2(evidence.words),
}
"""The features a calibration may weigh, by name."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic regression in features of the evidence: 1 / (1 + exp(-(weights . features + intercept))), fitted on
    held-out questions by `pullquote calibrate` (Platt 1999 for one feature; Kamath et al. 2020, arXiv 2006.09462, for
    several).

    Below `threshold`, a confidence, no answer is given. At `stop`, a confidence, no more passages are read; over 1 is
    never. `retrieval` is what a passage's fused score of 1 adds to a span's where candidates are put in order (after
    Yang et al. 2019, arXiv 1902.01718); the scale of its scores is a reader's own.
    `hits` passages are read where a question does not say how many.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: {"score": 1.0})
    intercept: float = 0.0
    threshold: float = 0.5
    stop: float = math.inf
    retrieval: float = 0.0
    hits: int = DEFAULT_HITS

    def confidence(self, evidence: Evidence) -> float:
        """In [0, 1]."""
        logit = self.intercept + sum(weight * FEATURES[name](evidence) for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, logit))))

    def json(self) -> dict[str, object]:
        """For `read_calibration`."""
        return {**asdict(self), "stop": None if math.isinf(self.stop) else self.stop}


def load_calibration(folder: Path) -> Calibration:
    """The calibration kept beside a reader's weights; the uncalibrated logistic where it has none.

    Raises ModelNotFound where the file is not one of ours.
    """
    file = folder / FILE
    return read_calibration(json_object(file), str(file)) if file.exists() else Calibration()


def calibration_for(library: AnyLibrary, folder: Path) -> Calibration:
    """The calibration that was fitted on this library with the reader in the folder, else the reader's own. Raises
    ModelNotFound."""
    if stored := library.setting(FILE):
        noted = json.loads(stored)
        if noted["reader"] == model_fingerprint(folder):
            return read_calibration(noted["calibration"], f"the library {library.where}")
    return load_calibration(folder)


def note_calibration(library: AnyLibrary, folder: Path, calibration: Calibration) -> None:
    """Keep with the library a calibration that was fitted on it, for the reader in the folder. Raises LibraryBusy."""
    library.note(FILE, json.dumps({"reader": model_fingerprint(folder), "calibration": calibration.json()}))


def write_calibration(file: Path, calibration: Calibration) -> None:
    """For `load_calibration`, in a folder under the name FILE. Raises InvalidInput where nothing can be written."""
    try:
        file.write_text(json.dumps(calibration.json(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from None


def read_calibration(stored: Mapping[str, object], where: str) -> Calibration:
    """Raises ModelNotFound, naming `where` it was, unless it is one of ours."""
    try:
        weights, stop = stored["weights"], stored["stop"]
        if not isinstance(weights, Mapping) or not weights.keys() <= FEATURES.keys():
            raise ValueError(f"weights are of {', '.join(FEATURES)}")
        calibration = Calibration(
            {name: float(weight) for name, weight in weights.items()},
            float(str(stored["intercept"])),
            float(str(stored["threshold"])),
            math.inf if stop is None else float(str(stop)),
            float(str(stored.get("retrieval", 0.0))),
            int(str(stored.get("hits", DEFAULT_HITS))),
        )
        if not all(map(math.isfinite, [calibration.intercept, calibration.retrieval, *calibration.weights.values()])):
            raise ValueError("a weight is no number")
        if not 0 <= calibration.threshold <= 1 or math.isnan(calibration.stop):
            raise ValueError("the threshold is not between 0 and 1, or the stop is no number")
        if not 1 <= calibration.hits <= MAX_HITS:
            raise ValueError(f"hits are not between 1 and {MAX_HITS}")
        return calibration
    except (ValueError, KeyError, TypeError) as error:
        raise ModelNotFound(f"{where} is no calibration of ours: {error!r}; run: pullquote calibrate GOLD") from None
