"""Rows of the matrices that an adapter's tensors stand for, computed as they are asked for."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from .differences import Difference, Hadamard, Kronecker, LowRank, Whole
from .elements import ReadPart, elements
from .loaded_rows import ProductRows, TransposedRows

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Rows(Protocol):
    """A matrix of which rows can be had."""

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """Return rows, [rows, columns], which the caller may overwrite."""

    def forget(self) -> None:
        """Give memory back; what is needed is read again."""


def rows_of(difference: Difference, read: ReadPart, wanted: Any) -> Rows:
    """Return the rows of a difference, without its factor.

    Args:
        difference: What the adapter has.
        read: Reads the adapter's tensors.
        wanted: Type of the sums.
    """
    if isinstance(difference, Whole):
        return (
            TransposedRows(difference, read, wanted) if difference.transposed else _StoredRows(difference, read, wanted)
        )
    if isinstance(difference, LowRank):
        return ProductRows(difference, read, wanted)
    if isinstance(difference, Hadamard):
        return _HadamardRows(rows_of(difference.one, read, wanted), rows_of(difference.other, read, wanted))
    return _KroneckerRows(difference, read, wanted)


class _StoredRows:
    def __init__(self, whole: Whole, read: ReadPart, wanted: Any) -> None:
        self._tensor, self._read, self._wanted = whole.tensor, read, wanted
        self._width = prod(whole.tensor.shape[1:])

    def rows(self, first: int, last: int) -> NDArray[Any]:
        count = (last - first) * self._width
        return elements(self._tensor, self._read, first * self._width, count, self._wanted).reshape(last - first, -1)

    def forget(self) -> None:
        """Nothing is kept."""


class _HadamardRows:
    def __init__(self, one: Rows, other: Rows) -> None:
        self._one, self._other = one, other

    def rows(self, first: int, last: int) -> NDArray[Any]:
        values = self._one.rows(first, last)
        values *= self._other.rows(first, last)
        return values

    def forget(self) -> None:
        self._one.forget()
        self._other.forget()


class _KroneckerRows:
    """Row a·h + b is row a of the coarse matrix, each entry times row b of the fine one, which has h rows."""

    def __init__(self, difference: Kronecker, read: ReadPart, wanted: Any) -> None:
        self._coarse, self._fine = rows_of(difference.coarse, read, wanted), rows_of(difference.fine, read, wanted)
        self._height = height(difference.fine)

    def rows(self, first: int, last: int) -> NDArray[Any]:
        import numpy as np

        parts = []
        while first < last:
            number, start = divmod(first, self._height)
            end = min(self._height, start + last - first)
            coarse, fine = self._coarse.rows(number, number + 1), self._fine.rows(start, end)
            parts.append((coarse[:, :, None] * fine[:, None, :]).reshape(end - start, -1))
            first += end - start
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def forget(self) -> None:
        self._coarse.forget()
        self._fine.forget()


def height(difference: Whole | LowRank) -> int:
    """Return the number of rows of a matrix as the weight stores it."""
    if isinstance(difference, Whole):
        shape = difference.tensor.shape
        return prod(shape[1:]) if difference.transposed else shape[0]
    if difference.transposed:
        return prod(difference.right.shape[1:])
    return difference.left.shape[1] if difference.turned else difference.left.shape[0]
