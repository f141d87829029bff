"""A convolution as a matrix product: the patches that its filters see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Sizes = tuple[int, ...]


class Convolution(NamedTuple):
    """The arguments of `torch.nn.functional.conv1d` and ``conv2d``."""

    input: Any
    weight: Any
    bias: Any = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1


def bound(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Convolution:
    """Return the arguments of a call by name."""
    return Convolution(*args, **kwargs)


def patches(given: Convolution) -> Tensor:
    """Return what a convolution's filters are multiplied by.

    Returns:
        [items, positions, channels * height * width], the last dimension in the order of a filter's entries.
    """
    from torch.nn import functional

    dimensions = given.weight.ndim - 2
    kernel, stride = tuple(given.weight.shape[2:]), _sizes(given.stride, dimensions)
    dilation = _sizes(given.dilation, dimensions)
    images = given.input if given.input.ndim == given.weight.ndim else given.input.unsqueeze(0)
    images = functional.pad(images, _margins(given.padding, kernel, dilation))
    if dimensions == 1:  # unfold knows images only: these are one pixel high
        images, kernel, stride, dilation = images.unsqueeze(-2), (1, *kernel), (1, *stride), (1, *dilation)
    return functional.unfold(images, kernel, dilation=dilation, stride=stride).transpose(1, 2)


def _sizes(given: int | Sequence[int], dimensions: int) -> Sizes:
    sizes = (given,) if isinstance(given, int) else tuple(given)
    return sizes * dimensions if len(sizes) == 1 else sizes


def _margins(padding: str | int | Sequence[int], kernel: Sizes, dilation: Sizes) -> list[int]:
    """Return zeros before and after each dimension, the last dimension first, as `torch.nn.functional.pad` takes them.

    ``same`` puts the odd zero at the end, as torch does.
    """
    if padding == "same":
        totals = [reach * (size - 1) for size, reach in zip(kernel, dilation, strict=True)]
        pairs = [(total // 2, total - total // 2) for total in totals]
    else:
        sizes = (0,) * len(kernel) if isinstance(padding, str) else _sizes(padding, len(kernel))
        pairs = [(size, size) for size in sizes]
    return [margin for pair in reversed(pairs) for margin in pair]
