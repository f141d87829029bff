"""A corruption laid over images: the same corrupted images for all models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .cached import Cached
from .image_set import ArrayImages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data_source import Corruption
    from ..image_format import ImageFormat
    from .image_set import ImageSet, Items


def corrupted(images: ImageSet, corruption: Corruption, *, seed: int, where: str) -> ImageSet:
    """Return the images under a corruption, each corrupted once for all models where they fit in memory.

    Raises:
        UsageError: Stored arrays cannot be corrupted: neither uint8 nor in [0, 1], or not of 1 or 3 channels.
    """
    if isinstance(images, ArrayImages):
        _check(images.images, where)
    return Cached(CorruptedImages(images, corruption, seed, where))


def _check(images: NDArray[Any], where: str) -> None:
    from ..corruptions.apply import check_images

    try:
        check_images(images)
    except UsageError as error:
        raise UsageError(error.what, where=where, hint=error.hint) from None


@dataclass(frozen=True)
class CorruptedImages:
    """Images that are corrupted when they are asked for.

    Encoded images are corrupted at the size that the model takes, after they were resized and cropped, as ImageNet-C
    was made; stored arrays at the size in which they are stored.
    """

    images: ImageSet
    corruption: Corruption
    seed: int
    where: str = field(compare=False)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers [n]."""
        return self.images.labels

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes."""
        return self.images.classes

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the data."""
        return self.images.notes

    def __len__(self) -> int:
        return len(self.images)

    def shape(self, expected: ImageFormat) -> tuple[int, int, int]:
        """Return channels, height and width, which no corruption changes."""
        return self.images.shape(expected)

    def pixels(self, items: Items, expected: ImageFormat) -> NDArray[Any]:
        """Return corrupted images [items, channels, height, width].

        Raises:
            UsageError: The model takes images that are too small to corrupt.
        """
        clean = self.images.pixels(items, expected)
        try:
            if isinstance(items, range) and items.step == 1:
                return self._corrupt(clean, items.start)
            return self._one_by_one(clean, items)
        except UsageError as error:
            raise UsageError(error.what, where=self.where, hint=error.hint) from None

    def _one_by_one(self, clean: NDArray[Any], items: Items) -> NDArray[Any]:
        """Corrupt images whose numbers do not follow one another."""
        import numpy as np

        result = np.empty_like(clean)
        for place, item in enumerate(items):
            result[place] = self._corrupt(clean[place : place + 1], int(item))[0]
        return result

    def _corrupt(self, clean: NDArray[Any], first: int) -> NDArray[Any]:
        from ..corruptions import corrupt

        name, severity = self.corruption.name, self.corruption.severity
        return corrupt(clean, name, severity, seed=self.seed, first=first)
