"""Images told apart by their content, in whatever form they are stored, so that data sets can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .image_set import ImageSet

BATCH = 256
SIDE = 32  # all images are brought to this size; enough to tell photographs apart


def image_digests(images: ImageSet) -> set[bytes]:
    """Return a digest of every image, without its label.

    An image is the same as an array, as floats in [0, 1], as a file, in grey or with three equal channels, and under a
    corruption: images are compared as colours of 8 bits, shrunk or enlarged to one size.
    """
    return {xxhash.xxh3_128_digest(image.tobytes()) for image in _small(_plain(images))}


def _plain(images: ImageSet) -> ImageSet:
    """Return the images below a corruption and a cache."""
    from .cached import Cached
    from .corrupted import CorruptedImages

    while isinstance(images, Cached | CorruptedImages):
        images = images.inner if isinstance(images, Cached) else images.images
    return images


def _small(images: ImageSet) -> Iterator[NDArray[Any]]:
    """Yield every image as uint8 [32, 32, 3]."""
    import numpy as np

    from ..image_format import ImageFormat
    from .image_set import ArrayImages

    for first in range(0, len(images), BATCH):
        part = range(first, min(first + BATCH, len(images)))
        for pixels in images.pixels(part, ImageFormat(3, (SIDE, SIDE))):
            image = np.moveaxis(pixels, 0, 2)
            yield _resized(_colours(image)) if isinstance(images, ArrayImages) else image


def _colours(image: NDArray[Any]) -> NDArray[Any]:
    """Return an array as a file would have it: uint8, three channels."""
    import numpy as np

    if image.dtype != np.uint8:
        scaled = image * 255 if image.min() >= 0 and image.max() <= 1 else image
        image = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)


def _resized(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image as decoding would bring it to this size."""
    import numpy as np
    from PIL import Image

    from ..resizing import Resizing
    from .decoding import fit

    return np.asarray(fit(Image.fromarray(np.ascontiguousarray(image)), (SIDE, SIDE), Resizing()))
