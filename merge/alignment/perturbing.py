"""Weights under which a wrong order shows.

A fresh bias is zero everywhere, and a fresh gain one: whether it moves with its group or not makes no difference.
Nearly the same holds for the gains of 1e-6 with which some blocks start, and for attention whose weights are so small
that all scores are alike. Whether groups are right does not depend on the weights, so they are changed until nothing is
hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

STATISTICS = ("running_mean", "running_var")
VARIANCE = "running_var"
NOISE = 0.5  # either way, added to what has one axis: gains of one stay above zero
SMALLEST = 0.3  # of 1 / sqrt(inputs), the deviation at which signals keep their size through a layer


@contextmanager
def perturbed(module: Any, seed: int, dtype: Any) -> Iterator[None]:
    """Change a module's weights for a while, so that every part of it matters to its outputs.

    Parameters and running statistics change; other buffers are part of the model. All stay the same objects, and get
    their values back.

    Args:
        module: On any device.
        seed: Of what is added; that depends on the tensor's name besides.
        dtype: Of torch, to compute in.
    """
    weights = dict(module.named_parameters())
    tensors = {**dict(module.named_buffers()), **weights}
    before = {name: tensor.data for name, tensor in tensors.items()}
    try:
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                values = tensor.data.to(dtype)
                is_changed = name in weights or name.endswith(STATISTICS)
                tensor.data = _changed(values, name, seed) if is_changed else values
        yield
    finally:
        for name, tensor in tensors.items():
            tensor.data = before[name]


def _changed(values: Tensor, name: str, seed: int) -> Tensor:
    import numpy as np

    generator = np.random.default_rng([seed, *name.encode()])
    if name.endswith(VARIANCE):
        return values * (1 + _noise(values, generator))
    return values + _noise(values, generator) if values.ndim < 2 else _visible(values, generator)


def _noise(values: Tensor, generator: np.random.Generator) -> Tensor:
    """Return numbers between -.5 and .5 for a tensor with one axis or none."""
    import torch

    noise = torch.from_numpy(generator.uniform(-NOISE, NOISE, tuple(values.shape)))
    return noise.to(values.device, values.dtype)


def _visible(values: Tensor, generator: np.random.Generator) -> Tensor:
    """Return a matrix, made larger if it is too small to be seen, or drawn anew if it is the same everywhere."""
    import torch

    if values.numel() < 2:
        return values
    wanted = (len(values) / values.numel()) ** 0.5
    deviation = float(values.std())
    if deviation == 0:
        drawn = torch.from_numpy(generator.normal(0, wanted, tuple(values.shape)))
        return values + drawn.to(values.device, values.dtype)
    return values * (wanted / deviation) if deviation < SMALLEST * wanted else values
