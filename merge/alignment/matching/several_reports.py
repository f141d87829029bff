"""The reports of several models that were brought into one common order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..groups import Groups
from .convergence import Common, ManyReport
from .families import Family
from .judging import judge
from .matched import Matched
from .pair import Pair
from .products import one_thread_per_product
from .readers import Reader
from .relative import relative
from .several import Several
from .surveying import survey


def with_distances(found: Sequence[Matched], readers: Sequence[Reader], groups: Groups) -> list[Matched]:
    """Tell how far every pair of models is apart, before and after, where each was matched to the first by itself.

    Args:
        found: What was found for every model after the first.
        readers: All models.
        groups: What the orders belong to.

    Raises:
        MergeError: A tensor cannot be read, or holds NaN or infinities.
    """
    with one_thread_per_product():
        return reported(found, Common(()), Several.of(readers, groups), "reference")


def reported(found: Sequence[Matched], common: Common, models: Several, way: str) -> list[Matched]:
    """Add to every report what all models have in common.

    Args:
        found: What was found for every model after the first.
        common: How the common order was found.
        models: All models.
        way: What ``--many`` said.

    Raises:
        MergeError: A tensor cannot be read, or holds NaN or infinities.
    """
    orders = [{}, *(matched.orders for matched in found)]
    before, after = models.distances([{}] * len(orders)), models.distances(orders)
    medoid = None if common.medoid is None else common.medoid + 1
    return [
        replace(
            matched,
            report=replace(matched.report, many=ManyReport(way, number, medoid, before, after, common.rounds)),
        )
        for number, matched in enumerate(found, 2)
    ]


def brought_to_first(
    found: Sequence[Matched], common: Common, models: Several, families: Sequence[Family], seconds: float
) -> list[Matched]:
    """Return orders into that of the first model, by way of a common order, with distances and cosines to the first.

    Args:
        found: What a matching of every later model with the first has found, for what was before.
        common: Orders of all models into a common one.
        models: The models.
        families: What may move.
        seconds: Time of the whole.

    Raises:
        MergeError: A tensor cannot be read, or holds NaN or infinities.
    """
    first, *others = common.orders
    final = [relative(own, first, models.groups) for own in others]
    made = []
    for reader, orders, former in zip(models.readers[1:], final, found, strict=True):
        pair = Pair(models.readers[0], reader, models.tied)
        after = survey(pair, models.groups, orders)
        report = replace(
            former.report,
            objective_after=after.objective,
            distance_after=after.distance,
            sweeps=common.sweeps,
            converged=common.converged,
            groups=judge(pair, families, models.groups, orders, {}),
            notes=(*former.report.notes, *common.notes),
            seconds=round(seconds, 3),
        )
        made.append(Matched(orders, report))
    return made
