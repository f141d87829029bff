"""T3 and T3_B: how much of the pretrained model a sample, or a batch, gets (arXiv:2510.27265).

    lambda(x) = low + (high - low) * sigmoid(gamma * JS(p_pretrained(x) || p_expert(x)))

The formula and gamma = 0.5 are published with the weights. Not published are the bounds, the base of the logarithm, and
which model lambda weighs. Here they are 0 and 1, e, and the pretrained one, as the abstract has it: the more the models
disagree, the more is left to the generalist. At these defaults lambda lies between 0.5 and 0.586, so that T3 is nearly
a fixed mean; ``linear`` and larger gammas use the whole range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, get_args

from ...errors import MergeError, UsageError
from .divergence import LN_2, jensen_shannon
from .t3_options import Direction, T3Options, check_choice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Summary", "T3Options", "batch_coefficients", "coefficients", "pretrained_weights", "summarize"]


def coefficients(
    pretrained: NDArray[Any], expert: NDArray[Any], options: T3Options | None = None
) -> NDArray[np.float64]:
    """Return lambda [n] of every sample from the logits [n, classes] of both models.

    Lambda is the weight of the pretrained model, unless ``pretrained_weights`` is asked for the other direction.

    Raises:
        MergeError: No samples, logits that are not finite, or other numbers of classes or samples.
    """
    options = options or T3Options()
    divergences = jensen_shannon(pretrained, expert, temperatures=options.temperatures, base=options.base)
    low, high = options.range
    return low + (high - low) * _share(divergences, options)


def batch_coefficients(lambdas: NDArray[np.float64], batch_size: int) -> NDArray[np.float64]:
    """Return T3_B's coefficient [n] of every sample: the mean of lambda over its batch, in the order of the samples.

    The mean of lambdas, not lambda of the mean divergence nor of mean probabilities. The last batch may be smaller.

    Raises:
        UsageError: The batch size is below 1.
        MergeError: There is no sample.
    """
    import numpy as np

    if batch_size < 1:
        raise UsageError(f"a batch has at least one sample, not {batch_size}")
    _check_some(lambdas)
    starts = np.arange(0, len(lambdas), batch_size)
    sizes = np.diff(np.append(starts, len(lambdas)))
    result: NDArray[np.float64] = np.repeat(np.add.reduceat(lambdas, starts) / sizes, sizes)
    return result


def pretrained_weights(lambdas: NDArray[np.float64], direction: Direction = "defer") -> NDArray[np.float64]:
    """Return the weight of the pretrained model: lambda itself (``defer``), or 1 - lambda (``expert``)."""
    check_choice("direction", direction, get_args(Direction))
    return lambdas if direction == "defer" else 1 - lambdas


class Summary(TypedDict):
    """What a reader needs to see whether coefficients adapt at all."""

    n: int
    min: float
    mean: float
    max: float
    standard_deviation: float  # of these samples, not an estimate of others


def summarize(values: NDArray[np.float64]) -> Summary:
    """Return the range, mean and spread of coefficients [n]. Raises MergeError when there is none."""
    _check_some(values)
    return {
        "n": len(values),
        "min": float(values.min()),
        "mean": float(values.mean()),
        "max": float(values.max()),
        "standard_deviation": float(values.std()),
    }


def _share(divergences: NDArray[np.float64], options: T3Options) -> NDArray[np.float64]:
    """Return how far from the low to the high bound each sample goes, 0 to 1."""
    from scipy.special import expit

    if options.map == "linear":
        return divergences / (LN_2 if options.base == "e" else 1)
    middle = options.tau if options.map == "centered-sigmoid" else 0.0
    result: NDArray[np.float64] = expit(options.gamma * (divergences - middle))
    return result


def _check_some(values: NDArray[np.float64]) -> None:
    if len(values) == 0:
        raise MergeError("the batch is empty: there is no coefficient")
