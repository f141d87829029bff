"""TIES: trim each task vector, elect a sign per parameter, average what agrees with it.

Yadav et al. 2023, "TIES-Merging: resolving interference when merging models", arXiv:2306.01708, section 4:

    d_i     = theta_i - theta_0, its max(1, int(density * n)) largest entries kept, the others 0
    sign    = sign(sum_i w_i d_i), 0 counting as +
    outcome = theta_0 + scale * sum_A w_i d_i / sum_A w_i,    A = models whose w_i d_i has that sign

Entries that are exactly 0 neither vote nor count. Without `normalize` the agreeing entries are summed. A density of 0
keeps nothing. With `rescale` the kept entries of d_i make up for what was trimmed: ``density`` divides them by density,
``l1`` multiplies them by sum|theta_i - theta_0| / sum|d_i| of the tensor, as mergekit does.

Use it for several models of one base and different tasks, without data: it keeps changes from cancelling each other.
Density 0.2 and scale 1 are published defaults; held-out data finds better ones.

Not for models of one task, of which it throws away most, nor without their base. With a well chosen scale plain task
arithmetic may be as good: compare (docs/quality.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arithmetic.rescaling import RESCALE, magnitudes, rescale
from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array, Largest, Reduction, Share, Sums


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
    rescale: str = option(
        "none", "Make up for what was trimmed: by 1/density, by the L1 norm per tensor, or not.", choices=RESCALE
    )


class Ties(Method):
    """Trimmed task vectors, averaged where their signs agree with the majority."""

    options = TiesOptions
    takes = "task_vectors"

    def reductions(self, options: TiesOptions) -> Sequence[Reduction]:
        """Trimming needs the rank of every entry, the L1 rescaling the norms before and after it."""
        if all(density >= 1 for density in options.density):
            return []
        trim = Largest("trim", Share(options.density), scope=options.trim_scope)  # type: ignore[arg-type]
        return [trim, Sums("norms", self._norms)] if options.rescale == "l1" else [trim]

    def merge(self, arrays: Sequence[Array], options: TiesOptions, context: Context) -> Array:
        """Return the merged task vector of one portion."""
        self._trim(arrays, options, context)
        rescale(arrays, options.density, options.rescale, context)
        total = context.agreeing_sum(arrays, options.weight, normalize=options.normalize)
        total *= options.scale
        return total

    @staticmethod
    def _trim(arrays: Sequence[Array], options: TiesOptions, context: Context) -> None:
        for model, (task_vector, density) in enumerate(zip(arrays, options.density, strict=True)):
            if density < 1:
                context.keep_largest(task_vector, "trim", model)

    def _norms(self, arrays: Sequence[Array], options: TiesOptions, context: Context) -> Sequence[Array]:
        before = magnitudes(arrays, context)
        self._trim(arrays, options, context)
        return [*before, *magnitudes(arrays, context)]
