"""The axes and shapes of a wide network's tensors, told by headers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..alignment.groups import Groups, Member
from ..alignment.matching.moving import on_tensor
from ..alignment.permutations import axis_indices
from .splits import Entries, Split, side_by_side

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..alignment.permutations import Orders

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class Layout:
    """How two models' units come to lie in a wide network.

    Attributes:
        groups: Of both models.
        orders: Of the second model's units, by group; a group that is absent stays as it is.
        splits: Of the groups that are split, by name.
        heads: Axes that hold the first model's outputs, then the second's, by the name of the tensor; empty where both
            models have the same outputs, which are averaged.
    """

    groups: Groups
    orders: Orders
    splits: Mapping[str, Split]
    heads: Mapping[str, int]

    def axes(self, name: str, first: Shape, second: Shape) -> list[Entries]:
        """Return what the entries of each axis of a tensor stand for.

        Args:
            name: The tensor.
            first: Its shape in the first model.
            second: In the second; the same but on an axis of the outputs.
        """
        here = on_tensor(self.groups, name)
        moved = {group: order for group, order in self.orders.items() if group not in self.splits}
        indices = axis_indices(here, moved, {name: second}).get(name, {})
        return [
            side_by_side(length, second[axis]).entries
            if self.heads.get(name) == axis
            else self._axis(here, axis, length, indices.get(axis))
            for axis, length in enumerate(first)
        ]

    def _axis(self, here: Groups, axis: int, length: int, index: NDArray[np.int64] | None) -> Entries:
        import numpy as np

        plain = Entries(np.arange(length), np.arange(length) if index is None else index)
        parts, done = [], 0
        for member, split in self._pieces(here, axis):
            parts += [_cut(plain, done, member.offset), _widened(plain, member, split)]
            done = member.offset + member.length
        parts.append(_cut(plain, done, length))
        return Entries(np.concatenate([part.first for part in parts]), np.concatenate([part.second for part in parts]))

    def _pieces(self, here: Groups, axis: int) -> Iterator[tuple[Member, Split]]:
        """Yield the members on an axis whose groups are split, from the front."""
        found = [
            (member, self.splits[name])
            for name, group in here.groups.items()
            for member in group.members
            if name in self.splits and member.axis == axis
        ]
        yield from sorted(found, key=lambda pair: pair[0].offset)

    def shape(self, name: str, first: Shape, second: Shape) -> Shape:
        """Return the shape of a tensor of the wide network."""
        return tuple(len(entries.first) for entries in self.axes(name, first, second))


def _cut(plain: Entries, start: int, stop: int) -> Entries:
    return Entries(plain.first[start:stop], plain.second[start:stop])


def _widened(plain: Entries, member: Member, split: Split) -> Entries:
    """Return the entries of a piece of an axis whose units are split."""
    units = split.entries
    piece = _cut(plain, member.offset, member.offset + member.length)
    return Entries(_taken(piece.first, member, units.first), _taken(piece.second, member, units.second))


def _taken(index: NDArray[np.int64], member: Member, units: NDArray[np.int64]) -> NDArray[np.int64]:
    """Take units of a piece, with `NONE` for those that are none."""
    import numpy as np

    taken = np.take(index.reshape(member.sizes), units, axis=member.factor)
    present = (units >= 0).reshape([-1 if place == member.factor else 1 for place in range(len(member.sizes))])
    return np.where(present, taken, -1).reshape(-1)


def wide_shapes(first: Shapes, second: Shapes, layout: Layout) -> dict[str, Shape]:
    """Return the shapes of all tensors of the wide network, in the first model's order.

    Args:
        first: Of the first model's tensors.
        second: Of the second's; a tensor that it lacks keeps its shape.
        layout: Where units come to lie.
    """
    return {name: layout.shape(name, shape, second.get(name, shape)) for name, shape in first.items()}
