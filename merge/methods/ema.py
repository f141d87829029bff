"""Exponential moving average over the checkpoints of one run, given from the oldest to the newest.

Tarvainen and Valpola 2017, "Mean teachers are better role models", arXiv:1703.01780, section 2, average the weights
of all steps this way; Li et al. 2025, "Model merging in pre-training of large language models", arXiv:2505.12082, do it
with a few saved checkpoints, as here:

    theta = theta_1, then for every later checkpoint:  theta = decay * theta + (1 - decay) * theta_i

A decay of 0 gives the newest checkpoint, 1 the oldest; a value beside a model holds for the step that adds it, so the
first model's has no effect. Of few checkpoints the oldest has the largest share, decay^(k - 1), unless the decay is
small: at 0.9 and with three, the shares are 0.81, 0.09 and 0.1.

The checkpoints of a Hugging Face trainer are folders with a step in their name, and are given as they are:

    merge ema checkpoint-1000 checkpoint-2000 checkpoint-3000 -o averaged

A shell sorts `checkpoint-*` by letters, 10000 before 2000; `$(ls -dv checkpoint-*)` lists the steps in their order.

Use it to smooth the last checkpoints of one run, the oldest first, above all where the learning rate was not brought
down to 0.

Not for models of different runs, which have no order; and not with a decay near 1 and few checkpoints, where the oldest
has nearly all of the weight.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, WeightedSum
from ..options import Options, option


class EmaOptions(Options):
    """Options of the moving average."""

    decay: tuple[float, ...] = option(
        0.9, "What the average so far keeps when a checkpoint joins.", minimum=0, maximum=1, per_model=True, shared=True
    )


class Ema(WeightedSum):
    """Exponential moving average of a run's checkpoints, the oldest first."""

    options = EmaOptions
    minimum_models = 2
    ordered = True

    def coefficients(self, options: EmaOptions, context: Context) -> Sequence[float]:
        """Return the factor of each checkpoint."""
        return self.shares(options)

    def shares(self, options: EmaOptions) -> Sequence[float]:
        """Return the share that each checkpoint has in the end."""
        shares = [1.0]
        for decay in options.decay[1:]:
            shares = [*(share * decay for share in shares), 1 - decay]
        return shares
