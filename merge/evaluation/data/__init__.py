"""Labelled images from wherever they lie: arrays in memory, or encoded images that are decoded when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .digits import load_digits

if TYPE_CHECKING:
    from ..data_source import DataSource
    from ..task import Settings
    from .image_set import ImageSet

__all__ = ["load_digits", "load_images"]

LOADERS = {"digits": "digits", "npz": "npz", "medmnist": "npz", "medimeta": "medimeta_images", "folder": "folders"}
LOADERS |= dict.fromkeys(("saved", "parquet", "hub"), "tables")
LEAST = 2  # an interval needs two items


def load_images(source: DataSource, settings: Settings | None = None) -> ImageSet:
    """Load one split, with its corruption laid over it.

    Args:
        source: Where the images are.
        settings: Whether to leave out broken images, and the seed of corruptions.

    Raises:
        UsageError: The data is not what the benchmark says.
        MergeError: It cannot be read.
    """
    from ..data_source import PublishedCorruption
    from ..task import Settings

    settings = settings or Settings()
    if isinstance(source.corruption, PublishedCorruption):
        from .medmnist_c import load

        return load(source)
    images = source.shared.get(lambda: _load(source, settings)) if source.shared else _load(source, settings)
    if source.corruption is None:
        return images
    from .corrupted import corrupted

    return corrupted(images, source.corruption, seed=settings.seed, where=source.where)


def _load(source: DataSource, settings: Settings) -> ImageSet:
    from ...errors import UsageError
    from .cached import Cached
    from .encoded import EncodedImages, without_broken

    images: ImageSet = import_module(f"{__name__}.{LOADERS[source.form]}").load(source)
    if isinstance(images, EncodedImages):
        images = Cached(without_broken(images) if settings.skip_broken else images)
    if len(images) < LEAST and source.needs_labels:
        raise UsageError(f"{len(images)} images are too few: an interval needs at least {LEAST}", where=source.where)
    if not len(images):
        raise UsageError("there is no image", where=source.where)
    return images
