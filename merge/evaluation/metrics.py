"""Metrics of one outcome, each with a 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .scoring import Outcome

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Measure:
    """A value and its 95 % interval."""

    metric: str
    value: float
    low: float
    high: float


def measure(outcome: Outcome, labels: NDArray[np.int64]) -> list[Measure]:
    """Return accuracy, loss and per-class accuracy of an outcome on labels [n], n at least 2."""
    return [accuracy(outcome.correct), loss(outcome.losses), per_class_accuracy(outcome.correct, labels)]


def accuracy(correct: NDArray[np.bool_]) -> Measure:
    """The share of images that are right, with Wilson's interval."""
    low, high = wilson(int(correct.sum()), correct.size)
    return Measure("accuracy", float(correct.mean()), low, high)


def loss(losses: NDArray[np.float64]) -> Measure:
    """The mean cross-entropy over images, in nats, with the normal interval of a mean (not below 0)."""
    from scipy.stats import norm

    mean = float(losses.mean())
    half_width = float(norm.ppf((1 + CONFIDENCE) / 2) * losses.std(ddof=1) / losses.size**0.5)
    return Measure("loss", mean, max(0.0, mean - half_width), mean + half_width)


def per_class_accuracy(correct: NDArray[np.bool_], labels: NDArray[np.int64]) -> Measure:
    """The mean over the classes present of the share that is right within a class.

    The interval adds up, in squares, how far each class's Wilson interval reaches from its value: Zou and Donner 2008
    (MOVER). Unlike the normal interval it does not vanish where a class is all right or all wrong.
    """
    import numpy as np

    shares, lows, highs = [], [], []
    for label in np.unique(labels):
        of_class = correct[labels == label]
        low, high = wilson(int(of_class.sum()), of_class.size)
        shares.append(float(of_class.mean()))
        lows.append(low)
        highs.append(high)
    below, above = (np.hypot.reduce(np.subtract(ends, shares)) / len(shares) for ends in (lows, highs))
    mean = float(np.mean(shares))
    return Measure("per_class_accuracy", mean, max(0.0, mean - float(below)), min(1.0, mean + float(above)))


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return Wilson's interval of a share."""
    from scipy.stats import binomtest

    interval = binomtest(right, total).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)
