"""Weight matching: the order of a model's units in which its weights are nearest to another's.

Git Re-Basin (Ainsworth, Hayase, Srinivasa, arXiv 2209.04836), section 3.2 and algorithm 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..declared import AlignmentOptions
from ..groups import Groups
from .anchoring import anchored
from .basin import ADVICE, Basin, look_at_basin
from .coordinate_descent import Descent
from .families import Family, families
from .judging import judge
from .matched import Matched, MatchReport, Progress, Step
from .pair import Pair
from .products import one_thread_per_product
from .readers import Reader
from .solver import Solver
from .surveying import Survey, check_shapes, survey

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Orders = dict[str, NDArray[np.int64]]

Note = Callable[[str], None]


def match_weights(
    reference: Reader,
    moved: Reader,
    groups: Groups,
    options: AlignmentOptions,
    seed: int,
    *,
    note: Note | None = None,
    progress: Progress | None = None,
) -> Matched:
    """Match the units of a model with those of another by weights.

    Both are read tensor by tensor, a group's at a time. Nothing depends on the number of threads.

    Args:
        reference: The model that stays.
        moved: The model that is brought into its order.
        groups: Which axes carry the same units.
        options: Where to start, how often, and which groups may move.
        seed: For the orders in which groups are taken.
        note: Told what the user should know.
        progress: Told of every group that was solved.

    Raises:
        MergeError: The models do not fit each other or the groups, or hold NaN or infinities.
        UsageError: There is no kind of groups that ``only`` names, or no group of it.
    """
    with one_thread_per_product():
        return _Matching(reference, moved, groups, options, seed, note, progress).run()


class _Matching:
    """One matching; see `match_weights`."""

    def __init__(
        self,
        reference: Reader,
        moved: Reader,
        groups: Groups,
        options: AlignmentOptions,
        seed: int,
        note: Note | None,
        progress: Progress | None,
    ) -> None:
        self._pair, self._groups, self._options = Pair(reference, moved), groups, options
        self._seed, self._note, self._progress = seed, note, progress
        self._notes: list[str] = []
        self._families = families(groups, options.only, self._say)

    def run(self) -> Matched:
        begin = time.perf_counter()
        check_shapes(self._pair, self._groups)
        as_it_is = starts(self._families, self._groups)
        before = survey(self._pair, self._groups, as_it_is, find_tied=True)
        self._pair = Pair(self._pair.reference, self._pair.moved, before.tied)
        solver = Solver(self._pair, self._families, self._groups)
        basin = look_at_basin(solver, as_it_is, self._progress)
        if basin.is_same:
            self._say(ADVICE.format(share=basin.share))
        descent, orders = self._best(solver, as_it_is, before, basin)
        after = survey(self._pair, self._groups, orders)
        return Matched(orders, self._report(before, after, basin, descent, orders, time.perf_counter() - begin))

    def _say(self, text: str) -> None:
        self._notes.append(text)
        if self._note:
            self._note(text)

    def _best(self, solver: Solver, as_it_is: Orders, before: Survey, basin: Basin) -> tuple[Descent, Orders]:
        """Return the run that ends with the largest sum of similarities, and its orders."""
        orders, objective = self._start(solver, as_it_is, before, basin)
        best: tuple[Descent, Orders] | None = None
        for restart in range(self._options.restarts):
            descent = Descent(solver, (self._seed, restart), objective, self._progress)
            found = descent.run(orders, self._options.sweeps)
            if best is None or descent.objective > best[0].objective:
                best = descent, found
        assert best is not None  # noqa: S101 - restarts are at least one
        if not best[0].converged:
            self._say(f"groups still changed after {best[0].sweeps} sweeps; --sweeps allows more")
        return best

    def _start(self, solver: Solver, as_it_is: Orders, before: Survey, basin: Basin) -> tuple[Orders, float]:
        """Return where to start, and the sum of similarities there."""
        if self._options.init == "identity" or basin.is_same:
            return as_it_is, before.objective
        orders = dict(as_it_is)
        steps = anchored(solver, as_it_is, before.masses)
        for done, (family, found) in enumerate(steps, 1):
            orders |= found
            if self._progress:
                self._progress(Step("anchoring", 1, 0, family.name, done, len(self._families), done, before.objective))
        objective = survey(self._pair, self._groups, orders).objective
        better = objective > before.objective
        return (orders, objective) if better else (as_it_is, before.objective)

    def _report(
        self, before: Survey, after: Survey, basin: Basin, descent: Descent, orders: Orders, seconds: float
    ) -> MatchReport:
        return MatchReport(
            matching="weights",
            objective_before=before.objective,
            objective_after=after.objective,
            distance_before=before.distance,
            distance_after=after.distance,
            sweeps=descent.sweeps,
            converged=descent.converged,
            same_basin=basin.share,
            seeds={"seed": self._seed, "restart": descent.seed[-1]},
            groups=judge(self._pair, self._families, self._groups, orders, descent.solver.seconds),
            notes=tuple(self._notes),
            seconds=round(seconds, 3),
        )


def starts(found: list[Family], groups: Groups) -> Orders:
    """Return orders of all families that change nothing."""
    orders: Orders = {}
    for family in found:
        orders |= family.starts(groups)
    return orders
