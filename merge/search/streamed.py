"""Weighted averages of many models, and inner products with each of them, from memory and from streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .members import Members, accumulator

if TYPE_CHECKING:
    from torch import Tensor


class MemberTensors:
    """Tensors of all members, from memory as far as that is allowed, else read again each time."""

    def __init__(self, members: Members, memory: int) -> None:
        self._members = members
        kept = min(len(members), memory // max(1, members.nbytes))
        self._kept = [{row.name: tensor for row, tensor in members.stream(number)} for number in range(kept)]

    @property
    def streamed(self) -> int:
        """How many members are read again each time."""
        return len(self._members) - len(self._kept)

    def rows(self) -> Iterator[tuple[int, str, list[Tensor]]]:
        """Yield number and name of every averaged tensor, with the tensor of every member in float32 or wider."""
        for index, row in enumerate(self._members.rows):
            tensors = [kept[row.name] for kept in self._kept]
            tensors += [self._members.read(number, row) for number in range(len(self._kept), len(self._members))]
            yield index, row.name, [tensor.to(accumulator(row)) for tensor in tensors]


def average(tensors: MemberTensors, alpha: Tensor) -> dict[str, Tensor]:
    """Return the tensors of the soup with these weights [tensors or 1, models], in float32."""
    found = {}
    for index, name, members in tensors.rows():
        weights = alpha[min(index, len(alpha) - 1)]
        total = members[0] * weights[0].item()
        for weight, member in zip(weights[1:], members[1:], strict=True):
            total += member * weight.item()
        found[name] = total.float()
    return found


def alpha_gradient(tensors: MemberTensors, gradient: Mapping[str, Tensor], alpha: Tensor) -> Tensor:
    """Return <dL/dtheta, theta_m> for every weight [tensors or 1, models], summed in float64.

    A tensor without a gradient, such as the statistics of a BatchNorm, has no say.
    """
    import torch

    found = torch.zeros_like(alpha)
    for index, name, members in tensors.rows():
        if name in gradient:
            slope = gradient[name].double().flatten()
            products = [torch.dot(slope, member.double().flatten()) for member in members]
            found[min(index, len(alpha) - 1)] += torch.stack(products)
    return found
