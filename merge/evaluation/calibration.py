"""Does a model know how sure it may be? Confidence against accuracy in bins (Guo et al. 2017, arXiv:1706.04599)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import TypedDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINS = 15


class CalibrationBin(TypedDict):
    """Items whose confidence lies in (low, high]; bins without items are left out."""

    low: float
    high: float
    n: int
    right: int
    confidence: float  # mean over the bin's items


def calibration_bins(confidences: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[CalibrationBin]:
    """Sort items into 15 bins of equal width by the probability of the class that was chosen [n]."""
    import numpy as np

    numbers = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    found: list[CalibrationBin] = []
    for number in np.unique(numbers):
        inside = numbers == number
        found.append(
            {
                "low": float(number / BINS),
                "high": float((number + 1) / BINS),
                "n": int(inside.sum()),
                "right": int(correct[inside].sum()),
                "confidence": float(confidences[inside].mean()),
            }
        )
    return found
