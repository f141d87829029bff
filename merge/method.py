"""The contract of a merge method: pure arithmetic over matched tensors, with declared options.

A method knows no file, no command line and no progress bar. It says what it takes and which reductions over
whole tensors it must know first; the engine reads, converts, subtracts the base, calls `Method.merge` on pieces
of any size, adds the base back, rounds once and writes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from .options import Options

Array = Any  # a numpy array or a torch tensor; bodies use operators and the array API namespace only
Scope = Literal["tensor", "checkpoint"]


@dataclass(frozen=True)
class LargestMagnitudes:
    """A reduction to ask for: which entries of each input are its largest by magnitude.

    Exactly ``max(1, int(density * n))`` of n entries count, the lowest index first among equal magnitudes
    (for the scope ``checkpoint``, n and the index run over all merged tensors in the order of the output).
    """

    density: float
    scope: Scope = "tensor"

    def count(self, elements: int) -> int:
        """Return how many of so many entries count."""
        return max(1, int(self.density * elements)) if elements else 0


Reduction = LargestMagnitudes


class Context(Protocol):
    """What the engine tells a method about the piece that it is called with."""

    @property
    def xp(self) -> Any:
        """The array API namespace of the arrays: numpy's or torch's."""

    def largest(self, array: Array, model: int) -> Array:
        """Return the mask of the entries that the method's `LargestMagnitudes` counts for this model's array.

        Args:
            array: The piece as it was handed in, not yet changed.
            model: Position of the array among the inputs.
        """


class Method(ABC):
    """Base class of every method. The module's name is the method's name and its command's.

    Class attributes:
        options: The declaration of its options.
        takes: ``weights`` hands in the models' tensors; ``task_vectors`` their differences from the base, and
            the outcome is added to the base.
        minimum_models, maximum_models: How many models it can merge, the base not counted.
        seeded: Whether it draws random numbers.
    """

    options: ClassVar[type[Options]] = Options
    takes: ClassVar[Literal["weights", "task_vectors"]] = "weights"
    minimum_models: ClassVar[int] = 1
    maximum_models: ClassVar[int | None] = None
    seeded: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The name in recipes and on the command line."""
        return type(self).__module__.rsplit(".", 1)[-1].replace("_", "-")

    @property
    def summary(self) -> str:
        """The first line of the class docstring."""
        return (type(self).__doc__ or "").strip().splitlines()[0]

    def check(self, options: Any, models: int) -> None:  # noqa: B027 - a hook; most methods need none
        """Refuse options that are sound one by one but not together.

        Raises:
            UsageError: With what is wrong and what to do.
        """

    def reductions(self, options: Any) -> Sequence[Reduction]:
        """Return what must be known of the whole inputs before `merge` can be called on pieces of them."""
        return ()

    @abstractmethod
    def merge(self, arrays: Sequence[Array], options: Any, context: Context) -> Array:
        """Merge one piece.

        Args:
            arrays: One array per model, all of one shape and of the accumulator's type. They belong to this call
                and may be overwritten.
            options: An instance of the method's options, resolved to this tensor's values.
            context: The namespace of the arrays and the outcome of the reductions.

        Returns:
            An array of the same shape and type; one of the inputs, overwritten, is the cheapest.
        """


class WeightedSum(Method):
    """Base class of methods whose outcome is a weighted sum of the inputs: only the coefficients are theirs."""

    @abstractmethod
    def coefficients(self, options: Any) -> Sequence[float]:
        """Return the factor of each input."""

    def merge(self, arrays: Sequence[Array], options: Any, context: Context) -> Array:
        """Return sum_i c_i x_i, multiplied then added in the order of the models."""
        first, *others = self.coefficients(options)
        total = arrays[0]
        total *= first
        for array, coefficient in zip(arrays[1:], others, strict=True):
            array *= coefficient
            total += array
        return total
