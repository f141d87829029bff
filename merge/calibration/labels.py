"""Labels of data, checked against the classes of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

    from .subject import Subject


def check_labels(labels: Tensor, classes: int, subject: Subject, first: int) -> None:
    """Refuse labels that are no classes of a model.

    Args:
        labels: Class numbers [items, positions].
        classes: How many the model has.
        subject: The model.
        first: Number of the first of these items in the sample.

    Raises:
        MergeError: Names the item.
    """
    outside = ((labels < 0) | (labels >= classes)).nonzero()
    if len(outside):
        row, position = outside[0].tolist()
        what = f"item {first + row} of the data has the label {int(labels[row, position])}"
        raise MergeError(f"{what}, and the model has {classes} classes, from 0", where=subject.name)
