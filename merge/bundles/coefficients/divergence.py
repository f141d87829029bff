"""How far two output distributions are apart, and how unsure each is: one number a sample."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .logits import EXPERT, PRETRAINED, check_members, check_temperature, log_probabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LN_2 = math.log(2)  # the largest Jensen-Shannon divergence, in nats
BASES = ("e", "2")
Names = tuple[str, str]
Temperatures = tuple[float, float]


def jensen_shannon(
    first: NDArray[Any],
    second: NDArray[Any],
    *,
    temperatures: Temperatures = (1.0, 1.0),
    base: str = "e",
    names: Names = (PRETRAINED, EXPERT),
) -> NDArray[np.float64]:
    """Return the Jensen-Shannon divergence [n] of two arrays of logits [n, classes].

    The divergence itself, not its square root, which is what scipy's ``jensenshannon`` gives. In nats it lies in
    [0, ln 2], in bits in [0, 1].

    Args:
        first: Logits of one model.
        second: Logits of the other one, over the same samples and classes.
        temperatures: What the logits of each are divided by.
        base: Of the logarithm: ``e`` or ``2``.
        names: What the two are called in messages.

    Raises:
        UsageError: No such base, or a temperature that is not above 0.
        MergeError: No samples, logits that are not finite, or other numbers of classes or samples.
    """
    import numpy as np

    if base not in BASES:
        raise UsageError(f"no logarithm of base '{base}'", hint=f"there is {' or '.join(BASES)}")
    checked = check_members(dict(zip(names, (first, second), strict=True)))
    one, two = _log_probabilities(checked, temperatures)
    middle = np.logaddexp(one, two) - LN_2  # log of the mean of the two distributions
    nats = np.clip(0.5 * (_relative_entropy(one, middle) + _relative_entropy(two, middle)), 0, LN_2)
    result: NDArray[np.float64] = nats if base == "e" else np.minimum(nats / LN_2, 1)
    return result


def entropies(logits: NDArray[Any], *, temperature: float = 1.0, name: str = "the model") -> NDArray[np.float64]:
    """Return the entropy [n] of softmax(logits / temperature), in nats.

    Raises:
        UsageError: The temperature is not above 0.
        MergeError: No samples, or logits that are not finite.
    """
    import numpy as np

    logs = log_probabilities(check_members({name: logits})[name], check_temperature(temperature, name))
    result: NDArray[np.float64] = np.maximum(-_expected(logs, logs), 0)
    return result


def _log_probabilities(
    members: dict[str, NDArray[np.float64]], temperatures: Temperatures
) -> list[NDArray[np.float64]]:
    pairs = zip(members.items(), temperatures, strict=True)
    return [log_probabilities(logits, check_temperature(degree, name)) for (name, logits), degree in pairs]


def _relative_entropy(logs: NDArray[np.float64], of_middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of log p - log m under p. Where p is 0 the difference may be infinite, and does not count."""
    import numpy as np

    with np.errstate(invalid="ignore"):  # both are minus infinity where both models rule a class out
        return _expected(logs, logs - of_middle)


def _expected(logs: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sum p * value over the classes, where 0 times anything is 0."""
    import numpy as np

    probabilities = np.exp(logs)
    terms = np.zeros_like(probabilities)
    np.multiply(probabilities, values, out=terms, where=probabilities > 0)
    result: NDArray[np.float64] = terms.sum(axis=1)
    return result
