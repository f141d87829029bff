"""Noise that is drawn for every value on its own, so that the channels of a pixel differ."""

from __future__ import annotations

import numpy as np

from .setting import Image, Setting


def gaussian_noise(image: Image, setting: Setting) -> Image:
    """Add normal noise."""
    (deviation,) = setting.constants
    return image + setting.generator.normal(scale=deviation, size=image.shape)


def shot_noise(image: Image, setting: Setting) -> Image:
    """Count photons: a Poisson number whose mean is the brightness, at so many photons for white."""
    (photons,) = setting.constants
    return setting.generator.poisson(image * photons) / photons


def impulse_noise(image: Image, setting: Setting) -> Image:
    """Replace a share of the values by black or white, as often one as the other."""
    (share,) = setting.constants
    replaced = setting.generator.random(image.shape) <= share
    white = setting.generator.random(image.shape) <= 0.5
    return np.where(replaced, white, image)


def speckle_noise(image: Image, setting: Setting) -> Image:
    """Add normal noise in proportion to the brightness."""
    (deviation,) = setting.constants
    return image + image * setting.generator.normal(scale=deviation, size=image.shape)
