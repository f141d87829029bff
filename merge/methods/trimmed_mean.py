"""Trimmed mean: of every entry, drop the models' lowest and highest values and average the rest.

Yin et al. 2018, "Byzantine-robust distributed learning: towards optimal statistical rates", arXiv:1803.01498,
do it with gradients; here it is done with the models' weights:

    theta[p] = mean of theta_i[p] without its int(trim * k) lowest and its int(trim * k) highest values

A trim of 0 is the plain average. The default of 0.2 drops nothing of fewer than five models.

Use it for five models or more of one start, some of which may be outliers: a compromise between the mean, which uses
all, and the median, which uses one or two.

Not for fewer than five models with the default, which then drops nothing; nor for different tasks, where the outlier of
an entry may be the one model that learned something.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array


class TrimmedMeanOptions(Options):
    """Options of the trimmed mean."""

    trim: float = option(0.2, "Share of the models that is dropped at each end.", minimum=0, maximum=0.5)


class TrimmedMean(Method):
    """Average of every entry without its lowest and highest values."""

    options = TrimmedMeanOptions
    minimum_models = 3

    def check(self, options: TrimmedMeanOptions, models: int) -> None:
        """Refuse to drop everything."""
        dropped = int(options.trim * models)
        if 2 * dropped >= models:
            what = f"trim {options.trim:g} drops {dropped} values at each end, all of {models} models"
            raise UsageError(what, hint="give a smaller trim, or merge with median")

    def merge(self, arrays: Sequence[Array], options: TrimmedMeanOptions, context: Context) -> Array:
        """Return the trimmed mean of one portion."""
        xp = context.xp
        dropped = int(options.trim * len(arrays))
        ordered = xp.sort(xp.stack(arrays), axis=0)
        total = ordered[dropped, ...]
        for position in range(dropped + 1, len(arrays) - dropped):
            total += ordered[position, ...]
        total /= len(arrays) - 2 * dropped
        return total
