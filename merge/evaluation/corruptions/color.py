"""Brightness, contrast and saturation."""

from __future__ import annotations

import numpy as np

from .setting import Image, Setting


def brightness(image: Image, setting: Setting) -> Image:
    """Raise the value of HSV, which is the largest of the channels; hue and saturation stay."""
    (added,) = setting.constants
    value: Image = image.max(axis=-1, keepdims=True)
    raised = np.clip(value + added, 0, 1)
    # Of one hue and saturation, the channels are in proportion to the value; black has neither and becomes grey.
    return np.where(value > 0, _ratio(image, value) * raised, raised)


def saturate(image: Image, setting: Setting) -> Image:
    """Change the saturation of HSV; hue and value stay.

    What has no saturation has no hue either, and takes red, as in skimage.color.hsv2rgb. An image of one channel stays
    as it is: its value is all that it holds.
    """
    factor, added = setting.constants
    value: Image = image.max(axis=-1, keepdims=True)
    below = value - image
    farthest: Image = below.max(axis=-1, keepdims=True)
    changed = np.clip(_ratio(farthest, value) * factor + added, 0, 1)
    red = np.arange(image.shape[-1]) > 0  # the channels to take away from grey
    return value - value * changed * np.where(farthest > 0, _ratio(below, farthest), red)


def contrast(image: Image, setting: Setting) -> Image:
    """Move every value towards the mean of its channel."""
    (factor,) = setting.constants
    means: Image = image.mean(axis=(0, 1), keepdims=True)
    return (image - means) * factor + means


def _ratio(above: Image, below: Image) -> Image:
    """Return a quotient in the shape of ``above``, 0 where the divisor is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
