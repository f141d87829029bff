"""The values of a tensor with an adapter baked in, by blocks of whole rows, each to the same bytes whoever asks."""

from __future__ import annotations

import threading
from math import prod
from typing import TYPE_CHECKING, Any

from ..checkpoints.header import TensorInfo
from ..dtypes import DTYPES
from ..streaming.rounding import rounded
from .blocks import rows_of_block
from .changes import Change, Part
from .elements import ReadPart, all_of, elements, squares, working_type
from .rows import rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        self.rows = rows_of_block(shape)
        self.row_bytes = self._width * DTYPES[change.target.dtype].bits // 8
        self._parts = [(part, rows_of(part.difference, read_adapter, self._type)) for part in change.all_parts]
        self._factor = change.strength if change.is_sum else 1.0
        self._passing = threading.Lock()
        self._norms: dict[Part, NDArray[Any]] = {}

    def block(self, number: int) -> memoryview:
        """Return the bytes of a block of rows."""
        import numpy as np

        first = number * self.rows
        last = min(self._height, first + self.rows)
        values = self._summed(first, last)
        for part, _ in self._parts:
            if part.magnitude is not None:
                self._set_norms(part, part.magnitude, first, last, values)
        self._replace_rows(values, first, last)
        if not self._change.is_sum and self._change.strength != 1 and self._change.base is not None:
            values = self._weakened(self._change.base, first, last, values)
        return rounded(values, self._change.target.dtype).reshape(-1).view(np.uint8).data

    def forget(self) -> None:
        """Give the memory of the factors back; they are read again when they are needed."""
        for _, rows in self._parts:
            rows.forget()

    def _summed(self, first: int, last: int) -> NDArray[Any]:
        """Return rows of the weight with everything added that is added; [rows, columns]."""
        origin, read = (
            (self._change.whole, self._read_adapter) if self._change.whole else (self._change.base, self._read_base)
        )
        assert origin is not None  # noqa: S101 - a change of nothing is never made
        values = self._stored(origin, read, first, last)
        if self._change.shift is not None:
            factor = self._change.shift.factor * self._factor
            values += self._all(self._change.shift.vector)[first:last, None] * factor
        for part, rows in self._parts:
            begin, end = max(first, part.first), min(last, part.last)
            if begin < end:
                added = rows.rows(begin - part.first, end - part.first)
                added *= part.scaling * self._factor
                values[begin - first : end - first] += added
        return values

    def _stored(self, tensor: TensorInfo, read: ReadPart, first: int, last: int) -> NDArray[Any]:
        """Return rows of a tensor as it is stored."""
        values = elements(tensor, read, first * self._width, (last - first) * self._width, self._type)
        return values.reshape(last - first, self._width)

    def _set_norms(self, part: Part, magnitude: TensorInfo, first: int, last: int, values: NDArray[Any]) -> None:
        """Give the rows of a part, or its columns, the norms that were learned (DoRA)."""
        import numpy as np

        begin, end = max(first, part.first), min(last, part.last)
        if begin >= end:
            return
        learned, rows = self._all(magnitude), values[begin - first : end - first]
        with np.errstate(divide="ignore", invalid="ignore"):
            if part.by_column:
                ratios = learned / self._column_norms(part, len(learned))
                scale = np.repeat(ratios, self._width // len(learned))[None, :]
            else:
                learned = learned[begin - part.first : end - part.first]
                scale = (learned / np.sqrt(squares(rows).sum(axis=1)))[:, None]
        rows *= scale.astype(self._type)

    def _column_norms(self, part: Part, count: int) -> NDArray[Any]:
        """Return the norms of the columns over a part's rows, one of as many neighbours as need be to make a count.

        That takes a pass of its own over the tensor.
        """
        import numpy as np

        with self._passing:
            if part not in self._norms:
                total = np.zeros(self._width)
                for first in range(part.first, part.last, self.rows):
                    total += squares(self._summed(first, min(part.last, first + self.rows))).sum(axis=0)
                self._norms[part] = np.sqrt(total.reshape(count, -1).sum(axis=1))
            return self._norms[part]

    def _weakened(self, base: TensorInfo, first: int, last: int, values: NDArray[Any]) -> NDArray[Any]:
        """Return what lies as far from the base's rows as the adapter's strength says."""
        origin = self._stored(base, self._read_base, first, last)
        values -= origin
        values *= self._change.strength
        values += origin
        return values

    def _replace_rows(self, values: NDArray[Any], first: int, last: int) -> None:
        if self._change.trained is None:
            return
        for number, place in enumerate(self._change.trained.places):
            if first <= place < last:
                start = number * self._width
                rows = self._change.trained.rows
                values[place - first] = elements(rows, self._read_adapter, start, self._width, self._type)

    def _all(self, tensor: TensorInfo) -> NDArray[Any]:
        return all_of(tensor, self._read_adapter, self._type)
