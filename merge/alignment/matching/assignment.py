"""One linear assignment problem: which unit goes where, so that the sum of similarities is largest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import MergeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Order = NDArray[np.int64]
    Doubles = NDArray[np.float64]

TOLERANCE = 1e-9


def is_gain(after: float, before: float) -> bool:
    """Tell whether a sum of similarities has risen by more than rounding can do."""
    return after > before + TOLERANCE * max(1.0, abs(before))


def value(similarity: Doubles, order: Order) -> float:
    """Return the sum of the similarities of units [i, order[i]]."""
    import numpy as np

    return float(similarity[np.arange(len(order)), order].sum())


def assign(similarity: Doubles, current: Order) -> Order:
    """Return the order with the largest sum of similarities.

    Args:
        similarity: [units of the reference, units of the moved model].
        current: An order that stays unless another is better, so that ties (dead or equal units) change nothing.

    Raises:
        MergeError: A similarity is not finite.
    """
    from scipy.optimize import linear_sum_assignment

    try:
        _, found = linear_sum_assignment(similarity, maximize=True)
    except ValueError:
        raise MergeError(
            "similarities of units are not finite", hint="the numbers in the models are too large"
        ) from None
    return found if is_gain(value(similarity, found), value(similarity, current)) else current
