"""The description of the HTTP interface as it was last agreed to: `make openapi` keeps what it is today.

python -m tests.openapi
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from index.library import Library
from server.app import create_app

SNAPSHOT = Path(__file__).parent / "openapi.json"


def described() -> dict[str, Any]:
    """The description, but for the version, which changes without it."""
    with TemporaryDirectory() as directory, Library(Path(directory), create=True) as library:
        description: dict[str, Any] = create_app(lambda _: NotImplemented, library).openapi()
    del description["info"]["version"]
    return description


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(described(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
