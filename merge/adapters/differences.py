"""The forms in which an adapter holds the difference of a weight: factors, a Hadamard or Kronecker product, or whole.

Every form stands for a matrix [outputs, inputs · kernel], flattened from the weight's own shape. Where the weight is
stored as [inputs, outputs], each of its tensors is said to be transposed.
"""

from __future__ import annotations

from typing import NamedTuple

from ..checkpoints.header import TensorInfo


class Whole(NamedTuple):
    """A matrix as it is.

    Attributes:
        tensor: [outputs, inputs …].
        transposed: Whether the weight is stored the other way around.
    """

    tensor: TensorInfo
    transposed: bool = False


class LowRank(NamedTuple):
    """A product of factors, with a core between them in a Tucker decomposition (LoCon, CP).

    Attributes:
        left: [outputs, rank …], or [rank, outputs] where it is turned.
        right: [rank, inputs …].
        core: [rank of the left one, rank of the right one, kernel …], or None.
        turned: Whether the left factor has its rank first.
        transposed: Whether the weight is stored the other way around.
    """

    left: TensorInfo
    right: TensorInfo
    core: TensorInfo | None = None
    turned: bool = False
    transposed: bool = False


class Hadamard(NamedTuple):
    """Two products of factors, multiplied entry by entry (LoHa; FedPara, arXiv:2108.06098)."""

    one: LowRank
    other: LowRank


class Kronecker(NamedTuple):
    """A Kronecker product: each entry of one matrix times all of the other (LoKr; KronA, arXiv:2212.10650)."""

    coarse: Whole | LowRank
    fine: Whole | LowRank


Difference = Whole | LowRank | Hadamard | Kronecker
