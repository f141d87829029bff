"""How far a matrix is cut down: to a rank, or to a share of its energy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import UsageError


@dataclass(frozen=True)
class Truncation:
    """What is kept of a matrix.

    Attributes:
        rank: Directions that are kept; fewer where a side of the matrix is shorter.
        energy: Share of the sum of squared entries that is kept at least, by as few directions as that takes.
        max_rank: The most directions for that, whatever the energy then is.
        exact: Decompose every matrix exactly, however large it is.

    Raises:
        UsageError: Rank and energy are both given, or neither is; or a number is out of its range.
    """

    rank: int | None = None
    energy: float | None = None
    max_rank: int | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if (self.rank is None) is (self.energy is None):
            what = "neither --rank nor --energy is given" if self.rank is None else "--rank and --energy are both given"
            raise UsageError(what, hint="--rank 16 keeps 16 directions, --energy 0.95 as many as that share takes")
        if self.max_rank is not None and self.energy is None:
            raise UsageError("--max-rank limits --energy, and --rank is given", hint="leave one of them out")
        for flag, value in (("--rank", self.rank), ("--max-rank", self.max_rank)):
            if value is not None and value < 1:
                raise UsageError(f"{flag} must be at least 1, not {value}")
        if self.energy is not None and not (math.isfinite(self.energy) and 0 < self.energy <= 1):
            raise UsageError(f"--energy must be above 0 and at most 1, not {self.energy:g}", hint="0.95 is 95 %")

    def most(self, shape: tuple[int, int]) -> int:
        """Return the most directions that may be kept of a matrix of this shape."""
        limit = self.rank if self.rank is not None else self.max_rank
        return min(shape) if limit is None else min(limit, *shape)
