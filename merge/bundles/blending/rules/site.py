"""What a rule is given: a module, its counterpart, and how the two are mixed at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..axes import BatchAxisError
from ..between import HALVES, between
from ..moment import Moment
from ..pairs import own_tensors


@dataclass(frozen=True)
class Site:
    """A module of the first network where a rule computes.

    Attributes:
        name: The module's name.
        first: The module.
        second: Its counterpart in the second network.
        moment: How the two are mixed.
    """

    name: str
    first: nn.Module
    second: nn.Module
    moment: Moment

    def run_first(self, *inputs: Any) -> Any:
        """Return what the module gives with the first network's own tensors."""
        with self.moment.at(None):
            return type(self.first).forward(self.first, *inputs)

    def run_second(self, *inputs: Any) -> Any:
        """Return what the counterpart gives."""
        return type(self.second).forward(self.second, *inputs)

    def batch_axis(self, output: Tensor) -> int:
        """Return the axis along which the samples lie in what this module gives out in its next call.

        An output [1, ...] that all samples share counts as one to be repeated along the batch.

        Raises:
            BatchAxisError: When all samples share the output and it has no room for them: what called this
                module must then be run sample by sample.
        """
        (axis,) = self.moment.axes.of(self.name, [output], len(self.moment.batch))
        if axis is not None:
            return axis
        if output.ndim < 2 or output.shape[0] != 1:
            raise BatchAxisError(f"{self.name}: all samples share an output {tuple(output.shape)}")
        return 0

    def tensor(self, name: str) -> Tensor | None:
        """Return an own tensor of the module interpolated by the weights, or None where it has none by that name.

        Args:
            name: The attribute.

        Returns:
            [batch, ..], inside vmap [..]; at least float32.
        """
        first, second = own_tensors(self.first).get(name), own_tensors(self.second).get(name)
        if first is None or second is None:
            return None
        if first.dtype in HALVES:
            first, second = first.float(), second.float()
        single = self.moment.one_sample
        return between(first, second, self.moment.in_front(first.ndim + 1) if single is None else single)
