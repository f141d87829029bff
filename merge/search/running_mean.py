"""The average of the members so far, kept as their sum: each new candidate reads one model, never all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .members import Members, accumulator, output_type

if TYPE_CHECKING:
    from torch import Tensor


class RunningMean:
    """A sum of models in memory, in float32 for tensors of 16 bits and float64 for wider ones.

    Args:
        members: All the models.

    Attributes:
        count: How many of them are in the sum.
    """

    def __init__(self, members: Members) -> None:
        self._members = members
        self._sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, number: int) -> None:
        """Make a model a member."""
        for row, tensor in self._members.stream(number):
            if self.count:
                self._sums[row.name] += tensor.to(accumulator(row))
            else:
                self._sums[row.name] = tensor.to(accumulator(row), copy=True)
        self.count += 1

    def with_one_more(self, number: int) -> dict[str, Tensor]:
        """Return the average of the members and this model in the output's types; the members stay as they are."""
        found = {}
        for row, tensor in self._members.stream(number):
            total = self._sums[row.name] + tensor.to(accumulator(row))
            found[row.name] = total.div_(self.count + 1).to(output_type(row))
        return found
