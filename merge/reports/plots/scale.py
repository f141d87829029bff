"""From values to places, and the round numbers at which an axis is marked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Scale:
    """A range of values on a line from 0 to 1.

    Attributes:
        low: The value at 0.
        high: The value at 1.
        ticks: Round values in between.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Return where a value lies; values outside lie on the edge."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def text(self, tick: float, factor: float = 1) -> str:
        """Return a tick with as many digits as tell it from its neighbours."""
        step = factor * (self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else abs(tick) or 1)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        digits += round(step * 10**digits, 9) % 1 != 0
        return f"{round(factor * tick, 12) + 0:.{digits}f}" if digits < 7 else f"{factor * tick:.3g}"


def scale_over(
    values: Iterable[float], *, most: int = 4, least: float | None = None, greatest: float | None = None
) -> Scale:
    """Return a scale over all values with some room, marked at round numbers.

    Args:
        values: What must fit in; none gives the scale from 0 to 1.
        most: Number of ticks at most.
        least: The scale does not go below it, and shows nothing but what is there.
        greatest: The same above.
    """
    known = list(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    low = low - room if least is None else max(least, low - room)
    high = high + room if greatest is None else min(greatest, high + room)
    return Scale(low, high, _ticks(low, high, most)) if high > low else Scale(low, low + 1, (low,))


def from_zero(values: Iterable[float], most: int = 4) -> Scale:
    """Return a scale for bars, which contains 0."""
    known = [*values, 0.0]
    low, high = min(known), max(known)
    if low == high:
        high = 1.0
    room = 0.04 * (high - low)
    low, high = (low - room if low < 0 else 0.0), (high + room if high > 0 else 0.0)
    return Scale(low, high, _ticks(low, high, most))


def _ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Return the multiples of the smallest round step of which at most that many lie between both ends."""
    exponent = math.floor(math.log10((high - low) / most))
    for step in (factor * 10.0**exponent for factor in STEPS):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            break
    return tuple(step * index for index in range(first, last + 1))
