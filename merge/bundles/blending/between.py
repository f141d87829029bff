"""Interpolation of tensors, ``w * first + (1 - w) * second``: exact at both ends, in float32 for half precision.

The whole of this folder is this line, taken where it costs least: on a weight when it is read (``reading.py``), or on
what a layer gives out, since a layer that is affine in its parameters gives ``w * y_first + (1 - w) * y_second``
(``rules/``).
"""

from __future__ import annotations

import torch
from torch import Tensor

HALVES = (torch.float16, torch.bfloat16)


def between(first: Tensor, second: Tensor, weight: float | Tensor) -> Tensor:
    """Return ``weight * first + (1 - weight) * second``.

    Args:
        first: Any shape, floating.
        second: Of the same shape and type.
        weight: A number, or a tensor that broadcasts against both.

    Returns:
        At the numbers 1 and 0 ``first`` and ``second`` themselves, else a new tensor of their type.
    """
    if isinstance(weight, float):
        return _between_at(first, second, weight)
    if first.dtype in HALVES:
        return torch.lerp(second.float(), first.float(), weight.float()).to(first.dtype)
    return torch.lerp(second, first, weight.to(first.dtype))  # torch's lerp is exact at 0 and 1


def _between_at(first: Tensor, second: Tensor, weight: float) -> Tensor:
    if weight in {0.0, 1.0}:
        return first if weight else second
    if first.dtype in HALVES:
        return first.float().mul_(weight).add_(second.float(), alpha=1 - weight).to(first.dtype)
    return torch.mul(first, weight).add_(second, alpha=1 - weight)


def pull(second: Tensor, first: Tensor, weight: Tensor) -> None:
    """Make ``weight * first + (1 - weight) * second`` of ``second``, in place.

    Args:
        second: A fresh tensor, floating.
        first: Of the same shape and type.
        weight: Broadcasts against both without making them larger.
    """
    if second.dtype in HALVES:
        second.copy_(between(first, second, weight))
    else:
        second.lerp_(first, weight.to(second.dtype))
