"""Coordinate descent: solve one group after another, with all others fixed, until no group gains (algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .families import Family
from .matched import Progress, Step
from .solver import Solver

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Orders = dict[str, NDArray[np.int64]]


@dataclass
class Descent:
    """One run of coordinate descent.

    Args:
        solver: Solves the families.
        seed: Numbers that the orders of the families are drawn with; the last is the number of the start.
        objective: Sum of similarities with the orders that `run` is given, and later with those that it has reached.
        progress: Told of every family.

    Attributes:
        sweeps: Passes so far; the last one, without gain, counts too.
        converged: Whether the last pass gained nothing.
    """

    solver: Solver
    seed: Sequence[int]
    objective: float = 0.0
    progress: Progress | None = None
    sweeps: int = 0
    converged: bool = False

    def run(self, orders: Mapping[str, NDArray[np.int64]], limit: int) -> Orders:
        """Improve orders. Every pass goes through the families in a fresh random order.

        Args:
            orders: Where to start.
            limit: Most passes.

        Raises:
            MergeError: A tensor cannot be read, or has numbers that are not finite.
        """
        import numpy as np

        found = dict(orders)
        while self.sweeps < limit and not self.converged:
            generator = np.random.default_rng([*self.seed, self.sweeps])
            self.sweeps += 1
            self.converged = not self._sweep(found, generator.permutation(len(self.solver.families)))
        return found

    def _sweep(self, orders: Orders, turns: NDArray[np.int64]) -> int:
        changed = 0
        for done, turn in enumerate(turns, 1):
            family = self.solver.families[turn]
            changed += self._improve(family, orders)
            if self.progress:
                start, of = self.seed[-1] + 1, len(turns)
                self.progress(Step("sweep", start, self.sweeps, family.name, done, of, changed, self.objective))
        return changed

    def _improve(self, family: Family, orders: Orders) -> bool:
        solution = self.solver.solve(family, orders)
        if solution.is_gain:
            orders.update(solution.orders)
            self.objective += solution.after - solution.before
        return solution.is_gain
