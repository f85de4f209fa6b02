"""Opening a library, wherever it is kept."""

from pathlib import Path
from types import ModuleType

from index.base import AnyLibrary
from index.collection import MAIN, collection_names, is_collection_name
from index.embed import Embedder
from index.errors import InvalidInput
from index.library import Library
from index.milvus_address import MilvusAddress, milvus_address


def open_at(
    library: Path, embedder: Embedder | None = None, *, token: str | None = None, create: bool = False
) -> AnyLibrary:
    """The library in a directory or in Milvus; `token` is for a Milvus server that wants one.

    Raises what `Library` and `MilvusLibrary` do, and InvalidInput where the extra for Milvus is not installed.
    """
    address = milvus_address(library)
    if address is None:
        return Library(library, embedder, create=create)
    found: AnyLibrary = _milvus(address).MilvusLibrary(address, embedder, token=token, create=create)
    return found


def collections_at(library: Path, *, token: str | None = None) -> list[str]:
    """The collections there are in a directory or in Milvus, the main one first. Raises as `open_at` does."""
    address = milvus_address(library)
    if address is None:
        return collection_names(library)
    return [MAIN, *filter(is_collection_name, _milvus(address).collections_in(address, token))]


def _milvus(address: MilvusAddress) -> ModuleType:
    """A second that nobody else waits for, and not everybody has it. Raises InvalidInput."""
    try:
        from index import milvus
    except ModuleNotFoundError as error:
        needed = "install it with: pip install 'pullquote[milvus]'"
        raise InvalidInput(f"{address.where} needs {error.name}; {needed}") from None
    return milvus
