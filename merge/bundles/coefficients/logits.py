"""Logits of several members, checked against each other, and their log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PRETRAINED = "the pretrained model"
EXPERT = "the expert"


def check_members(members: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """Return the logits [n, classes] of every member in float64.

    Args:
        members: What each member is called in messages ▸ its logits; they are over the same samples and classes.

    Raises:
        MergeError: There are no samples, no classes, other numbers of them in one member than in the first, or logits
            that are not finite. Minus infinity stands for a class that is ruled out, and is let through.
    """
    import numpy as np

    checked = {name: np.asarray(logits, np.float64) for name, logits in members.items()}
    first_name, first = next(iter(checked.items()))
    for name, logits in checked.items():
        _check_one(name, logits)
        if logits.shape[1] != first.shape[1]:
            what = f"{name} has {logits.shape[1]} classes, but {first_name} has {first.shape[1]}"
            raise MergeError(what, hint="members need the same classes in the same order")
        if len(logits) != len(first):
            raise MergeError(f"{name} has logits of {len(logits)} samples, but {first_name} of {len(first)}")
    return checked


def _check_one(name: str, logits: NDArray[np.float64]) -> None:
    import numpy as np

    if logits.ndim != 2 or logits.shape[1] == 0:
        raise MergeError(f"logits of {name} have shape {list(logits.shape)}; [samples, classes] is expected")
    if len(logits) == 0:
        raise MergeError(f"the batch is empty: {name} has logits of no sample")
    bad = np.isnan(logits).any(axis=1) | np.isposinf(logits).any(axis=1) | np.isneginf(logits).all(axis=1)
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        raise MergeError(f"{name} gives logits that are not finite, first for sample {place} of {len(logits)}")


def check_temperature(temperature: float, name: str) -> float:
    """Return a temperature. Raises UsageError unless it is a finite number above 0."""
    import math

    if not (math.isfinite(temperature) and temperature > 0):
        raise UsageError(f"the temperature of {name} must be a number above 0, not {temperature}")
    return float(temperature)


def log_probabilities(logits: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return log softmax(logits / temperature) [n, classes]; minus infinity where a class is ruled out."""
    import numpy as np
    from scipy.special import log_softmax

    result: NDArray[np.float64] = log_softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    return result
