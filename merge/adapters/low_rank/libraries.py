"""The linear algebra that factorising needs, by numpy on the CPU or by torch on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xxhash

from ...reduction import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_ELEMENTS = 2**22  # entries of a matrix that are copied at once


class Library:
    """One of the two libraries.

    Args:
        device: ``cpu``, or a GPU by torch's name.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        if device == "cpu":
            import numpy

            self.xp: Any = numpy
        else:
            from array_api_compat import torch

            self.xp = torch

    def taken(self, matrix: NDArray[Any]) -> Array:
        """Return a matrix in float32 on the device."""
        import numpy as np

        held: Array = np.asarray(matrix, np.float32)
        return held if self._device == "cpu" else self.xp.asarray(held, device=self._device)

    def given(self, array: Array) -> NDArray[Any]:
        """Return an array of the device as one of numpy."""
        found: NDArray[Any] = array if self._device == "cpu" else array.cpu().numpy()
        return found

    def normal(self, rows: int, columns: int, name: str, number: int) -> Array:
        """Return normally distributed numbers that depend on a name and a number alone; the same on every device."""
        import numpy as np

        key = xxhash.xxh3_128_intdigest(f"{name}\0{number}".encode())
        return self.taken(np.random.Generator(np.random.Philox(key=key)).standard_normal((rows, columns), np.float32))

    def basis(self, matrix: Array) -> Array:
        """Return an orthonormal basis of what the columns of a matrix reach."""
        return self.xp.linalg.qr(matrix)[0]

    def singular(self, matrix: Array) -> tuple[Array, Array, Array]:
        """Return left directions, strengths in falling order, and right directions."""
        left, values, right = self.xp.linalg.svd(matrix, full_matrices=False)
        return left, values, right

    def energy(self, matrix: Array) -> float:
        """Return the sum of squares."""
        return sum(_squares(matrix[first:last]) for first, last in _blocks(matrix))

    def distance(self, matrix: Array, left: NDArray[Any], right: NDArray[Any]) -> float:
        """Return the sum of squares of a matrix less a product, block by block of rows."""
        b, a = self.taken(left), self.taken(right)
        return sum(_squares(matrix[first:last] - b[first:last] @ a) for first, last in _blocks(matrix))


def _squares(part: Array) -> float:
    """Return a sum of squares in float64."""
    wide = part.astype("float64") if hasattr(part, "astype") else part.double()
    flat = wide.reshape(-1)
    return float(flat @ flat)


def _blocks(matrix: Array) -> list[tuple[int, int]]:
    rows = max(1, BLOCK_ELEMENTS // max(1, matrix.shape[1]))
    return [(first, min(matrix.shape[0], first + rows)) for first in range(0, matrix.shape[0], rows)]
