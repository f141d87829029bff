"""Matching several models to a universe, by the method of Frank and Wolfe, and what follows it.

Whatever goes through a universe is consistent around every cycle: from a model to a second, a third and back again is
where it began (C2M3, arXiv 2405.17897). Nested groups, as heads are, take no part in the steps of Frank and Wolfe: of
them each pair of heads is an assignment problem by itself. They are matched before, and by MergeMany after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .assignment import is_gain
from .convergence import Common, Round
from .families import Family
from .frank_wolfe import ROUNDS, FrankWolfe
from .matched import Progress, Step
from .merge_many import MergeMany
from .several import Several

if TYPE_CHECKING:
    from .convergence import Orders

Note = Callable[[str], None]
EVERY = 20  # steps between two notes


class Universe:
    """Finds cycle-consistent orders of several models.

    Args:
        models: The models.
        families: What may move.
        many: Improves the orders that the last matrices are rounded to.
        note: Told what it costs, and how far it is.
        progress: Told of every step.
    """

    def __init__(
        self, models: Several, families: Sequence[Family], many: MergeMany, note: Note, progress: Progress | None
    ) -> None:
        self._models, self._many, self._note, self._progress = models, many, note, progress
        self._flat = [family for family in families if not family.nested]

    def run(self, orders: Sequence[Orders]) -> Common:
        """Return better orders: those of Frank and Wolfe, or of MergeMany from the start where these are better.

        Args:
            orders: Where to start, of every model.

        Raises:
            MergeError: A tensor cannot be read, or has numbers that are not finite.
        """
        if not self._flat:
            why = "all groups that may move are nested or hold others: this is MergeMany alone"
            return self._instead(self._many.run(orders), why)
        self._note(self._cost())
        plain = self._many.run(orders)
        rounded, rounds = self._frank_wolfe(orders, plain.rounds[0])
        polished = self._many.run(rounded)
        if is_gain(plain.rounds[-1].objective, polished.rounds[-1].objective):
            return self._instead(plain, "MergeMany from the start ends nearer together than the universe, and is taken")
        steps = sum(one.stage == "frank-wolfe" for one in rounds)
        return replace(polished, rounds=(*rounds, *polished.rounds[1:]), sweeps=steps + polished.sweeps)

    def _instead(self, plain: Common, why: str) -> Common:
        self._note(why)
        return replace(plain, notes=(why,))

    def _frank_wolfe(self, orders: Sequence[Orders], start: Round) -> tuple[list[Orders], list[Round]]:
        found, sums = FrankWolfe(self._models, self._flat, orders, self._told).run(start.objective)
        steps = [Round("frank-wolfe", value) for value in sums[1:]]
        return found, [start, *steps, Round("rounded", *self._models.standing(found))]

    def _told(self, number: int, objective: float) -> None:
        if number % EVERY == 0:
            self._note(f"universe: step {number} of at most {ROUNDS}, inner products {objective:.6g}")
        if self._progress:
            self._progress(Step("frank-wolfe", 1, number, "", number, ROUNDS, len(self._flat), objective))

    def _cost(self) -> str:
        models, sizes = len(self._models.readers), [family.group.size for family in self._flat]
        return (
            f"universe: {len(sizes)} groups of {models} models at once, {len(sizes) * models} assignment problems in "
            f"each step; the gradient of the largest group takes {8 * models * max(sizes) ** 2 / 2**20:.4g} MiB"
        )
