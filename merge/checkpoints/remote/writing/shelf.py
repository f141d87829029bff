"""Memory for parts, used again and again: fresh blocks of that size would be scattered and rarely given back."""

from __future__ import annotations

import threading
from collections import defaultdict


class Shelf:
    """Blocks of memory that nobody uses, by their length."""

    def __init__(self) -> None:
        self._free: defaultdict[int, list[bytearray]] = defaultdict(list)
        self._lock = threading.Lock()

    def take(self, length: int) -> bytearray:
        """Return a block of so many bytes; what they hold does not matter."""
        with self._lock:
            free = self._free[length]
            if free:
                return free.pop()
        return bytearray(length)

    def give(self, block: bytearray) -> None:
        """Give a block back."""
        with self._lock:
            self._free[len(block)].append(block)
