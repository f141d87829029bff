"""Frosted glass: every pixel shows one nearby."""

from __future__ import annotations

from itertools import chain

import numpy as np
from numpy.typing import NDArray

from .filters import smoothed, truncated_bytes
from .setting import Image, Setting


def glass_blur(image: Image, setting: Setting) -> Image:
    """Smooth, let pixels show their neighbours, smooth again; in between the image has 256 levels."""
    deviation, farthest, rounds = setting.constants
    reach = max(1, round(setting.pixels(farthest)))
    levels = truncated_bytes(smoothed(image, setting.pixels(deviation)))
    height, width, channels = levels.shape
    shown = _shown(height, width, reach, int(rounds), setting.generator)
    scattered = levels.reshape(-1, channels)[shown].reshape(levels.shape)
    return smoothed(scattered / 255, setting.pixels(deviation))


def _shown(height: int, width: int, reach: int, rounds: int, generator: np.random.Generator) -> list[int]:
    """Return for each position, row after row, the position whose pixel it shows in the end.

    The pixels are visited from the lower right to the upper left, and each takes over what its neighbour shows by
    then. The authors' program means to swap the two, but on color images both ends of the swap look into the same
    memory, so the neighbour keeps its pixel; their published images were made like this, and so are these.
    """
    shown = list(range(height * width))
    targets, sources = _pairs(height, width, reach, rounds, generator)
    for target, source in zip(targets, sources, strict=True):
        shown[target] = shown[source]
    return shown


def _pairs(
    height: int, width: int, reach: int, rounds: int, generator: np.random.Generator
) -> tuple[chain[int], list[int]]:
    """Return positions to visit in order, and for each the neighbour drawn from ``-reach`` to ``reach - 1``."""
    rows, columns = (np.arange(length - reach, reach, -1) for length in (height, width))
    visited: NDArray[np.int64] = rows[:, np.newaxis] * width + columns
    steps = generator.integers(-reach, reach, size=(rounds, *visited.shape, 2))
    neighbours = visited + steps[..., 1] * width + steps[..., 0]
    return chain.from_iterable([visited.ravel().tolist()] * rounds), neighbours.ravel().tolist()
