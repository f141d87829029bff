"""The statistics of one family's units, and what they say of how alike these are."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from .judging import mean_cosine
from .moments import Moments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..groups import Groups
    from .families import Family
    from .spots import Target

    Doubles = NDArray[np.float64]
    Orders = Mapping[str, NDArray[np.int64]]


class UnitStatistics:
    """One family's.

    Units are summed over all places where they are read, each with means of its own, so that a residual stream counts
    with every layer. Places that tell other nested groups apart are kept apart.

    Args:
        device: Where to add up.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._moments: dict[tuple[str, ...], Moments] = {}
        self._sizes: dict[tuple[str, ...], tuple[int, ...]] = {}

    def add(self, target: Target, point: Hashable, first: Tensor, second: Tensor) -> None:
        """Add rows [rows, units that the target tells apart] of both models."""
        found = self._moments.get(target.inner)
        if found is None:
            found = self._moments[target.inner] = Moments(target.units, self._device)
            self._sizes[target.inner] = target.sizes
        found.add(point, first, second)

    def blocks(self, metric: str) -> dict[tuple[str, ...], Doubles]:
        """Return the similarities of all units in the form that `match_blocks` takes."""
        return {
            inner: (moments.correlation() if metric == "correlation" else moments.inner()).reshape(
                self._sizes[inner] * 2
            )
            for inner, moments in self._moments.items()
        }

    def matched(self, family: Family, orders: Orders, groups: Groups) -> dict[str, float | None]:
        """Return the mean correlation of matched units for each group that was seen."""
        import numpy as np

        found: dict[str, list[Doubles]] = {}
        for inner, moments in self._moments.items():
            units = self._matched_units(inner, family, orders)
            correlations = moments.correlation()[np.arange(len(units)), units]
            names = [name for name in family.names if name == family.name or name in inner]
            for name in names:
                found.setdefault(name, []).append(correlations)
        return {name: _mean(np.concatenate(parts)) for name, parts in found.items()}

    def similarity(self, order: NDArray[np.int64]) -> Doubles | None:
        """Return how alike matched units are, of a family without nested groups; None where its units were not seen.

        Args:
            order: [units], the order of its group.

        Returns:
            Correlations [units]; 1 for two units that never change, which are one unit as good as two.
        """
        import numpy as np

        moments = self._moments.get(())
        if moments is None:
            return None
        first, second = moments.constant()
        found: Doubles = moments.correlation()[np.arange(len(order)), order]
        return np.where(first & second[order], 1.0, found)

    def _matched_units(self, inner: tuple[str, ...], family: Family, orders: Orders) -> NDArray[np.int64]:
        """Return which unit of the moved model comes to each place, all nested groups together."""
        import numpy as np

        sizes = self._sizes[inner]
        found = np.arange(math.prod(sizes)).reshape(sizes)
        for head in range(sizes[0]):
            for position, name in enumerate(inner):
                found[head] = np.take(found[head], orders[name][head], axis=position)
        found = found[orders[family.name]] if family.moves else found
        return found.reshape(-1)


def _mean(correlations: Doubles) -> float | None:
    """Return the mean over units that are not dead."""
    import numpy as np

    alive = (correlations != 0).astype(np.float64)
    return mean_cosine(correlations, alive, alive)
