"""Any range of bytes of a tensor whose entries are gathered along its axes, read in bounded memory.

The tensor is cut into cells: all entries of its inner axes for one index of the outer ones. The outer axes say which
cell of the file comes next, so whole cells are read from where they lie, neighbours in one read. What moves within a
cell is gathered in memory; inner axes are chosen such that a cell is small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from .files import Buffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Indices = Mapping[int, NDArray[np.int64]]

CELL_BYTES = 4 * 2**20  # the largest cell, and how many bytes of cells are gathered at once
CELLS_AT_ONCE = 2**16  # numbers of cells held at once

Read = Callable[[int, Buffer], None]  # offset within the tensor as it lies in the file, bytes to fill


class Block(NamedTuple):
    """Gathered cells ``first`` to ``last``, the last one excluded, as bytes."""

    first: int
    last: int
    data: Buffer


class Layout:
    """How one tensor is cut into cells, and where each comes from.

    Args:
        shape: Of the tensor.
        width: Bytes of an element: 1, 2, 4 or 8.
        indices: By axis, which index of the file comes to each place; at least one.
    """

    def __init__(self, shape: tuple[int, ...], width: int, indices: Indices) -> None:
        axis = _first_small(shape, width)
        if max(indices) < axis:
            axis = max(indices) + 1  # nothing moves within so small cells; larger ones are read in fewer pieces
        self._outer, self._inner, self._width = shape[:axis], shape[axis:], width
        self._outer_indices = {number: index for number, index in indices.items() if number < axis}
        self._inner_indices = {number - axis: index for number, index in indices.items() if number >= axis}
        self.cell_bytes = math.prod(self._inner) * width

    @property
    def moves_within(self) -> bool:
        """Whether entries move within cells, so that cells must be gathered in memory."""
        return bool(self._inner_indices)

    def read_cells(self, read: Read, position: int, buffer: Buffer) -> None:
        """Fill the buffer with bytes from this position on of all cells in their new order, each as the file has it."""
        size, end = self.cell_bytes, position + len(buffer)
        for first, last, origin in self._runs(position // size, -(-end // size)):
            begin, stop = max(first * size, position), min(last * size, end)
            read((origin - first) * size + begin, buffer[begin - position : stop - position])

    def gather(self, read: Read, first: int, last: int) -> Block:
        """Read cells from ``first`` on, up to ``last`` or as many as may be held at once, and gather within them."""
        import numpy as np

        last = min(last, first + max(1, CELL_BYTES // self.cell_bytes))
        raw = np.empty((last - first) * self.cell_bytes, np.uint8)
        self.read_cells(read, first * self.cell_bytes, raw.data)
        cells = raw.view(f"u{self._width}").reshape(-1, *self._inner)
        for axis, index in self._inner_indices.items():
            cells = np.take(cells, index, axis=axis + 1)
        return Block(first, last, cells.reshape(-1).view(np.uint8).data)

    def _runs(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Yield runs of cells that lie side by side in the file too: first, last, and the first's number there."""
        import numpy as np

        for start in range(first, last, CELLS_AT_ONCE):
            origins = self._origins(np.arange(start, min(last, start + CELLS_AT_ONCE)))
            borders = np.flatnonzero(np.diff(origins) != 1) + 1
            begins = [0, *borders.tolist()]
            for begin, stop in zip(begins, [*begins[1:], len(origins)], strict=True):
                yield start + begin, start + stop, int(origins[begin])

    def _origins(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number in the file of each cell."""
        import numpy as np

        if not self._outer_indices:
            return cells
        places = list(np.unravel_index(cells, self._outer))
        for axis, index in self._outer_indices.items():
            places[axis] = index[places[axis]]
        return np.ravel_multi_index(places, self._outer)


def _first_small(shape: tuple[int, ...], width: int) -> int:
    """Return the first axis from which on the entries fit into a cell."""
    fitting = (axis for axis in range(len(shape)) if math.prod(shape[axis:]) * width <= CELL_BYTES)
    return next(fitting, len(shape))
