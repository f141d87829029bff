"""Samples in a few clusters, each of which is served by one merge a batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Clusters:
    """Samples in clusters, which are numbered by their means, lowest first; none is empty.

    Attributes:
        labels: The cluster of every sample [n].
        means: The mean of each cluster's Beta distribution [clusters]: the coefficient of its merges.
    """

    labels: NDArray[np.int64]
    means: NDArray[np.float64]

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """The coefficient of every sample's merge [n]."""
        return self.means[self.labels]

    def merges(self, batch_size: int) -> Iterator[tuple[float, NDArray[np.int64]]]:
        """Yield every merge, batch after batch: its coefficient, and the numbers of the samples that it serves.

        Raises:
            UsageError: The batch size is below 1.
        """
        import numpy as np

        if batch_size < 1:
            raise UsageError(f"a batch has at least one sample, not {batch_size}")
        for start in range(0, len(self.labels), batch_size):
            of_batch = self.labels[start : start + batch_size]
            for label in np.unique(of_batch):
                yield float(self.means[label]), start + np.flatnonzero(of_batch == label)
