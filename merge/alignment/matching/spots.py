"""Where in a network the units of each family can be seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .families import Family, Term
from .moving import by_units
from .unit_watch import Side, Spot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Target:
    """A family's units among the units at one spot.

    Attributes:
        family: The family.
        inner: Names of the nested groups that are told apart there.
        sizes: Number of units, and of each nested group's.
        channels: [units, nested units …, others] flattened: where each lies on the spot's axis.
    """

    family: Family
    inner: tuple[str, ...]
    sizes: tuple[int, ...]
    channels: NDArray[np.int64]

    @property
    def units(self) -> int:
        """Number of units that are told apart."""
        import math

        return math.prod(self.sizes)

    def rows(self, values: Tensor) -> Tensor:
        """Pick [rows, units] out of [rows, all units of the spot]."""
        import torch

        index = torch.from_numpy(self.channels).to(values.device)
        picked = values.index_select(1, index).reshape(len(values), self.units, -1)
        return picked.transpose(1, 2).reshape(-1, self.units)


def targets(
    found: Sequence[Family], lengths: Mapping[tuple[str, int], int], seen: Mapping[Spot, frozenset[str]]
) -> dict[Spot, list[Target]]:
    """Return what each spot tells.

    Families are read where a parameter takes them in, after the nonlinearity. What no parameter takes in, such as
    queries and keys, is read where it is given out.

    Args:
        found: The families.
        lengths: Length of each axis of each tensor.
        seen: All spots that there are, with the names of their parameter in the checkpoint.
    """
    told: dict[Spot, list[Target]] = defaultdict(list)
    for family in found:
        readable = [term for term in family.terms if _is_alone(term)]
        inputs = _at(readable, seen, "input")
        covered = {name for _, term in inputs for name in (family.name, *term.inner)}
        missing = set(family.names) - covered
        outputs = [(spot, term) for spot, term in _at(readable, seen, "output") if missing & {family.name, *term.inner}]
        for spot, term in (*inputs, *outputs):
            told[spot].append(_target(family, term, lengths[term.tensor, term.member.axis]))
    return dict(told)


def _is_alone(term: Term) -> bool:
    """Tell whether no other group moves the same piece of the axis, so that the two models' rows correspond."""
    return all(other.axis != term.member.axis for group in term.others.groups.values() for other in group.members)


def _at(terms: Sequence[Term], seen: Mapping[Spot, frozenset[str]], side: Side) -> list[tuple[Spot, Term]]:
    spots = [(spot, names) for spot, names in seen.items() if spot[2] == side]
    fits = ((spot, term, names) for spot, names in spots for term in terms if term.member.axis == spot[1])
    return [(spot, term) for spot, term, names in fits if term.tensor in names]


def _target(family: Family, term: Term, length: int) -> Target:
    import numpy as np

    nested = [replace(member, axis=0) for member in term.inner.values()]
    channels = by_units(np.arange(length), replace(term.member, axis=0), nested)
    return Target(family, tuple(term.inner), channels.shape[:-1], channels.reshape(-1))
