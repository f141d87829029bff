"""Model soup: the weighted average of models that were fine-tuned from one start.

Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time", arXiv:2203.05482, section 2:

    theta = sum_i w_i theta_i,    w_i = 1/k for the uniform soup

The weights are used as given; only `normalize` divides them by their sum.

Use it first: for models of one task that were tuned from one start with different seeds or settings. It is the fastest
method, has no option to get wrong, and every other one must beat it.

Not for models from different starts (rebasin) or of very different tasks, where task vectors with a scale do better.
One bad model spoils it: `--strategy greedy` leaves such out.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, WeightedSum, refuse_zero_sum
from ..options import Options, option


class SoupOptions(Options):
    """Options of the soup."""

    weight: tuple[float, ...] = option(
        lambda models: 1 / models, "Share of each model.", per_model=True, default_text="1/k"
    )
    normalize: bool = option(False, "Divide the weights by their sum.")


class Soup(WeightedSum):
    """Weighted average of the models' weights."""

    options = SoupOptions
    minimum_models = 2
    strategies = ("greedy", "learned")

    def check(self, options: SoupOptions, models: int) -> None:
        """Refuse weights that cannot be normalized."""
        refuse_zero_sum(options.weight, normalize=options.normalize)

    def coefficients(self, options: SoupOptions, context: Context) -> Sequence[float]:
        """Return w_i, divided by their sum where that is asked for."""
        divisor = sum(options.weight) if options.normalize else 1.0
        return [weight / divisor for weight in options.weight]
