"""Images decoded or corrupted once for all models, where they fit in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..memory import free_memory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..image_format import ImageFormat
    from .image_set import ImageSet, Items

SHARE_OF_FREE_MEMORY = 4  # one quarter, so that a model and its merge still fit beside the images
ASSUMED_FREE = 4 << 30  # bytes, where the system does not say
Shape = tuple[int, int, int]


class Cached:
    """Another image set, whose pixels are kept once they were asked for.

    They are kept by the shape that a model takes, for as long as all of them fit in a quarter of the free memory;
    otherwise they are made anew in every pass.
    """

    def __init__(self, images: ImageSet) -> None:
        self.inner = images
        self._kept: dict[Shape, _Kept | None] = {}

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers [n]."""
        return self.inner.labels

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes."""
        return self.inner.classes

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the data."""
        return self.inner.notes

    def __len__(self) -> int:
        return len(self.inner)

    def shape(self, expected: ImageFormat) -> Shape:
        """Return channels, height and width of what ``pixels`` gives."""
        return self.inner.shape(expected)

    def pixels(self, items: Items, expected: ImageFormat) -> NDArray[Any]:
        """Return images [items, channels, height, width], made at most once if they are kept."""
        import numpy as np

        shape = self.shape(expected)
        if shape not in self._kept:
            return self._first(items, expected, shape)
        kept = self._kept[shape]
        if kept is None:
            return self.inner.pixels(items, expected)
        wanted = np.asarray(items, np.int64)
        missing = np.unique(wanted[~kept.present[wanted]])
        if missing.size:
            kept.put(missing, self.inner.pixels(missing, expected))
        return kept.get(items)

    def _first(self, items: Items, expected: ImageFormat, shape: Shape) -> NDArray[Any]:
        """Make the first images of a shape, whose type tells how much room all of them need."""
        import numpy as np

        pixels = self.inner.pixels(items, expected)
        room = free_memory() or ASSUMED_FREE
        fits = len(self) * int(np.prod(shape)) * pixels.itemsize <= room // SHARE_OF_FREE_MEMORY
        self._kept[shape] = _Kept(len(self), pixels) if fits else None
        if kept := self._kept[shape]:
            kept.put(np.asarray(items, np.int64), pixels)
        return pixels


class _Kept:
    """All images of one shape, of which some are present.

    Args:
        n: How many there are in all.
        like: Images of the same shape and type.
    """

    def __init__(self, n: int, like: NDArray[Any]) -> None:
        import numpy as np

        self.present = np.zeros(n, bool)
        self._pixels = np.empty((n, *like.shape[1:]), like.dtype)

    def put(self, items: NDArray[np.int64], pixels: NDArray[Any]) -> None:
        """Keep images [items, channels, height, width]."""
        self._pixels[items] = pixels
        self.present[items] = True

    def get(self, items: Items) -> NDArray[Any]:
        """Return images; a range is not copied."""
        return self._pixels[items.start : items.stop : items.step] if isinstance(items, range) else self._pixels[items]
