"""Running a method of a module sample by sample in one go, by ``torch.func.vmap``: each sample with its own weight.

Inside, the module's own tensors are interpolated for every sample when they are read, while layers that know a rule
still compute two products.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from .axes import BatchAxisError
from .moment import Moment


class Vectorised:
    """What takes the place of a method of a module.

    Args:
        name: The module's name.
        method: The bound method.
        moment: How the networks are mixed.
        budget: How many bytes of interpolated tensors may be held at a time.
    """

    def __init__(self, name: str, method: Callable[..., Any], moment: Moment, budget: int) -> None:
        self._name, self._method, self._moment, self._budget = name, method, moment, budget
        self._bytes = 0  # that one sample reads

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the method."""
        leaves, form = pytree.tree_flatten((args, kwargs))
        places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        tensors = [leaves[place] for place in places]
        samples = self._moment.samples
        if samples is None:
            if self._moment.recording:
                self._moment.axes.record(self._name, tensors)
            with self._moment.record(False):  # inside, tensors are read as they are
                return self._method(*args, **kwargs)
        axes = self._moment.axes.of(self._name, tensors, len(samples))
        return self._run(samples, _Call(self._method, leaves, form, places, axes))

    def _run(self, samples: Tensor, call: _Call) -> Any:
        mapped = torch.func.vmap(
            lambda weight, *parts: self._one(weight, call, parts),
            in_dims=(0, *call.in_dims),
            randomness="different",
            chunk_size=max(1, self._budget // self._bytes) if self._bytes else None,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop")
            return call.joined(mapped(samples, *call.split(len(samples))))

    def _one(self, weight: Tensor, call: _Call, parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
        before = self._moment.stacked
        with self._moment.at(weight):
            outputs = call.run(parts)
        self._bytes = max(self._bytes, self._moment.stacked - before)
        return outputs


class _Call:
    """One call of a method, taken apart for vmap and put together again."""

    def __init__(self, method: Any, leaves: list[Any], form: Any, places: list[int], axes: list[int | None]) -> None:
        self._method, self._leaves, self._form = method, leaves, form
        self._batched = {place: axis for place, axis in zip(places, axes, strict=True) if axis is not None}
        self._axis = next(iter(self._batched.values()), 0)
        self._outputs: list[Any] = []
        self._output_form: Any = None

    @property
    def in_dims(self) -> list[int]:
        return list(self._batched.values())

    def split(self, batch: int) -> list[Tensor]:
        """Return the tensors that differ by sample, with an axis of samples in front of each sample's own entries."""
        return [self._leaves[place].unflatten(axis, (batch, -1)) for place, axis in self._batched.items()]

    def run(self, parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Run the method on one sample and return the tensors that it gives."""
        leaves = list(self._leaves)
        for place, part in zip(self._batched, parts, strict=True):
            leaves[place] = part
        args, kwargs = pytree.tree_unflatten(leaves, self._form)
        self._outputs, self._output_form = pytree.tree_flatten(self._method(*args, **kwargs))
        return tuple(leaf for leaf in self._outputs if isinstance(leaf, Tensor))

    def joined(self, outputs: Sequence[Tensor]) -> Any:
        """Return what the method would have given for the whole batch.

        Args:
            outputs: [batch, ..] each, the latter as for one sample.

        Raises:
            BatchAxisError: When a sample's output has no axis where that of its input was.
        """
        tensors = iter(outputs)
        leaves = [self._merged(next(tensors)) if isinstance(leaf, Tensor) else leaf for leaf in self._outputs]
        return pytree.tree_unflatten(leaves, self._output_form)

    def _merged(self, tensor: Tensor) -> Tensor:
        if tensor.ndim < self._axis + 2 or (not self._batched and tensor.shape[1] != 1):
            raise BatchAxisError(f"an output {tuple(tensor.shape[1:])} of a sample has no place for the batch")
        return tensor.movedim(0, self._axis).flatten(self._axis, self._axis + 1)
