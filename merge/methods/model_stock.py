"""Model Stock: the average of fine-tuned models, drawn towards the base the more they disagree.

Jang et al. 2024, "Model Stock: all we need is just a few fine-tuned models", arXiv:2403.19522. With c the mean cosine
of the angles between the task vectors theta_i - theta_0 of k models, tensor by tensor:

    t     = k c / (1 + (k - 1) c)
    theta = t (1/k) sum_i theta_i + (1 - t) theta_0

With `filter_wise` there is one c for every row, that is for every vector along the last axis. The cosine of a task
vector that is 0 counts as 0, and t is 0 where the divisor is (nearly). Task vectors that point apart give a negative t.

Use it for a few models of one base and one task that differ in seed or settings: the angles between them say how far to
go, and there is nothing to set or to evaluate.

Not for models of different tasks, whose task vectors are nearly at right angles: the outcome then stays close to the
base, however good each of them is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ..arithmetic.sphere import cosine, cosines_along
from ..method import Access, Context, WeightedSum
from ..options import Options, option
from ..reduction import Array, Gram

NO_DIVISOR = 1e-6


class ModelStockOptions(Options):
    """Options of Model Stock."""

    filter_wise: bool = option(False, "One ratio per row instead of one per tensor.")


class ModelStock(WeightedSum):
    """Average of models and base, in a ratio that follows from the angles between task vectors."""

    options = ModelStockOptions
    takes = "task_vectors"
    minimum_models = 2

    def access(self, options: ModelStockOptions) -> Access:
        """Rows must not be cut."""
        return "rows" if options.filter_wise else "flat"

    def reductions(self, options: ModelStockOptions) -> Sequence[Gram]:
        """The angles between whole tensors come from their inner products."""
        return [] if options.filter_wise else [Gram("gram")]

    def coefficients(self, options: ModelStockOptions, context: Context) -> Sequence[float]:
        """Return t/k for every model's whole task vector."""
        gram = context.result("gram")
        count = len(gram)
        pairs = list(itertools.combinations(range(count), 2))
        mean = sum(cosine(gram, first, second, otherwise=0.0) for first, second in pairs) / len(pairs)
        divisor = 1 + (count - 1) * mean
        return [mean / divisor if abs(divisor) >= NO_DIVISOR else 0.0] * count

    def merge(self, arrays: Sequence[Array], options: ModelStockOptions, context: Context) -> Array:
        """Return t/k times the sum of the task vectors, of a tensor or row by row."""
        if not options.filter_wise:
            return super().merge(arrays, options, context)
        xp = context.xp
        pairs = list(itertools.combinations(arrays, 2))
        mean = sum(cosines_along(first, second, -1, xp, otherwise=0.0) for first, second in pairs) / len(pairs)
        divisor = 1 + (len(arrays) - 1) * mean
        known = xp.abs(divisor) >= NO_DIVISOR
        ratio = xp.where(known, mean, 0.0) / xp.where(known, divisor, 1.0)
        total = arrays[0]
        for task_vector in arrays[1:]:
            total += task_vector
        total *= xp.astype(ratio, total.dtype)
        return total
