"""A file cut into the parts in which it is uploaded, filled from any side."""

from __future__ import annotations

import threading
from typing import NamedTuple

from ...files import Buffer
from .shelf import Shelf

MEBIBYTE = 2**20
SMALLEST_PART = 8 * MEBIBYTE  # stores ask for 5 MiB; larger ones need fewer requests and more memory
MOST_PARTS = 10_000  # of one object


class FullPart(NamedTuple):
    """A part whose bytes are all there.

    Attributes:
        number: Counted from 1, as stores count.
    """

    number: int
    data: bytearray


def part_size(size: int) -> int:
    """Return the size of a file's parts in bytes, the last one's aside: 8 MiB, or more for files of 80 GB and more.

    All are of one size, which some stores insist on.
    """
    return max(SMALLEST_PART, -(-size // (MOST_PARTS * MEBIBYTE)) * MEBIBYTE)


class Parts:
    """The bytes of a file that are not sent yet.

    A part takes memory from its first byte until it is full. The work goes through a file from its beginning to its
    end, so few parts are open at a time: those in which a piece that is under way begins, lies and ends.

    Attributes:
        count: How many parts there are.
        first: The length of the first one in bytes.

    Args:
        size: Of the file in bytes.
        shelf: Where memory comes from.
    """

    def __init__(self, size: int, shelf: Shelf) -> None:
        self.size, self._each = size, part_size(size)
        self.count = max(1, -(-size // self._each))
        self.first = min(size, self._each)
        self._shelf = shelf
        self._open: dict[int, bytearray] = {}
        self._missing: dict[int, int] = {}
        self._lock = threading.Lock()

    def fill(self, offset: int, buffer: Buffer) -> list[FullPart]:
        """Take bytes, none of them twice; return the parts that they complete."""
        full = []
        while len(buffer):
            number, within = divmod(offset, self._each)
            part = self._part(number)
            taken = min(len(buffer), len(part) - within)
            part[within : within + taken] = buffer[:taken]
            if self._is_full(number, taken):
                full.append(FullPart(number + 1, part))
            offset, buffer = offset + taken, buffer[taken:]
        return full

    def _part(self, number: int) -> bytearray:
        with self._lock:
            part = self._open.get(number)
            if part is None:
                length = min(self._each, self.size - number * self._each)
                part = self._open[number] = self._shelf.take(length)
                self._missing[number] = length
            return part

    def _is_full(self, number: int, taken: int) -> bool:
        """Count bytes that were taken; a part that is full is no longer kept here."""
        with self._lock:
            self._missing[number] -= taken
            if self._missing[number]:
                return False
            del self._open[number], self._missing[number]
            return True
