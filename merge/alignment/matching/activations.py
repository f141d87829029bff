"""Activation matching: units that do the same over the same data belong together (arXiv 2209.04836, section 3.1).

Like Li et al. (arXiv 1511.07543) units are compared by Pearson's correlation; the paper itself takes inner products.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..declared import AlignmentOptions
from ..groups import Groups
from .assignment import assign, value
from .basin import ADVICE, SAME_BASIN
from .families import Family, families
from .judging import report_of
from .matched import GroupReport, Matched, MatchReport
from .moving import stays
from .pair import Pair
from .products import one_thread_per_product
from .readers import Reader
from .running import Run
from .solving import Solution
from .surveying import check_shapes, survey
from .two_levels import match_blocks
from .unit_statistics import UnitStatistics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...calibration.subject import Sample, Subject
    from ...evaluation.task import Settings

    Orders = dict[str, NDArray[np.int64]]

Note = Callable[[str], None]
MOST_BYTES = 2 * 2**30  # of sums that are held at once; where they need more, the data is run several times


def match_activations(
    subjects: tuple[Subject, Subject],
    sample: Sample,
    readers: tuple[Reader, Reader],
    groups: Groups,
    options: AlignmentOptions,
    settings: Settings,
    *,
    note: Note | None = None,
) -> Matched:
    """Match the units of a model with those of another by what they do over data.

    Both networks run once over the same items. Each group is one assignment problem by itself: there is nothing to
    iterate.

    Args:
        subjects: The networks: the one that stays, and the one that is brought into its order.
        sample: The data, prepared for both.
        readers: Their checkpoints, for the distances that are reported.
        groups: Which axes carry the same units.
        options: How units are compared, and which groups may move.
        settings: Most items at a time; told of progress.
        note: Told what the user should know.

    Returns:
        Orders of the groups whose units were seen; a group that never ran stays, and a note says so.

    Raises:
        MergeError: A network does not run or gives numbers that are not finite, or the models do not fit each other.
        UsageError: There is no kind of groups that ``only`` names, or no group of it.
    """
    pair = Pair(*readers)
    check_shapes(pair, groups)
    return _Matching(subjects, sample, pair, groups, options, settings, note).run()


class _Matching:
    """One matching; see `match_activations`."""

    def __init__(
        self,
        subjects: tuple[Subject, Subject],
        sample: Sample,
        pair: Pair,
        groups: Groups,
        options: AlignmentOptions,
        settings: Settings,
        note: Note | None,
    ) -> None:
        self._subjects, self._sample, self._pair, self._groups = subjects, sample, pair, groups
        self._options, self._settings, self._note = options, settings, note
        self._notes: list[str] = []
        self._families = families(groups, options.only, self._say)
        self._orders: Orders = {}
        self._reports: dict[str, GroupReport] = {}
        self._before = self._after = 0.0

    def run(self) -> Matched:
        begin = time.perf_counter()
        rounds = list(passes(self._families))
        if len(rounds) > 1:
            self._say(
                f"the data is run {len(rounds)} times, since the sums of all groups do not fit into memory at once"
            )
        for some in rounds:
            self._match(some)
        share = self._share()
        if share > SAME_BASIN:
            self._say(ADVICE.format(share=share))
        return Matched(self._orders, self._report(share, time.perf_counter() - begin))

    def _say(self, text: str) -> None:
        self._notes.append(text)
        if self._note:
            self._note(text)

    def _match(self, some: Sequence[Family]) -> None:
        found = Run(self._subjects, self._sample, some, self._pair.reference.shapes, self._settings).statistics()
        for family in some:
            if family.name in found:
                self._solve(family, found.pop(family.name))
        for name in (name for family in some for name in family.names if name not in self._orders):
            self._say(f"'{name}' stays as it is: no matrix or filter was seen that reads or gives its units alone")

    def _solve(self, family: Family, statistics: UnitStatistics) -> None:
        begin = time.perf_counter()
        with one_thread_per_product():
            solution = solved(family, statistics.blocks(self._options.metric), family.starts(self._groups))
        orders = solution.orders if solution.is_gain else family.starts(self._groups)
        seconds = time.perf_counter() - begin
        self._before += solution.before
        self._after += solution.after if solution.is_gain else solution.before
        for name, cosine in statistics.matched(family, orders, self._groups).items():
            self._orders[name] = orders[name]
            self._reports[name] = report_of(self._groups, orders, name, cosine, seconds)

    def _share(self) -> float:
        """Return which share of the units stay in their place."""
        places = [stays(self._orders, name) for name in self._orders]
        return sum(int(place.sum()) for place in places) / max(1, sum(place.size for place in places))

    def _report(self, share: float, seconds: float) -> MatchReport:
        before, after = (survey(self._pair, self._groups, orders, find_tied=True) for orders in ({}, self._orders))
        return MatchReport(
            matching="activations",
            objective_before=self._before,
            objective_after=self._after,
            distance_before=before.distance,
            distance_after=after.distance,
            sweeps=1,
            converged=True,
            same_basin=share,
            seeds={},
            groups=self._reports,
            notes=tuple(self._notes),
            seconds=round(seconds, 3),
        )


def solved(family: Family, blocks: Mapping[tuple[str, ...], NDArray[np.float64]], start: Orders) -> Solution:
    """Return the best orders of a family by the similarities of its units; see `similarities` for their form."""
    if family.nested:
        return Solution(*match_blocks(blocks, family, start))
    (similarity,) = blocks.values()
    current = start[family.name]
    found = assign(similarity, current)
    return Solution({family.name: found}, value(similarity, current), value(similarity, found))


def passes(found: Sequence[Family]) -> Iterator[list[Family]]:
    """Yield families whose sums fit into memory together."""
    some: list[Family] = []
    for family in found:
        if some and sum(map(_bytes, [*some, family])) > MOST_BYTES:
            yield some
            some = []
        some.append(family)
    if some:
        yield some


def _bytes(family: Family) -> int:
    """Return at most how much memory the sums of a family take: a square matrix for each set of nested groups."""
    units = {tuple(term.inner): family.group.size * _product(family, term.inner) for term in family.terms}
    return sum(8 * count**2 for count in units.values())


def _product(family: Family, inner: Mapping[str, object]) -> int:
    import math

    return math.prod(group.size for group in family.nested if group.name in inner)
