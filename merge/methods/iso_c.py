"""Iso-C: sum the task vectors and give all singular directions of every matrix the same strength.

Marczak et al. 2025, "No task left behind: isotropic model merging with common and task-specific subspaces",
arXiv:2502.04959, first method. For every matrix:

    sum_t (theta_t - theta_0) = U diag(s_1 .. s_r) V^T
    outcome                   = theta_0 + scale * (s_1 + .. + s_r) / r * U V^T

Of other tensors than matrices, the mean of the task vectors counts. Directions whose singular value is 0 but for
rounding are arbitrary and stay at 0; r counts the others.

Use it for several tasks of one base, without data: a sum of task vectors is ruled by few strong directions, and here
all count alike. The scale is to be chosen on held-out data.

Not for small differences of noise, whose weak directions are raised too, nor where whole matrices in memory and a
singular value decomposition of each are too much.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arithmetic.consensus import weighted_sum
from ..arithmetic.spectral import composed, decompose, isotropic
from ..method import Access, Context, Method
from ..options import Options, option
from ..reduction import Array


class IsoCOptions(Options):
    """Options of Iso-C."""

    scale: float = option(1.0, "Factor of the merged task vector.")


class IsoC(Method):
    """Summed task vectors with an even spectrum."""

    options = IsoCOptions
    takes = "task_vectors"
    share_option = "scale"

    def access(self, options: IsoCOptions) -> Access:
        """Singular directions are those of whole matrices."""
        return "whole"

    def merge(self, arrays: Sequence[Array], options: IsoCOptions, context: Context) -> Array:
        """Return the merged task vector of one tensor."""
        matrix = arrays[0].ndim == 2
        merged = weighted_sum(arrays, [1.0] * len(arrays), normalize=not matrix)
        if matrix:
            merged = composed(isotropic(decompose(merged, min(merged.shape), context), context.xp))
        merged *= options.scale
        return merged
