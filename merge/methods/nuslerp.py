"""NuSLERP: the arc between two models or two task vectors, whole tensors or row by row.

Shoemake 1985, "Animating rotation with quaternion curves", SIGGRAPH 19(3), section 3.3, with weights instead of a place
on the way, as in mergekit (Goddard et al. 2024, arXiv:2403.13257), which gave it the name. With t = w_2 / (w_1 + w_2)
and the angle Omega between x_1 and x_2, that are theta_1 and theta_2, or where there is a base their task vectors:

    theta = sin((1 - t) Omega) / sin(Omega) x_1 + sin(t Omega) / sin(Omega) x_2    (+ theta_0)

The angle is that between the flattened tensors; without `flatten` there is one for every vector along the last axis,
with `row_wise` one for every vector along the first. Where x_1 and x_2 lie on one line, or one of them is 0, the
straight line (1 - t) x_1 + t x_2 is taken.

Use it for two models or two task vectors on the arc between them, with weights rather than a place on the way, row by
row if wanted.

Not for more than two models, for which there are multislerp and karcher; nor where the weights sum to 0, which is
refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..arithmetic.sphere import cosine, cosines_along
from ..errors import UsageError
from ..method import Access, Context, WeightedSum, refuse_zero_sum
from ..options import Options, option
from ..reduction import Array, Gram

ON_ONE_LINE = 1e-16  # the square of the sine


class NuslerpOptions(Options):
    """Options of NuSLERP."""

    weight: tuple[float, ...] = option(1.0, "Weight of each model; only their ratio counts.", per_model=True)
    flatten: bool = option(True, "One angle for the whole tensor, otherwise one for every vector along the last axis.")
    row_wise: bool = option(False, "Without --flatten: one angle for every vector along the first axis instead.")


class Nuslerp(WeightedSum):
    """Spherical interpolation by weights, of models or of task vectors."""

    options = NuslerpOptions
    takes = "either"
    minimum_models = 2
    maximum_models = 2
    needs_all = True

    def check(self, options: NuslerpOptions, models: int) -> None:
        """Refuse weights without a ratio, and an axis where there is none to choose."""
        refuse_zero_sum(options.weight, normalize=True)
        if options.row_wise and options.flatten:
            raise UsageError("row_wise does nothing to flattened tensors", hint="set flatten to false as well")

    def access(self, options: NuslerpOptions) -> Access:
        """Vectors must not be cut."""
        if options.flatten:
            return "flat"
        return "whole" if options.row_wise else "rows"

    def reductions(self, options: NuslerpOptions) -> Sequence[Gram]:
        """The angle between whole tensors comes from their inner products."""
        return [Gram("gram")] if options.flatten else []

    def coefficients(self, options: NuslerpOptions, context: Context) -> Sequence[float]:
        """Return the factors of the two whole tensors."""
        t, cos = options.weight[1] / sum(options.weight), cosine(context.result("gram"), 0, 1)
        if 1 - cos * cos <= ON_ONE_LINE:
            return [1 - t, t]
        angle = math.acos(cos)
        return [math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)]

    def merge(self, arrays: Sequence[Array], options: NuslerpOptions, context: Context) -> Array:
        """Return the point on the arc, or a point on every arc."""
        if options.flatten:
            return super().merge(arrays, options, context)
        xp, t = context.xp, options.weight[1] / sum(options.weight)
        first, second = (array.reshape(array.shape or (1,)) for array in arrays)
        cos = cosines_along(first, second, 0 if options.row_wise else -1, xp)
        straight = 1 - cos * cos <= ON_ONE_LINE
        angle = xp.acos(cos)
        sine = xp.where(straight, 1.0, xp.sin(angle))
        first *= xp.astype(xp.where(straight, 1 - t, xp.sin((1 - t) * angle) / sine), first.dtype)
        second *= xp.astype(xp.where(straight, t, xp.sin(t * angle) / sine), second.dtype)
        first += second
        return first.reshape(arrays[0].shape)
