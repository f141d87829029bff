"""Three or more models: each is matched to the first, or in turn to the mean of the others.

MergeMany (Git Re-Basin, arXiv 2209.04836, section 5 and algorithm 2), started from an alignment to the first, so that
the first means are means of something.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..declared import AlignmentOptions
from ..groups import Groups
from .coordinate_descent import Descent
from .families import Family, families
from .judging import judge
from .matched import Matched, Progress
from .mean_reader import MeanReader
from .pair import Pair
from .products import one_thread_per_product
from .readers import Reader
from .relative import relative
from .solver import Solver
from .surveying import survey
from .weights import match_weights, starts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Orders = Mapping[str, NDArray[np.int64]]

Note = Callable[[str], None]
ROUNDS = 100  # most rounds over all models


def match_many(
    readers: Sequence[Reader],
    groups: Groups,
    options: AlignmentOptions,
    seed: int,
    *,
    note: Note | None = None,
    progress: Progress | None = None,
) -> list[Matched]:
    """Match several models by weights.

    Args:
        readers: The models; the first one stays as it is.
        groups: Which axes carry the same units.
        options: ``many`` tells what each is matched to.
        seed: For the orders in which models and groups are taken.
        note: Told what the user should know.
        progress: Told of every group that was solved.

    Returns:
        What was found for every model after the first. With ``mean``, distances and cosines are those to the first as
        well, and ``sweeps`` counts rounds over all models.

    Raises:
        MergeError: The models do not fit each other or the groups, or hold NaN or infinities.
    """
    first, *others = readers
    found = [match_weights(first, other, groups, options, seed, note=note, progress=progress) for other in others]
    if options.many == "reference" or len(others) < 2:
        return found
    with one_thread_per_product():
        return _MergeMany(readers, groups, options, seed, progress).run(found, note)


class _MergeMany:
    def __init__(
        self,
        readers: Sequence[Reader],
        groups: Groups,
        options: AlignmentOptions,
        seed: int,
        progress: Progress | None,
    ) -> None:
        self._readers, self._groups, self._options = readers, groups, options
        self._seed, self._progress = seed, progress
        self._families: list[Family] = families(groups, options.only)
        self._as_it_is = starts(self._families, groups)
        self._tied = survey(Pair(readers[0], readers[1]), groups, {}, find_tied=True).tied

    def run(self, found: Sequence[Matched], note: Note | None) -> list[Matched]:
        import numpy as np

        begin = time.perf_counter()
        orders: list[Orders] = [self._as_it_is, *(matched.orders for matched in found)]
        rounds, converged = 0, False
        while rounds < ROUNDS and not converged:
            turns = np.random.default_rng([self._seed, rounds]).permutation(len(orders))
            converged = not sum([self._improve(int(model), orders, rounds) for model in turns])
            rounds += 1
        if note and not converged:
            note(f"models still changed after {rounds} rounds")
        final = [relative(own, orders[0], self._groups) for own in orders[1:]]
        seconds = round(time.perf_counter() - begin, 3)
        pairs = zip(self._readers[1:], final, found, strict=True)
        return [self._matched(reader, own, former, rounds, converged, seconds) for reader, own, former in pairs]

    def _improve(self, model: int, orders: list[Orders], number: int) -> bool:
        """Match one model to the mean of the others; tell whether that has changed anything."""
        parts = [(reader, own) for reader, own in zip(self._readers, orders, strict=True)]
        mean = MeanReader([*parts[:model], *parts[model + 1 :]], self._groups)
        pair = Pair(mean, self._readers[model], self._tied)
        solver = Solver(pair, self._families, self._groups)
        descent = Descent(solver, (self._seed, number, model), 0.0, self._progress)
        orders[model] = descent.run(orders[model], self._options.sweeps)
        return descent.sweeps > 1 or not descent.converged

    def _matched(
        self, reader: Reader, orders: Orders, former: Matched, rounds: int, converged: bool, seconds: float
    ) -> Matched:
        pair = Pair(self._readers[0], reader, self._tied)
        after = survey(pair, self._groups, orders)
        report = replace(
            former.report,
            objective_after=after.objective,
            distance_after=after.distance,
            sweeps=rounds,
            converged=converged,
            groups=judge(pair, self._families, self._groups, orders, {}),
            seconds=round(former.report.seconds + seconds, 3),
        )
        return Matched(orders, report)
