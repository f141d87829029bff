"""What a task consumes: labelled images whose pixels are asked for when a model needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..image_format import ImageFormat

    Items: TypeAlias = range | NDArray[np.int64]


class ImageSet(Protocol):
    """Labelled images.

    Attributes:
        labels: Class numbers [n].
        classes: Names of the classes in the order of their numbers, or None where the data has no names.
        notes: What a reader of the results must know of the data, such as images left out.
    """

    @property
    def labels(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def classes(self) -> tuple[str, ...] | None: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102

    def __len__(self) -> int: ...

    def shape(self, expected: ImageFormat) -> tuple[int, int, int]:
        """Return channels, height and width of what ``pixels`` gives for a model.

        Raises:
            UsageError: The images cannot be brought into such a format.
        """

    def pixels(self, items: Items, expected: ImageFormat) -> NDArray[Any]:
        """Return images [items, channels, height, width], uint8, or floating as they were stored; not to be changed.

        Args:
            items: Which images: a range, or their numbers.
            expected: What the model takes. Stored arrays stay as they are; encoded images are resized and cropped.

        Raises:
            MergeError: An image cannot be read; names it.
            UsageError: The images cannot be brought into such a format.
        """


@dataclass(frozen=True)
class ArrayImages:
    """Images [n, channels, height, width] in memory, uint8 or floating as they were stored, and their labels [n]."""

    images: NDArray[Any]
    labels: NDArray[np.int64]
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def shape(self, expected: ImageFormat) -> tuple[int, int, int]:
        """Return their own shape, whatever is expected."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def pixels(self, items: Items, expected: ImageFormat) -> NDArray[Any]:
        """Return images as they are; a range is not copied."""
        if isinstance(items, range):
            return self.images[items.start : items.stop : items.step]
        return self.images[items]
