"""Labels drawn from a model's own predictions, by seed and item alone: no batch, device or resumption changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_KEY_LIMIT = 2**64


def uniform_numbers(counted: Tensor, seed: int, first: int) -> Tensor:
    """Return random numbers in [0, 1) as float64 [items, positions]; 0 at positions that are not counted.

    The n-th number of an item belongs to its n-th counted position, so that padding on either side changes none.

    Args:
        counted: Mask [items, positions].
        seed: The same for all items.
        first: Number of the first of these items in the sample.
    """
    import numpy as np
    import torch

    numbers = torch.zeros(counted.shape, dtype=torch.float64)
    for row, mask in enumerate(counted):
        generator = np.random.Generator(np.random.Philox(key=[seed % _KEY_LIMIT, first + row]))
        numbers[row, mask] = torch.from_numpy(generator.random(int(mask.sum())))
    return numbers


def pick(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Return the class in whose share of [0, 1) each number lies.

    Args:
        probabilities: [..., classes].
        uniform: In [0, 1), [...].
    """
    ends = probabilities.cumsum(-1)
    passed = ends <= uniform[..., None] * ends[..., -1:]
    return passed.sum(-1).clamp(max=probabilities.shape[-1] - 1)
