"""The mean of models under their orders, formed one tensor at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..groups import Groups
from .moving import moved, on_tensor
from .readers import Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..permutations import Orders

    Numbers = NDArray[np.floating[Any]]


class MeanReader:
    """Reads a tensor of every model and averages.

    Args:
        parts: Models, and the orders that they are in.
        groups: What the orders belong to.
    """

    def __init__(self, parts: Sequence[tuple[Reader, Orders]], groups: Groups) -> None:
        self.where = "the mean of the other models"
        shared = set[str].intersection(*(set(reader.shapes) for reader, _ in parts))
        self.shapes: Mapping[str, tuple[int, ...]] = {
            name: shape for name, shape in parts[0][0].shapes.items() if name in shared
        }
        self._parts, self._groups = parts, groups

    def read(self, name: str) -> Numbers:
        """Return the mean of a tensor. Raises MergeError where one of them cannot be read."""
        import numpy as np

        here = on_tensor(self._groups, name)
        total: Any = 0.0
        for reader, orders in self._parts:
            total = total + moved(reader.read(name), name, here, orders)
        mean: Numbers = np.asarray(total / len(self._parts))
        return mean
