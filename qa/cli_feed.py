"""`pullquote feed`: feeds that a library keeps, and what is new in them."""

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from index.article import Article
from index.base import AnyLibrary
from index.batch import Outcome
from index.errors import InvalidInput
from qa import cli_show as show
from qa.cli_fetch import AllowNetworkOption, make_fetcher
from qa.cli_options import (
    EmbedderOption,
    JSONOption,
    LibraryOption,
    Stoppable,
    err,
    open_articles,
    open_library,
    out,
    print_json,
)

if TYPE_CHECKING:
    from index.feeds import Feed, Polled
    from index.fetch import Fetcher

# `index.feeds` is imported where a feed is at hand: what can fetch takes a tenth of a second to import, which no other
# command waits for.

_FAILED = 1
_MAX_REPORTED = 5

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Keep feeds (RSS, Atom, JSON Feed) with the library, and add what is new in them.",
)

AddressesArgument = Annotated[list[str], typer.Argument(metavar="URL...", help="Addresses of feeds.")]


@app.command()
def add(
    addresses: AddressesArgument,
    library: LibraryOption,
    follow: Annotated[
        bool, typer.Option("--follow", help="Add the pages that entries link to, rather than the entries themselves.")
    ] = False,
) -> None:
    """Keep feeds with the library. Nothing is fetched before: `pullquote feed poll --allow-network`"""
    from index.feeds import feeds, keep, make_feed

    made = [make_feed(address, follow=follow) for address in addresses]
    with open_articles(library, create=True) as opened:
        same = {(feed.address, feed.follow) for feed in feeds(opened)}
        new = [feed for feed in made if (feed.address, feed.follow) not in same]
        for feed in new:
            keep(opened, feed)
    out.print(f"{len(new):,} kept, {len(made) - len(new):,} unchanged")


@app.command("list")
def list_feeds(library: LibraryOption, as_json: JSONOption = False) -> None:
    """List the feeds with when they may be polled again, and what was wrong at the last poll."""
    from index.feeds import feeds

    with open_articles(library) as opened:
        for feed in feeds(opened):
            if as_json:
                print_json(_feed_json(feed))
            else:
                out.print(show.safe(_line(feed)), soft_wrap=True)


@app.command()
def remove(addresses: AddressesArgument, library: LibraryOption) -> None:
    """Keep feeds no longer; all of them, or none where one is not there. Their articles stay."""
    from index.feeds import forget

    with open_articles(library) as opened:
        gone = _named(opened, addresses)
        for feed in gone:
            forget(opened, feed)
    out.print(f"removed {len(gone):,}")


@app.command()
def poll(
    library: LibraryOption,
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="URL...", help="Feeds that are kept.", show_default="all")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also before the time that a feed and its server want.")
    ] = False,
    allow_network: AllowNetworkOption = False,
    embedder: EmbedderOption = None,
) -> None:
    """Add what is new in the feeds that are due.

    A feed is due as often as it and its server say, at most four times an hour; after a failure more seldom. A server
    is asked for what has changed alone, and once a second at most; what a site's robots.txt keeps programs from is left
    alone. Exit code 1 where something could not be had or read.
    """
    fetcher = make_fetcher(allow_network)
    failed = False
    with open_library(library, embedder) as opened:
        with Stoppable() as stopped:
            for feed in _named(opened, addresses):
                if force or feed.is_due(datetime.now(UTC)):
                    failed |= not _take_in(opened, feed, fetcher)
                else:
                    out.print(show.safe(f"{feed.address}: not before {feed.due}"), soft_wrap=True)
        with Stoppable():
            opened.settle()
    if stopped.code is not None:
        err.print("Interrupted. What is told above is stored.")
        raise typer.Exit(stopped.code)
    raise typer.Exit(_FAILED if failed else 0)


def _take_in(library: AnyLibrary, feed: "Feed", fetcher: "Fetcher") -> bool:
    """Poll a feed and add what has come; returns whether all of it could be read."""
    from index.feeds import keep_state, poll

    with err.status(show.safe(f"Polling {feed.address} …")):
        polled = poll(feed, fetcher, datetime.now(UTC))
    outcomes: Counter[Outcome] = Counter()
    articles = [item for item in polled.items if isinstance(item, Article)]
    library.add(articles, lambda article, outcome: outcomes.update([outcome]))
    keep_state(library, polled.feed)  # at the end: interrupted before, all of it comes again
    return _tell(polled, outcomes)


def _tell(polled: "Polled", outcomes: Counter[Outcome]) -> bool:
    feed = polled.feed
    troubles = [item for item in polled.items if not isinstance(item, Article)]
    if polled.changed:
        told = ", ".join(f"{outcomes[outcome]:,} {outcome}" for outcome in Outcome)
    else:
        told = f"failed, not before {feed.due}" if feed.failures else "nothing new"
    out.print(show.safe(f"{feed.address}: {told}"), soft_wrap=True)
    for trouble in troubles[:_MAX_REPORTED]:
        err.print(show.safe(f"not read: {trouble}"), soft_wrap=True)
    if len(troubles) > _MAX_REPORTED:
        err.print(f"… and {len(troubles) - _MAX_REPORTED:,} more that could not be read")
    return not troubles


def _named(library: AnyLibrary, addresses: list[str] | None) -> "list[Feed]":
    """The feeds with these addresses, or all. Raises InvalidInput where one is not kept."""
    from index.feeds import feeds, make_feed

    kept = {feed.address: feed for feed in feeds(library)}
    if not addresses:
        return list(kept.values())
    wanted = dict.fromkeys(make_feed(address).address for address in addresses)
    if missing := [address for address in wanted if address not in kept]:
        raise InvalidInput(f"the library keeps no feed {missing[0]}; see: pullquote feed list")
    return [kept[address] for address in wanted]


def _line(feed: "Feed") -> str:
    facts = [
        feed.address,
        "pages" if feed.follow else "entries",
        f"polled {feed.polled}" if feed.polled else "never polled",
        *([f"due {feed.due}"] if feed.due else []),
        *([f"failures: {feed.failures:,}, the last: {feed.trouble}"] if feed.failures else []),
    ]
    return "  ".join(facts)


def _feed_json(feed: "Feed") -> dict[str, object]:
    return {
        "url": feed.address,
        "follow": feed.follow,
        "polled": feed.polled,
        "due": feed.due,
        "failures": feed.failures,
        "trouble": feed.trouble,
    }
