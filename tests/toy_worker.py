"""A worker with the toy embedder. It dies of texts that say so: each time, or the first time only."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from conftest import ToyEmbedder

from index import worker
from index.embed import Vectors


class Mortal(ToyEmbedder):
    def encode(self, texts: Sequence[str]) -> Vectors:
        if any("deadly" in text for text in texts):
            os.abort()
        if any("dangerous" in text for text in texts) and not (met := Path(self.name)).exists():
            met.touch()
            os.abort()
        return super().encode(texts)


worker.load_embedder = lambda name: Mortal(name)  # type: ignore[assignment]
sys.exit(worker.main())
