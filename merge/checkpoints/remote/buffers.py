"""Memory for what is on its way: blocks that are used again, since fresh ones cost more than the copying into them.

Blocks are mapped, not taken from a heap: the heaps of many threads keep what was freed.
"""

from __future__ import annotations

import mmap
import threading

from ..files import Buffer

_MOST_BYTES = 64 * 2**20  # of blocks that wait for use


class Buffers:
    """Blocks of memory that are handed out, and come back when nobody reads them any more."""

    def __init__(self) -> None:
        self._free: list[mmap.mmap] = []
        self._lock = threading.Lock()

    def take(self, nbytes: int) -> Buffer:
        """Return so many bytes to write to, one at least."""
        with self._lock:
            found = next((block for block in self._free if nbytes <= len(block) <= 2 * nbytes), None)
            if found is not None:
                self._free.remove(found)
        return memoryview(mmap.mmap(-1, nbytes) if found is None else found)[:nbytes]

    def give(self, buffer: Buffer) -> None:
        """Take back what `take` returned. Nobody may use it afterwards; what came from elsewhere is let go."""
        block = buffer.obj
        with self._lock:
            if isinstance(block, mmap.mmap) and sum(map(len, self._free)) + len(block) <= _MOST_BYTES:
                self._free.append(block)

    def drop(self) -> None:
        """Give the memory that waits for use back to the system."""
        with self._lock:
            self._free.clear()
