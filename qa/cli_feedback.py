"""`pullquote feedback`: what a person says of an answer, kept with the library, and its way out as gold questions."""

import json
import sys
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from index.errors import ArticleNotFound, InvalidInput
from index.feedback import Feedback, Place, Verdict, make_feedback
from index.library import AnyLibrary
from qa import cli_show as show
from qa.cli_options import JSONOption, LibraryOption, err, open_articles, out, print_json
from qa.cli_verify import citation_fields
from qa.wire import feedback_json

_MAX_PLACES = 5

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Say of answers that they are right or wrong, and make gold questions of it.",
)


class GoldFormat(StrEnum):
    """What `export` can write."""

    SQUAD = "squad"
    JSONL = "jsonl"


@app.command()
def add(
    verdict: Annotated[Verdict, typer.Argument(help="What you say of the answer, or of the question.")],
    library: LibraryOption,
    question: Annotated[
        str | None, typer.Option(help="The question.", show_default="that of the answer on standard input")
    ] = None,
    article: Annotated[
        str | None, typer.Option(metavar="ID", help="The article.", show_default="that of the answer's citation")
    ] = None,
    quote: Annotated[str | None, typer.Option(help="The words, as they stand in the article.")] = None,
    start: Annotated[int | None, typer.Option(min=0, help="Where the quote begins.", show_default="found")] = None,
    end: Annotated[int | None, typer.Option(min=0, help="Where it ends; with --start instead of --quote.")] = None,
    comment: Annotated[str | None, typer.Option(help="Whatever else there is to say.")] = None,
) -> None:
    """Say that an answer is right or wrong, that another quote is better, or that the articles do not answer it.

    Without `--question` the answer is read from standard input, and its first citation is meant unless you name
    another quote. For example:

    `pullquote ask "Who came?" --json | pullquote feedback add right`

    `pullquote ask "Who came?" --json | pullquote feedback add better --quote "Sergei Shoigu"`

    `pullquote feedback add unanswerable --question "Who paid for it?"`
    """
    cited = None
    if question is None:
        question, cited = _answer()
    with open_articles(library) as opened:
        place = _place(opened, cited, article, quote, start, end)
        given = make_feedback(question, verdict, place, comment)
        key = opened.give_feedback(given)
    out.print(_line(key, given), soft_wrap=True)


@app.command("list")
def list_feedback(library: LibraryOption, as_json: JSONOption = False) -> None:
    """List all feedback in the order it came in."""
    with open_articles(library) as opened:
        for key, one in _intact(opened).items():
            if as_json:
                print_json(feedback_json(key, one))
            else:
                out.print(_line(key, one), soft_wrap=True)


@app.command()
def remove(
    keys: Annotated[list[int], typer.Argument(metavar="KEY...", help="Numbers, as `list` shows them.")],
    library: LibraryOption,
) -> None:
    """Remove feedback; all of it, or none where one of the numbers is not there."""
    with open_articles(library) as opened:
        opened.remove_feedback(keys)
    out.print(f"removed {len(set(keys)):,}")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", allow_dash=True, help='"-" is standard output.')],
    library: LibraryOption,
    format: Annotated[
        GoldFormat | None,
        typer.Option(help="How it is written.", show_default="squad for .json, jsonl for .jsonl and standard output"),
    ] = None,
) -> None:
    """Write the questions whose answer is known from feedback as gold questions, for `eval`, `calibrate` and `train`.

    Right and better quotes are answers, the latest first; "unanswerable" makes a question without an answer.
    """
    from eval.feedback import gather, jsonl, squad

    format = format or _format(file)
    with open_articles(library) as opened:

        @cache
        def text_of(id: str) -> str | None:
            try:
                return opened.article(id).text
            except ArticleNotFound:
                return None

        gathered = gather(_intact(opened), text_of)
        known = gathered.questions
        _tell_left_out(gathered.wrong, gathered.gone)
        if not known:
            raise InvalidInput("no question has an answer that is known; say which are with: pullquote feedback add")
        _write(file, squad(known, text_of) if format is GoldFormat.SQUAD else jsonl(known))
    without = sum(not one.places for one in known)
    err.print(show.safe(f"{file}: {_counted(len(known), 'question')}, {without:,} of them without an answer"))


def _answer() -> tuple[str, Mapping[str, Any] | None]:
    """The question, and the first citation if there is one, of the answer on standard input."""
    example = 'pullquote ask "..." --json | pullquote feedback add right'
    if sys.stdin.isatty():
        raise InvalidInput(f"name the question with --question, or give an answer: {example}")
    try:
        answer = json.load(sys.stdin)
        question, citations = answer["question"], answer["citations"]
        cited = citations[0] if citations else None
    except (ValueError, RecursionError, TypeError, KeyError):
        question, cited = None, None
    if not isinstance(question, str) or not isinstance(cited, dict | None):
        raise InvalidInput(f"standard input is not one answer in JSON; give --question, or: {example}")
    return question, cited


def _place(
    opened: AnyLibrary,
    cited: Mapping[str, Any] | None,
    article: str | None,
    quote: str | None,
    start: int | None,
    end: int | None,
) -> Place | None:
    """What the options name, of the article that was cited unless they name another; else what was cited."""
    if article is None and quote is None and start is None and end is None:
        return Place(*citation_fields(cited)) if cited else None
    id = article or (citation_fields(cited)[0] if cited else None)
    if id is None:
        raise InvalidInput("it is not said which article has the quote; name it with --article")
    if quote is None:
        if start is None or end is None:
            raise InvalidInput("it is not said which words are meant; give --quote, or --start and --end")
        text = opened.article(id).text
        if not start < end <= len(text):
            raise InvalidInput(f"the article {id} has {len(text):,} characters, and none from {start} to {end}")
        quote = text[start:end]
    elif start is None:
        start = _only_place(opened, id, quote)
    return Place(id, start, start + len(quote) if end is None else end, quote)


def _only_place(opened: AnyLibrary, id: str, quote: str) -> int:
    """Raises ArticleNotFound; InvalidInput unless the article has the quote once."""
    opened.article(id)
    places = opened.verify(id, 0, 0, quote).places
    if not places:
        raise InvalidInput(f"the article {id} has no {quote!r}; give words as they stand in it")
    if len(places) > 1:
        named = ", ".join(map(str, places[:_MAX_PLACES])) + (" and more" if len(places) > _MAX_PLACES else "")
        raise InvalidInput(f"{quote!r} stands in the article {id} at {named}; choose with --start")
    return places[0]


def _intact(opened: AnyLibrary) -> dict[int, Feedback]:
    """All feedback that is what was stored; the rest is named on standard error."""
    said = opened.feedback()
    for key in (key for key, one in said.items() if one is None):
        err.print(f"feedback {key} is damaged and left out; remove it with: pullquote feedback remove {key}")
    return {key: one for key, one in said.items() if one is not None}


def _line(key: int, one: Feedback) -> Text:
    line = Text.assemble((f"{key:>4}", "bold"), f"  {one.created[:10]}  {one.verdict:12}  ", show.safe(one.question))
    if one.place is not None:
        line.append_text(show.safe(f"  “{one.place.quote}”"))
        line.append(f"  {show.safe(one.place.article)} [{one.place.start}:{one.place.end}]", "dim")
    if one.comment is not None:
        line.append(f"  {show.safe(one.comment)}", "italic")
    return line


def _format(file: Path) -> GoldFormat:
    if str(file) == "-" or file.suffix.lower() == ".jsonl":
        return GoldFormat.JSONL
    if file.suffix.lower() == ".json":
        return GoldFormat.SQUAD
    raise InvalidInput(f"{file} does not say what it is to be; name it .json or .jsonl, or give --format")


def _tell_left_out(wrong: int, gone: int) -> None:
    if wrong:
        are = "is" if wrong == 1 else "are"
        err.print(f"{_counted(wrong, 'question')} {are} known only to have a wrong answer; left out")
    if gone:
        stand = "stands" if gone == 1 else "stand"
        err.print(f"{_counted(gone, 'answer')} no longer {stand} in the article; left out")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _write(file: Path, text: str) -> None:
    """Raises InvalidInput where nothing can be written."""
    if str(file) == "-":
        print(text, end="")
        return
    try:
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from None
