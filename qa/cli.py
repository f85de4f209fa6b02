"""The command line: `pullquote`. Reads settings at this edge and passes them on as values."""

import gc
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from index import errors
from index.collection import MAIN
from index.library import Validity, check_question
from qa import (
    cli_bench,
    cli_bulk,
    cli_copy,
    cli_duplicates,
    cli_eval,
    cli_feed,
    cli_feedback,
    cli_keep,
    cli_keys,
    cli_mcp,
    cli_models,
    cli_serve,
    cli_watch,
)
from qa import cli_show as show
from qa.answer import Question
from qa.cli_add import ColumnsOption, FormatOption, WorkersOption, add_files, make_reading
from qa.cli_fetch import AllowNetworkOption, is_address, make_fetcher
from qa.cli_options import (
    ArticleOption,
    CollectionOption,
    CommonLibraryOption,
    EmbedderOption,
    HitsOption,
    JSONOption,
    LanguageOption,
    LibraryOption,
    ReaderOption,
    RuntimeOption,
    SinceOption,
    SourceOption,
    UntilOption,
    err,
    make_filter,
    open_answers,
    open_articles,
    open_library,
    out,
    print_json,
)
from qa.cli_verify import citation_fields, read_citations
from qa.confidence import DEFAULT_HITS
from qa.reader import DEFAULT_READER
from qa.wire import answer_json, article_json, article_summary_json, hit_json, verification_json

EXIT_CODES: dict[type[errors.PullquoteError], int] = {
    errors.InvalidInput: 64,
    errors.LibraryCorrupt: 65,
    errors.ArticleDamaged: 65,
    errors.ArticleNotFound: 66,
    errors.LibraryNotFound: 66,
    errors.LibraryUnreachable: 69,
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
    finally:
        gc.freeze()  # the end of a process need not look for cycles among the models: a tenth of a second
    sys.exit(0)


@app.callback(invoke_without_command=True)
def settings(
    context: typer.Context,
    library: CommonLibraryOption = None,
    collection: CollectionOption = MAIN,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if not version and context.invoked_subcommand is None:
        context.fail("there is no command; see: pullquote --help")
    if version:
        from importlib import metadata  # 30 ms that no other command waits for

        out.print(f"pullquote {metadata.version('pullquote')}")
        raise typer.Exit
    context.default_map = _defaults(context.command, {"library": str(library or default_library())})


def _defaults(command: object, values: dict[str, object]) -> dict[str, object]:
    """The values as those of every command below this one."""
    commands = getattr(command, "commands", None)
    return values if commands is None else {name: _defaults(one, values) for name, one in commands.items()}


@app.command()
def add(
    names: Annotated[
        list[str],
        typer.Argument(metavar="FILE|URL...", help='Files, folders and addresses of the web; "-" is standard input.'),
    ],
    library: LibraryOption,
    format: FormatOption = None,
    columns: ColumnsOption = None,
    allow_network: AllowNetworkOption = False,
    workers: WorkersOption = 1,
    embedder: EmbedderOption = None,
) -> None:
    """Add articles from files; folders are searched for them. Addresses (https://…) are fetched with --allow-network.

    Text, Markdown, HTML, PDF, DOCX, EPUB, JSON, CSV, Parquet, mail, feeds, web archives, dumps of MediaWiki, and
    archives of all these. Each is parsed in a process that is kept from the network and may crash.

    An article that is there already is left alone; one that has changed is replaced. What cannot be read is reported
    and the rest goes on; the exit code is then 1. Interrupt at any time and run the same command again to go on.
    """
    if not all(map(str.strip, names)):
        raise errors.InvalidInput('a name is empty; "." is this directory')
    reading = make_reading(format, columns)
    fetcher = make_fetcher(allow_network) if any(map(is_address, names)) else None
    with open_library(library, embedder, create=True) as opened:
        code = add_files(opened, names, reading, fetcher, workers, out, err)
    raise typer.Exit(code)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help='The question; "-" reads questions from standard input, one a line.')],
    library: LibraryOption,
    hits: HitsOption = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Confidence below which no answer is given.", show_default="fitted"),
    ] = None,
    budget_ms: Annotated[
        float | None, typer.Option(min=1, help="Milliseconds to answer in: passages left by then are not read.")
    ] = None,
    exhaustive: Annotated[
        bool, typer.Option("--exhaustive", help="Read all passages, also when the answer is settled before.")
    ] = False,
    article: ArticleOption = None,
    source: SourceOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    language: LanguageOption = None,
    reader: ReaderOption = DEFAULT_READER,
    embedder: EmbedderOption = None,
    runtime: RuntimeOption = None,
    as_json: JSONOption = False,
) -> None:
    """Ask a question; the answer is quoted from the articles, or there is none.

    With "-" there is one answer per line of input; with `--json` each is one line of JSON.
    """
    filter = make_filter(article, source, since, until, language)
    if question != "-":
        check_question(question)  # rather than after the models are loaded
    with open_answers(library, embedder, reader, runtime) as (_, answers):
        for text in _questions(question):
            with err.status("Reading …"):
                answer = answers(Question(text, hits, filter, threshold, budget_ms, exhaustive))
            if as_json:
                print_json(answer_json(answer))
            else:
                out.print(show.answer(answer))


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="The question, or words to look for.")],
    library: LibraryOption,
    hits: Annotated[int, typer.Option("-k", "--hits", help="Passages to show.")] = DEFAULT_HITS,
    article: ArticleOption = None,
    source: SourceOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    language: LanguageOption = None,
    embedder: EmbedderOption = None,
    as_json: JSONOption = False,
) -> None:
    """Show the passages that are most likely to hold the answer, without reading them."""
    with open_library(library, embedder) as opened:
        with err.status("Searching …"):
            found = opened.search(question, hits, make_filter(article, source, since, until, language))
        if as_json:
            for hit in found:
                print_json(hit_json(hit))
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
    with open_articles(library) as opened:
        total, passages = opened.counts()
        end = total if limit is None else min(total, offset + limit)
        for begin in range(offset, end, _PAGE):
            page = opened.articles(begin, min(_PAGE, end - begin))
            if as_json:
                for item, _ in page:
                    print_json(article_summary_json(item))
            else:
                out.print(show.articles(page), soft_wrap=True)
        if not as_json:
            err.print(show.safe(f"{total:,} articles, {passages:,} passages in {opened.where}"), soft_wrap=True)


@app.command("show")
def show_article(
    id: Annotated[str, typer.Argument(metavar="ID", help="The article's id.")],
    library: LibraryOption,
    as_json: JSONOption = False,
) -> None:
    """Show an article: what is known about it, and its text."""
    with open_articles(library) as opened:
        article = opened.article(id)
        if as_json:
            print_json(article_json(article))
        else:
            out.print(show.article(article), soft_wrap=True)


@app.command()
def remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of articles.")],
    library: LibraryOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove articles; all of them, or none where one of the ids is not there."""
    with open_articles(library) as opened:
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
    with open_articles(library) as opened:
        for citation in citations:
            checked = opened.verify(*citation_fields(citation))
            failed |= checked.validity is not Validity.VALID
            if as_json:
                print_json({**citation, "verification": verification_json(checked)})
            else:
                out.print(show.verification(citation, checked))
    raise typer.Exit(1 if failed else 0)


app.command("serve")(cli_serve.serve)
app.command("watch")(cli_watch.watch)
app.command("mcp")(cli_mcp.mcp)
app.command("eval")(cli_eval.evaluate_gold)
app.command("bulk")(cli_bulk.bulk)
app.command("bench")(cli_bench.bench)
app.command("calibrate")(cli_models.calibrate)
app.command("train")(cli_models.train)
app.command("export")(cli_models.export)
app.command("doctor")(cli_keep.doctor)
app.command("backup")(cli_keep.backup)
app.command("restore")(cli_keep.restore)
app.command("reindex")(cli_keep.reindex)
app.command("compact")(cli_keep.compact)
app.command("duplicates")(cli_duplicates.duplicates)
app.command("copy")(cli_copy.copy_library)
app.add_typer(cli_feed.app, name="feed")
app.add_typer(cli_feedback.app, name="feedback")
app.add_typer(cli_keys.app, name="keys")
app.command("collections")(cli_keys.collections)


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
