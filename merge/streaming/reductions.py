"""The work behind `merge.reduction`: what a pass over all pieces gathers, and what is known after it.

Every reducer is shown one unit of a tensor after the other, a unit being the smallest portion that a method can be
called with. What a piece contributed is absorbed in the order of the pieces, and sums are taken within units first,
so that the outcome depends neither on chunks nor on threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..reduction import Gram, Reduction, Sums
from .ranks import RankSearch


class Backend(Protocol):
    """The part of a backend that reductions use; see the numpy backend."""

    def inner(self, first: Any, second: Any) -> float:
        """Return the inner product in float64."""

    def total(self, array: Any) -> float:
        """Return the sum in float64."""


class Reducer(Protocol):
    """Gathers one reduction of one tensor, or of the checkpoint."""

    @property
    def outcome(self) -> Any:
        """What is known: plain numbers and lists; None until it is."""

    def empty(self) -> Any:
        """Return what `observe` adds to in one piece."""

    def observe(self, seen: Any, arrays: Sequence[Any], row: int, first: int, backend: Any) -> None:
        """Add what this pass learns from a unit, or several; safe from several threads with a `seen` of their own.

        Args:
            seen: Made by `empty`.
            arrays: What the reduction's view returned.
            row: The row.
            first: Position of the first entry in the row.
            backend: The backend that the arrays belong to.
        """

    def pack(self, seen: Any) -> Any:
        """Return what `absorb` takes; small, since many of them may wait for the piece before theirs."""

    def absorb(self, seen: Any) -> None:
        """Add what one piece contributed to this pass."""

    def advance(self) -> None:
        """End the pass; afterwards `outcome` is set, or another pass is wanted."""


class SumSearch:
    """Sums in float64: partial sums of units, added in the order of the units.

    Args:
        of: Which numbers one unit gives: sums, or a triangle of inner products.
        unit: Entries of a unit.
    """

    def __init__(self, of: Sums | Gram, unit: int) -> None:
        self._of, self._unit = of, unit
        self._totals: list[float] | None = None
        self._size = 0
        self.outcome: Any = None

    def empty(self) -> Any:
        """Return a list that gets one list of numbers per unit."""
        return []

    def observe(self, seen: Any, arrays: Sequence[Any], row: int, first: int, backend: Backend) -> None:
        """Append the numbers of every unit."""
        flat = [array.reshape(-1) for array in arrays]
        for start in range(0, max(len(flat[0]), 1), self._unit):
            parts = [array[start : start + self._unit] for array in flat]
            seen.append((len(parts), self._numbers(parts, backend)))

    def _numbers(self, parts: Sequence[Any], backend: Backend) -> list[float]:
        if isinstance(self._of, Sums):
            return [backend.total(part) for part in parts]
        return [backend.inner(parts[i], parts[j]) for i in range(len(parts)) for j in range(i + 1)]

    def pack(self, seen: Any) -> Any:
        """Return the numbers as they are; the additions belong in the order of the units."""
        return seen

    def absorb(self, seen: Any) -> None:
        """Add the numbers of every unit."""
        for size, numbers in seen:
            self._size = size
            if self._totals is None:
                self._totals = list(numbers)
            else:
                self._totals = [total + number for total, number in zip(self._totals, numbers, strict=True)]

    def advance(self) -> None:
        """Finish; one pass is enough."""
        totals = self._totals or []
        if isinstance(self._of, Sums):
            self.outcome = totals
            return
        triangle = iter(totals)
        rows = [[next(triangle) for _ in range(i + 1)] for i in range(self._size)]
        self.outcome = [[rows[max(i, j)][min(i, j)] for j in range(self._size)] for i in range(self._size)]


class SumsByRow(SumSearch):
    """The same for every row by itself; the outcome is a mapping from rows to sums."""

    def __init__(self, of: Sums, unit: int) -> None:
        super().__init__(of, unit)
        self._rows: dict[int, SumSearch] = {}

    def empty(self) -> Any:
        """Return a mapping from rows to what each of them gathers."""
        return {}

    def observe(self, seen: Any, arrays: Sequence[Any], row: int, first: int, backend: Backend) -> None:
        """Append the numbers of every unit to those of its row."""
        super().observe(seen.setdefault(row, []), arrays, row, first, backend)

    def absorb(self, seen: Any) -> None:
        """Add the numbers of every unit to those of its row."""
        for row, numbers in seen.items():
            self._rows.setdefault(row, SumSearch(self._of, self._unit)).absorb(numbers)

    def advance(self) -> None:
        """Finish; one pass is enough."""
        for own in self._rows.values():
            own.advance()
        self.outcome = {row: own.outcome for row, own in self._rows.items()}


def reducer(reduction: Reduction, elements: int, unit: int, bits: int, known: Any, *, at_once: bool) -> Reducer:
    """Return what gathers a reduction.

    Args:
        reduction: What is asked for.
        elements: Number of entries of each array.
        unit: Entries of a unit.
        bits: Width of the floats that are ranked: 32 or 64.
        known: Returns earlier outcomes by their name.
        at_once: Whether all entries come in one call of `observe`.
    """
    if isinstance(reduction, Sums) and reduction.by_name:
        return SumsByRow(reduction, unit)
    if isinstance(reduction, Gram | Sums):
        return SumSearch(reduction, unit)
    counts = [list(borders) for borders in reduction.counts(elements, known)]
    return RankSearch(counts, bits, unit, at_once=at_once)
