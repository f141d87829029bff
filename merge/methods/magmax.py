"""MagMax: of every entry, the task vector in which it is largest wins.

Marczak et al. 2024, "MagMax: leveraging model merging for seamless continual learning", arXiv:2407.06322:

    d_i     = theta_i - theta_0
    d[p]    = d_k[p],    k = argmax_i |d_i[p]|, the first model among equals
    outcome = theta_0 + scale * d

The paper fine-tunes the models one after the other, each from the one before it, and takes all task vectors from where
the first one started.

Use it for models that were tuned one after the other, each from the one before it: the largest changes are those that
mattered.

Not for models of very different lengths of training, whose largest task vector wins everywhere; nor for many noisy
ones, since nothing is averaged. Choose the scale on held-out data.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array


class MagmaxOptions(Options):
    """Options of MagMax."""

    scale: float = option(0.5, "Factor of the merged task vector.")


class Magmax(Method):
    """Entries of largest magnitude among the task vectors."""

    options = MagmaxOptions
    takes = "task_vectors"
    share_option = "scale"

    def merge(self, arrays: Sequence[Array], options: MagmaxOptions, context: Context) -> Array:
        """Return the merged task vector of one portion."""
        xp = context.xp
        winner = arrays[0]
        for task_vector in arrays[1:]:
            winner = xp.where(xp.abs(task_vector) > xp.abs(winner), task_vector, winner)
        winner *= options.scale
        return winner
