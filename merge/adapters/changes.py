"""What an adapter does to one tensor of its base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..checkpoints.header import TensorInfo


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
        trained: Rows that are replaced.
    """

    target: TensorInfo
    base: TensorInfo | None
    whole: TensorInfo | None = None
    shift: Shift | None = None
    product: Product | None = None
    trained: TrainedRows | None = None

    @property
    def is_replaced(self) -> bool:
        """Whether the adapter's tensor is the outcome, bit for bit."""
        parts = (self.shift, self.product, self.trained)
        return self.whole is not None and self.whole.dtype == self.target.dtype and parts == (None, None, None)
