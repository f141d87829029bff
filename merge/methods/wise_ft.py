"""WiSE-FT: walk on the straight line from a base to its fine-tuned model.

Wortsman et al. 2021, "Robust fine-tuning of zero-shot models", arXiv:2109.01903:

    theta = (1 - alpha) theta_0 + alpha theta_1  =  theta_0 + alpha (theta_1 - theta_0)

An alpha between 0 and 1 trades accuracy on the fine-tuned task for robustness elsewhere. Beyond 1 the line is followed
past the fine-tuned model, below 0 past the base.

Use it for one tuned model that has become worse away from its task: an alpha around 0.5 often wins back robustness for
little. `--sweep` and `merge eval` draw the curve.

Not for several tuned models, nor for one that shares little with its base, such as a new head of random weights: half
of that head is noise.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, WeightedSum
from ..options import Options, option


class WiseFtOptions(Options):
    """Options of WiSE-FT."""

    alpha: float = option(0.5, "How far from the base to the fine-tuned model; beyond 1 extrapolates.")


class WiseFt(WeightedSum):
    """Straight line between a base and one fine-tuned model."""

    options = WiseFtOptions
    takes = "task_vectors"
    maximum_models = 1
    share_option = "alpha"

    def coefficients(self, options: WiseFtOptions, context: Context) -> Sequence[float]:
        """Return the share of the one task vector."""
        return [options.alpha]

    def shares(self, options: WiseFtOptions) -> Sequence[float]:
        """Return the shares of the base and of the fine-tuned model."""
        return [1 - options.alpha, options.alpha]
