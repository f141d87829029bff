"""Reductions over whole tensors, or over the checkpoint, that a method may ask for before it merges.

Each has a name, under which the method finds the outcome in its context; a view, which makes the arrays that are
reduced from the inputs (by default the inputs themselves); and a scope.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .method import Context

Array = Any  # a numpy array or a torch tensor; bodies use operators and the array API namespace only
Scope = Literal["tensor", "checkpoint"]
View = Callable[[Sequence[Array], Any, "Context"], Sequence[Array]]
Counts = Callable[[int, Callable[[str], Any]], Sequence[Sequence[int]]]


@dataclass(frozen=True)
class Gram:
    """The inner products of all pairs of arrays, summed in float64.

    The outcome is a symmetric matrix as a list of rows: ``result[i][j] = sum of x_i x_j``.
    """

    name: str
    view: View | None = None
    scope: Scope = "tensor"


@dataclass(frozen=True)
class Sums:
    """The sum over all entries of each array, in float64; a mask is counted. The outcome is a list of numbers.

    With `by_name`, for the scope ``checkpoint``, it is a mapping from the tensors' names to such lists.
    """

    name: str
    view: View
    scope: Scope = "tensor"
    by_name: bool = False


@dataclass(frozen=True)
class Largest:
    """Which entries of each array are its largest by magnitude, the lowest index first among equal ones.

    Attributes:
        counts: Called with the number of entries, and with what returns earlier outcomes by name; returns for each
            array how many entries count, once or several times. For the scope ``checkpoint``, entries and index run
            over all merged tensors in the order of the output.

    The outcome is for `Context.largest`, and `value_of` reads the smallest magnitude that counts from it.
    """

    name: str
    counts: Counts
    view: View | None = None
    scope: Scope = "tensor"

    @staticmethod
    def value_of(result: Any, position: int, border: int = 0) -> float:
        """Return the smallest magnitude that counts, infinity where none does."""
        return float(result[position][border][0])


@dataclass(frozen=True)
class Share:
    """The usual rule for `Largest.counts`: a share of the entries of each model's array, at least one.

    ``max(1, int(density * n))`` of n entries count; with a density of 0, none.
    """

    densities: tuple[float, ...]

    def __call__(self, elements: int, results: Callable[[str], Any]) -> list[list[int]]:
        """Return one count per model."""
        return [[self.count(density, elements)] for density in self.densities]

    @staticmethod
    def count(density: float, elements: int) -> int:
        """Return how many of so many entries a share is."""
        return max(1, int(density * elements)) if density > 0 and elements else 0


Reduction = Gram | Sums | Largest
