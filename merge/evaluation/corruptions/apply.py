"""Corrupt a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError, suggest
from . import blur, color, elastic, glass, lossy, motion, noise, weather, zoom
from .filters import truncated_bytes
from .setting import Image, Setting, setting

SEVERITIES = (1, 2, 3, 4, 5)
LEAST_SIDE = 8  # pixels; below, hardly anything of a picture is left to corrupt

CORRUPTIONS: Mapping[str, Callable[[Image, Setting], Image]] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "speckle_noise": noise.speckle_noise,
    "gaussian_blur": blur.gaussian_blur,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": glass.glass_blur,
    "motion_blur": motion.motion_blur,
    "zoom_blur": zoom.zoom_blur,
    "snow": weather.snow,
    "fog": weather.fog,
    "brightness": color.brightness,
    "contrast": color.contrast,
    "saturate": color.saturate,
    "elastic_transform": elastic.elastic_transform,
    "pixelate": lossy.pixelate,
    "jpeg_compression": lossy.jpeg_compression,
}
NAMES: tuple[str, ...] = tuple(CORRUPTIONS)


def corrupt(images: NDArray[Any], name: str, severity: int, *, seed: int, first: int = 0) -> NDArray[Any]:
    """Return corrupted images of the same shape and dtype.

    All is computed in float64 and clipped to [0, 1] at the end. What is stored as uint8 is truncated, not rounded, as
    in the published program. How the published constants are carried over to other sizes: ``setting.Setting``. The
    same seed gives the same images as long as numpy's ``Generator`` draws the same numbers, which numpy may change in a
    new version (NEP 19).

    Args:
        images: [n, channels, height, width]; 1 or 3 channels (red, green, blue), 8x8 pixels or more; uint8, or
            floats in [0, 1].
        name: One of ``NAMES``.
        severity: 1 to 5.
        seed: Together with the name, the severity and the number of the image it decides every random number.
        first: Number of the first image within its data set, so that no image depends on how a set is cut in batches.

    Raises:
        UsageError: Unknown name or severity, or images of another shape, dtype or range.
    """
    _check_request(name, severity)
    check_images(images)
    result = np.empty(images.shape, images.dtype)
    for number, image in enumerate(images):
        its_setting = setting(name, int(severity), min(image.shape[1:]), seed=seed, index=first + number)
        corrupted = CORRUPTIONS[name](_pixels(image), its_setting)
        result[number] = np.moveaxis(_stored(corrupted, images.dtype), -1, 0)
    return result


def _check_request(name: str, severity: int) -> None:
    if name not in CORRUPTIONS:
        raise UsageError(f"no corruption '{name}'", hint=suggest(name, NAMES) or f"known: {', '.join(NAMES)}")
    if severity not in SEVERITIES:
        raise UsageError(f"no severity {severity}", hint="1 is the mildest, 5 the most severe")


def check_images(images: NDArray[Any]) -> None:
    """Raise UsageError unless these can be corrupted: their shape, dtype and range are as ``corrupt`` says."""
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        what = f"images to corrupt are [n, channels, height, width] with 1 or 3 channels, not {list(images.shape)}"
        raise UsageError(what, hint="move the axes, or convert to RGB")
    if min(images.shape[2:]) < LEAST_SIDE:
        what = f"images of {images.shape[2]}x{images.shape[3]} pixels are too small to corrupt"
        raise UsageError(what, hint=f"{LEAST_SIDE}x{LEAST_SIDE} or more")
    if images.dtype != np.uint8 and not _within_one(images):
        what = f"images to corrupt are uint8, or floats from 0 to 1; these are {_range(images)}"
        raise UsageError(what, hint="corrupt before normalizing; divide floats by their largest possible value")


def _within_one(images: NDArray[Any]) -> bool:
    """Return whether these are floats in [0, 1]; NaN is not."""
    if not np.issubdtype(images.dtype, np.floating):
        return False
    return images.size == 0 or bool(images.min() >= 0 and images.max() <= 1)


def _range(images: NDArray[Any]) -> str:
    return f"{images.dtype} from {images.min()} to {images.max()}" if images.size else str(images.dtype)


def _pixels(image: NDArray[Any]) -> Image:
    """Return [channels, height, width] as stored as [height, width, channels] in [0, 1]."""
    pixels = np.moveaxis(image, 0, -1).astype(np.float64)
    return pixels / 255 if image.dtype == np.uint8 else pixels


def _stored(pixels: Image, dtype: np.dtype[Any]) -> NDArray[Any]:
    return truncated_bytes(pixels) if dtype == np.uint8 else np.clip(pixels, 0, 1).astype(dtype)
