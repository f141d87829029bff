"""Snow and fog."""

from __future__ import annotations

import numpy as np

from .filters import rounded_bytes, truncated_bytes
from .motion import smeared
from .plasma import plasma
from .setting import Image, Setting
from .zoom import zoomed

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in cv2.cvtColor(…, COLOR_RGB2GRAY)


def snow(image: Image, setting: Setting) -> Image:
    """Whiten the image, then add flakes that fall, and the same flakes turned by 180 degrees."""
    kept = setting.constants[-1]
    whitened = kept * image + (1 - kept) * np.maximum(image, _luma(image) * 1.5 + 0.5)
    flakes = _flakes(image.shape[:2], setting)
    return whitened + flakes + np.rot90(flakes, 2)


def _flakes(shape: tuple[int, int], setting: Setting) -> Image:
    """Return a layer [height, width, 1] of smeared flakes, of 256 levels before and after smearing."""
    mean, deviation, size, least, radius, smear, _ = setting.constants
    layer = setting.generator.normal(mean, deviation, shape)[:, :, np.newaxis]
    layer = zoomed(layer, max(1.0, setting.pixels(size)))
    layer[layer < least] = 0
    angle = setting.generator.uniform(-135, -45)
    dots = truncated_bytes(layer) / 255
    return rounded_bytes(smeared(dots, setting.pixels(radius), setting.pixels(smear), angle)) / 255


def _luma(image: Image) -> Image:
    """Return the brightness [height, width, 1] of an image of 3 channels or 1."""
    if image.shape[-1] == 1:
        return image
    brightness: Image = image @ np.array(_LUMA)
    return brightness[:, :, np.newaxis]


def fog(image: Image, setting: Setting) -> Image:
    """Add clouds, then scale down so that the brightest value possible is that of the image."""
    thickness, decay = setting.constants
    height, width, _ = image.shape
    clouds = plasma(1 << (max(height, width) - 1).bit_length(), decay, setting.generator)[:height, :width]
    brightest = float(image.max())
    return (image + thickness * clouds[:, :, np.newaxis]) * brightest / (brightest + thickness)
