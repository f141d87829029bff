"""Images that were drawn, in batches of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...evaluation.data.arrays import NO_LABEL
from ..subject import Batch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...evaluation.data.image_set import ImageSet, Items
    from ...evaluation.image_format import ImageFormat
    from ...evaluation.images import Normalization


@dataclass(frozen=True)
class Selection:
    """Some images of a set, in an order of their own."""

    images: ImageSet
    items: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers [n]."""
        return self.images.labels[self.items]

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes."""
        return self.images.classes

    def __len__(self) -> int:
        return len(self.items)

    def shape(self, expected: ImageFormat) -> tuple[int, int, int]:
        """Return channels, height and width of what ``pixels`` gives."""
        return self.images.shape(expected)

    def pixels(self, items: Items, expected: ImageFormat) -> NDArray[Any]:
        """Return images [items, channels, height, width]."""
        import numpy as np

        return self.images.pixels(self.items[np.asarray(items, np.int64)], expected)


@dataclass
class ImageSample:
    """The images that were drawn, prepared for one model."""

    images: Selection
    normalization: Normalization
    expects: ImageFormat
    about: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the images in order, from the item ``first`` on; the next ones are decoded meanwhile."""
        import torch

        from ...evaluation.images import batches

        if first >= len(self):
            return
        rest = replace(self.images, items=self.images.items[first:])
        labels = torch.from_numpy(rest.labels)
        known = bool((labels != NO_LABEL).all())
        start = 0
        for pixels in batches(rest, self.normalization, self.expects, size):
            rows = slice(start, start + len(pixels))
            yield Batch({"pixels": pixels}, labels[rows] if known else None, {})
            start += len(pixels)
