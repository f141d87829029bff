"""Iso-CTS: Iso-C with the weakest common directions exchanged for directions of single tasks.

Marczak et al. 2025, "No task left behind: isotropic model merging with common and task-specific subspaces",
arXiv:2502.04959, second method. For every matrix, of T models, with r its shorter side:

    s       = round((r - int(common_fraction * r)) / T) directions per task,    c = r - T s common ones
    U_c     = the c strongest left directions of D = sum_t d_t,    d_t = theta_t - theta_0
    R_t     = d_t - U_c U_c^T d_t, of which the s strongest directions count
    U, S, V = those of all R_t and the c strongest of D side by side
    outcome = theta_0 + scale * mean(S) * polar(U) polar(V)^T

with polar(X) the orthogonal matrix nearest to X. A fraction of 1 is Iso-C. Of other tensors than matrices, the mean of
the task vectors counts. Directions whose singular value is 0 but for rounding are arbitrary and stay at 0; the mean is
over the others. `svd` ``randomized`` approximates the directions of the tasks (Halko et al. 2011).

Use it like iso-c, for many tasks above all, where directions of single tasks get lost in the sum.

Not for few models: what the paper gains over iso-c grows with their number. It decomposes the matrices of every task,
which for large models wants a GPU or `svd` ``randomized``.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arithmetic.consensus import weighted_sum
from ..arithmetic.spectral import Factors, composed, decompose, isotropic, joined, negligible, orthogonalized
from ..method import Access, Context, Method
from ..options import Options, option
from ..reduction import Array


class IsoCtsOptions(Options):
    """Options of Iso-CTS."""

    common_fraction: float = option(
        0.8, "Share of the directions that are those of the summed task vectors.", minimum=0, maximum=1
    )
    scale: float = option(1.0, "Factor of the merged task vector.")
    svd: str = option(
        "exact", "Decompose each task's matrix exactly, or approximately at random.", choices=("exact", "randomized")
    )


class IsoCts(Method):
    """Even spectrum over directions that tasks share and directions of single tasks."""

    options = IsoCtsOptions
    takes = "task_vectors"
    seeded = True
    share_option = "scale"

    def access(self, options: IsoCtsOptions) -> Access:
        """Singular directions are those of whole matrices."""
        return "whole"

    def merge(self, arrays: Sequence[Array], options: IsoCtsOptions, context: Context) -> Array:
        """Return the merged task vector of one tensor."""
        if arrays[0].ndim == 2:
            parts = orthogonalized(joined(self._parts(arrays, options, context), context.xp), context.xp)
            merged = composed(isotropic(parts, context.xp))
        else:
            merged = weighted_sum(arrays, [1.0] * len(arrays), normalize=True)
        merged *= options.scale
        return merged

    @staticmethod
    def _parts(arrays: Sequence[Array], options: IsoCtsOptions, context: Context) -> list[Factors]:
        """Return the common directions, then those of each task outside of what the common ones reach."""
        xp, tasks, sides = context.xp, len(arrays), min(arrays[0].shape)
        own = min(round((sides - int(options.common_fraction * sides)) / tasks), sides // tasks)
        total = xp.zeros_like(arrays[0])
        for array in arrays:
            total += array
        parts = [decompose(total, sides - tasks * own, context)]
        for array in arrays if own else ():
            floor = negligible(array, float(xp.linalg.matrix_norm(array)), xp)
            array -= parts[0].left @ (parts[0].left.T @ array)
            parts.append(decompose(array, own, context, randomized=options.svd == "randomized", floor=floor))
        return parts
