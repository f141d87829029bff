"""Sparse soup: the average of pruned models whose zeros are in the same places, which stays as sparse as they are.

Zimmer et al. 2023, "Sparse model soups: a recipe for improved pruning via model averaging", arXiv:2306.16788:

    theta = 1/k sum_i theta_i,    theta_i[p] = 0 for all models or for none

The models are retrained from one pruned parent. Zeros are compared in all merged tensors before anything is written:
where they differ, the average would be denser than its members, and the merge is refused unless `require_same_mask` is
off; but up to one entry in 100,000 may be 0 in some models by chance. An entry counts as a zero of the average where
every model has one. The paper measures BatchNorm statistics anew before every evaluation, and chooses the members
greedily: ``--strategy greedy --benchmark SPEC --reset-data SPEC``. The plain average leaves them to ``merge bn-reset``.

Use it for models that were retrained from one pruned parent with its mask kept: the average is as sparse as each of
them.

Not for models that were pruned one by one: their zeros lie in different places, and the merge is refused. It needs
`merge bn-reset` where there is BatchNorm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import MergeError
from ..method import Context, WeightedSum
from ..options import Options, option
from ..reduction import Array, Sums

_CHANCE = 1e-5  # share of the entries at which zeros may differ: a weight that is not pruned may be trained to 0
_DENSE = 0.2  # a model with fewer zeros than this share of another's was not pruned as that one was


class SparseSoupOptions(Options):
    """Options of the sparse soup."""

    require_same_mask: bool = option(True, "Refuse models whose zeros are in different places.")


class SparseSoup(WeightedSum):
    """Average of models that are pruned alike."""

    options = SparseSoupOptions
    minimum_models = 2
    needs_all = True
    strategies = ("greedy",)

    def reductions(self, options: SparseSoupOptions) -> Sequence[Sums]:
        """Zeros are counted over the checkpoint."""
        return [Sums("zeros", _zeros, scope="checkpoint", by_name=True)]

    def remarks(self, options: SparseSoupOptions, context: Context) -> Sequence[str]:
        """Return how sparse models and average are.

        Raises:
            MergeError: When the models' zeros differ and that is not allowed.
        """
        counts: Mapping[str, Sequence[float]] = context.result("zeros")
        *models, average, unlike, entries = map(sum, zip(*counts.values(), strict=True))
        if not unlike:
            return [f"sparse-soup: sparsity {average / entries:.1%}, the same zeros in all models"]
        each = ", ".join(f"{zeros / entries:.1%}" for zeros in models)
        what = f"the models' zeros differ at {unlike:,.0f} of {entries:,.0f} entries: sparsity {each}"
        if options.require_same_mask and unlike > _CHANCE * entries:
            what += f", and only {average / entries:.1%} of their average; {_worst(counts)}"
            raise MergeError(what, hint=_hint([zeros / entries for zeros in models]))
        return [f"sparse-soup: {what}, and {average / entries:.1%} of the average; {_worst(counts)}"]

    def coefficients(self, options: SparseSoupOptions, context: Context) -> Sequence[float]:
        """Return the same share for every model."""
        count = len(next(iter(context.result("zeros").values()))) - 3
        return [1 / count] * count


def _worst(counts: Mapping[str, Sequence[float]]) -> str:
    """Say in which tensor most zeros differ."""
    name = max(counts, key=lambda tensor: counts[tensor][-2])
    *_, unlike, entries = counts[name]
    return f"most of them in '{name}', at {unlike:,.0f} of {entries:,.0f}"


def _hint(sparsities: Sequence[float]) -> str:
    """Say what to do about zeros that differ."""
    most = max(sparsities)
    dense = [str(number) for number, sparsity in enumerate(sparsities, start=1) if sparsity < _DENSE * most]
    if dense:
        start = f"model {dense[0]} is not pruned" if len(dense) == 1 else f"models {', '.join(dense)} are not pruned"
        return f"{start}: retrain all of them from one pruned parent. --no-require-same-mask averages them anyway"
    return "retrain all of them from one pruned parent, with its mask. --no-require-same-mask averages them anyway"


def _zeros(arrays: Sequence[Array], options: SparseSoupOptions, context: Context) -> Sequence[Array]:
    """Return masks: each model's zeros, those of all models, where the models differ, and every entry."""
    zeros = [array == 0 for array in arrays]
    common, anywhere = zeros[0], zeros[0]
    for mask in zeros[1:]:
        common, anywhere = common & mask, anywhere | mask
    return [*zeros, common, common ^ anywhere, context.xp.ones_like(common)]
