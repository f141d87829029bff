"""The outputs of a layer, scaled and shifted: what is folded into its weight and bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..calibration.facts import IN_OUT
from ..method import Access, Context, Method
from ..options import Options
from ..reduction import Array


class Rescaling(Method):
    """Multiply every output's weights by its factor; a bias is shifted as well.

    It is no method of its own: the planner puts it where a file of statistics has something for a tensor. Of a weight
    that is a vector of factors [outputs], of a bias factors and shifts [2, outputs].
    """

    def access(self, options: Any) -> Access:
        """A tensor is scaled as a whole, since its outputs may lie along any axis."""
        return "whole"

    def merge(self, arrays: Sequence[Array], options: Options, context: Context) -> Array:
        """Return the scaled tensor."""
        (array,) = arrays
        found = context.statistic(0)
        if found.ndim == 2:
            return context.xp.astype(array * found[0] + found[1], array.dtype)
        shape = [1] * array.ndim
        shape[-1 if context.layout == IN_OUT else 0] = len(found)
        return context.xp.astype(array * found.reshape(shape), array.dtype)
