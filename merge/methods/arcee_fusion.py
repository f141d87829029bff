"""Arcee Fusion: take over from another model only the entries whose change matters most.

There is no paper: it was introduced by Arcee AI with version 0.1 of mergekit (Goddard et al. 2024, arXiv:2403.13257).
With P_1 and P_0 the softmax of theta_1 and theta_0 along the last axis, each entry plus 1e-8, and quantiles q that are
entries, the lower one where they fall between two:

    importance = |theta_1 - theta_0| * KL(P_1 || P_0), the divergence being one number per row
    threshold  = q(1/2) + 1.5 (q(3/4) - q(1/4)) of a tensor's importances
    theta      = theta_1 where the importance reaches the threshold, theta_0 elsewhere

Where most of the importances are equal, all of them may reach it; a model that equals the base gives the base.

Use it to take over the strongest changes of one tuned model and leave the base as it is elsewhere; there is nothing to
set.

Not for several models, nor where time counts: quantiles of every tensor make it one of the slowest methods over
entries. There is no paper: compare it with soup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..method import Access, Context, Method
from ..options import Options
from ..reduction import Array, Largest

SOFTENING = 1e-8
QUARTERS = (1, 2, 3)


class ArceeFusionOptions(Options):
    """Arcee Fusion has no options."""


def _from_quantile(elements: int, _results: Callable[[str], Any]) -> list[list[int]]:
    """Return how many entries are at or above each quartile."""
    return [[elements - quarter * (elements - 1) // 4 for quarter in QUARTERS]]


class ArceeFusion(Method):
    """The base, with another model's most important entries."""

    options = ArceeFusionOptions
    takes = "base_and_weights"
    maximum_models = 1

    def access(self, options: ArceeFusionOptions) -> Access:
        """A softmax is over a row."""
        return "rows"

    def reductions(self, options: ArceeFusionOptions) -> Sequence[Largest]:
        """The quartiles are the smallest of so many largest importances."""
        return [Largest("quartiles", _from_quantile, view=self._importances)]

    def merge(self, arrays: Sequence[Array], options: ArceeFusionOptions, context: Context) -> Array:
        """Return the fused portion."""
        (importance,) = self._importances(arrays, options, context)
        result = context.result("quartiles")
        low, middle, high = (Largest.value_of(result, 0, border) for border in range(len(QUARTERS)))
        base, model = arrays
        return context.xp.where(importance >= middle + 1.5 * (high - low), model, base)

    @staticmethod
    def _importances(arrays: Sequence[Array], options: ArceeFusionOptions, context: Context) -> Sequence[Array]:
        xp = context.xp
        base, model = arrays
        old, new = (_softmax(xp.astype(array, xp.float64), xp) for array in (base, model))
        divergence = xp.sum(new * xp.log(new / old), axis=-1, keepdims=True)
        # Where rows hardly differ, rounding may take the divergence below 0, which it never is.
        return [xp.abs(model - base) * xp.astype(xp.clip(divergence, 0, None), base.dtype)]


def _softmax(array: Array, xp: Any) -> Array:
    """Return the softmax along the last axis, softened."""
    powers = xp.exp(array - xp.max(array, axis=-1, keepdims=True))
    return powers / xp.sum(powers, axis=-1, keepdims=True) + SOFTENING
