"""`pullquote duplicates`: which articles are copies of one another."""

from typing import Annotated

import typer

from index.library import Library
from qa import cli_show as show
from qa.cli_options import DirectoryOption, JSONOption, err, out, print_json


def duplicates(
    library: DirectoryOption,
    refresh: Annotated[bool, typer.Option("--refresh", help="Compare all articles anew, at 10 ms each.")] = False,
    as_json: JSONOption = False,
) -> None:
    """List the articles that are copies of one another, group by group, in each the one that came first at its head.

    Copies are kept, and found like others; an answer counts what they say as said once. Each article is compared with
    those before it when it is added: half of their runs of three words must be the same, or four fifths of the shorter
    text's.
    """
    with Library(library) as opened:
        with err.status("Comparing …"):
            groups = opened.duplicates(afresh=refresh)
        if as_json:
            for ids in groups:
                print_json({"articles": ids})
        else:
            out.print(show.duplicates([[opened.article(id) for id in ids] for ids in groups]), soft_wrap=True)
            copies = sum(map(len, groups)) - len(groups)
            err.print(show.safe(f"{copies:,} copies of {len(groups):,} articles in {library}"), soft_wrap=True)
