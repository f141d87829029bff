"""Zoom into the middle, and the blur of zooming while the shutter is open."""

from __future__ import annotations

import math

import numpy as np

from .setting import Image, Setting


def zoom_blur(image: Image, setting: Setting) -> Image:
    """Average the image with its zoomed versions; the plain image counts twice, as published."""
    end, step = setting.constants
    factors = np.arange(1, end, step)
    total = image.copy()
    for factor in factors:
        total += zoomed(image, float(factor))
    return total / (len(factors) + 1)


def zoomed(image: Image, factor: float) -> Image:
    """Return the middle of an image [height, width, channels], enlarged to the whole, by linear interpolation.

    Args:
        image: Any range.
        factor: 1 or more.
    """
    from scipy import ndimage

    height, width = image.shape[:2]
    middle = image[_middle(height, math.ceil(height / factor)), _middle(width, math.ceil(width / factor))]
    channels = [ndimage.zoom(channel, factor, order=1) for channel in np.moveaxis(middle, -1, 0)]
    enlarged = np.stack(channels, axis=-1)
    return enlarged[_middle(enlarged.shape[0], height), _middle(enlarged.shape[1], width)]


def _middle(length: int, part: int) -> slice:
    start = (length - part) // 2
    return slice(start, start + part)
