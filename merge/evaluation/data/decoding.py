"""Bytes of an image file ▸ pixels of the size that a model takes, as CLIP prepares its images."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from ..resizing import Resizing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

COLOUR = 3
MODES = {1: "L", COLOUR: "RGB"}  # channels ▸ Pillow's name
EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")


class BrokenImage(Exception):  # noqa: N818 -- caught within this package, which turns it into a MergeError
    """An image cannot be read; the text says why."""


def decode(data: bytes, channels: int, size: tuple[int, int], resizing: Resizing) -> NDArray[np.uint8]:
    """Return pixels [channels, height, width].

    In this order: to RGB or grey, resized so that it just covers the frame, and the middle cropped. At the default
    ``resizing`` this is what open_clip and transformers do for CLIP before they scale to [0, 1] and normalize.

    Args:
        data: A file of any format that Pillow reads.
        channels: 3 for RGB, 1 for grey.
        size: Height and width of the result.
        resizing: Interpolation, and how much of the frame is cropped.

    Raises:
        BrokenImage: The bytes are no whole image of 8 bits a channel.
    """
    import numpy as np

    image = _open(data).convert(MODES[channels])
    pixels = np.asarray(fit(image, size, resizing))
    return pixels[None] if channels == 1 else np.moveaxis(pixels, 2, 0)


def check(data: bytes) -> None:
    """Raise BrokenImage unless all pixels can be read."""
    _open(data)


def _open(data: bytes) -> Image:
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:  # damaged bytes end in OSError, SyntaxError, struct.error and more inside the decoders
        reason = str(error).partition("\n")[0].partition(" <_io")[0] or type(error).__name__
        raise BrokenImage(reason) from None
    if image.mode not in EIGHT_BITS:
        raise BrokenImage(f"its pixels are of Pillow's type {image.mode}; 8 bits a channel are expected")
    return image


def fit(image: Image, size: tuple[int, int], resizing: Resizing) -> Image:
    """Return an image that was resized to just cover a frame, and cropped to this height and width."""
    from PIL.Image import Resampling

    height, width = size
    frame = math.floor(height / resizing.crop), math.floor(width / resizing.crop)
    resized = image.resize(_covering(image.size, frame), Resampling[resizing.interpolation.upper()])
    # Rounded as torchvision's CenterCrop does: a half goes to the even number.
    left, top = round((resized.width - width) / 2), round((resized.height - height) / 2)
    return resized.crop((left, top, left + width, top + height))


def _covering(image: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of an image [width, height] that just covers a frame [height, width].

    The other side is rounded down, as torchvision's Resize does.
    """
    width, height = image
    if frame[0] * width >= frame[1] * height:
        return max(frame[1], int(frame[0] * width / height)), frame[0]
    return frame[1], max(frame[0], int(frame[1] * height / width))
