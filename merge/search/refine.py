"""One option from coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import UsageError
from .samplers import Position
from .space import Space

FIRST_POINTS = 9
FINEST = 1e-6  # of the range; numbers are tried to six digits


class Refine:
    """An even grid, then in every round four points around the best so far, ever closer.

    Where the last spacing was h they lie h/3 and 2h/3 to both sides of the best, and h becomes h/3: after 9 + 4 r
    trials the points around the best are 3^-r / 8 of the range apart. Nothing is fitted to the scores, which are steps
    where items are few. Among equals the first that was tried is the best.
    """

    def __init__(self, space: Space, trials: int | None) -> None:
        if len(space) != 1:
            what = f"the sampler 'refine' searches one option, {len(space)} are marked"
            raise UsageError(what, hint="use cma, random or grid")
        points = min(FIRST_POINTS, trials or FIRST_POINTS)
        self._next = [number / (points - 1) for number in range(points)] if points > 1 else [0.5]
        self._spacing = 1 / max(points - 1, 1)
        self._best = (math.inf, 0.5)

    def ask(self) -> list[Position]:
        """Return the points of this round that lie within the bounds; none once they cannot be told apart."""
        if self._spacing < FINEST:
            return []
        self._asked = [position for position in self._next if 0 <= position <= 1]
        return [(position,) for position in self._asked]

    def tell(self, costs: Sequence[float]) -> None:
        """Go closer around the best so far."""
        for position, cost in zip(self._asked, costs, strict=True):
            if cost < self._best[0]:
                self._best = (cost, position)
        self._spacing /= 3
        self._next = [self._best[1] + share * self._spacing for share in (-2, -1, 1, 2)]
