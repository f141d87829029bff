"""Multi-SLERP: any number of models or task vectors, their directions averaged on the sphere, and so their lengths.

There is no paper: the idea is Charles Goddard's (2024); mergekit (Goddard et al. 2024, arXiv:2403.13257) carries it.
With x_i = theta_i, or where there is a base x_i = theta_i - theta_0, tensor by tensor:

    u_i   = x_i / (|x_i| + eps)
    m     = sum_i w_i u_i / |sum_i w_i u_i|
    theta = m * sum_i w_i |x_i|    (+ theta_0)

The step in the plane that touches the sphere in m, which belongs to the idea, is 0 for every input: the tangents
u_i - <u_i, m> m, weighted by the w_i, cancel where m is the mean of the u_i with the same weights. Where the directions
themselves cancel, |sum_i w_i u_i| < eps, there is no m, and the weighted sum of the x_i is taken.

Use it for weighted averages of three models and more that keep their length; with two, slerp and nuslerp say the same
more directly.

Not in the hope of more than soup for models of one fine-tuning family, whose directions nearly agree. It is a
heuristic: compare it with soup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..arithmetic.sphere import length, sum_length
from ..method import Context, WeightedSum, refuse_zero_sum
from ..options import Options, option
from ..reduction import Gram


class MultislerpOptions(Options):
    """Options of Multi-SLERP."""

    weight: tuple[float, ...] = option(1.0, "Weight of each model's direction and length.", per_model=True)
    normalize_weights: bool = option(True, "Divide the weights by their sum.")
    eps: float = option(1e-8, "Lengths below this count as none.", above=0)


class Multislerp(WeightedSum):
    """Mean of directions times mean of lengths, of models or of task vectors."""

    options = MultislerpOptions
    takes = "either"
    minimum_models = 2

    def check(self, options: MultislerpOptions, models: int) -> None:
        """Refuse weights that cannot be normalized."""
        refuse_zero_sum(options.weight, normalize=options.normalize_weights)

    def reductions(self, options: MultislerpOptions) -> Sequence[Gram]:
        """Directions and lengths come from the inner products."""
        return [Gram("gram")]

    def coefficients(self, options: MultislerpOptions, context: Context) -> Sequence[float]:
        """Return the factors of the inputs in the outcome."""
        gram = context.result("gram")
        divisor = sum(options.weight) if options.normalize_weights else 1.0
        weights = [weight / divisor for weight in options.weight]
        lengths = [length(gram, position) for position in range(len(weights))]
        factors = [weight / (own + options.eps) for weight, own in zip(weights, lengths, strict=True)]
        mean = sum_length(gram, factors)
        if mean < options.eps or all(product == gram[0][0] for row in gram for product in row):
            return weights  # directions that cancel, or copies, which are to come back bit by bit
        stretch = math.fsum(map(math.prod, zip(weights, lengths, strict=True))) / mean
        return [factor * stretch for factor in factors]
