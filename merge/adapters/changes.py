"""What an adapter does to one tensor of its base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..checkpoints.header import TensorInfo
from .differences import Difference, LowRank


class Product(NamedTuple):
    """A product of two factors that is added to a weight.

    Attributes:
        a: [rank, inputs …].
        b: [outputs, rank …].
        scaling: Factor of the product.
        transposed: Whether the weight is stored as [inputs, outputs].
        magnitude: One number per output: the norm of its weights (DoRA, Liu et al. 2024), or None.
    """

    a: TensorInfo
    b: TensorInfo
    scaling: float
    transposed: bool
    magnitude: TensorInfo | None


class Part(NamedTuple):
    """A difference that is added to a weight, or to some of its rows.

    Attributes:
        difference: What is added.
        scaling: Factor of the difference.
        first: Row of the stored weight at which it begins.
        last: The row after its last one.
        magnitude: Norms that were learned (DoRA), or None.
        by_column: Whether these are those of the stored weight's columns, as many to one of them as need be, and not
            those of its rows.
    """

    difference: Difference
    scaling: float
    first: int
    last: int
    magnitude: TensorInfo | None = None
    by_column: bool = False


class Shift(NamedTuple):
    """A vector that is added to a bias, times a factor."""

    vector: TensorInfo
    factor: float


class TrainedRows(NamedTuple):
    """Rows that take the place of the weight's own: tensor of [rows, columns], and where each goes."""

    rows: TensorInfo
    places: tuple[int, ...]


@dataclass(frozen=True)
class Change:
    """All that happens to one tensor, in this order.

    Attributes:
        target: The tensor as the baked model has it.
        base: The base's tensor, or None where it has none of this name.
        whole: The adapter's tensor that stands for the base's.
        shift: What is added to a bias.
        product: What is added to a weight.
        parts: What is added to rows of a weight, or to all of them.
        trained: Rows that are replaced.
        strength: How much of all that happens: 0 leaves the base's tensor, 1 is the adapter as it was trained.
    """

    target: TensorInfo
    base: TensorInfo | None
    whole: TensorInfo | None = None
    shift: Shift | None = None
    product: Product | None = None
    parts: tuple[Part, ...] = ()
    trained: TrainedRows | None = None
    strength: float = 1.0

    @property
    def is_replaced(self) -> bool:
        """Whether the adapter's tensor is the outcome, bit for bit."""
        nothing_else = (self.shift, self.product, self.trained) == (None, None, None) and not self.parts
        is_all = self.base is None or self.strength == 1
        return self.whole is not None and self.whole.dtype == self.target.dtype and nothing_else and is_all

    @property
    def is_sum(self) -> bool:
        """Whether the outcome is the base's tensor and something added to it, of which a strength is a factor."""
        return self.whole is None and self.trained is None and all(part.magnitude is None for part in self.all_parts)

    @property
    def all_parts(self) -> tuple[Part, ...]:
        """The product as a part of all rows, and the parts."""
        if self.product is None:
            return self.parts
        a, b, scaling, transposed, magnitude = self.product
        factors = LowRank(b, a, transposed=transposed)
        return (Part(factors, scaling, 0, self.target.shape[0], magnitude, transposed), *self.parts)
