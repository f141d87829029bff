"""Which units lie within others, so that each of these may have an order of its own for them.

Units of d lie within those of h if every tensor that carries d also carries h: then whatever d is used for, it is known
which h it belongs to. A gain that all heads share, for example, carries d without h.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .collect import Found
from .factors import Factor, leaves, side_by_side
from .values import Value

Within = dict[Factor, set[Factor]]


def companions(values: Iterable[Value]) -> Within:
    """Return for every factor those that are there wherever it is."""
    found: Within = {}
    for value in values:
        placed = [[leaves(piece) for piece in side_by_side(axis)] for axis in value.axes]
        for number, axis in enumerate(placed):
            elsewhere = _once(placed[:number] + placed[number + 1 :])
            for piece in axis:
                for factor in piece:
                    here = ({*piece} if len({*piece}) == len(piece) else set()) | elsewhere
                    found[factor] = found[factor] & here if factor in found else here
    return found


def _once(axes: list[list[list[Factor]]]) -> set[Factor]:
    """Return factors that are on every piece of exactly one of these axes."""
    counts: dict[Factor, int] = {}
    for axis in axes:
        for factor in {factor for piece in axis for factor in piece}:
            is_everywhere = all(piece.count(factor) == 1 for piece in axis)
            counts[factor] = counts.get(factor, 0) + (1 if is_everywhere else 2)
    return {factor for factor, count in counts.items() if count == 1}


def parents(found: Mapping[Factor, Found], within: Within) -> dict[Factor, Factor]:
    """Choose the parent of every group that has one: the largest of those that lie in nothing themselves."""
    outer = {factor: _expressible(group, within, found) for factor, group in found.items()}
    chosen = {}
    for factor, candidates in outer.items():
        top = [candidate for candidate in candidates if not outer[candidate]]
        if top:
            chosen[factor] = max(top, key=lambda candidate: candidate.size)
    return chosen


def _expressible(group: Found, within: Within, found: Mapping[Factor, Found]) -> list[Factor]:
    """Return what a group lies in, where that is left of it on the same axis in all members."""
    candidates = within.get(group.factor, set())
    return [
        factor
        for factor in group.outer[0]
        if factor in candidates and factor in found and all(outer.count(factor) == 1 for outer in group.outer)
    ]
