"""Lines of input that a signal can end."""

import asyncio
import os
from collections.abc import AsyncIterator
from select import select

_READ_BYTES = 65_536
"""What a pipe holds."""


class Input:
    """The lines of a file descriptor as they come, until it ends or `end` is called.

    A thread that waits in a read cannot be told to stop, and would keep the process as long as the other side keeps
    the pipe; so that nothing is read before there is something to read.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ended, self._end = os.pipe()

    def end(self) -> None:
        """No more lines. May be called by a signal's handler, and again."""
        os.write(self._end, b"\n")

    async def __aiter__(self) -> AsyncIterator[str]:
        rest = b""
        while read := await asyncio.to_thread(self._read):
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")

    def _read(self) -> bytes:
        """Empty at the end."""
        ready, _, _ = select([self._descriptor, self._ended], [], [])
        return b"" if self._ended in ready else os.read(self._descriptor, _READ_BYTES)
