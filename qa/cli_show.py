"""What the command line prints for people: answers, hits, articles and reports, set for a terminal."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from index.article import Article
from index.library import Validity, Verification
from index.pages import page_of
from index.search import Hit
from qa.answer import Answer, Candidate, Citation, NoAnswer
from qa.confidence import Calibration

if TYPE_CHECKING:  # what is imported here, every command waits for
    from eval.confidence import ConfidenceReport

_MAX_PLACES = 3
_MAX_CLOSEST = 3
_MAX_SHOWN_CHARACTERS = 600
"""More of a sentence or a passage than this is left out of the middle of a screen; `--json` has it whole."""

_CONTROL = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

_REASONS = {
    NoAnswer.NOTHING_RETRIEVED: "nothing in the library matches the question and filters",
    NoAnswer.NOTHING_ANSWERS: "nothing in the passages found answers the question",
    NoAnswer.BELOW_THRESHOLD: "the best candidate is too unsure to be given",
}


def answer(found: Answer) -> RenderableType:
    """An answer as a quote with its sources, or why there is none and what came closest."""
    parts: list[RenderableType] = [Text(_safe(found.question), style="bold")]
    if found.best is not None:
        parts.append(
            Text.assemble(
                ("  “", "dim"), (_one_line(found.best.text), "bold green"), ("”", "dim"), _sureness(found.best)
            )
        )
        parts.extend(_places(found.best.sources))
    elif found.reason is not None:
        parts.append(Text(f"  No answer: {_REASONS[found.reason]}.", style="yellow"))
    others = found.alternatives[:_MAX_CLOSEST]
    if others:
        parts.append(Text("  Also considered" if found.best else "  Closest", style="dim"))
    for candidate in others:
        quote = f"“{_one_line(candidate.text)}”"
        parts.append(_indented(Text.assemble(quote, _sureness(candidate), (_titles(candidate), "dim")), 4))
    return Group(*parts, "")


def hits(found: Sequence[Hit]) -> RenderableType:
    """Passages with their places and scores."""
    parts: list[RenderableType] = []
    for number, hit in enumerate(found, start=1):
        passage = hit.passage
        scores = f"score {hit.score:.2f}, cosine {hit.dense:.2f}, BM25 {hit.lexical:.1f}"
        parts.append(
            Text.assemble((f"{number}. ", "bold"), _source(passage.article, passage.start), (f"  {scores}", "dim"))
        )
        parts.append(_indented(Text(_shortened(passage.text)), 3))
        parts.append(Text(f"   {_safe(passage.article.id)} [{passage.start}:{passage.end}]\n", style="dim"))
    return Group(*parts) if parts else Text("No passages.")


def articles(page: Sequence[tuple[Article, int]]) -> RenderableType:
    """A line for each article: id, date, title, source and size."""
    return Group(*(_article_line(item, passages) for item, passages in page))


def article(item: Article) -> RenderableType:
    """An article: what is known about it, then its text."""
    facts = Table.grid(padding=(0, 2))
    for name in ("id", "title", "url", "published", "source", "language", "duplicate_of"):
        if value := getattr(item, name):
            facts.add_row(Text(name.replace("_", " "), style="dim"), Text(_safe(value)))
    if item.authors:
        facts.add_row(Text("authors", style="dim"), Text(_safe(", ".join(item.authors))))
    for name, value in item.metadata.items():
        facts.add_row(Text(_safe(name), style="dim"), Text(_shortened(str(value))))
    facts.add_row(Text("sha256", style="dim"), Text(item.sha256))
    return Group(facts, "", Text(_safe(item.text)))


def duplicates(found: Sequence[Sequence[Article]]) -> RenderableType:
    """Groups of articles that are copies of one another: the first, and a line for each of the others."""
    parts: list[RenderableType] = []
    for first, *others in found:
        parts.append(Text.assemble((_safe(first.id), "bold"), "  ", _origin(first)))
        parts += [Text.assemble("  ", _safe(other.id), "  ", _origin(other)) for other in others]
    return Group(*parts)


def calibration(reports: "Mapping[str, ConfidenceReport]", fitted: Calibration) -> RenderableType:
    """How good the confidence is before and after a fit, and what was fitted."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in reports:
        table.add_column(name, justify="right")
    columns = reports.values()
    for label, cells in (
        ("questions with a candidate", [f"{one.questions:,}" for one in columns]),
        ("best candidate right", [_share(one.right) for one in columns]),
        ("expected calibration error", [_share(one.calibration_error) for one in columns]),
        ("Brier score", [_share(one.brier) for one in columns]),
        ("area under risk and coverage", [_share(one.risk_coverage_area) for one in columns]),
        *(
            (f"coverage at {level} precision", [_share(one.coverage[level]) for one in columns])
            for level in next(iter(columns)).coverage
        ),
        *(
            (f"wrong of the most confident {share}", [_share(one.risk[share]) for one in columns])
            for share in next(iter(columns)).risk
        ),
        ("answered at the threshold", [_share(one.answered) for one in columns]),
        ("  of these right", [_share(one.answered_right) for one in columns]),
        ("handled rightly", [_share(one.handled) for one in columns]),
    ):
        table.add_row(label, *cells)
    weights = ", ".join(f"{name} {weight:+.2f}" for name, weight in fitted.weights.items())
    stop = "never before the end" if math.isinf(fitted.stop) else f"from {fitted.stop:.0%}"
    told = f"withheld below {fitted.threshold:.0%}; reading stops {stop}\nweights: {weights}"
    return Group(table, "", Text(told, style="dim"))


def verification(citation: Mapping[str, object], checked: Verification) -> RenderableType:
    """One line on a citation, and where its quote stands now if not at its place."""
    style = {Validity.VALID: "green", Validity.STALE: "yellow", Validity.UNKNOWN: "red"}[checked.validity]
    place = f"{citation['article']} [{citation['start']}:{citation['end']}]"
    reason = "" if checked.validity is Validity.VALID else f": {checked.reason}"
    if checked.places and reason:
        reason += f", at {', '.join(map(str, checked.places[:_MAX_PLACES]))}"
    quote = _one_line(str(citation["quote"]))
    return Text.assemble((f"{checked.validity:8}", style), f"“{quote}”  ", (_safe(place), "dim"), reason)


def error(console: Console, message: str) -> None:
    console.print(Text.assemble(("error: ", "bold red"), _safe(message)), soft_wrap=True)


def _article_line(item: Article, passages: int) -> Text:
    published = f"{_when(item.published):10}"
    size = f"  {len(item.text):,} characters, {passages:,} passages"
    source = f" — {item.source}" if item.source else ""
    copy = f", a copy of {item.duplicate_of}" if item.duplicate_of else ""
    return Text.assemble(
        (_safe(item.id), "bold"),
        f"  {published}  ",
        _safe((item.title or "untitled") + source),
        (_safe(size + copy), "dim"),
    )


def _places(sources: Sequence[tuple[Citation, Sequence[str]]]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for citation, copies in sources[:_MAX_PLACES]:
        before = citation.article.text[citation.sentence_start : citation.start]
        after = citation.article.text[citation.end : citation.sentence_end]
        sentence = Text.assemble(_one_line(before), (_one_line(citation.quote), "underline"), _one_line(after))
        if len(sentence) <= _MAX_SHOWN_CHARACTERS:
            parts.append(_indented(sentence, 4))
        place = f"  {_safe(citation.article.id)} [{citation.start}:{citation.end}]"
        parts.append(_indented(Text.assemble("— ", _source(citation.article, citation.start), (place, "dim")), 4))
        if citation.link:
            parts.append(_indented(Text(_safe(citation.link), style="dim", overflow="fold"), 6))
        if copies:
            parts.append(_indented(Text(f"the same in {_named(copies)}", style="dim"), 6))
    if len(sources) > _MAX_PLACES:
        parts.append(Text(f"    … and in {len(sources) - _MAX_PLACES} more places", style="dim"))
    return parts


def _named(copies: Sequence[str]) -> str:
    more = f" and {len(copies) - _MAX_PLACES:,} more" if len(copies) > _MAX_PLACES else ""
    what = "copies of it" if len(copies) > 1 else "a copy of it"
    return _one_line(f"{what}: {', '.join(copies[:_MAX_PLACES])}{more}")


def _indented(text: Text, columns: int) -> Padding:
    return Padding(text, (0, 0, 0, columns), expand=False)


def _titles(candidate: Candidate) -> str:
    item = candidate.citations[0].article
    return _safe(f" — {item.title or item.id}")


def _source(item: Article, start: int) -> str:
    """What a place is cited as: the title, who published it and when, and the page."""
    page = page_of(item, start)
    return ", ".join([_origin(item), *([_safe(f"page {page}")] if page else [])])


def _origin(item: Article) -> str:
    return _safe(", ".join(part for part in (item.title or item.id, item.source, _when(item.published)) if part))


def _when(published: str | None) -> str:
    """A day as it is; an instant with its hour, since the day may be another one where it was written."""
    return (published or "").replace("T", " ").removesuffix("Z") + (" UTC" if "T" in (published or "") else "")


def _sureness(candidate: Candidate) -> tuple[str, str]:
    return f"  {candidate.confidence:.0%} sure", "dim"


def safe(text: str) -> Text:
    """One line for a terminal, with nothing in it taken as markup."""
    return Text(_one_line(text))


def _safe(text: str) -> str:
    """The text without characters that command a terminal: an article must not be able to."""
    return _CONTROL.sub("\ufffd", text)


def _one_line(text: str) -> str:
    return _safe(" ".join(text.splitlines()))


def _shortened(text: str) -> str:
    text = _safe(text)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]} …"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} %"
