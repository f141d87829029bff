"""The values of a tensor with an adapter baked in, by blocks of whole rows, each to the same bytes whoever asks."""

from __future__ import annotations

import threading
from math import prod
from typing import TYPE_CHECKING, Any

from ..checkpoints.header import TensorInfo
from ..dtypes import DTYPES
from .blas import one_blas_thread
from .changes import Change, Product
from .elements import ReadPart, elements, rounded, squares, working_type

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_ELEMENTS = 2**18  # of one block, at least one row; fixed, since it decides how products are rounded


class Computation:
    """Computes one changed tensor.

    The sum is made in float32 for weights of at most 16 bits and in float64 for wider ones, and rounded once.

    Attributes:
        rows: Rows of a block.
        row_bytes: Bytes of a row of the outcome.

    Args:
        change: What happens to the tensor.
        read_base: Reads the base's tensors.
        read_adapter: Reads the adapter's.
    """

    def __init__(self, change: Change, read_base: ReadPart, read_adapter: ReadPart) -> None:
        self._change, self._read_base, self._read_adapter = change, read_base, read_adapter
        shape = change.target.shape
        self._height, self._width = (shape[0] if shape else 1), prod(shape[1:])
        self._type = working_type(change)
        self.rows = max(1, BLOCK_ELEMENTS // max(1, self._width))
        self.row_bytes = self._width * DTYPES[change.target.dtype].bits // 8
        self._loading, self._passing = threading.Lock(), threading.Lock()
        self._norms: NDArray[Any] | None = None
        self._factors: tuple[NDArray[Any], NDArray[Any]] | None = None

    def block(self, number: int) -> memoryview:
        """Return the bytes of a block of rows."""
        import numpy as np

        first = number * self.rows
        last = min(self._height, first + self.rows)
        values = self._summed(first, last)
        if self._change.product is not None and self._change.product.magnitude is not None:
            values *= self._scale(self._change.product, first, last, values)
        self._replace_rows(values, first, last)
        return rounded(values, self._change.target.dtype).reshape(-1).view(np.uint8).data

    def forget(self) -> None:
        """Give the memory of the factors back; they are read again when they are needed."""
        self._factors = None

    def _summed(self, first: int, last: int) -> NDArray[Any]:
        """Return rows of the weight with everything added that is added; [rows, columns]."""
        origin, read = (
            (self._change.whole, self._read_adapter) if self._change.whole else (self._change.base, self._read_base)
        )
        assert origin is not None  # noqa: S101 - a change of nothing is never made
        values = elements(origin, read, first * self._width, (last - first) * self._width, self._type)
        values = values.reshape(last - first, self._width)
        if self._change.shift is not None:
            values += self._all(self._change.shift.vector)[first:last, None] * self._change.shift.factor
        if self._change.product is not None:
            left, right = self._loaded(self._change.product)
            with one_blas_thread():
                added = left[first:last] @ right
            added *= self._change.product.scaling
            values += added
        return values

    def _loaded(self, product: Product) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the factors such that the rows of the first belong to the weight's: [rows, rank], [rank, columns]."""
        import numpy as np

        with self._loading:
            if self._factors is None:
                rank = product.a.shape[0]
                a, b = self._all(product.a).reshape(rank, -1), self._all(product.b).reshape(-1, rank)
                left, right = (a.T, b.T) if product.transposed else (b, a)
                self._factors = np.ascontiguousarray(left), np.ascontiguousarray(right)
            return self._factors

    def _scale(self, product: Product, first: int, last: int, values: NDArray[Any]) -> NDArray[Any]:
        """Return what the rows, or where the weight is stored transposed the columns, are multiplied with (DoRA)."""
        import numpy as np

        assert product.magnitude is not None  # noqa: S101 - asked for only where there are magnitudes
        magnitude = self._all(product.magnitude)
        with np.errstate(divide="ignore", invalid="ignore"):
            if product.transposed:
                scale: NDArray[Any] = (magnitude / self._column_norms())[None, :]
            else:
                scale = (magnitude[first:last] / np.sqrt(squares(values).sum(axis=1)))[:, None]
        return scale.astype(self._type)

    def _column_norms(self) -> NDArray[Any]:
        """Return the norm of every column over all rows, which takes a pass of its own over the tensor."""
        import numpy as np

        with self._passing:
            if self._norms is None:
                total = np.zeros(self._width)
                for first in range(0, self._height, self.rows):
                    total += squares(self._summed(first, min(self._height, first + self.rows))).sum(axis=0)
                self._norms = np.sqrt(total)
            return self._norms

    def _replace_rows(self, values: NDArray[Any], first: int, last: int) -> None:
        if self._change.trained is None:
            return
        for number, place in enumerate(self._change.trained.places):
            if first <= place < last:
                start = number * self._width
                rows = self._change.trained.rows
                values[place - first] = elements(rows, self._read_adapter, start, self._width, self._type)

    def _all(self, tensor: TensorInfo) -> NDArray[Any]:
        return elements(tensor, self._read_adapter, 0, prod(tensor.shape), self._type)
