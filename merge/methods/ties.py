"""TIES: trim each task vector, elect a sign per parameter, average what agrees with it.

Yadav et al. 2023, "TIES-Merging: resolving interference when merging models", arXiv:2306.01708, section 4:

    d_i     = theta_i - theta_0, its max(1, int(density * n)) largest entries kept, the others 0
    sign    = sign(sum_i w_i d_i), 0 counting as +
    outcome = theta_0 + scale * sum_A w_i d_i / sum_A w_i,    A = models whose w_i d_i has that sign

Entries that are exactly 0 neither vote nor count. Without `normalize` the agreeing entries are summed.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Array, Context, LargestMagnitudes, Method
from ..options import Options, option


class TiesOptions(Options):
    """Options of TIES."""

    weight: tuple[float, ...] = option(1.0, "Weight of each model's vote and share.", per_model=True)
    density: float = option(0.2, "Share of each task vector that is kept.", above=0, maximum=1)
    scale: float = option(1.0, "Factor of the merged task vector.")
    trim_scope: str = option(
        "tensor", "Rank the entries within each tensor or over the checkpoint.", choices=("tensor", "checkpoint")
    )
    normalize: bool = option(True, "Average the agreeing entries; otherwise sum them.")


class Ties(Method):
    """Trimmed task vectors, averaged where their signs agree with the majority."""

    options = TiesOptions
    takes = "task_vectors"

    def reductions(self, options: TiesOptions) -> Sequence[LargestMagnitudes]:
        """Trimming needs the rank of every entry."""
        return [LargestMagnitudes(options.density, options.trim_scope)] if options.density < 1 else []  # type: ignore[arg-type]

    def merge(self, arrays: Sequence[Array], options: TiesOptions, context: Context) -> Array:
        """Return the merged task vector of one piece."""
        xp = context.xp
        votes = xp.zeros_like(arrays[0])
        for model, (task_vector, weight) in enumerate(zip(arrays, options.weight, strict=True)):
            if options.density < 1:
                task_vector *= context.largest(task_vector, model)
            task_vector *= weight
            votes += task_vector
        sign = xp.copysign(xp.ones_like(votes), votes)
        total, divisor = xp.zeros_like(votes), xp.zeros_like(votes)
        for task_vector, weight in zip(arrays, options.weight, strict=True):
            task_vector *= sign  # now positive exactly where it agrees with the majority
            if options.normalize:
                divisor += xp.astype(task_vector > 0, votes.dtype) * weight
            total += xp.clip(task_vector, 0, None)
        total *= sign
        if options.normalize:
            divisor += divisor == 0  # nothing agrees, or weights of both signs cancel: the sum stands, as in mergekit
            total /= divisor
        total *= options.scale
        return total
