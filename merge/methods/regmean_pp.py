r"""RegMean++: RegMean whose inputs come from the blocks that are merged already.

Nguyen et al. 2025, "RegMean++: enhancing effectiveness and generalization of regression mean for model merging",
arXiv:2508.03121. The closed form is RegMean's, with G'_i the shrunk Gram matrix of a matrix's inputs:

    theta^T = (sum_i c_i G'_i)^-1 (sum_i c_i G'_i theta_i^T)

Only the inputs differ. Those of block l of model i are what the merged blocks 1 … l-1 make of model i's data, and
within the block model i's own weights are run on them (`granularity` ``block``), or the merged ones up to the very
matrix (``linear``, which is not the paper's). So the blocks are merged one after the other, with two passes of each
over the data. What is left besides the checkpoint are the Gram matrices, with which the merge is one by RegMean.

The norm after the last block, and the projections of CLIP and SigLIP, are the base's, as in the authors' code; with
`final_norm` ``mean`` the norm is averaged and the projections regressed. Other matrices after the last block (a pooler,
a classifier) are regressed as one more block. Of each model only one block is in memory at a time.

Use it like regmean, where models are deep: its statistics come from inputs that the merged model really sees. Published
gains over regmean are two points and less.

Not where regmean with files kept from before will do: every merge runs all models' blocks anew, two passes each. On
unseen tasks it can lose (docs/quality.md). Networks whose blocks share weights or skip each other are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..calibration.declared import SequentialCalibration
from ..method import Access, Context, Method
from ..reduction import Array
from .regmean import Regmean, RegmeanOptions


class RegmeanPp(Method):
    """Least squares on inputs from the merged blocks below."""

    options = RegmeanOptions
    statistics = "gram"
    calibration = SequentialCalibration
    sequential = True
    merged_by = "regmean"
    data_use = "unlabeled"
    minimum_models = 2
    uses_place = True

    def asks_place(self, given: Mapping[str, Any]) -> bool:
        """Depth matters to a region only."""
        return Regmean().asks_place(given)

    def check(self, options: RegmeanOptions, models: int) -> None:
        """Refuse weights of which nothing is left."""
        Regmean().check(options, models)

    def access(self, options: RegmeanOptions) -> Access:
        """A matrix is solved for as a whole."""
        return "whole"

    def merge(self, arrays: Sequence[Array], options: RegmeanOptions, context: Context) -> Array:
        """Do as RegMean does, with the Gram matrices that were gathered."""
        return Regmean().merge(arrays, options, context)
