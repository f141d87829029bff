r"""Git Re-Basin: bring the units of every model into the order of the first, then average.

Ainsworth, Hayase and Srinivasa 2022, "Git Re-Basin: merging models modulo permutation symmetries", arXiv:2209.04836.
Reordering the hidden units of a network, in all tensors that carry them, does not change its function. Of all orders pi
of a model, weight matching takes the one that is nearest to the first model:

    theta = sum_i w_i pi_i(theta_i),    pi_i = argmin ||theta_1 - pi(theta_i)||^2 = argmax <theta_1, pi(theta_i)>

group by group, each by a linear assignment while the others stay, until nothing improves. `matching` ``activations``
goes by how alike units behave on data, ``straight-through`` by gradients of the loss halfway between two models, on
data with labels. Which axes carry the same units is derived from the model and proven by running it, or comes from
templates or a file of groups. Permutations are exact in every type; what is averaged afterwards is an ordinary soup, of
`align:` models.

Use it for models of one architecture that were trained from different starts: their plain average is worthless until
the units are in one order. Wide networks gain most.

Not for models tuned from one base, which share an order already: take soup. Transformers from different seeds keep most
of their barrier, and BatchNorm needs `merge bn-reset` afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..alignment.declared import AlignmentOptions
from ..method import Context, WeightedSum
from ..options import Options, option


class RebasinOptions(Options):
    """Options of the average."""

    weight: tuple[float, ...] = option(
        lambda models: 1 / models, "Factor of each aligned model.", per_model=True, default_text="1 / models"
    )


class Rebasin(WeightedSum):
    """Average of models whose units are brought into one order first."""

    options = RebasinOptions
    calibration = AlignmentOptions
    aligns = True
    merged_by = "soup"
    minimum_models = 2
    ordered = True

    def coefficients(self, options: RebasinOptions, context: Context) -> Sequence[float]:
        """Return the weights."""
        return options.weight
