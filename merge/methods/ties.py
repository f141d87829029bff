"""TIES: trim each task vector, elect a sign per parameter, average what agrees with it.

Yadav et al. 2023, "TIES-Merging: resolving interference when merging models", arXiv:2306.01708, section 4:

    d_i     = theta_i - theta_0, its max(1, int(density * n)) largest entries kept, the others 0
    sign    = sign(sum_i w_i d_i), 0 counting as +
    outcome = theta_0 + scale * sum_A w_i d_i / sum_A w_i,    A = models whose w_i d_i has that sign

Entries that are exactly 0 neither vote nor count. Without `normalize` the agreeing entries are summed. A density of 0
keeps nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array, Largest, Share


class TiesOptions(Options):
    """Options of TIES."""

    weight: tuple[float, ...] = option(1.0, "Weight of each model's vote and share.", per_model=True)
    density: tuple[float, ...] = option(
        0.2, "Share of each task vector that is kept.", minimum=0, maximum=1, per_model=True, shared=True
    )
    scale: float = option(1.0, "Factor of the merged task vector.")
    trim_scope: str = option(
        "tensor", "Rank the entries within each tensor or over the checkpoint.", choices=("tensor", "checkpoint")
    )
    normalize: bool = option(True, "Average the agreeing entries; otherwise sum them.")


class Ties(Method):
    """Trimmed task vectors, averaged where their signs agree with the majority."""

    options = TiesOptions
    takes = "task_vectors"

    def reductions(self, options: TiesOptions) -> Sequence[Largest]:
        """Trimming needs the rank of every entry."""
        trims = any(density < 1 for density in options.density)
        return [Largest("trim", Share(options.density), scope=options.trim_scope)] if trims else []  # type: ignore[arg-type]

    def merge(self, arrays: Sequence[Array], options: TiesOptions, context: Context) -> Array:
        """Return the merged task vector of one portion."""
        for model, (task_vector, density) in enumerate(zip(arrays, options.density, strict=True)):
            if density < 1:
                context.keep_largest(task_vector, "trim", model)
        total = context.agreeing_sum(arrays, options.weight, normalize=options.normalize)
        total *= options.scale
        return total
