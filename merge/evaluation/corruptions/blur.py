"""Blur by a fixed kernel: a Gaussian, or the disk of a lens out of focus."""

from __future__ import annotations

import math

import numpy as np

from .filters import smoothed
from .setting import Image, Setting


def gaussian_blur(image: Image, setting: Setting) -> Image:
    """Smooth by a Gaussian."""
    (deviation,) = setting.constants
    return smoothed(image, setting.pixels(deviation))


def defocus_blur(image: Image, setting: Setting) -> Image:
    """Average over a disk, the image mirrored at its border (edge pixels once)."""
    from scipy import ndimage

    kernel = disk(*(setting.pixels(length) for length in setting.constants))
    result: Image = ndimage.correlate(image, kernel[:, :, np.newaxis], mode="mirror")
    return result


def disk(radius: float, rim: float) -> Image:
    """Return a disk [side, side] with a smooth rim, whose sum is 1 (but for the border below).

    Args:
        radius: In pixels. The grid reaches 8 pixels from the middle at least: a disk of 8 touches the grid's border,
            which takes part in how its rim is smoothed.
        rim: Standard deviation in pixels of the Gaussian that smooths the disk, over 3x3 pixels up to radius 8, else
            over 5x5.
    """
    from scipy import ndimage

    reach = max(8, math.ceil(radius))
    squares = np.arange(-reach, reach + 1) ** 2
    kernel: Image = (squares + squares[:, np.newaxis] <= radius**2).astype(np.float64)
    kernel /= kernel.sum()
    offsets = np.arange(-1, 2) if radius <= 8 else np.arange(-2, 3)
    weights = np.exp(-(offsets**2) / (2 * rim**2))
    for axis in (0, 1):
        kernel = ndimage.correlate1d(kernel, weights / weights.sum(), axis, mode="mirror")
    return kernel
