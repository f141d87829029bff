"""Motion blur as ImageMagick's MotionBlurImage makes it, which the authors call."""

from __future__ import annotations

import math

import numpy as np

from .filters import rounded_bytes
from .setting import Image, Setting


def motion_blur(image: Image, setting: Setting) -> Image:
    """Smear to one side at an angle between -45 and 45 degrees; the result has 256 levels, as ImageMagick stores it."""
    radius, deviation = (setting.pixels(length) for length in setting.constants)
    angle = setting.generator.uniform(-45, 45)
    return rounded_bytes(smeared(image, radius, deviation, angle)) / 255


def smeared(image: Image, radius: float, deviation: float, angle: float) -> Image:
    """Return the weighted mean of the image moved step by step in one direction, its edge pixels repeated.

    Args:
        image: [height, width, channels].
        radius: In pixels; there are twice as many steps of a pixel, besides the image itself.
        deviation: In pixels, of the half of a Gaussian that weights the steps.
        angle: In degrees, from the right towards the bottom: where the pixels come from.
    """
    height, width = image.shape[:2]
    steps = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-(steps**2) / (2 * deviation**2))
    # Offsets are rounded to the nearest pixel, halves down.
    down, right = (np.ceil(steps * part(math.radians(angle)) - 0.5).astype(int) for part in (math.sin, math.cos))
    padded = np.pad(image, ((len(steps),) * 2, (len(steps),) * 2, (0, 0)), mode="edge")
    result = np.zeros_like(image)
    for weight, row, column in zip(weights / weights.sum(), down + len(steps), right + len(steps), strict=True):
        result += weight * padded[row : row + height, column : column + width]
    return result
