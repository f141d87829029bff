"""Samplers that learn nothing from scores: all points of a grid, or random ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice, product

from ..errors import UsageError
from ..searched import steps
from .samplers import DEFAULT_TRIALS, Position
from .space import Space

BATCH = 16  # trials at a time
LARGEST_GRID = 100_000


class Grid:
    """All combinations of some positions of every option; the last option changes fastest."""

    def __init__(self, axes: Sequence[Sequence[float]]) -> None:
        self._size = math.prod(len(axis) for axis in axes)
        self._left: Iterator[Position] = product(*axes)

    def __len__(self) -> int:
        return self._size

    def ask(self) -> list[Position]:
        """Return the next combinations."""
        return list(islice(self._left, BATCH))

    def tell(self, costs: Sequence[float]) -> None:
        """Learn nothing."""


def grid_of(space: Space, trials: int | None) -> Grid:
    """Return the finest even grid of at most this many trials; options with steps have all of theirs.

    Raises:
        UsageError: The coarsest one has more.
    """
    marks = [parameter.mark for parameter in space.parameters]
    stepped = math.prod(steps(mark.low, mark.high, mark.step) + 1 for mark in marks if mark.step)
    free = sum(mark.step is None for mark in marks)
    most = trials or (DEFAULT_TRIALS if free else LARGEST_GRID)
    least = stepped * 2**free
    if least > most:
        what = f"the grid has {least} points {'or more ' if free else ''}for {most} trials"
        raise UsageError(what, hint=f"give --trials {least}, or larger steps")
    count = 2
    while free and stepped * (count + 1) ** free <= most:
        count += 1
    return Grid([parameter.positions(count) for parameter in space.parameters])


class Random:
    """Independent and uniform positions."""

    def __init__(self, space: Space, seed: int) -> None:
        import numpy as np

        self._shape = (BATCH, len(space))
        self._generator = np.random.default_rng(seed)

    def ask(self) -> list[Position]:
        """Return the next draws."""
        return [tuple(row) for row in self._generator.random(self._shape).tolist()]

    def tell(self, costs: Sequence[float]) -> None:
        """Learn nothing."""
