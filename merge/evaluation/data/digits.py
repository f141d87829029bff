"""The handwritten digits that come with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import UsageError, suggest
from .image_set import ArrayImages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..data_source import DataSource

HELD_OUT = 0.3
HALVES = ("select", "report")  # of the test split: what a soup is selected on must not be what it is reported on
SPLITS = ("train", "test", *HALVES)


def load(source: DataSource) -> ArrayImages:
    """Load the split that a benchmark names."""
    return load_digits(source.split, where=source.where)


def load_digits(split: str, *, where: str = "builtin:digits") -> ArrayImages:
    """Return scikit-learn's digits: float32 images [n, 1, 8, 8] in [0, 1]; 1257 for training, 540 held out.

    The split is stratified by class and drawn with seed 0, so that it is the same for everyone. So are the two halves
    of the held-out images, 270 to select on and 270 to report on.

    Raises:
        UsageError: There is no such split.
    """
    import numpy as np
    from sklearn.datasets import load_digits as load

    if split not in SPLITS:
        hint = suggest(split, SPLITS) or f"there are {', '.join(SPLITS)}"
        raise UsageError(f"the digits have no split '{split}'", where=where, hint=hint)
    pixels, labels = load(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    train, test = _parts(images, labels, HELD_OUT)
    images, labels = train if split == "train" else test
    if split in HALVES:
        images, labels = _parts(images, labels, 0.5)[HALVES.index(split)]
    return ArrayImages(images, labels.astype(np.int64), tuple(map(str, range(10))))


def _parts(images: NDArray[Any], labels: NDArray[Any], share: float) -> tuple[tuple[NDArray[Any], NDArray[Any]], ...]:
    """Split images and labels in two, stratified by class; ``share`` is that of the second part."""
    from sklearn.model_selection import train_test_split

    first, second, labels_of_first, labels_of_second = train_test_split(
        images, labels, test_size=share, stratify=labels, random_state=0
    )
    return (first, labels_of_first), (second, labels_of_second)
