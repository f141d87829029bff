"""SCE: select where the models differ most, weight them by their energy there, sum what agrees in sign.

Wan et al. 2024, "FuseChat: knowledge fusion of chat models", arXiv:2408.07990. Tensor by tensor, with the task vectors
d_i = theta_i - theta_0 and v their variance over the models, entry by entry:

    select     d_i = 0 outside of the int(select_topk * (number of v that are not 0)) entries where v is largest
    calculate  c_i = sum d_i^2 / sum_j sum d_j^2
    erase      A   = models whose d_i has the sign of sum_i d_i, 0 counting as +
    outcome = theta_0 + sum_A c_i d_i / sum_A c_i

The signs are elected without the c_i. A `select_topk` of 1 selects everything, and one of 0 nothing.

Use it for chat models distilled from different teachers onto one base, as in its paper: shares follow from how much
each changed a tensor, so no weights are needed.

Not for one model, or where the strongest task vector is not the one to trust, since energy decides. It reads every
tensor three times and is among the slower methods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..arithmetic.consensus import agreeing_sum, majority
from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array, Largest, Reduction, Sums


class SceOptions(Options):
    """Options of SCE."""

    select_topk: float = option(
        1.0, "Share of the entries that is kept, those where the models differ most.", minimum=0, maximum=1
    )


@dataclass(frozen=True)
class ShareOfVaried:
    """The rule for `Largest.counts`: a share of the entries in which the models differ at all."""

    share: float

    def __call__(self, elements: int, results: Callable[[str], Any]) -> list[list[int]]:
        """Return the one count."""
        return [[int(results("varied")[0] * self.share)]]


class Sce(Method):
    """Selected task vectors, weighted by their energy, averaged where their signs agree."""

    options = SceOptions
    takes = "task_vectors"

    def reductions(self, options: SceOptions) -> Sequence[Reduction]:
        """How many entries vary, which of them vary most, and the energies there, each by way of the one before."""
        select: list[Reduction] = [
            Sums("varied", lambda arrays, _options, context: [_variance(arrays, context.xp) > 0]),
            Largest("selected", ShareOfVaried(options.select_topk), view=_variances),
        ]
        return [*(select if options.select_topk < 1 else ()), Sums("energies", self._energies)]

    def merge(self, arrays: Sequence[Array], options: SceOptions, context: Context) -> Array:
        """Return the merged task vector of one portion."""
        self._select(arrays, options, context)
        energies = context.result("energies")
        whole = sum(energies)
        if whole == 0:
            return arrays[0]  # nothing was selected, or all models are the base: zeros
        total = context.xp.zeros_like(arrays[0])
        for task_vector in arrays:
            total += task_vector
        sign = majority(total, context.xp)
        weights = [energy / whole for energy in energies]
        return agreeing_sum(arrays, weights, context.xp, normalize=True, sign=sign)

    @staticmethod
    def _select(arrays: Sequence[Array], options: SceOptions, context: Context) -> None:
        """Set to 0 what is not selected."""
        if options.select_topk < 1:
            selected = context.largest(_variance(arrays, context.xp), "selected", 0)
            for task_vector in arrays:
                task_vector *= selected

    def _energies(self, arrays: Sequence[Array], options: SceOptions, context: Context) -> Sequence[Array]:
        self._select(arrays, options, context)
        return [task_vector * task_vector for task_vector in arrays]


def _variances(arrays: Sequence[Array], options: SceOptions, context: Context) -> Sequence[Array]:
    return [_variance(arrays, context.xp)]


def _variance(arrays: Sequence[Array], xp: Any) -> Array:
    """Return the variance over the models, entry by entry."""
    mean = xp.zeros_like(arrays[0])
    for array in arrays:
        mean += array
    mean /= len(arrays)
    total = xp.zeros_like(mean)
    for array in arrays:
        deviation = array - mean
        deviation *= deviation
        total += deviation
    total /= len(arrays)
    return total
