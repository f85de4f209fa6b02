"""A bulk job that says how far it is, for tests that kill it: `python -m tests.bulk_child LIBRARY FILE...`"""

import sys
from pathlib import Path

from index import bulk
from index.bulk import Target, fill, started
from index.embed import DEFAULT_EMBEDDER

if __name__ == "__main__":
    target = Target(Path(sys.argv[1]), DEFAULT_EMBEDDER)
    files = [Path(name) for name in sys.argv[2:]]
    bulk._BATCH_ARTICLES = 2  # so that it is far from done when it first says something
    with started(2, None) as threads:
        fill(target, files, {}, 2, threads, lambda done, total: print(done, flush=True))
