"""A digest of the images that were drawn: of what is stored, before a model's own resizing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

from ...errors import MergeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...evaluation.data.image_set import ImageSet
    from ...evaluation.data_source import DataSource
    from .image_sample import Selection


def images_digest(chosen: Selection, source: DataSource) -> str:
    """Return the XXH3-128 digest over images and labels in their order, and over the corruption laid over them.

    Raises:
        MergeError: An image cannot be read; names it.
    """
    found = xxhash.xxh3_128()
    images, corruption = _stored(chosen.images)
    if corruption and source.corruption:
        found.update(f"{source.corruption.name} {source.corruption.severity}\n".encode())
    for content in _contents(images, chosen):
        found.update(xxhash.xxh3_128_digest(content))
    found.update(chosen.labels.tobytes())
    return found.hexdigest()


def _stored(images: ImageSet) -> tuple[ImageSet, bool]:
    """Return the images below a cache and a corruption, and whether there is one."""
    from ...evaluation.data.cached import Cached
    from ...evaluation.data.corrupted import CorruptedImages

    corrupted = False
    while isinstance(images, Cached | CorruptedImages):
        corrupted |= isinstance(images, CorruptedImages)
        images = images.inner if isinstance(images, Cached) else images.images
    return images, corrupted


def _contents(images: ImageSet, chosen: Selection) -> Iterator[bytes]:
    import numpy as np

    from ...evaluation.data.decoding import BrokenImage
    from ...evaluation.data.encoded import EncodedImages
    from ...evaluation.image_format import ImageFormat

    for item in chosen.items:
        number = int(item)
        if not isinstance(images, EncodedImages):
            pixels = images.pixels(np.array([number]), ImageFormat(None, None))
            yield f"{pixels.dtype} {pixels.shape}\n".encode() + pixels.tobytes()
            continue
        try:
            yield images.file(number)
        except BrokenImage as error:
            hint = "--skip-broken leaves such images out, and counts them"
            raise MergeError(f"the image cannot be read: {error}", where=images.name(number), hint=hint) from None
