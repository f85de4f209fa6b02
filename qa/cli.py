"""The command line: `pullquote`. Reads settings at this edge and passes them on as values."""

import io
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from index import errors
from index.embed import DEFAULT_EMBEDDER, load_embedder
from index.library import DATABASE, Library, Validity
from index.store import Filter
from qa import cli_show as show
from qa.answer import DEFAULT_HITS, Ask, Question, load, warm_up
from qa.cli_add import Format, add_files
from qa.cli_verify import citation_fields, read_citations
from qa.confidence import load_calibration
from qa.reader import DEFAULT_READER, load_reader, reader_folder
from qa.wire import answer_json, article_json, article_summary_json, hit_json, verification_json

EXIT_CODES: dict[type[errors.PullquoteError], int] = {
    errors.InvalidInput: 64,
    errors.LibraryCorrupt: 65,
    errors.ArticleNotFound: 66,
    errors.LibraryNotFound: 66,
    errors.LibraryNotWritable: 73,
    errors.DiskFull: 73,
    errors.LibraryBusy: 75,
    errors.ModelNotFound: 78,
    errors.ModelMismatch: 78,
}
"""As in BSD's sysexits.h. 0 is success, also where there is no answer; 1 that some of the input failed."""

_PAGE = 100

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Ask a collection of articles a question; get the answer quoted word for word, with its place.\n\n"
    'Begin with: `pullquote add FILES`, then: `pullquote ask "..."`',
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

CommonLibraryOption = Annotated[
    Path | None,
    typer.Option("--library", "-l", metavar="DIR", envvar="PULLQUOTE_LIBRARY", help="The library's directory."),
]
LibraryOption = Annotated[
    Path,
    typer.Option("--library", "-l", metavar="DIR", help="The library's directory.", show_default=False),
]
"""The same after the command's name; what was given before it (or by the environment) is this one's default."""

EmbedderOption = Annotated[
    str | None,
    typer.Option(
        "--embedder", metavar="NAME", help="A sentence-transformers model: folder, or name in the model cache."
    ),
]
ReaderOption = Annotated[
    str,
    typer.Option("--reader", metavar="NAME", help="A question answering model: folder, or name in the model cache."),
]
HitsOption = Annotated[int, typer.Option("-k", "--hits", help="Passages to retrieve (and read).")]
JSONOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ArticleOption = Annotated[list[str] | None, typer.Option("--article", metavar="ID", help="Only in this article.")]
SourceOption = Annotated[list[str] | None, typer.Option("--source", metavar="NAME", help="Only from this source.")]
SinceOption = Annotated[str | None, typer.Option("--since", metavar="DATE", help="Published on this day or later.")]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="DATE", help="Published on this day or earlier.")]


def default_library() -> Path:
    """Where the library is when nothing says otherwise: the user's data directory."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "pullquote" / "library"


def main() -> NoReturn:
    """Run the command line; a mistake that can be mended is one line on standard error."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here may reach for the network
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # what the terminal's encoding lacks is written as an escape
                stream.reconfigure(errors="backslashreplace")
        app()
    except errors.PullquoteError as error:
        show.error(err, str(error))
        sys.exit(EXIT_CODES.get(type(error), 1))
    sys.exit(0)


@app.callback(invoke_without_command=True)
def settings(
    context: typer.Context,
    library: CommonLibraryOption = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if not version and context.invoked_subcommand is None:
        context.fail("there is no command; see: pullquote --help")
    if version:
        out.print(f"pullquote {metadata.version('pullquote')}")
        raise typer.Exit
    commands = getattr(context.command, "commands", {})
    context.default_map = {name: {"library": str(library or default_library())} for name in commands}


@app.command()
def add(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help='Files and folders; "-" is standard input.', allow_dash=True)
    ],
    library: LibraryOption,
    format: Annotated[
        Format | None, typer.Option(help="What standard input holds.", show_default="guessed from its beginning")
    ] = None,
    embedder: EmbedderOption = None,
) -> None:
    """Add articles from text, Markdown, HTML and JSON files; folders are searched for them.

    An article that is there already is left alone; one that has changed is replaced. What cannot be read is reported
    and the rest goes on; the exit code is then 1. Interrupt at any time and run the same command again to go on.
    """
    with _open(library, embedder, create=True) as opened:
        code = add_files(opened, paths, format, out, err)
    raise typer.Exit(code)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help='The question; "-" reads questions from standard input, one a line.')],
    library: LibraryOption,
    hits: HitsOption = DEFAULT_HITS,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Confidence below which no answer is given.", show_default="fitted"),
    ] = None,
    article: ArticleOption = None,
    source: SourceOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    reader: ReaderOption = DEFAULT_READER,
    embedder: EmbedderOption = None,
    as_json: JSONOption = False,
) -> None:
    """Ask a question; the answer is quoted from the articles, or there is none.

    With "-" there is one answer per line of input; with `--json` each is one line of JSON.
    """
    filter = _filter(article, source, since, until)
    with _open(library, embedder) as opened:
        answers = _loaded(opened, reader)
        for text in _questions(question):
            with err.status("Reading …"):
                answer = answers(Question(text, hits, filter, threshold))
            if as_json:
                _print_json(answer_json(answer))
            else:
                out.print(show.answer(answer))


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="The question, or words to look for.")],
    library: LibraryOption,
    hits: HitsOption = DEFAULT_HITS,
    article: ArticleOption = None,
    source: SourceOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    embedder: EmbedderOption = None,
    as_json: JSONOption = False,
) -> None:
    """Show the passages that are most likely to hold the answer, without reading them."""
    with _open(library, embedder) as opened:
        with err.status("Searching …"):
            found = opened.search(question, hits, _filter(article, source, since, until))
        if as_json:
            for hit in found:
                _print_json(hit_json(hit))
        else:
            out.print(show.hits(found))


@app.command("list")
def list_articles(
    library: LibraryOption,
    offset: Annotated[int, typer.Option(min=0, help="Articles to leave out at the beginning.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Articles to show.", show_default="all")] = None,
    as_json: JSONOption = False,
) -> None:
    """List the articles in the order they came in."""
    with Library(library) as opened:
        total, passages = opened.counts()
        end = total if limit is None else min(total, offset + limit)
        for begin in range(offset, end, _PAGE):
            page = opened.articles(begin, min(_PAGE, end - begin))
            if as_json:
                for item, _ in page:
                    _print_json(article_summary_json(item))
            else:
                out.print(show.articles(page), soft_wrap=True)
        if not as_json:
            err.print(show.safe(f"{total:,} articles, {passages:,} passages in {library}"), soft_wrap=True)


@app.command("show")
def show_article(
    id: Annotated[str, typer.Argument(metavar="ID", help="The article's id.")],
    library: LibraryOption,
    as_json: JSONOption = False,
) -> None:
    """Show an article: what is known about it, and its text."""
    with Library(library) as opened:
        article = opened.article(id)
        if as_json:
            _print_json(article_json(article))
        else:
            out.print(show.article(article), soft_wrap=True)


@app.command()
def remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of articles.")],
    library: LibraryOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove articles; all of them, or none where one of the ids is not there."""
    with Library(library) as opened:
        if dry_run:
            for id in ids:
                out.print(show.safe(f"would remove {id}: {opened.article(id).title or 'untitled'}"), soft_wrap=True)
        else:
            opened.remove(ids)
            out.print(f"removed {len(ids):,}")


@app.command()
def verify(
    library: LibraryOption,
    file: Annotated[
        Path,
        typer.Argument(allow_dash=True, help='JSON with citations, as `ask --json` prints it; "-": standard input.'),
    ] = Path("-"),
    as_json: JSONOption = False,
) -> None:
    """Check citations against the stored articles: valid, stale or unknown.

    Exit code 1 where one is not valid. For example: `pullquote ask "..." --json | pullquote verify`
    """
    citations = read_citations(file)
    failed = False
    with Library(library) as opened:
        for citation in citations:
            checked = opened.verify(*citation_fields(citation))
            failed |= checked.validity is not Validity.VALID
            if as_json:
                _print_json({**citation, "verification": verification_json(checked)})
            else:
                out.print(show.verification(citation, checked))
    raise typer.Exit(1 if failed else 0)


@app.command()
def serve(
    library: LibraryOption,
    host: Annotated[str, typer.Option(help="Address to listen on; only this machine's own.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    reader: ReaderOption = DEFAULT_READER,
    embedder: EmbedderOption = None,
) -> None:
    """Serve the library over HTTP: POST /v1/ask and more, described at /docs."""
    from server.run import run  # here, so that other commands do not wait for a web framework

    with _open(library, embedder, create=True) as opened:
        with err.status("Loading the models …"):
            answers = _loaded(opened, reader, now=True)
        run(answers, opened, host, port)


@app.command("eval")
def evaluate_gold(
    gold: Annotated[Path, typer.Argument(metavar="GOLD", help="SQuAD 1.1/2.0 JSON, or JSONL; see the README.")],
    library: LibraryOption,
    hits: HitsOption = DEFAULT_HITS,
    sample: Annotated[int | None, typer.Option(min=1, help="Ask only this many, chosen at random.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="As in `ask`.", show_default="fitted")] = None,
    reader: ReaderOption = DEFAULT_READER,
    embedder: EmbedderOption = None,
    as_json: JSONOption = False,
) -> None:
    """Ask gold questions and print EM, F1, recall@k, no-answer accuracy and times."""
    from rich.progress import track

    from eval.gold import read_gold, sampled
    from eval.run import evaluate, report

    questions = sampled(read_gold(gold), sample, seed)
    with _open(library, embedder) as opened:
        answers = _loaded(opened, reader)
        asked = track(questions, "Asking", console=err, disable=not err.is_terminal)
        results = evaluate(answers, asked, hits, threshold)
        scores = report(results, lambda cited: opened.verify(*citation_fields(cited)).validity)
    if as_json:
        _print_json(asdict(scores))
    else:
        out.print(show.report(scores))


def _open(library: Path, embedder: str | None, *, create: bool = False) -> Library:
    """The library with its embedder: the one named, else the one it was built with, else the default."""
    if embedder is None and (library / DATABASE).is_file():
        with Library(library) as unembedded:
            embedder = unembedded.embedder_name
    return Library(library, load_embedder(embedder or DEFAULT_EMBEDDER), create=create)


def _loaded(library: Library, reader_name: str, *, now: bool = False) -> Ask:
    """What answers questions; its models are loaded with the first one, or now."""
    reader = load_reader(reader_name)
    if now:
        warm_up(library, reader)
    return load(library, reader, load_calibration(reader_folder(reader_name)))


def _filter(articles: list[str] | None, sources: list[str] | None, since: str | None, until: str | None) -> Filter:
    return Filter(frozenset(articles or ()), frozenset(sources or ()), since, until)


def _questions(argument: str) -> Iterator[str]:
    if argument != "-":
        yield argument
        return
    try:
        for line in sys.stdin:
            if line.strip():
                yield line.strip()
    except UnicodeDecodeError:
        raise errors.InvalidInput("standard input is no UTF-8 text") from None


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False))
