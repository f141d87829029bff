"""Weights that are interpolated when they are read.

A module's class is exchanged for a subclass in which the names of its tensors are properties. ``module.weight`` then
gives the interpolated tensor to whoever asks, the module itself or its parent, and is gone afterwards: nothing is
stored. The module's own tables of parameters stay as they are, and so do state dicts.

``torch.nn.utils.parametrize`` does the same by moving parameters to new modules, for every batch again, and in the end
parameters come back in another order.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .between import between
from .moment import Moment
from .operand import Operand
from .pairs import Pair, own_tensor


def reading_class(pair: Pair, moment: Moment) -> type[nn.Module]:
    """Return the class whose instances give interpolated tensors when these are read.

    Args:
        pair: The module and its counterpart.
        moment: How the two are mixed.
    """
    kind = type(pair.first)
    properties: dict[str, Any] = {name: property(_reader(pair, name, moment)) for name in pair.differing}
    if issubclass(kind, nn.RNNBase):  # its forward reads this list, which it keeps, and not the attributes
        properties |= {"_flat_weights": property(_flat_weights), "_update_flat_weights": lambda module: None}
    properties |= {"__module__": kind.__module__, "__doc__": kind.__doc__, "is_blended": True}
    return type(kind.__name__, (kind,), properties)


def _reader(pair: Pair, name: str, moment: Moment) -> Any:
    def read(module: nn.Module) -> Tensor:
        first, second = own_tensor(module, name), own_tensor(pair.second, name)
        if moment.weight is None:
            return first
        if moment.one_sample is not None:
            moment.stacked += first.nbytes
            return between(first, second, moment.one_sample)
        if moment.recording or moment.samples is not None:
            return _for_samples(f"{pair.name}.{name}", first, second, moment)
        return between(first, second, moment.weight)

    return read


def _for_samples(name: str, first: Tensor, second: Tensor, moment: Moment) -> Tensor:
    """Return an operand; or [batch, ...] of a tensor [1, ...] that is made to be repeated: a class token, positions."""
    if first.ndim < 2 or first.shape[0] != 1:
        return Operand.of(name, first, second, moment)
    return second if moment.recording else between(first, second, moment.in_front(first.ndim))


def _flat_weights(module: nn.RNNBase) -> list[Tensor | None]:
    return [getattr(module, name) if hasattr(module, name) else None for name in module._flat_weights_names]
