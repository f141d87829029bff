"""Which units of a group are merged and which stay apart, and where both come to lie in a wider network.

Of a group of n units of which k pairs stay apart, the wide network has n + k: the merged pairs in the first model's
order, then the first model's own units, then the second's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Units = NDArray[np.int64]

NONE = -1  # stands for no unit


class Entries(NamedTuple):
    """What each entry of an axis stands for.

    Attributes:
        first: Index on the first model's axis [entries]; `NONE` where it has nothing there.
        second: Index on the second model's axis [entries]; `NONE` where that has nothing there.
    """

    first: Units
    second: Units

    @property
    def merged(self) -> NDArray[np.bool_]:
        """Which entries stand for both models."""
        found: NDArray[np.bool_] = (self.first != NONE) & (self.second != NONE)
        return found

    def has(self, model: int) -> NDArray[np.bool_]:
        """Which entries stand for a model, 0 or 1, by itself or with the other."""
        found: NDArray[np.bool_] = self[model] != NONE
        return found


@dataclass(frozen=True, eq=False)
class Split:
    """How one group is split.

    Attributes:
        pairs: [merged, 2]: a unit of the first model, and the unit of the second that becomes one with it.
        first: The first model's own units.
        second: The second model's own units.
    """

    pairs: Units
    first: Units
    second: Units

    @property
    def size(self) -> int:
        """Number of units of the wide network."""
        return len(self.pairs) + len(self.first) + len(self.second)

    @property
    def entries(self) -> Entries:
        """What each unit of the wide network stands for."""
        import numpy as np

        none_first, none_second = np.full(len(self.second), NONE), np.full(len(self.first), NONE)
        return Entries(
            np.concatenate([self.pairs[:, 0], self.first, none_first]),
            np.concatenate([self.pairs[:, 1], none_second, self.second]),
        )


def split_pairs(order: Units, apart: NDArray[np.bool_]) -> Split:
    """Split a group.

    Args:
        order: [units]: ``order[i]`` is the second model's unit that matches the first model's unit i.
        apart: [units]: whether the pair of the first model's unit i stays apart.
    """
    import numpy as np

    units = np.arange(len(order))
    merged = np.stack([units[~apart], order[~apart]], axis=1)
    return Split(merged, units[apart], order[apart])


def side_by_side(first: int, second: int) -> Split:
    """Return the split in which everything stays apart: so many of the first model, then so many of the second."""
    import numpy as np

    return Split(np.empty((0, 2), np.int64), np.arange(first), np.arange(second))
