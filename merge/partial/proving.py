"""Proof before use: a group may be widened only where the wider network computes what the members compute.

A norm or softmax over the units, a reshaping with sizes of its own, or a parameter that is used in a way that nothing
was seen of, each give another function, whatever the names say. Two networks with all units side by side are tried:
one of a model and itself, and one of a model and strangers that nothing of the model reads. Both must give what the
model gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..alignment.groups import Group, Groups, Member
from ..alignment.running import expected_outputs
from ..alignment.trials import difference
from ..errors import MergeError
from .combining import combine, present, taken
from .splits import side_by_side
from .widths import Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Numbers = NDArray[np.floating[Any]]
    # Runs a network with these tensors in place of its own, of whatever width, on inputs that are always the same.
    RunWide = Callable[[Mapping[str, Numbers]], Sequence[Tensor]]

TOLERANCE = 1e-3  # of the largest output, in float32
NESTED = "other groups are nested in it, or it is in another"
SHARED_PLACE = "it lies on one piece of an axis with another group"
HEADS = "attention heads are not split"
UNSEEN = "nothing was seen that reads or gives its units alone"


@dataclass
class Proof:
    """Which groups may be widened.

    Attributes:
        groups: All groups.
        state: A model's floating tensors.
        reads: The axis on which each matrix is multiplied.
        run: Runs a wide network.
        seed: Of the strangers.
        refused: Why groups may not be widened, as far as they were tried.
    """

    groups: Groups
    state: Mapping[str, Numbers]
    reads: Mapping[str, int]
    run: RunWide
    seed: int
    refused: dict[str, str] = field(default_factory=dict)

    def widening(self, names: Sequence[str]) -> list[str]:
        """Return those of some groups that may be widened, all at once.

        Raises:
            MergeError: The model's own outputs are not finite, all zero, or never the same.
        """
        self._expected = expected_outputs(lambda: self.run(self.state), TOLERANCE)
        fit = []
        for name in names:
            if reason := why_not(self.groups.groups[name], self.groups):
                self.refused[name] = reason
            else:
                fit.append(name)
        return self._extended([], fit) if fit else []

    def reason(self, name: str) -> str:
        """Return why a group that `widening` has not returned may not be widened."""
        found = self.refused.get(name) or why_not(self.groups.groups[name], self.groups)
        return found or UNSEEN

    def _extended(self, known: list[str], names: list[str]) -> list[str]:
        """Return groups that pass together: those that are known to, and as many of some others as possible."""
        problem = self._problem([*known, *names])
        if problem is None:
            return [*known, *names]
        if len(names) == 1:
            self.refused[names[0]] = problem
            return known
        half = len(names) // 2
        return self._extended(self._extended(known, names[:half]), names[half:])

    def _problem(self, names: Sequence[str]) -> str | None:
        """Return why groups cannot be widened together, or None."""
        splits = {name: side_by_side(*[self.groups.groups[name].size] * 2) for name in names}
        layout = Layout(self.groups, {}, splits, {})
        for kind in (self._itself, self._strangers):
            try:
                found = self.run({name: kind(name, layout, tensor) for name, tensor in self.state.items()})
            except MergeError as error:
                return error.what
            except Exception as error:  # a model's code may raise anything at shapes that it does not expect
                return f"the model does not run: {type(error).__name__}: {error}".partition("\n")[0]
            change = difference(self._expected, found)
            if change > TOLERANCE:
                return f"the model's outputs would change by {change:.1e}"
        return None

    def _itself(self, name: str, layout: Layout, tensor: Numbers) -> Numbers:
        """Return a tensor of a network whose units are all there twice."""
        return combine(layout.axes(name, tensor.shape, tensor.shape), self.reads.get(name), tensor, tensor)

    def _strangers(self, name: str, layout: Layout, tensor: Numbers) -> Numbers:
        """Return a tensor of a network with other units beside its own, which its own do not read."""
        import numpy as np

        axes = layout.axes(name, tensor.shape, tensor.shape)
        if all(entries.merged.all() for entries in axes):
            return tensor
        factor = np.random.default_rng([self.seed, *name.encode()]).uniform(0.5, 2, tensor.shape)
        one, other = (
            taken(array, [entries[model] for entries in axes])
            for model, array in enumerate((tensor, (tensor * factor).astype(tensor.dtype)))
        )
        unread = present(axes, 1) & ~present(axes, 0, self.reads.get(name))
        return np.where(present(axes, 0), one, np.where(unread, other, np.zeros((), tensor.dtype)))


def why_not(group: Group, groups: Groups) -> str | None:
    """Return why a group cannot be widened whatever the model computes, or None."""
    if group.kind == "heads":
        return HEADS
    if group.parent is not None or groups.nested(group.name):
        return NESTED
    if any(_overlap(member, other) for member in group.members for other in _others(group, groups)):
        return SHARED_PLACE
    return None


def _others(group: Group, groups: Groups) -> Iterator[Member]:
    """Yield the members of other groups."""
    yield from (member for name, other in groups.groups.items() if name != group.name for member in other.members)


def _overlap(one: Member, other: Member) -> bool:
    is_same_axis = (one.tensor, one.axis) == (other.tensor, other.axis)
    return is_same_axis and one.offset < other.offset + other.length and other.offset < one.offset + one.length
