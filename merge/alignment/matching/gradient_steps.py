"""The steps of straight-through matching: move an endpoint, match it, and look at the loss halfway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..groups import Groups
from .coordinate_descent import Descent
from .endpoint import Endpoint
from .families import Family
from .midpoint import Midpoint
from .pair import Pair
from .products import one_thread_per_product
from .solver import Solver

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Orders = Mapping[str, NDArray[np.int64]]

SWEEPS = 1  # of a step: more, which the next steps make anyway, were not seen to help


class Candidate(NamedTuple):
    """Orders that came up, at which step, and the loss halfway."""

    loss: float
    step: int
    orders: Orders


class GradientSteps:
    """Steps from an order on.

    Attributes:
        unseen: Tensors that count for the matching and have no place in the network, so that they stay as they are.

    Args:
        midpoint: Gives losses and gradients.
        pair: The models.
        families: What may move.
        groups: All groups.
        learning_rate: Share of its length that a tensor moves in its first step.
        seed: For the orders in which groups are taken.

    Raises:
        MergeError: A tensor cannot be read.
    """

    def __init__(
        self,
        midpoint: Midpoint,
        pair: Pair,
        families: Sequence[Family],
        groups: Groups,
        learning_rate: float,
        seed: int,
    ) -> None:
        self._midpoint, self._families, self._groups, self._seed = midpoint, families, groups, seed
        names = {term.tensor for family in families for term in family.terms} - pair.tied
        self._endpoint = Endpoint(pair.reference, names, learning_rate)
        self._pair = Pair(self._endpoint, pair.moved, pair.tied)
        self.unseen = sorted(names - midpoint.names)

    def run(self, start: Orders, count: int) -> tuple[Candidate, list[float]]:
        """Take steps, and return the best orders that came up, and the losses, that of the first orders first.

        Args:
            start: The first orders, which count as step 0.
            count: How many steps.

        Raises:
            MergeError: The network does not run, or gives a loss that is not finite.
        """
        orders = start
        loss, gradient = self._midpoint.slope(orders)
        best, losses = Candidate(loss, 0, orders), [loss]
        for step in range(1, count + 1):
            self._endpoint.step(gradient)
            found = self._matched(orders, step)
            if not _same(found, orders):  # else the network halfway is the same one
                orders = found
                loss, gradient = self._midpoint.slope(orders)
            best = min(best, Candidate(loss, step, orders), key=lambda one: one.loss)
            losses.append(loss)
        return best, losses

    def _matched(self, orders: Orders, step: int) -> Orders:
        """Improve orders for the endpoint as it is now."""
        with one_thread_per_product():
            solver = Solver(self._pair, self._families, self._groups)
            return Descent(solver, (self._seed, step)).run(orders, SWEEPS)


def _same(one: Orders, other: Orders) -> bool:
    import numpy as np

    return all(np.array_equal(one[name], other[name]) for name in one)
