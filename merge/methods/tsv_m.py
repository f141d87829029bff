"""TSV-M: merge the strongest singular directions of each task, made orthogonal to those of the other tasks.

Gargiulo et al. 2024, "Task singular vectors: reducing task interference in model merging", arXiv:2412.00081. For every
matrix, of T models, with r its shorter side:

    theta_t - theta_0 = U_t S_t V_t^T,    of which the k = int(r / T) strongest directions are kept, at least one
    U, S, V           = those of all tasks side by side
    outcome           = theta_0 + scale * polar(U) S polar(V)^T

with polar(X) the orthogonal matrix nearest to X. Of other tensors than matrices, the mean of the task vectors counts.
Directions whose singular value is 0 but for rounding are left out, where the formula by itself would let arbitrary ones
in. Large matrices take long: `svd` ``randomized`` approximates the directions that are kept (Halko et al. 2011), and a
layer rule with `keep` spares embeddings.

Use it for several tasks of one base, without data: changes of single tasks are of low rank, and it keeps their
strongest directions out of each other's way.

Not for one model or tuning that changes everything a little: with T models each keeps 1/T of its directions. Whole
matrices are decomposed, so large models take long without a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arithmetic.consensus import weighted_sum
from ..arithmetic.spectral import composed, decompose, joined, orthogonalized
from ..method import Access, Context, Method
from ..options import Options, option
from ..reduction import Array


class TsvMOptions(Options):
    """Options of TSV-M."""

    scale: float = option(1.0, "Factor of the merged task vector.")
    svd: str = option(
        "exact", "Decompose each task's matrix exactly, or approximately at random.", choices=("exact", "randomized")
    )


class TsvM(Method):
    """Strongest singular directions of every task, orthogonal to each other."""

    options = TsvMOptions
    takes = "task_vectors"
    seeded = True
    share_option = "scale"

    def access(self, options: TsvMOptions) -> Access:
        """Singular directions are those of whole matrices."""
        return "whole"

    def merge(self, arrays: Sequence[Array], options: TsvMOptions, context: Context) -> Array:
        """Return the merged task vector of one tensor."""
        if arrays[0].ndim == 2:
            rank = max(1, min(arrays[0].shape) // len(arrays))
            tasks = [decompose(array, rank, context, randomized=options.svd == "randomized") for array in arrays]
            merged = composed(orthogonalized(joined(tasks, context.xp), context.xp))
        else:
            merged = weighted_sum(arrays, [1.0] * len(arrays), normalize=True)
        merged *= options.scale
        return merged
