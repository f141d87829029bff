"""MergeMany: each of several models is matched in turn to the mean of the others, until none changes.

Git Re-Basin (Ainsworth, Hayase, Srinivasa, arXiv 2209.04836), the algorithm of that name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .convergence import Common, Round
from .coordinate_descent import Descent
from .families import Family
from .matched import Progress
from .mean_reader import MeanReader
from .pair import Pair
from .several import Several
from .solver import Solver

if TYPE_CHECKING:
    from .convergence import Orders

ROUNDS = 100  # most rounds over all models


class MergeMany:
    """Improves the orders of several models.

    The sum over all pairs of models of their inner products never falls, so it converges.

    Args:
        models: The models.
        families: What may move.
        seed: For the turns of models and groups.
        sweeps: Most passes over all groups of one model.
        progress: Told of every group that was solved.
    """

    def __init__(
        self, models: Several, families: Sequence[Family], seed: int, sweeps: int, progress: Progress | None
    ) -> None:
        self._models, self._families = models, families
        self._seed, self._sweeps, self._progress = seed, sweeps, progress

    def run(self, orders: Sequence[Orders]) -> Common:
        """Return better orders.

        Args:
            orders: Where to start, of every model: an alignment to one of them, so that the first means are means of
                something.

        Raises:
            MergeError: A tensor cannot be read, or has numbers that are not finite.
        """
        import numpy as np

        found, number, changed = list(orders), 0, len(orders)
        rounds = [Round("start", *self._models.standing(found))]
        while number < ROUNDS and changed:
            turns = np.random.default_rng([self._seed, number]).permutation(len(found))
            changed = sum([self._improve(int(model), found, number) for model in turns])
            rounds.append(Round("merge-many", *self._models.standing(found), changed))
            number += 1
        return Common(found, tuple(rounds), number, not changed)

    def _improve(self, model: int, orders: list[Orders], number: int) -> bool:
        """Match one model to the mean of the others; tell whether that has changed anything."""
        parts = list(zip(self._models.readers, orders, strict=True))
        mean = MeanReader([*parts[:model], *parts[model + 1 :]], self._models.groups)
        pair = Pair(mean, self._models.readers[model], self._models.tied)
        solver = Solver(pair, self._families, self._models.groups)
        descent = Descent(solver, (self._seed, number, model), 0.0, self._progress)
        orders[model] = descent.run(orders[model], self._sweeps)
        return descent.sweeps > 1 or not descent.converged
