"""Factorises the matrices of a running plan one by one and keeps the factors in a spool."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from ...planning.rows import Row
from .device import Factoriser
from .spool import Spool, Spooled
from .truncation import Truncation

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Kept(NamedTuple):
    """What was kept of one matrix.

    Attributes:
        rank: Directions.
        norm: Root of its sum of squares.
        error: That of what the factors lack.
        a: Where [rank, inputs] lies in the spool.
        b: Where [outputs, rank] lies.
    """

    rank: int
    norm: float
    error: float
    a: Spooled
    b: Spooled

    @property
    def energy(self) -> float:
        """Share of the sum of squares that is kept."""
        return 1.0 - (self.error / self.norm) ** 2 if self.norm else 1.0


class FactorCollector:
    """What a `WholeSink` hands its matrices to.

    Attributes:
        kept: By name of the matrix, what was kept; matrices of zeros are not in it.

    Args:
        spool: Takes the factors.
        truncation: What is kept of a matrix.
        matrices: Yields the matrices [outputs, inputs] in the outcome of a row, each with a name of its own.
        dtype: Format code of the factors' type.
        device: ``cpu``, or a GPU by torch's name.
    """

    def __init__(
        self,
        spool: Spool,
        truncation: Truncation,
        matrices: Callable[[Row, NDArray[Any]], Iterable[tuple[str, NDArray[Any]]]],
        *,
        dtype: str = "F32",
        device: str = "cpu",
    ) -> None:
        self._spool, self._truncation, self._matrices = spool, truncation, matrices
        self._factoriser = Factoriser(dtype, device)
        self.kept: dict[str, Kept] = {}

    def take(self, row: Row, outcome: NDArray[Any]) -> None:
        """Factorise the outcome of a row."""
        for name, matrix in self._matrices(row, outcome):
            factors = self._factoriser(matrix, self._truncation, name)
            if factors is not None:
                a, b = self._spool.append(factors.a), self._spool.append(factors.b)
                self.kept[name] = Kept(factors.rank, factors.norm, factors.error, a, b)
