"""Opening a library, wherever it is kept."""

from pathlib import Path

from index.base import AnyLibrary
from index.embed import Embedder
from index.errors import InvalidInput
from index.library import Library
from index.milvus_address import milvus_address


def open_at(
    library: Path, embedder: Embedder | None = None, *, token: str | None = None, create: bool = False
) -> AnyLibrary:
    """The library in a directory or in Milvus; `token` is for a Milvus server that wants one.

    Raises what `Library` and `MilvusLibrary` do, and InvalidInput where the extra for Milvus is not installed.
    """
    address = milvus_address(library)
    if address is None:
        return Library(library, embedder, create=create)
    try:
        from index.milvus import MilvusLibrary  # a second that nobody else waits for, and not everybody has it
    except ModuleNotFoundError as error:
        needed = "install it with: pip install 'pullquote[milvus]'"
        raise InvalidInput(f"{address.where} needs {error.name}; {needed}") from None
    return MilvusLibrary(address, embedder, token=token, create=create)
