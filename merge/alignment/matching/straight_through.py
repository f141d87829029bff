r"""Straight-through matching: the order of units in which the network halfway has the lowest loss on data.

Git Re-Basin (Ainsworth, Hayase, Srinivasa, arXiv 2209.04836), section 3.3. An endpoint theta starts as the reference A.
In every step it is matched by weights, and the gradient at the midpoint is taken as if it were the endpoint's own:

    pi = argmax <theta, pi(B)>, from the last one on;    theta <- theta - rate * grad L((A + pi(B)) / 2)

Of all orders that come up, the one with the lowest loss is kept. Other than in the authors' code

- the gradient is that of all items that were drawn, so that losses of different orders can be compared, and an order
  that comes up again need not be run again;
- the order as it is and the one that weight matching finds are candidates, so that the outcome is never worse than
  these on the items;
- a step is measured by the length of the tensor that it moves (see `Endpoint`), and has one sweep of weight matching.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..declared import AlignmentOptions
from ..groups import Groups
from .basin import SAME_BASIN
from .families import Family, families
from .gradient_report import GradientReport
from .gradient_steps import SWEEPS, Candidate, GradientSteps
from .judging import judge
from .matched import Matched
from .midpoint import Midpoint
from .pair import Pair
from .readers import Reader
from .surveying import check_shapes, survey
from .weights import match_weights, starts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...calibration.subject import Sample, Subject
    from ...evaluation.task import Settings

    Orders = Mapping[str, NDArray[np.int64]]

Note = Callable[[str], None]


def match_straight_through(
    subject: Subject,
    sample: Sample,
    readers: tuple[Reader, Reader],
    groups: Groups,
    options: AlignmentOptions,
    settings: Settings,
    *,
    note: Note | None = None,
) -> Matched:
    """Match the units of a model with those of another by gradients of the loss halfway between them.

    Models whose units are in their best places already are left as weight matching leaves them.

    Args:
        subject: A network of the models' architecture; its weights are written to.
        sample: The data, with labels, prepared for it.
        readers: The checkpoints: the model that stays, and the one that is brought into its order.
        groups: Which axes carry the same units.
        options: Steps, learning rate, how weight matching starts, and which groups may move.
        settings: Most items at a time; the seed, for the orders in which groups are taken; told of progress.
        note: Told what the user should know.

    Returns:
        The orders, with ``gradients`` in the report. Distances and cosines are those of weights.

    Raises:
        MergeError: The models do not fit each other, or the network does not run or gives a loss that is not finite.
        UsageError: The network predicts nothing, the data has no labels, or nothing is of a kind that ``only`` names.
    """
    return _Matching(subject, sample, readers, groups, options, settings, note).run()


class _Matching:
    """One matching; see `match_straight_through`."""

    def __init__(
        self,
        subject: Subject,
        sample: Sample,
        readers: tuple[Reader, Reader],
        groups: Groups,
        options: AlignmentOptions,
        settings: Settings,
        note: Note | None,
    ) -> None:
        self._pair, self._groups, self._options = Pair(*readers), groups, options
        self._sample, self._seed, self._note = sample, settings.seed, note
        self._notes: list[str] = []
        check_shapes(self._pair, groups)
        self._midpoint = Midpoint(self._pair, groups, subject, sample, settings)

    def run(self) -> Matched:
        begin = time.perf_counter()
        readers = self._pair.reference, self._pair.moved
        start = match_weights(*readers, self._groups, self._options, self._seed, note=self._say)
        self._pair = replace(self._pair, tied=survey(self._pair, self._groups, {}, find_tied=True).tied)
        found = families(self._groups, self._options.only)
        orders, gradients = self._descend(start, found)
        self._say(gradients.summary)
        if gradients.step and gradients.step == self._options.steps:
            self._say(f"the last of {gradients.step} steps was the best one; --steps allows more")
        after = survey(self._pair, self._groups, orders)
        report = replace(
            start.report,
            matching="straight-through",
            objective_after=after.objective,
            distance_after=after.distance,
            sweeps=start.report.sweeps + SWEEPS * len(gradients.history),
            groups=judge(self._pair, found, self._groups, orders, {}),
            notes=tuple(self._notes),
            seconds=round(time.perf_counter() - begin, 3),
            gradients=gradients,
        )
        return Matched(orders, report)

    def _say(self, text: str) -> None:
        self._notes.append(text)
        if self._note:
            self._note(text)

    def _descend(self, start: Matched, found: list[Family]) -> tuple[Orders, GradientReport]:
        """Return the best orders that come up, and how that went."""
        ends = self._midpoint.loss({}, 0.0), self._midpoint.loss({}, 1.0)
        as_it_is = self._midpoint.loss({})
        count = 0 if _is_same_basin(start) else self._options.steps
        best, losses = self._steps(found).run(start.orders, count)
        best = min(best, Candidate(as_it_is, 0, starts(found, self._groups)), key=lambda one: one.loss)
        heights = [loss - sum(ends) / 2 for loss in (as_it_is, best.loss, *losses)]
        told = GradientReport(
            data=str(self._sample.about.get("name", "")),
            items=len(self._sample),
            ends=ends,
            as_it_is=heights[0],
            by_weights=heights[2],
            found=heights[1],
            step=best.step,
            history=tuple(heights[3:]),
        )
        return best.orders, told

    def _steps(self, found: list[Family]) -> GradientSteps:
        rate = self._options.learning_rate
        steps = GradientSteps(self._midpoint, self._pair, found, self._groups, rate, self._seed)
        if steps.unseen:
            few = f"{len(steps.unseen)} tensors, such as '{steps.unseen[0]}', have no place of their own in the network"
            self._say(f"{few}: the gradients do not see them")
        return steps


def _is_same_basin(start: Matched) -> bool:
    share = start.report.same_basin
    return share is not None and share > SAME_BASIN
