"""A changed view of images, through which pseudo-labels have to be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SHARE = 8  # images move by up to an eighth of their side


def can_shift(inputs: Mapping[str, Tensor]) -> bool:
    """Tell whether inputs are images that can be moved by a pixel or more."""
    only = next(iter(inputs.values()))
    return len(inputs) == 1 and only.ndim == 4 and only.is_floating_point() and min(only.shape[-2:]) >= SHARE


def shifted(inputs: Mapping[str, Tensor], seed: tuple[int, ...]) -> dict[str, Tensor]:
    """Return images, each moved by a random number of pixels, up to an eighth of its sides; its edges are repeated.

    Args:
        inputs: One tensor [items, channels, height, width].
        seed: Of the moves.
    """
    import numpy as np
    import torch

    ((name, pixels),) = inputs.items()
    height, width = pixels.shape[-2:]
    down, across = height // SHARE, width // SHARE
    padded = torch.nn.functional.pad(pixels, (across, across, down, down), mode="replicate")
    generator = np.random.default_rng(seed)
    tops = generator.integers(0, 2 * down + 1, len(pixels)).tolist()
    lefts = generator.integers(0, 2 * across + 1, len(pixels)).tolist()
    moved = [
        image[:, top : top + height, left : left + width] for image, top, left in zip(padded, tops, lefts, strict=True)
    ]
    return {name: torch.stack(moved)}
