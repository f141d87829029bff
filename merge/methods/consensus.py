"""Consensus merging: of the summed task vectors, keep what several models find important.

Wang et al. 2024, "Localizing task information for improved model merging and compression", arXiv:2405.07813.
With the task vectors d_t = theta_t - theta_0:

    d_sum   = sum_t w_t d_t
    m_t     = |d_t| >= selectivity_t |d_sum - d_t|, entry by entry (the TALL mask of model t)
    outcome = theta_0 + scale * d_sum, where at least `threshold` of the masks are set, and theta_0 elsewhere

A threshold of 2 drops entries that no model, or only one, finds important; 0 drops nothing. The selectivity is the
paper's lambda: a higher one makes masks sparser. The paper tunes it per model on held-out data; here it is given.

Use it for many tasks of one base, where summed task vectors hold entries that serve one task alone and disturb the
others.

Not for two models, of which a threshold of 2 keeps only what both find important. Selectivity and scale want held-out
data; what serves one task alone is meant to get lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array


class ConsensusOptions(Options):
    """Options of consensus merging."""

    weight: tuple[float, ...] = option(1.0, "Factor of each model's task vector in the sum.", per_model=True)
    selectivity: tuple[float, ...] = option(
        0.6,
        "How large an entry must be, beside what the others add to it, to be important to a model.",
        minimum=0,
        per_model=True,
        shared=True,
    )
    threshold: int = option(2, "To how many models an entry must be important to be kept.", minimum=0)
    scale: float = option(1.0, "Factor of the merged task vector.")


class Consensus(Method):
    """Summed task vectors where several models agree on their importance."""

    options = ConsensusOptions
    takes = "task_vectors"
    minimum_models = 2

    def check(self, options: ConsensusOptions, models: int) -> None:
        """Refuse a threshold that no entry can reach."""
        if options.threshold > models:
            what = f"threshold is {options.threshold}, but there are {models} models: nothing would be kept"
            raise UsageError(what, hint=f"at most {models}")

    def merge(self, arrays: Sequence[Array], options: ConsensusOptions, context: Context) -> Array:
        """Return the merged task vector of one portion."""
        xp = context.xp
        total = xp.zeros_like(arrays[0])
        for task_vector, weight in zip(arrays, options.weight, strict=True):
            total += task_vector * weight
        votes = xp.zeros_like(total)
        for task_vector, selectivity in zip(arrays, options.selectivity, strict=True):
            others = xp.abs(total - task_vector)
            others *= selectivity
            votes += xp.abs(task_vector) >= others
        total *= votes >= options.threshold
        total *= options.scale
        return total
