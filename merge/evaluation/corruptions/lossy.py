"""What is lost by storing an image small: resolution, or precision by JPEG. Both work on 256 levels, by Pillow."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from .filters import rounded_bytes
from .setting import Image, Setting

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def pixelate(image: Image, setting: Setting) -> Image:
    """Scale down and up again, both by the mean over the pixels covered."""
    from PIL.Image import Resampling

    (kept,) = setting.constants
    height, width, _ = image.shape
    small = _picture(image).resize((int(width * kept), int(height * kept)), Resampling.BOX)
    return _array(small.resize((width, height), Resampling.BOX), image)


def jpeg_compression(image: Image, setting: Setting) -> Image:
    """Store as JPEG of low quality (colors at half the resolution, Pillow's default) and read back."""
    from PIL.Image import open as open_picture

    (quality,) = setting.constants
    stored = BytesIO()
    _picture(image).save(stored, "JPEG", quality=int(quality))
    return _array(open_picture(stored), image)


def _picture(image: Image) -> Picture:
    from PIL.Image import fromarray

    levels = rounded_bytes(image)
    return fromarray(levels[:, :, 0] if levels.shape[-1] == 1 else levels)


def _array(picture: Picture, like: Image) -> Image:
    return np.asarray(picture, np.float64).reshape(like.shape) / 255
