"""Stored arrays ▸ images with their channels first, and class numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHANNEL_COUNTS = (1, 3, 4)
LARGEST_FLOAT = 8  # bytes; torch has no longer ones
NO_LABEL = -1  # in place of a class number, in data without labels


def channels_first(images: NDArray[Any], where: str) -> NDArray[Any]:
    """Return images [n, channels, height, width] from NHW, NHWC or NCHW.

    Raises:
        UsageError: They have another shape or no pixels, or are neither uint8 nor floating of 16 to 64 bits.
    """
    import numpy as np

    if images.dtype != np.uint8 and (images.dtype.kind != "f" or images.itemsize > LARGEST_FLOAT):
        what = f"images are {images.dtype}; uint8 (0 to 255) or floating of 16, 32 or 64 bits is expected"
        raise UsageError(what, where=where)
    if 0 in images.shape[1:]:
        raise UsageError(f"images have shape {list(images.shape)}, so they have no pixels", where=where)
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[3] in CHANNEL_COUNTS:
        return np.moveaxis(images, 3, 1)
    if images.ndim == 4 and images.shape[1] in CHANNEL_COUNTS:
        return images
    what = f"images have shape {list(images.shape)}; NHW, NHWC or NCHW with 1, 3 or 4 channels is expected"
    raise UsageError(what, where=where)


def class_numbers(labels: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Return labels [n] from [n] or [n, 1].

    Raises:
        UsageError: They are not whole numbers from 0 that 64 bits hold with a sign, one an image.
    """
    import numpy as np

    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1:
        raise UsageError(f"labels have shape {list(labels.shape)}; one per image is expected", where=where)
    if flat.dtype.kind not in "iu":
        raise UsageError(f"labels are {flat.dtype}; class numbers from 0 are expected", where=where)
    if len(flat) and flat.min() < 0:
        raise UsageError(f"a label is {flat.min()}; class numbers from 0 are expected", where=where)
    if len(flat) and flat.max() > (most := np.iinfo(np.int64).max):
        raise UsageError(f"a label is {flat.max()}; class numbers up to {most} are expected", where=where)
    return flat.astype(np.int64)


def no_labels(n: int) -> NDArray[np.int64]:
    """Return what stands in place of the labels [n] of data that has none."""
    import numpy as np

    return np.full(n, NO_LABEL, np.int64)
