"""Smoothing and 8-bit rounding that several corruptions share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .setting import Image


def smoothed(image: Image, deviation: float) -> Image:
    """Return the image [height, width, channels] under a Gaussian, its edge pixels repeated beyond the border.

    Args:
        image: Any range.
        deviation: Standard deviation in pixels; the Gaussian ends at 4 of them, as in skimage.filters.gaussian.
    """
    from scipy import ndimage

    result: Image = ndimage.gaussian_filter(image, (deviation, deviation, 0), mode="nearest", truncate=4)
    return result


def rounded_bytes(image: Image) -> NDArray[np.uint8]:
    """Return the nearest of 256 levels, for what is defined on stored images only."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def truncated_bytes(image: Image) -> NDArray[np.uint8]:
    """Return the level of 256 at or below, which is how the authors store an image."""
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)
