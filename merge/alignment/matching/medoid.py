"""The medoid of several models: the one that is nearest to all others, once its units correspond to theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from ..groups import Groups
from .convergence import Common
from .matched import Matched
from .relative import relative

if TYPE_CHECKING:
    from .convergence import Orders

Note = Callable[[str], None]
Pairs = Mapping[tuple[int, int], Matched]


def match_pairs(match: Callable[[int, int], Matched], count: int, note: Note) -> Pairs:
    """Match every model with every later one.

    Args:
        match: Matches two models by their positions, the second to the first.
        count: Number of models.
        note: Told of the cost, and of every pair.

    Returns:
        By the positions of the models.
    """
    pairs = list(combinations(range(count), 2))
    note(f"the medoid takes a matching of every pair of {count} models: {len(pairs)} matchings")
    found = {}
    for done, (one, other) in enumerate(pairs, 1):
        found[one, other] = match(one, other)
        report = found[one, other].report
        note(
            f"models {one + 1} and {other + 1} matched, {done} of {len(pairs)}: distance "
            f"{report.distance_before:.4g} before, {report.distance_after:.4g} after"
        )
    return found


def to_medoid(found: Pairs, as_it_is: Orders, groups: Groups, count: int) -> Common:
    """Return orders that bring all models into that of the medoid, the first one among equals.

    Args:
        found: Matchings of all pairs.
        as_it_is: Orders that change nothing.
        groups: What they belong to.
        count: Number of models.
    """
    sums = [_distance_sum(found, model, count) for model in range(count)]
    medoid = sums.index(min(sums))
    orders = [_toward(found, model, medoid, as_it_is, groups) for model in range(count)]
    reports = [matched.report for pair, matched in found.items() if medoid in pair]
    sweeps, converged = max(report.sweeps for report in reports), all(report.converged for report in reports)
    return Common(orders, sweeps=sweeps, converged=converged, medoid=medoid)


def _distance_sum(found: Pairs, model: int, count: int) -> float:
    return sum(found[min(model, other), max(model, other)].report.distance_after for other in _others(model, count))


def _others(model: int, count: int) -> Sequence[int]:
    return [other for other in range(count) if other != model]


def _toward(found: Pairs, model: int, medoid: int, as_it_is: Orders, groups: Groups) -> Orders:
    """Return the order of a model in which it is nearest to the medoid."""
    if model == medoid:
        return as_it_is
    if medoid < model:
        return found[medoid, model].orders
    return relative(as_it_is, found[model, medoid].orders, groups)  # found the other way round
