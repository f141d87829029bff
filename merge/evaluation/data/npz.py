"""Labelled images: from an npz file, or the handwritten digits that come with scikit-learn."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, suggest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .data_source import DataSource

CHANNEL_COUNTS = (1, 3, 4)
DIGITS_HELD_OUT = 0.3


@dataclass(frozen=True)
class LabelledImages:
    """Images [n, channels, height, width], uint8 or floating as they were stored, and their labels [n]."""

    images: NDArray[Any]
    labels: NDArray[np.int64]


def load_images(source: DataSource) -> LabelledImages:
    """Load one split.

    Raises:
        UsageError: The file or an array in it is not what the benchmark says.
    """
    if source.path is None:
        return load_digits(source.split, where=source.where)
    arrays = _read_npz(source.path, source)
    images = _channels_first(arrays[0], source)
    labels = _class_numbers(arrays[1], source)
    if len(images) != len(labels):
        raise UsageError(f"{len(images)} images but {len(labels)} labels", where=source.where)
    if len(images) < 2:
        raise UsageError(f"{len(images)} images are too few: an interval needs at least 2", where=source.where)
    return LabelledImages(images, labels)


def load_digits(split: str, *, where: str = "builtin:digits") -> LabelledImages:
    """Return scikit-learn's digits: float32 images [n, 1, 8, 8] in [0, 1]; 1257 for training, 540 held out.

    The split is stratified by class and drawn with seed 0, so that it is the same for everyone.

    Raises:
        UsageError: The split is neither ``train`` nor ``test``.
    """
    import numpy as np
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    if split not in ("train", "test"):
        raise UsageError(f"the digits have no split '{split}'", where=where, hint="there are train and test")
    pixels, labels = load(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    parts = train_test_split(images, labels, test_size=DIGITS_HELD_OUT, stratify=labels, random_state=0)
    side = 0 if split == "train" else 1
    return LabelledImages(parts[side], parts[2 + side].astype(np.int64))


def _read_npz(path: Path, source: DataSource) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UsageError(f"{path.name} is a single array; an npz file is expected", where=source.where)
        with archive:
            return _array(archive, source.images, source), _array(archive, source.labels, source)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"cannot read {path.name} as an npz file: {error}", where=source.where) from None


def _array(archive: Any, key: str, source: DataSource) -> NDArray[Any]:
    for name in (key, f"{source.split}_{key}"):
        if name in archive:
            array: NDArray[Any] = archive[name]
            return array
    what = f"no array '{key}' or '{source.split}_{key}'; there are: {', '.join(archive.files) or 'none'}"
    raise UsageError(what, where=source.where, hint=suggest(key, archive.files))


def _channels_first(images: NDArray[Any], source: DataSource) -> NDArray[Any]:
    import numpy as np

    if images.dtype != np.uint8 and images.dtype.kind != "f":
        what = f"images are {images.dtype}; uint8 (0 to 255) or floating is expected"
        raise UsageError(what, where=source.where)
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[3] in CHANNEL_COUNTS:
        return np.moveaxis(images, 3, 1)
    if images.ndim == 4 and images.shape[1] in CHANNEL_COUNTS:
        return images
    what = f"images have shape {list(images.shape)}; NHW, NHWC or NCHW with 1, 3 or 4 channels is expected"
    raise UsageError(what, where=source.where)


def _class_numbers(labels: NDArray[Any], source: DataSource) -> NDArray[np.int64]:
    import numpy as np

    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1:
        raise UsageError(f"labels have shape {list(labels.shape)}; one per image is expected", where=source.where)
    if flat.dtype.kind not in "iu":
        raise UsageError(f"labels are {flat.dtype}; class numbers from 0 are expected", where=source.where)
    if len(flat) and flat.min() < 0:
        raise UsageError(f"a label is {flat.min()}; class numbers from 0 are expected", where=source.where)
    return flat.astype(np.int64)
