"""`pullquote keys`: who may use the server; and `pullquote collections`: what they may be let into."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from index.collection import collection_path
from index.errors import InvalidInput, LibraryNotFound
from index.milvus_address import milvus_address
from qa import cli_show as show
from qa.cli_options import (
    JSONOption,
    KeysOption,
    WholeLibraryOption,
    err,
    names_of_collections,
    open_articles,
    out,
    print_json,
)
from server.keys import KEYS, MAX_PER_MINUTE, PER_MINUTE, Key, KeyFile, Right

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Say who may use the server. As soon as there is a key, every request needs one.",
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose it is, for your own list.")],
    library: WholeLibraryOption,
    keys: KeysOption = None,
    right: Annotated[Right, typer.Option(help="Write: also add and remove articles. Admin: everything.")] = Right.READ,
    collection: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A collection it sees; may be given again.", show_default="all"),
    ] = None,
    per_minute: Annotated[
        int, typer.Option(min=1, max=MAX_PER_MINUTE, metavar="N", help="Requests that it may send a minute.")
    ] = PER_MINUTE,
) -> None:
    """Make a key and print it. It is shown this once: the library keeps only its hash.

    For example: `pullquote keys add desk --right write --collection press`
    """
    secret = key_file(library, keys).add(name, right, collection or (), per_minute)
    print(secret)
    err.print("Keep it now, it cannot be shown again. It is sent as: Authorization: Bearer KEY", soft_wrap=True)


@app.command("list")
def list_keys(library: WholeLibraryOption, keys: KeysOption = None, as_json: JSONOption = False) -> None:
    """List the keys in the order they were made, but not what they are."""
    found = key_file(library, keys).all()
    if as_json:
        for key in found:
            print_json({name: value for name, value in asdict(key).items() if name != "sha256"})
    elif found:
        out.print(_table(found))
    else:
        err.print("There are no keys: the server answers this machine alone. Make one with: pullquote keys add NAME")


@app.command()
def revoke(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of keys, as the list has them.")],
    library: WholeLibraryOption,
    keys: KeysOption = None,
) -> None:
    """Revoke keys, at once and for a server that is running too; all of them, or none where one is not there."""
    key_file(library, keys).revoke(ids)
    out.print(f"revoked {len(set(ids)):,}")


def collections(library: WholeLibraryOption, as_json: JSONOption = False) -> None:
    """List the collections of a library with their numbers of articles and passages.

    One is made by adding to it: `pullquote --collection press add FILES`. The server has it at `/c/press/`.
    """
    for name in names_of_collections(library):
        # before anything was added to it, a library may have collections, but nothing else
        with suppress(LibraryNotFound), open_articles(collection_path(library, name)) as opened:
            articles, passages = opened.counts()
            if as_json:
                print_json({"name": name, "articles": articles, "passages": passages})
            else:
                out.print(show.safe(f"{name}: {articles:,} articles, {passages:,} passages"))


def key_file(library: Path, keys: Path | None, *, always: bool = False) -> KeyFile:
    """Raises InvalidInput where none is named and the library has no directory for it."""
    if keys is None and (address := milvus_address(library)):
        raise InvalidInput(f"{address.where} is in Milvus, which keeps no keys; name a file for them: --keys FILE")
    return KeyFile(keys or library / KEYS, always=always)


def _table(keys: tuple[Key, ...]) -> Table:
    table = Table("id", "name", "right", "collections", "a minute", "made", box=None)
    for key in keys:
        seen = ", ".join(key.collections) or "all"
        table.add_row(key.id, Text(key.name), key.right, seen, f"{key.per_minute:,}", key.made)
    return table
