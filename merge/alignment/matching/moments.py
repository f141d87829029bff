"""How the units of two models vary together over data, in one pass (Chan, Golub, LeVeque 1979)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Doubles = NDArray[np.float64]

DEAD = 1e-20  # variance over mean square up to which a unit is constant: rounding alone gives less


class _Point(NamedTuple):
    """Number of rows that one place in the network has given, and their means [units]."""

    rows: int
    first: Tensor
    second: Tensor


class Moments:
    """Sums of squares and products around the means, which each place in the network has of its own.

    Args:
        units: Of each model.
        device: Where to add up.
    """

    def __init__(self, units: int, device: str) -> None:
        import torch

        self._cross = torch.zeros(units, units, dtype=torch.float64, device=device)
        self._squares = torch.zeros(2, units, dtype=torch.float64, device=device)
        self._points: dict[Hashable, _Point] = {}

    def add(self, point: Hashable, first: Tensor, second: Tensor) -> None:
        """Add rows.

        Args:
            point: The place in the network.
            first: [rows, units] of the one model.
            second: [rows, units] of the other, for the same data.
        """
        import torch

        one, other = first.double(), second.double()
        new = _Point(len(one), one.mean(0), other.mean(0))
        one, other = one - new.first, other - new.second
        self._cross.addmm_(one.T, other)
        self._squares += torch.stack([one.square().sum(0), other.square().sum(0)])
        old = self._points.get(point)
        self._points[point] = new if old is None else self._merged(old, new)

    def _merged(self, old: _Point, new: _Point) -> _Point:
        """Add what the distance of two means adds to the sums, and return the means of all rows."""
        import torch

        rows = old.rows + new.rows
        steps = new.first - old.first, new.second - old.second
        share = old.rows * new.rows / rows
        self._cross.addr_(steps[0], steps[1], alpha=share)
        self._squares += share * torch.stack(steps).square()
        first, second = (mean + step * (new.rows / rows) for mean, step in zip(old[1:], steps, strict=True))
        return _Point(rows, first, second)

    def correlation(self) -> Doubles:
        """Return Pearson's correlations [units of the first, units of the second]; those of constant units are 0."""
        scales = [_inverse(squares, means) for squares, means in zip(self._squares, self._mean_squares(), strict=True)]
        found: Doubles = (self._cross * scales[0][:, None] * scales[1]).cpu().numpy()
        return found

    def constant(self) -> NDArray[np.bool_]:
        """Tell which units never change, as dead ones: [2, units], the first model's first."""
        found: NDArray[np.bool_] = (~_alive(self._squares, self._mean_squares())).cpu().numpy()
        return found

    def inner(self) -> Doubles:
        """Return the mean over rows of the products of units, uncentred."""
        total = self._cross.clone()
        for point in self._points.values():
            total.addr_(point.first, point.second, alpha=point.rows)
        found: Doubles = (total / sum(point.rows for point in self._points.values())).cpu().numpy()
        return found

    def _mean_squares(self) -> Tensor:
        """Return the sums over rows of the squared means: [2, units]."""
        import torch

        parts = [point.rows * torch.stack(point[1:]).square() for point in self._points.values()]
        return torch.stack(parts).sum(0)


def _inverse(squares: Tensor, mean_squares: Tensor) -> Tensor:
    """Return 1 over the root of the sums of squares, and 0 for constant units."""
    alive = _alive(squares, mean_squares)
    return squares.where(alive, squares.new_tensor(1.0)).rsqrt() * alive


def _alive(squares: Tensor, mean_squares: Tensor) -> Tensor:
    return squares > DEAD * (squares + mean_squares)
