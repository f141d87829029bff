"""Sparse soup: the average of pruned models whose zeros are in the same places, which stays as sparse as they are.

Zimmer et al. 2023, "Sparse model soups: a recipe for improved pruning via model averaging", arXiv:2306.16788:

    theta = 1/k sum_i theta_i,    theta_i[p] = 0 for all models or for none

The models are retrained from one pruned parent. Zeros are compared in all merged tensors before anything is written:
where they differ, the average would be denser than its members, and the merge is refused unless `require_same_mask` is
off. An entry counts as a zero of the average where every model has one. The paper measures BatchNorm statistics anew
after averaging; that needs data and is not done here.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import MergeError
from ..method import Context, WeightedSum
from ..options import Options, option
from ..reduction import Array, Sums


class SparseSoupOptions(Options):
    """Options of the sparse soup."""

    require_same_mask: bool = option(True, "Refuse models whose zeros are in different places.")


class SparseSoup(WeightedSum):
    """Average of models that are pruned alike."""

    options = SparseSoupOptions
    minimum_models = 2
    needs_all = True

    def reductions(self, options: SparseSoupOptions) -> Sequence[Sums]:
        """Zeros are counted over the checkpoint."""
        return [Sums("zeros", _zeros, scope="checkpoint")]

    def remarks(self, options: SparseSoupOptions, context: Context) -> Sequence[str]:
        """Return how sparse models and average are.

        Raises:
            MergeError: When the models' zeros differ and that is not allowed.
        """
        *models, average, unlike, entries = context.result("zeros")
        if not unlike:
            return [f"sparse-soup: sparsity {average / entries:.1%}, the same zeros in all models"]
        each = ", ".join(f"{zeros / entries:.1%}" for zeros in models)
        what = f"the models' zeros differ at {unlike:,.0f} of {entries:,.0f} entries: sparsity {each}"
        if options.require_same_mask:
            what += f", and only {average / entries:.1%} of their average"
            raise MergeError(what, hint="--no-require-same-mask averages them anyway")
        return [f"sparse-soup: {what}, and {average / entries:.1%} of the average"]

    def coefficients(self, options: SparseSoupOptions, context: Context) -> Sequence[float]:
        """Return the same share for every model."""
        count = len(context.result("zeros")) - 3
        return [1 / count] * count


def _zeros(arrays: Sequence[Array], options: SparseSoupOptions, context: Context) -> Sequence[Array]:
    """Return masks: each model's zeros, those of all models, where the models differ, and every entry."""
    zeros = [array == 0 for array in arrays]
    common, anywhere = zeros[0], zeros[0]
    for mask in zeros[1:]:
        common, anywhere = common & mask, anywhere | mask
    return [*zeros, common, common ^ anywhere, context.xp.ones_like(common)]
