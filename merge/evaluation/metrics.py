"""Metrics of one classifier's outcome, each with a 95 % interval that counts alone give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .outcome import Measure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .calibration import CalibrationBin
    from .results import ClassCount

CONFIDENCE = 0.95


def accuracy(correct: NDArray[np.bool_]) -> Measure:
    """The share of images that are right, with Wilson's interval."""
    low, high = wilson(int(correct.sum()), correct.size)
    return Measure("accuracy", float(correct.mean()), low, high, correct.size)


def loss(losses: NDArray[np.float64]) -> Measure:
    """The mean cross-entropy over images, in nats, with the normal interval of a mean (not below 0)."""
    from scipy.stats import norm

    mean = float(losses.mean())
    half_width = float(norm.ppf((1 + CONFIDENCE) / 2) * losses.std(ddof=1) / losses.size**0.5)
    return Measure("loss", mean, max(0.0, mean - half_width), mean + half_width, losses.size)


def top_accuracy(logits: NDArray[np.floating], labels: NDArray[np.int64], top: int) -> Measure:
    """The share of images whose label is among the ``top`` highest logits, the lowest class first among equals."""
    import numpy as np

    own = logits[np.arange(len(labels)), labels][:, None]
    before = np.arange(logits.shape[1]) < labels[:, None]
    right = ((logits > own) | ((logits == own) & before)).sum(axis=1) < top
    low, high = wilson(int(right.sum()), right.size)
    return Measure(f"top{top}_accuracy", float(right.mean()), low, high, right.size)


def class_counts(correct: NDArray[np.bool_], labels: NDArray[np.int64]) -> list[ClassCount]:
    """Return for every class present how many images it has, and how many are right, with Wilson's interval."""
    import numpy as np

    counts: list[ClassCount] = []
    for label in np.unique(labels):
        of_class = correct[labels == label]
        right, n = int(of_class.sum()), int(of_class.size)
        counts.append({"label": int(label), "n": n, "right": right, "interval": list(wilson(right, n))})
    return counts


def per_class_accuracy(correct: NDArray[np.bool_], labels: NDArray[np.int64]) -> Measure:
    """The mean over the classes present of the share that is right within a class."""
    counts = class_counts(correct, labels)
    shares = [count["right"] / count["n"] for count in counts]
    value, low, high = mean_of_shares(shares, [count["interval"] for count in counts])
    return Measure("per_class_accuracy", value, low, high, correct.size)


def mean_of_shares(shares: Sequence[float], intervals: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Return the mean of independent shares and its interval.

    The interval adds up, in squares, how far each share's interval reaches from its value: Zou and Donner 2008 (MOVER).
    Unlike the normal interval it does not vanish where every share is 0 or 1.
    """
    import numpy as np

    lows, highs = zip(*intervals, strict=True)
    below, above = (float(np.hypot.reduce(np.subtract(ends, shares))) / len(shares) for ends in (lows, highs))
    mean = float(np.mean(shares))
    return mean, max(0.0, mean - below), min(1.0, mean + above)


def calibration_error(bins: Sequence[CalibrationBin]) -> Measure:
    """The expected calibration error: the mean over images of how far their bin's accuracy is from its confidence.

    The interval adds up, in squares, how far each bin's gap can move while its accuracy stays in Wilson's interval.
    """
    import numpy as np

    n = sum(bin_["n"] for bin_ in bins)
    value, below, above = 0.0, [], []
    for bin_ in bins:
        share, gap = bin_["n"] / n, abs(bin_["right"] / bin_["n"] - bin_["confidence"])
        low, high = wilson(bin_["right"], bin_["n"])
        ends = abs(low - bin_["confidence"]), abs(high - bin_["confidence"])
        nearest = 0.0 if low <= bin_["confidence"] <= high else min(ends)
        value += share * gap
        below.append(share * (gap - nearest))
        above.append(share * (max(ends) - gap))
    low, high = value - float(np.hypot.reduce(below)), value + float(np.hypot.reduce(above))
    return Measure("calibration_error", value, max(0.0, low), min(1.0, high), n)


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return Wilson's interval of a share."""
    from scipy.stats import binomtest

    interval = binomtest(right, total).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)
