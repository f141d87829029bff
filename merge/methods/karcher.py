"""Karcher mean: the models' directions averaged along the arcs between them, and their lengths as numbers.

Karcher 1977, "Riemannian center of mass and mollifier smoothing", Communications on Pure and Applied Mathematics 30(5);
for weights as in mergekit (Goddard et al. 2024, arXiv:2403.13257). Tensor by tensor, with u_i = theta_i / |theta_i|:

    m     = argmin over |m| = 1 of sum_i arccos(<m, u_i>)^2
    theta = m * (1/k) sum_i |theta_i|

m is found by steps along the mean of the arcs, from the direction of the sum of the u_i, until a step is shorter than
`tol` or `max_iter` steps are done. A tensor of zeros has no direction, but its length counts.

Use it to average any number of models of one kind without losing length, which a plain average does where directions
differ. There are no weights to choose.

Not for models of one fine-tuning family in the hope of more than soup: their directions nearly agree, and so do the two
outcomes. For weights it is a heuristic: compare it with soup.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arithmetic.sphere import cosine, karcher_mean, length
from ..method import Context, WeightedSum
from ..options import Options, option
from ..reduction import Gram


class KarcherOptions(Options):
    """Options of the Karcher mean."""

    max_iter: int = option(10, "Most steps.", minimum=0)
    tol: float = option(1e-5, "A step shorter than this, in radians, is the last.", minimum=0)


class Karcher(WeightedSum):
    """Mean direction on the sphere times mean length."""

    options = KarcherOptions
    minimum_models = 2

    def reductions(self, options: KarcherOptions) -> Sequence[Gram]:
        """Directions and lengths come from the inner products."""
        return [Gram("gram")]

    def coefficients(self, options: KarcherOptions, context: Context) -> Sequence[float]:
        """Return the factors of the models in the outcome."""
        gram = context.result("gram")
        lengths = [length(gram, position) for position in range(len(gram))]
        directed = [position for position, own in enumerate(lengths) if own > 0]
        cosines = [[cosine(gram, first, second) for second in directed] for first in directed]
        factors = [1 / len(lengths)] * len(lengths)
        if all(cos == 1 for row in cosines for cos in row):
            return factors  # all point one way, where the mean is the average
        mean_length = sum(lengths) / len(lengths)
        for position, factor in zip(directed, karcher_mean(cosines, options.max_iter, options.tol), strict=True):
            factors[position] = factor * mean_length / lengths[position]
        return factors
