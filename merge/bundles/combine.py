"""One distribution over tokens or classes out of several: the formulas of the logit-averaged mixture.

Bochkov 2025, "Growing Transformers: modular composition and layer-wise expansion on a frozen substrate",
arXiv:2507.07129: the mean of the experts' raw logits. Of logits l_i, weights w_i (1/k unless given), temperatures T_i
(1 unless given), over the last axis:

    logits:    sum_i w_i l_i / T_i                         softmax of it: the normalised geometric mean
    logprobs:  sum_i w_i log_softmax(l_i / T_i)            the same distribution, on one scale for all experts
    probs:     log(sum_i w_i softmax(l_i / T_i) / sum w)   the arithmetic mean

With weights that sum to 1 the loss of each is at most the weighted mean of the experts' losses, token by token, since
log-sum-exp is convex; nothing says that it is below that of the best expert. Other sums act as a temperature on
``logits`` and ``logprobs``, and cancel in ``probs``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import MergeError, UsageError, suggest

COMBINE = ("logits", "probs", "logprobs")


@dataclass(frozen=True)
class Combination:
    """How the outputs of experts become one.

    Attributes:
        combine: ``logits``, ``probs`` or ``logprobs``.
        weights: One of each expert; None: 1/k.
        temperatures: One of each expert; None: 1.
    """

    combine: str = "logits"
    weights: tuple[float, ...] | None = None
    temperatures: tuple[float, ...] | None = None

    def check(self, experts: int) -> None:
        """Raise UsageError where these are no options for so many experts."""
        if self.combine not in COMBINE:
            hint = suggest(self.combine, COMBINE) or f"one of {', '.join(COMBINE)}"
            raise UsageError(f"there is no combination '{self.combine}'", hint=hint)
        for name, values in (("weights", self.weights), ("temperatures", self.temperatures)):
            if values is not None and len(values) != experts:
                raise UsageError(f"{len(values)} {name} for {experts} experts")
        if not all(0 <= weight < math.inf for weight in self.weights or ()):
            raise UsageError("the weights of a mixture are finite and at least 0")
        if self.weights is not None and not any(self.weights):
            raise UsageError("all weights of the mixture are 0")
        if not all(0 < temperature < math.inf for temperature in self.temperatures or ()):
            raise UsageError("temperatures are finite and above 0")


def combined(outputs: Iterable[Any], how: Combination, names: Sequence[str]) -> Any:
    """Return the logits of a mixture, float64 where an input is and float32 otherwise.

    Args:
        outputs: Logits [..., classes] of one expert after another, of numpy or torch; taken one at a time, so that
            what makes them need not hold all. -inf stands for a class that an expert never gives.
        how: Rule, weights and temperatures.
        names: Of the experts, for messages.

    Raises:
        MergeError: An expert's logits are NaN or +inf.
        UsageError: The options are wrong, or not for so many experts.
    """
    import numpy as np

    how.check(len(names))
    total, reached = None, 0.0
    ranges = []
    with np.errstate(invalid="ignore"):  # what is wrong is found below, in the experts' own numbers
        for number, output in enumerate(outputs):
            logits = _scaled(_wide(output), how, number)
            ranges.append(_range(logits))
            weight = 1.0 if how.weights is None else how.weights[number]
            reached += weight
            if weight != 0:
                total = _joined(total, logits, weight, reached, how.combine)
    reaches_down = _check(ranges, names)
    found = _finished(total, how.combine, reached, how.weights is None)
    return _repaired(found) if reaches_down and how.combine != "probs" else found


def _wide(array: Any) -> Any:
    """Return an array in float32, or float64 if it is."""
    if str(array.dtype).endswith("float64"):
        return array
    return array.float() if hasattr(array, "float") else array.astype("float32")


def _scaled(logits: Any, how: Combination, number: int) -> Any:
    temperature = 1 if how.temperatures is None else how.temperatures[number]
    return logits if temperature == 1 else logits / temperature


def _joined(total: Any, logits: Any, weight: float, reached: float, combine: str) -> Any:
    """Return what there is with one more expert.

    Args:
        total: The weighted mean so far; of ``probs``, the logarithm of the weighted sum of probabilities.
        logits: The expert's.
        weight: The expert's.
        reached: Sum of the weights with this one.
        combine: The rule.
    """
    term = logits if combine == "logits" else _log_softmax(logits)
    if combine == "probs":
        term = term + math.log(weight)
        return term if total is None else _log_of_sum(total, term)
    return term if total is None else _moved(total, term, weight / reached)


def _log_softmax(logits: Any) -> Any:
    if hasattr(logits, "log_softmax"):
        return logits.log_softmax(-1)
    import numpy as np

    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _log_of_sum(one: Any, other: Any) -> Any:
    """Return log(exp one + exp other); -inf where both are."""
    if not hasattr(one, "logaddexp"):
        import numpy as np

        return np.logaddexp(one, other)
    if not (one.requires_grad or other.requires_grad):
        return one.logaddexp(other)
    neither = one.isneginf() & other.isneginf()  # where the gradient would be NaN
    found = one.masked_fill(neither, 0).logaddexp(other.masked_fill(neither, 0))
    return found.masked_fill(neither, -math.inf)


def _moved(mean: Any, term: Any, fraction: float) -> Any:
    """Return the mean moved toward one more term: by nothing at all where both are the same, so that copies are exact.

    What is -inf in one of both may come out as NaN.
    """
    if hasattr(mean, "lerp"):  # one pass over memory
        dtype = max(mean.dtype, term.dtype, key=lambda each: each.itemsize)
        return mean.to(dtype).lerp(term.to(dtype), fraction)
    return mean + fraction * (term - mean)


def _range(logits: Any) -> tuple[Any, Any]:
    """Return the least and the greatest number, both NaN where there is one, without waiting for a device."""
    if 0 in logits.shape:
        return logits.sum(), logits.sum()
    if hasattr(logits, "aminmax"):  # one pass over memory
        return tuple(logits.detach().aminmax())
    return logits.min(), logits.max()


def _check(ranges: Sequence[tuple[Any, Any]], names: Sequence[str]) -> bool:
    """Tell whether an expert gave -inf. Raises MergeError where one gave NaN or +inf."""
    for (_, greatest), name in zip(ranges, names, strict=True):
        if not greatest.item() < math.inf:
            raise MergeError("the expert gives logits that are not finite (nan or inf)", where=name)
    return any(least.item() == -math.inf for least, _ in ranges)


def _finished(total: Any, combine: str, weight: float, plain: bool) -> Any:
    """Return the outcome.

    Args:
        total: The weighted mean; of ``probs``, the logarithm of the weighted sum.
        combine: The rule.
        weight: Sum of all weights.
        plain: The weights were not given.
    """
    if combine == "probs":
        return total - math.log(weight)
    return total if plain or math.isclose(weight, 1, rel_tol=1e-9) else total * weight


def _repaired(mean: Any) -> Any:
    """Return a mean of sound numbers with -inf where it is NaN: where one of them was -inf."""
    import array_api_compat

    xp = array_api_compat.array_namespace(mean)
    return xp.where(xp.isnan(mean), xp.full_like(mean, -math.inf), mean)
