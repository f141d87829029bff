"""The k-th largest magnitude by radix selection, in passes over all pieces.

A pass looks at 16 bits of the magnitudes, from the top. As soon as few enough entries share the bits that are known,
one pass collects them, and they are sorted; otherwise a float32 needs two passes, a float64 four, and one more finds
where to stop among equal magnitudes, if not all of them count. All counts are whole numbers, so the outcome does not
depend on pieces, threads or their order.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

DIGIT_BITS = 16
COLLECTED = 2**20  # entries that are sorted at once; 4 MiB of them
COMPARISONS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}


class Threshold(NamedTuple):
    """Which entries are the largest: all above `value`, and the equal ones before a cut.

    Attributes:
        value: The smallest magnitude that counts.
        row, unit, quota: Equal ones count in all rows and units before these, and the first `quota` of them in
            this unit. A row of -1 says that all equal ones count.
    """

    value: float
    row: int = -1
    unit: int = 0
    quota: int = 0


class Backend(Protocol):
    """The part of a backend that ranking uses; see the numpy backend."""

    def widened(self, array: Any, bits: int) -> Any:
        """Return the numbers as floats of 32 or 64 bits."""

    def add_digits(self, counts: Any, array: Any, shift: int, prefix: int) -> None:
        """Add the counts of the values of 16 bits of the magnitudes."""

    def matching(self, array: Any, shift: int, prefix: int) -> Any:
        """Return, as a numpy array, the magnitudes whose bits from a shift upwards equal the prefix."""

    def count_equal(self, array: Any, value: float) -> int:
        """Count the magnitudes that equal a value."""

    def count_above(self, array: Any, value: float) -> int:
        """Count the magnitudes above a value."""

    def least_of_largest(self, array: Any, count: int) -> float:
        """Return the smallest of the `count` largest magnitudes."""


class RankSearch:
    """Finds the thresholds of the largest magnitudes of several arrays.

    Args:
        counts: For each array, how many entries count, once or several times.
        bits: Width of the floats that are ranked: 32 or 64.
        unit: Entries of a unit, within which equal magnitudes are counted.
        at_once: Whether all entries come in one call of `observe`. Then they are ranked there and then: a model has
            thousands of small tensors, and a histogram for each would fill the memory.
    """

    def __init__(self, counts: Sequence[Sequence[int]], bits: int, unit: int, *, at_once: bool = False) -> None:
        self._borders = [[_Border(count, bits, unit) for count in borders] for borders in counts]
        self._bits, self._unit, self._at_once = bits, unit, at_once

    @property
    def outcome(self) -> Any:
        """The thresholds by array and border, or None while one is unknown."""
        found = [[border.threshold for border in borders] for borders in self._borders]
        return None if any(None in thresholds for thresholds in found) else found

    def empty(self) -> Any:
        """Return a dictionary of what was counted for each array and border."""
        return {}

    def observe(self, seen: Any, arrays: Sequence[Any], row: int, first: int, backend: Backend) -> None:
        """Count the digits of this pass, or equal entries, in every array with an unknown border."""
        for position, (array, borders) in enumerate(zip(arrays, self._borders, strict=False)):
            unknown = [number for number, border in enumerate(borders) if border.threshold is None]
            if not unknown:
                continue
            flat = backend.widened(array.reshape(-1), self._bits)
            for number in unknown:
                border = borders[number]
                if self._at_once:
                    seen[position, number] = border.rank(flat, row, backend)
                elif not border.shares_digits(borders[:number]):
                    if (position, number) not in seen:
                        seen[position, number] = border.empty()
                    border.observe(seen[position, number], flat, row, first, backend)

    def pack(self, seen: Any) -> Any:
        """Return histograms without the digits that were never seen."""
        return {key: _sparse(value) if hasattr(value, "nonzero") else value for key, value in seen.items()}

    def absorb(self, seen: Any) -> None:
        """Add what one piece contributed."""
        for (position, number), value in seen.items():
            if self._at_once:
                self._borders[position][number].threshold = value
            else:
                self._borders[position][number].absorb(value)

    def advance(self) -> None:
        """End the pass for every border."""
        for borders in self._borders if not self._at_once else ():
            shared = [border.shared(borders[:number]) for number, border in enumerate(borders)]
            histograms = [border.histogram() for border in shared]
            for border, histogram in zip(borders, histograms, strict=True):
                if border.threshold is None:
                    border.advance(histogram)


class _Border:
    """One number of largest entries, and what is known of the magnitude where it ends."""

    def __init__(self, count: int, bits: int, unit: int) -> None:
        self._count, self._bits, self._unit, self._shift = count, bits, unit, bits - DIGIT_BITS
        self._prefix = 0
        self._remaining = count  # of the entries that share the prefix found so far
        self._counts: list[tuple[Any, Any]] = []  # digits and how often each was seen, digits never seen left out
        self._equal: dict[tuple[int, int], int] = {}  # row and unit to the number of entries equal to the threshold
        self._found: dict[tuple[int, int], Any] = {}  # row and unit to the entries that were collected
        self._collects = False
        self.threshold: Threshold | None = None if count else Threshold(float("inf"))

    def shared(self, others: Sequence[_Border]) -> _Border:
        """Return the first border that counts the same digits in this pass: another one, or this."""
        place = (self._shift, self._prefix)
        same = (other for other in others if other.threshold is None and (other._shift, other._prefix) == place)
        return next(same, self) if self._counts_digits else self

    @property
    def _counts_digits(self) -> bool:
        return self._shift >= 0 and not self._collects

    def shares_digits(self, others: Sequence[_Border]) -> bool:
        """Tell whether another border counts the same digits in this pass."""
        return self.shared(others) is not self

    def empty(self) -> Any:
        """Return what `observe` adds to in this pass."""
        import numpy

        return numpy.zeros(2**DIGIT_BITS, numpy.int64) if self._counts_digits else {}

    def observe(self, seen: Any, array: Any, row: int, first: int, backend: Backend) -> None:
        """Count digits, or collect entries or count equal ones per unit."""
        if self._counts_digits:
            backend.add_digits(seen, array, self._shift, self._prefix)
            return
        value = self._value(self._prefix) if self._shift < 0 else 0.0
        for start in range(0, len(array), self._unit):
            part, place = array[start : start + self._unit], (row, (first + start) // self._unit)
            if self._collects:
                found = backend.matching(part, self._shift + DIGIT_BITS, self._prefix)
                seen |= {place: found} if len(found) else {}
            else:
                seen[place] = backend.count_equal(part, value)

    def absorb(self, seen: Any) -> None:
        """Add what one piece contributed."""
        if not self._counts_digits:
            (self._found if self._collects else self._equal).update(seen)
            return
        self._counts.append(seen)
        if sum(len(digits) for digits, _ in self._counts) > 2**DIGIT_BITS:
            self._counts = [_sparse(self.histogram())]

    def histogram(self) -> Any:
        """Return how often each digit was seen."""
        import numpy

        counts = numpy.zeros(2**DIGIT_BITS, numpy.int64)
        for digits, found in self._counts:
            counts[digits] += found
        return counts

    def advance(self, counts: Any) -> None:
        """End the pass, given the histogram of its digits."""
        if not self._counts_digits:
            self.threshold = self._selected() if self._collects else self._cut(self._value(self._prefix))
            return
        falling = counts[::-1].cumsum()
        position = int(falling.searchsorted(self._remaining))
        digit, above = len(counts) - 1 - position, int(falling[position] - counts[::-1][position])
        equal = int(counts[digit])
        self._prefix = self._prefix << DIGIT_BITS | digit
        self._remaining -= above
        self._shift -= DIGIT_BITS
        self._counts = []
        self._collects = self._shift >= 0 and equal <= COLLECTED
        if self._shift < 0 and (equal == self._remaining or self._prefix == 0):
            # All equal ones count, or they are zeros and do not matter.
            self.threshold = Threshold(self._value(self._prefix))

    def rank(self, array: Any, row: int, backend: Backend) -> Threshold:
        """Return the threshold of entries that are all there."""
        value = backend.least_of_largest(array, self._count)
        quota = self._count - backend.count_above(array, value)
        if value == 0 or quota == backend.count_equal(array, value):
            return Threshold(value)
        return Threshold(value, row, 0, quota)

    def _value(self, key: int) -> float:
        form = ("<I", "<f") if self._bits == 32 else ("<Q", "<d")
        return float(struct.unpack(form[1], struct.pack(form[0], key))[0])

    def _selected(self) -> Threshold:
        """Return the threshold from the entries that were collected."""
        import numpy

        entries = numpy.concatenate(list(self._found.values()))
        place = len(entries) - self._remaining
        value = numpy.partition(entries, place)[place]
        self._remaining -= int((entries > value).sum())
        self._equal = {where: int((found == value).sum()) for where, found in self._found.items()}
        self._found = {}
        if value == 0 or sum(self._equal.values()) == self._remaining:
            return Threshold(float(value))
        return self._cut(float(value))

    def _cut(self, value: float) -> Threshold:
        remaining = self._remaining
        for (row, unit), found in sorted(self._equal.items()):
            if found >= remaining:
                return Threshold(value, row, unit, remaining)
            remaining -= found
        raise AssertionError("fewer equal entries than the histogram counted")


def _sparse(counts: Any) -> tuple[Any, Any]:
    digits = counts.nonzero()[0]
    return digits, counts[digits]
