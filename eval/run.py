"""Ask gold questions and score what comes back."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from eval.gold import GoldQuestion
from eval.metrics import exact_match, f1, normalize
from index.library import Validity
from index.search import Hit
from qa.answer import DEFAULT_HITS, Answer, Ask, Candidate, Question
from qa.wire import AnswerJSON, CitationJSON, answer_json

RECALL_AT = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Result:
    """One question with its answer, scored. `rank` is that of the first hit that holds the gold answer, from 1; None
    where no hit does or there is no answer to hold."""

    gold: GoldQuestion
    answer: Answer
    exact_match: float
    f1: float
    rank: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """Shares are in percent, None where there is nothing to take a share of.

    `em` and `f1` are over all questions: for one without an answer, giving none is right (as SQuAD 2.0 has it).
    `best_em` and `best_f1` are over the answerable ones, had the best candidate never been withheld; `recall` is the
    share of them whose answer is held by the first k hits. `quotes_misplaced` counts cited quotes that do not stand,
    word for word, where the citation says.
    """

    questions: int
    answerable: int
    em: float
    f1: float
    answerable_em: float | None
    answerable_f1: float | None
    best_em: float | None
    best_f1: float | None
    recall: dict[int, float | None]
    answered: float
    answered_em: float | None
    no_answer_accuracy: float | None
    quotes: int
    quotes_misplaced: int
    milliseconds_p50: float
    milliseconds_p95: float


def evaluate(
    ask: Ask,
    questions: Iterable[GoldQuestion],
    k: int = DEFAULT_HITS,
    threshold: float | None = None,
    *,
    exhaustive: bool = False,
) -> list[Result]:
    """Ask each question; `k`, `threshold` and `exhaustive` as in `Question`."""
    results = []
    for gold in questions:
        answer = ask(Question(gold.question, k, threshold=threshold, exhaustive=exhaustive))
        text = answer.text or ""
        ranks = [rank for rank, hit in enumerate(answer.hits, start=1) if holds(hit, gold)]
        scores = exact_match(text, gold.answers), f1(text, gold.answers)
        results.append(Result(gold, answer, *scores, ranks[0] if ranks else None))
    return results


def holds(hit: Hit, gold: GoldQuestion) -> bool:
    """Whether the passage holds the gold answer: at its place where that is known, else anywhere, by its words."""
    passage = hit.passage
    if gold.article is not None and gold.start is not None:
        end = gold.start + len(gold.answers[0])
        return passage.article.id == gold.article and passage.start <= gold.start and end <= passage.end
    words = f" {normalize(passage.text)} "
    return any(f" {text} " in words for answer in gold.answers if (text := normalize(answer)))


def report(results: Sequence[Result], verify: Callable[[CitationJSON], Validity]) -> Report:
    """Sum up at least one result; `verify` looks a citation up in the stored texts."""
    answerable = [result for result in results if result.gold.answerable]
    unanswerable = [result for result in results if not result.gold.answerable]
    answered = [result for result in results if result.answer.text is not None]
    best = [(_text(best_candidate(result.answer)), result.gold.answers) for result in answerable]
    quotes = [citation for result in results for citation in _citations(answer_json(result.answer))]
    times = [result.answer.milliseconds["total"] for result in results]
    return Report(
        questions=len(results),
        answerable=len(answerable),
        em=100 * float(np.mean([result.exact_match for result in results])),
        f1=100 * float(np.mean([result.f1 for result in results])),
        answerable_em=_percent(result.exact_match for result in answerable),
        answerable_f1=_percent(result.f1 for result in answerable),
        best_em=_percent(exact_match(text, accepted) for text, accepted in best),
        best_f1=_percent(f1(text, accepted) for text, accepted in best),
        recall={k: _percent(result.rank is not None and result.rank <= k for result in answerable) for k in RECALL_AT},
        answered=100 * len(answered) / len(results),
        answered_em=_percent(result.exact_match for result in answered),
        no_answer_accuracy=_percent(result.answer.text is None for result in unanswerable),
        quotes=len(quotes),
        quotes_misplaced=sum(verify(citation) is not Validity.VALID for citation in quotes),
        milliseconds_p50=float(np.percentile(times, 50)),
        milliseconds_p95=float(np.percentile(times, 95)),
    )


def best_candidate(answer: Answer) -> Candidate | None:
    """The best candidate, given or withheld."""
    return answer.best or (answer.alternatives[0] if answer.alternatives else None)


def _citations(answer: AnswerJSON) -> list[CitationJSON]:
    """All places an answer cites, those of its alternatives too."""
    return answer["citations"] + [citation for other in answer["alternatives"] for citation in other["citations"]]


def _text(candidate: Candidate | None) -> str:
    return candidate.text if candidate else ""


def _percent(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return 100 * float(np.mean(numbers)) if numbers else None
