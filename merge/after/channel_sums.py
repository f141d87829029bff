"""Mean and variance of every channel over all data, in float64 and in one pass.

Batches are merged by the update of Chan, Golub and LeVeque 1979, so the outcome does not depend on how the data was cut
into batches, up to the rounding of float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from ..errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor


MOST_AT_ONCE = 1 << 21  # entries


@dataclass(frozen=True)
class Moments:
    """What is known of the channels of one layer.

    Attributes:
        count: Values per channel.
        mean: [channels], float64.
        squares: Sum of squared distances from the mean [channels], float64.
    """

    count: int
    mean: Tensor
    squares: Tensor

    @property
    def variance(self) -> Tensor:
        """The unbiased variance [channels], as torch's BatchNorm keeps it; 0 of a single value."""
        return self.squares / max(self.count - 1, 1)

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both together."""
        count = self.count + other.count
        if not count:
            return self
        distance = other.mean - self.mean
        mean = self.mean + distance * (other.count / count)
        squares = self.squares + other.squares + distance.square() * (self.count * other.count / count)
        return Moments(count, mean, squares)


def moments_of(rows: Tensor) -> Moments:
    """Return the moments of rows [values, channels] of any floating type.

    Rows become float64 a part at a time: those of a first convolution may be hundreds of megabytes.
    """
    import torch

    parts = torch.split(rows, max(1, MOST_AT_ONCE // rows.shape[1]))
    return reduce(Moments.merged, map(_moments_of_part, parts))


def _moments_of_part(rows: Tensor) -> Moments:
    rows = rows.double()
    mean = rows.mean(0)
    return Moments(len(rows), mean, (rows - mean).square().sum(0))


class ChannelSums:
    """Moments by the name of the layer.

    Args:
        where: The model, for messages.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self.moments: dict[str, Moments] = {}

    def add(self, name: str, rows: Tensor) -> Moments | None:
        """Add values [values, channels] and return the moments of these alone; None where there are none.

        Raises:
            MergeError: They are not finite.
        """
        if not len(rows):
            return None
        found = moments_of(rows)
        if not found.squares.isfinite().all():
            hint = "the model, or its data, holds numbers that are too large, or none"
            raise MergeError(f"the activations at '{name}' are not finite", where=self._where, hint=hint)
        self.moments[name] = self.moments[name].merged(found) if name in self.moments else found
        return found

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything, as tensors and as JSON."""
        tensors = {f"{name}:mean": found.mean for name, found in self.moments.items()}
        tensors |= {f"{name}:squares": found.squares for name, found in self.moments.items()}
        return tensors, {name: found.count for name, found in self.moments.items()}

    def restore(self, tensors: Mapping[str, Tensor], counts: Mapping[str, int], device: str) -> None:
        """Undo `state`."""
        for name, count in counts.items():
            mean, squares = (tensors[f"{name}:{part}"].to(device) for part in ("mean", "squares"))
            self.moments[name] = Moments(count, mean, squares)
