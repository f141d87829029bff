"""Orders of units tried on a model, and what they do to its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import MergeError
from .groups import Group, Groups
from .permutations import axis_indices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .permutations import Orders

    Outputs = Sequence[Tensor]

SINGLY = 32  # groups that are tried one by one; more are tried in parts
PARTS = 8
HINT = "leave it out of the groups, or mend its members; --explain shows them"


class ChangedError(MergeError):
    """Groups change what a model computes.

    Args:
        what: Which groups, and by how much.
        change: The difference of the outputs, divided by the largest.
    """

    def __init__(self, what: str, change: float) -> None:
        self.change = change
        super().__init__(what, hint=HINT)


@dataclass
class Trial:
    """A module whose units are moved, and what it gives when they are not.

    Attributes:
        orders: Orders of groups that are to be proven; None: the groups are, by random ones.
    """

    places: Mapping[str, Tensor]
    groups: Groups
    run: Callable[[], Outputs]
    seed: int
    tolerance: float
    orders: Orders | None = None
    expected: Outputs = ()
    differences: dict[tuple[str, ...], float] = field(default_factory=dict)

    def passes(self, names: Sequence[str]) -> bool:
        """Move groups, all others staying, and tell whether the outputs stay as they are."""
        orders = {name: self._order(name) for name in names}
        shapes = {name: tuple(tensor.shape) for name, tensor in self.places.items()}
        with moved(self.places, axis_indices(self.groups, orders, shapes)):
            self.differences[tuple(names)] = found = difference(self.expected, self.run())
        return found <= self.tolerance

    def _order(self, name: str) -> NDArray[np.int64]:
        if self.orders is not None:
            return self.orders[name]
        return random_order(self.groups.groups[name], self.groups, self.seed)

    def check(self, names: Sequence[str]) -> None:
        """Move groups at once. Raises ChangedError that names the group that changes the outputs."""
        if self.passes(names):
            return
        first, second = names[: len(names) // 2], names[len(names) // 2 :]
        if first:
            self.check(first)
            self.check(second)
        called = f"group '{names[0]}' changes" if not first else f"groups {', '.join(names)} together change"
        change = self.differences[tuple(names)]
        what = f"{called} what the model computes: by {change:.1e} of its outputs, {self.tolerance:.0e} is rounding"
        raise ChangedError(what, change)


def random_order(group: Group, groups: Groups, seed: int) -> NDArray[np.int64]:
    """Return a random order of a group that is not the identity; for nested groups one for each unit of the parent."""
    import numpy as np

    generator = np.random.default_rng([seed, *group.name.encode()])
    count = 1 if group.parent is None else groups.groups[group.parent].size
    rows = [_shuffled(group.size, generator) for _ in range(count)]
    return rows[0] if group.parent is None else np.stack(rows)


def _shuffled(size: int, generator: np.random.Generator) -> NDArray[np.int64]:
    import numpy as np

    order = generator.permutation(size)
    return np.roll(order, 1) if size > 1 and bool((order == np.arange(size)).all()) else order


@contextmanager
def moved(places: Mapping[str, Tensor], indices: Mapping[str, Mapping[int, NDArray[np.int64]]]) -> Iterator[None]:
    """Reorder tensors in place for a while, those with several names once; never two copies of more than one."""
    import numpy as np

    tensors = {id(places[name]): (places[name], axes) for name, axes in indices.items()}
    steps = [(tensor, axis, index) for tensor, axes in tensors.values() for axis, index in axes.items()]
    done = []
    try:
        for tensor, axis, index in steps:
            _gather(tensor, axis, index)
            done.append((tensor, axis, index))
        yield
    finally:
        for tensor, axis, index in reversed(done):
            _gather(tensor, axis, np.argsort(index))


def _gather(tensor: Tensor, axis: int, index: NDArray[np.int64]) -> None:
    """Reorder one axis of a tensor; the inverse order brings it back bit for bit."""
    import torch

    tensor.data.copy_(tensor.data.index_select(axis, torch.from_numpy(index).to(tensor.device)))


def parts(names: list[str], seed: int) -> list[list[str]]:
    """Return which groups are moved at once: each alone, or in parts where they are many, and all of them."""
    import numpy as np

    if len(names) < 2:
        return [names] if names else []
    if len(names) <= SINGLY:
        return [*([name] for name in names), names]
    shuffled = np.random.default_rng(seed).permutation(len(names))
    return [*([names[number] for number in shuffled[part::PARTS]] for part in range(PARTS)), names]


def difference(expected: Outputs, found: Outputs) -> float:
    """Return the largest difference, divided by the largest output; infinity for what is not finite."""
    largest = 0.0
    for ours, theirs in zip(expected, found, strict=True):
        if not bool(theirs.isfinite().all()):
            return float("inf")
        largest = max(largest, float((theirs - ours).abs().max() / ours.abs().max()))
    return largest
