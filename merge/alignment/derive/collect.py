"""Factors of axes ▸ groups: which sub-axes of which tensors carry the same units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..groups import Member
from .factors import Axis, Factor, leaves, length, pin, resolve, side_by_side

INEXPRESSIBLE = "pieces that lie side by side within units of an outer group"


@dataclass
class Found:
    """Sub-axes that carry the same units.

    Attributes:
        factor: What stands for the units.
        members: Where they are.
        outer: For each member, the factors left of it on the same piece of the axis.
    """

    factor: Factor
    members: list[Member]
    outer: list[list[Factor]]


def pieces(axis: Axis) -> Iterator[tuple[int, list[Factor]]]:
    """Yield the pieces of an axis, each with where it begins and the factors on it that are not cut."""
    offset = 0
    for piece in side_by_side(axis):
        yield offset, resolve(piece)
        offset += length(piece)


def pin_inexpressible(axis: Axis) -> None:
    """Pin what lies side by side on an inner factor: a piece of an axis is one run of indices."""
    for _, factors in pieces(axis):
        for factor in factors:
            if factor.pieces:
                pin([factor], INEXPRESSIBLE)


def collect(axes: Mapping[str, Sequence[Axis]]) -> dict[Factor, Found]:
    """Return what may be reordered, in the order in which it is met.

    Args:
        axes: Of every tensor, by name.
    """
    found: dict[Factor, Found] = {}
    for axis in (axis for places in axes.values() for axis in places):
        pin_inexpressible(axis)
    for name, places in axes.items():
        for number, axis in enumerate(places):
            for offset, factors in pieces(axis):
                _enter(found, name, number, offset, _merged(factors))
    return found


def _enter(found: dict[Factor, Found], name: str, axis: int, offset: int, factors: Sequence[Factor]) -> None:
    sizes = tuple(factor.size for factor in factors)
    for place, factor in enumerate(factors):
        if factor.reason is None and not factor.pieces:
            group = found.setdefault(factor, Found(factor, [], []))
            group.members.append(Member(name, axis, sizes, place, offset))
            group.outer.append(list(factors[:place]))


def _merged(factors: Sequence[Factor]) -> list[Factor]:
    """Return factors of which pinned neighbours are one."""
    merged: list[Factor] = []
    for factor in factors:
        stays = bool(factor.pieces) or factor.reason is not None
        if stays and merged and merged[-1].reason is not None:
            merged[-1] = Factor(merged[-1].size * factor.size, merged[-1].reason)
        elif stays:
            merged.append(Factor(factor.size, leaves([factor])[0].reason))
        else:
            merged.append(factor)
    return merged


def reasons(axes: Mapping[str, Sequence[Axis]]) -> dict[str, str]:
    """Return why axes, or factors of them, stay as they are."""
    found = {}
    for name, places in axes.items():
        for number, axis in enumerate(places):
            for offset, factors in pieces(axis):
                merged = _merged(factors)
                sizes = tuple(factor.size for factor in merged)
                for place, factor in enumerate(merged):
                    if factor.reason is not None:
                        found[Member(name, number, sizes, place, offset).text(length(axis))] = factor.reason
    return found
