"""Median: the middle value of every entry among the models.

Yin et al. 2018, "Byzantine-robust distributed learning: towards optimal statistical rates", arXiv:1803.01498,
take the coordinate-wise median of gradients; here it is taken of the models' weights:

    theta[p] = median_i theta_i[p],    for an even number of models the mean of the two middle values

One broken model among three or more cannot pull an entry beyond the values of the others.

Use it for five models or more of one start of which some may be broken, diverged or not to be trusted: no single one
can pull an entry away.

Not for two tasks or three models in the place of an average: what one model alone changed is mostly lost. It takes
about ten times as long as soup, which serves sound models better.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, Method
from ..reduction import Array


class Median(Method):
    """Middle value of every entry among the models."""

    minimum_models = 3

    def merge(self, arrays: Sequence[Array], options: object, context: Context) -> Array:
        """Return the median of one portion."""
        xp = context.xp
        ordered = xp.sort(xp.stack(arrays), axis=0)
        middle = len(arrays) // 2
        if len(arrays) % 2:
            return ordered[middle, ...]
        total = ordered[middle - 1, ...]
        total *= 0.5
        total += ordered[middle, ...] * 0.5
        return total
