"""Modules that are affine in their parameters: both networks' layers on the same input, and the interpolation of both.

``(w A + (1 - w) B) x = w (A x) + (1 - w) (B x)``: exact for every sample's own w, for the price of two products and no
interpolated matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from ..between import between, pull
from ..moment import Moment
from .site import Site


def two_products(site: Site, tensor: Tensor, *more: Any) -> Tensor:
    """Return what a module with interpolated parameters gives, when it is affine in them.

    Args:
        site: The module.
        tensor: Its input.
        more: What else it is given.
    """
    second: Tensor = site.run_second(tensor, *more)
    if site.moment.one_sample is not None:
        return between(site.run_first(tensor, *more), second, site.moment.one_sample)
    axis = site.batch_axis(second)
    return combined(site.moment, second, axis, lambda part: site.run_first(part, *more), tensor)


def combined(
    moment: Moment, second: Tensor, axis: int, run_first: Callable[[Tensor], Tensor], tensor: Tensor
) -> Tensor:
    """Return the interpolation per sample of what two layers give for the same input.

    Args:
        moment: Holds the samples' weights.
        second: What the second layer gave, a fresh tensor; changed in place where it can be.
        axis: Where its batch lies.
        run_first: The first layer. It treats entries along the first axis of its input independently.
        tensor: The input.
    """
    if second.shape[axis] % len(moment.batch):  # [1, ...] shared by all samples
        return between(run_first(tensor), second, moment.in_front(second.ndim))
    weights = moment.along(second, axis)
    if tensor.ndim < 2 or tensor.shape[0] != second.shape[0]:
        pull(second, run_first(tensor), weights)
        return second
    for part in _parts(second, moment.part):  # so that little of what the first layer gives is held at a time
        pull(second[part], run_first(tensor[part]), weights[part] if axis == 0 else weights)
    return second


def _parts(tensor: Tensor, limit: int) -> Iterator[slice]:
    step = max(1, limit * len(tensor) // max(1, tensor.nbytes))
    return (slice(start, start + step) for start in range(0, len(tensor), step))
