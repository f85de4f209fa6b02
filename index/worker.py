"""The process that embeds for another one. By its standard input, which is a socket, texts come in as lines of JSON and
their vectors go out: a line of JSON with their shape, then their bytes."""

import json
import os
import socket
import sys
from contextlib import suppress

from index.embed import load_embedder
from index.errors import ModelNotFound


def main() -> None:
    with (
        suppress(ConnectionError),  # whoever it works for is gone
        socket.socket(fileno=os.dup(0)) as channel,
        channel.makefile("rb") as requests,
    ):
        try:
            embedder = load_embedder(sys.argv[1])
            for line in requests:
                vectors = embedder.encode(json.loads(line))
                channel.sendall(json.dumps({"shape": vectors.shape}).encode() + b"\n" + vectors.astype("<f4").tobytes())
        except ModelNotFound as error:
            channel.sendall(json.dumps({"no_model": str(error)}).encode() + b"\n")


if __name__ == "__main__":
    main()
