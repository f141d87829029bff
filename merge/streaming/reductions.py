"""Reductions over whole tensors: the k-th largest magnitude by radix selection, in rounds over all pieces.

A round looks at 16 bits of the magnitudes, from the top; a float32 needs two, a float64 four. One more round
finds where to stop among equal magnitudes, only where not all of them count. All counts are whole numbers, so the
outcome does not depend on pieces, threads or their order.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple, Protocol

DIGIT_BITS = 16
BLOCK_ELEMENTS = 2**16  # equal magnitudes are counted per block of a row


class Threshold(NamedTuple):
    """Which entries are the largest: all above `value`, and the equal ones before a cut.

    Attributes:
        value: The smallest magnitude that counts.
        row, block, quota: Equal ones count in all rows and blocks before these, and the first `quota` of them in
            this block. A row of -1 says that all equal ones count.
    """

    value: float
    row: int = -1
    block: int = 0
    quota: int = 0


class Backend(Protocol):
    """The part of a backend that reductions use."""

    def magnitude_bits(self, array: Any, bits: int) -> Any:
        """Return the magnitudes as integers in their order."""

    def add_digits(self, counts: Any, keys: Any, shift: int, prefix: int) -> None:
        """Add the counts of the values of one 16-bit digit."""

    def count_equal(self, keys: Any, value: int) -> int:
        """Count the keys that equal a value."""

    def largest_key(self, keys: Any, count: int) -> int:
        """Return the smallest of the `count` largest keys."""


class Selection:
    """Finds the threshold of the `count` largest magnitudes, round by round.

    Args:
        count: How many entries count.
        bits: Width of the floats that are ranked: 32 or 64.
        at_once: Whether all entries come in one call of `observe`. Then they are ranked there and then: a model has
            thousands of small tensors, and a histogram for each would fill the memory.
    """

    def __init__(self, count: int, bits: int, *, at_once: bool = False) -> None:
        self._count, self._bits, self._shift, self._at_once = count, bits, bits - DIGIT_BITS, at_once
        self._prefix = 0
        self._remaining = count  # of the entries that share the prefix found so far
        self._counts: list[tuple[Any, Any]] = []  # digits and how often each was seen, digits never seen left out
        self._equal: dict[tuple[int, int], int] = {}  # row and block to the number of entries equal to the threshold
        self.threshold: Threshold | None = None if count else Threshold(float("inf"))

    @property
    def counts_ties(self) -> bool:
        """Whether the round at hand counts equal entries per block."""
        return self._shift < 0

    def empty(self) -> Any:
        """Return what `observe` adds to in this round."""
        import numpy

        if self._at_once:
            return []
        return {} if self.counts_ties else numpy.zeros(2**DIGIT_BITS, numpy.int64)

    def observe(self, seen: Any, array: Any, row: int, first: int, backend: Backend) -> None:
        """Add what this round learns from one chunk; safe to call from several threads with a `seen` of their own.

        Args:
            seen: Made by `empty`.
            array: Entries of a row; a chunk that starts at a block border.
            row: The row.
            first: Position of the chunk's first entry in the row.
            backend: The backend that the array belongs to.
        """
        keys = backend.magnitude_bits(array, self._bits)
        if self._at_once:
            seen.append(self._rank(keys, row, backend))
            return
        if not self.counts_ties:
            backend.add_digits(seen, keys, self._shift, self._prefix)
            return
        for start in range(0, len(keys), BLOCK_ELEMENTS):
            found = backend.count_equal(keys[start : start + BLOCK_ELEMENTS], self._prefix)
            if found:
                seen[row, (first + start) // BLOCK_ELEMENTS] = found

    def pack(self, seen: Any) -> Any:
        """Return what `absorb` takes; small, since many of them may wait for the piece before theirs."""
        return seen if self._at_once or self.counts_ties else _sparse(seen)

    def _histogram(self) -> Any:
        import numpy

        counts = numpy.zeros(2**DIGIT_BITS, numpy.int64)
        for digits, found in self._counts:
            counts[digits] += found
        return counts

    def absorb(self, seen: Any) -> None:
        """Add what one piece contributed to this round."""
        if self._at_once:
            (self.threshold,) = seen
        elif self.counts_ties:
            self._equal |= seen
        else:
            self._counts.append(seen)
            if sum(len(digits) for digits, _ in self._counts) > 2**DIGIT_BITS:
                self._counts = [_sparse(self._histogram())]

    def advance(self) -> None:
        """End the round; afterwards `threshold` is set, or another round is wanted."""
        if self._at_once:
            return
        if self.counts_ties:
            self.threshold = self._cut()
            return
        counts = self._histogram()
        falling = counts[::-1].cumsum()
        position = int(falling.searchsorted(self._remaining))
        digit, above = len(counts) - 1 - position, int(falling[position] - counts[::-1][position])
        equal = int(counts[digit])
        self._prefix = self._prefix << DIGIT_BITS | digit
        self._remaining -= above
        self._shift -= DIGIT_BITS
        self._counts = []
        if self._shift < 0 and (equal == self._remaining or self._prefix == 0):
            self.threshold = Threshold(
                self._value(self._prefix)
            )  # all equal ones count, or they are zeros and do not matter

    def _rank(self, keys: Any, row: int, backend: Backend) -> Threshold:
        """Return the threshold of entries that are all there."""
        key = backend.largest_key(keys, self._count)
        quota = self._count - int((keys > key).sum())
        if key == 0 or quota == backend.count_equal(keys, key):
            return Threshold(self._value(key))
        return Threshold(self._value(key), row, 0, quota)

    def _value(self, key: int) -> float:
        form = ("<I", "<f") if self._bits == 32 else ("<Q", "<d")
        return float(struct.unpack(form[1], struct.pack(form[0], key))[0])

    def _cut(self) -> Threshold:
        remaining = self._remaining
        for (row, block), found in sorted(self._equal.items()):
            if found >= remaining:
                return Threshold(self._value(self._prefix), row, block, remaining)
            remaining -= found
        raise AssertionError("fewer equal entries than the histogram counted")


def _sparse(counts: Any) -> tuple[Any, Any]:
    digits = counts.nonzero()[0]
    return digits, counts[digits]
