"""The plain weights of a wide network: averages where units are merged, the members' own numbers elsewhere."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .splits import Entries

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]


def combine(axes: Sequence[Entries], reads: int | None, first: Numbers, second: Numbers) -> Numbers:
    """Return a tensor of the wide network as it is without least squares.

    An entry stands for those models that have all that the tensor writes there: it is the mean of theirs. What a model
    does not read is 0. So an entry that one model has alone is that model's, bit for bit.

    Args:
        axes: What the entries of each axis of the wide tensor stand for.
        reads: The axis on which it is multiplied; None: all axes are written.
        first: The tensor in the first model.
        second: In the second.
    """
    import numpy as np

    one, other = (taken(array, [entries[model] for entries in axes]) for model, array in enumerate((first, second)))
    here, there = (present(axes, model) for model in (0, 1))
    writers = sum(present(axes, model, reads).astype(one.dtype) for model in (0, 1))
    share = one.dtype.type(1) / np.maximum(writers, 1)
    one, other = one * share, other * share
    nothing = np.zeros((), one.dtype)
    return np.where(here & there, one + other, np.where(here, one, np.where(there, other, nothing)))


def taken(array: Numbers, indices: Sequence[NDArray[np.int64]]) -> Numbers:
    """Gather along every axis; what is absent holds any number."""
    import numpy as np

    for axis, index in enumerate(indices):
        if not np.array_equal(index, np.arange(array.shape[axis])):
            array = np.take(array, index, axis=axis, mode="clip")
    return array


def present(axes: Sequence[Entries], model: int, without: int | None = None) -> NDArray[np.bool_]:
    """Tell which entries a model has, in a shape that fits the tensor's; one axis may be left out of account."""
    import numpy as np

    rank = len(axes)
    marks = [
        entries.has(model).reshape([-1 if place == axis else 1 for place in range(rank)])
        for axis, entries in enumerate(axes)
        if axis != without
    ]
    return functools.reduce(operator.and_, marks, np.ones((1,) * rank, dtype=bool))
