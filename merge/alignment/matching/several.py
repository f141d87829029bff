"""Three or more models under their orders: how alike all of them are, and how far each pair is apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from ..groups import Groups
from .moving import moved, on_tensor
from .pair import Pair
from .readers import Reader
from .surveying import followers, pieces, survey

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..permutations import Orders

    Numbers = NDArray[np.floating[Any]]


class Standing(NamedTuple):
    """How near several models are to one another.

    Attributes:
        objective: Sum over all pairs of models of the inner products of their tensors, BatchNorm's statistics left out.
        distance: Root mean square of the models' Euclidean distances to their mean, over the same tensors.
    """

    objective: float
    distance: float


@dataclass(frozen=True)
class Several:
    """Models of one architecture.

    Attributes:
        readers: The models.
        groups: Which axes carry the same units.
        tied: Tensors that are other names of one that counts already.
    """

    readers: Sequence[Reader]
    groups: Groups
    tied: frozenset[str] = frozenset()

    @classmethod
    def of(cls, readers: Sequence[Reader], groups: Groups) -> Several:
        """Look for tied tensors, in the first two models. Raises MergeError where a tensor cannot be read."""
        return cls(readers, groups, survey(Pair(readers[0], readers[1]), groups, {}, find_tied=True).tied)

    def standing(self, orders: Sequence[Orders]) -> Standing:
        """Read every tensor of all models once.

        Raises:
            MergeError: A tensor cannot be read, or holds NaN or infinities.
        """
        import numpy as np

        objective, spread, silent = 0.0, 0.0, followers(self.groups)
        for name in self._names():
            for rows in () if name in silent else self._pieces(name, orders):
                total = rows.sum(axis=0)
                objective += (float(total @ total) - float(np.vdot(rows, rows))) / 2
                rows -= total / len(rows)
                spread += float(np.vdot(rows, rows))
        return Standing(objective, math.sqrt(spread / len(self.readers)))

    def distances(self, orders: Sequence[Orders]) -> list[list[float]]:
        """Return the Euclidean distance of every pair of models over all tensors, as a symmetric matrix.

        Raises:
            MergeError: A tensor cannot be read, or holds NaN or infinities.
        """
        import numpy as np

        squares = np.zeros((len(self.readers),) * 2)
        for name in self._names():
            for rows in self._pieces(name, orders):
                for one, other in combinations(range(len(rows)), 2):
                    difference = rows[one] - rows[other]
                    squares[one, other] += difference @ difference
        found: list[list[float]] = np.sqrt(squares + squares.T).tolist()
        return found

    def moved(self, name: str, orders: Sequence[Orders]) -> list[Numbers]:
        """Return a tensor of every model in its order. Raises MergeError where one cannot be read."""
        here = on_tensor(self.groups, name)
        return [moved(reader.read(name), name, here, own) for reader, own in zip(self.readers, orders, strict=True)]

    def _pieces(self, name: str, orders: Sequence[Orders]) -> Iterator[NDArray[np.float64]]:
        """Yield pieces of a tensor of all models, [models, numbers] in float64."""
        import numpy as np

        flat = [array.reshape(-1) for array in self.moved(name, orders)]
        for piece in pieces(len(flat[0])):
            yield np.stack([array[piece] for array in flat], dtype=np.float64)

    def _names(self) -> Iterator[str]:
        """Yield the tensors that all models have in the same shape, of tied ones the first."""
        first, *others = (reader.shapes for reader in self.readers)
        for name, shape in first.items():
            if name not in self.tied and all(tuple(other.get(name, (-1,))) == tuple(shape) for other in others):
                yield name
