"""RAM: what only one model changed is kept whole, what several changed is averaged.

Yuan et al. 2026, "Behavior knowledge merge in reinforced agentic models", arXiv:2601.13572, for models that were tuned
by reinforcement, whose task vectors d_i = theta_i - theta_0 are mostly 0. Entry by entry, over the models A that
changed it, |d_i| > epsilon:

    outcome = theta_0 + (1/|A|) sum_A d_i                     where several did
    outcome = theta_0 + (1 + r min(rho_i, alpha)) d_i         where only model i did

rho_i is the number of entries that model i changed along with others by the number that it changed alone, tensor by
tensor, and counts as alpha where the latter is 0. An `r` of 0 is RAM; with it, what is unique is amplified to make up
for what the averages dilute: RAM+.

Use it for models tuned by reinforcement from one base, whose changes are sparse: what only one changed is kept whole,
where an average would divide it.

Not for supervised fine-tuning, which changes nearly every entry: nothing is unique then, and the outcome is the
average. Where the base lies in another type than the models, rounding looks like change: raise epsilon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array, Sums


class RamOptions(Options):
    """Options of RAM."""

    epsilon: float = option(1e-5, "An entry counts as changed where it differs from the base by more.", minimum=0)
    r: float = option(0.0, "How strongly what is unique to a model is amplified; mergekit's ramplus_tl has 0.1.")
    alpha: float = option(0.2, "Most that the ratio of shared to unique entries may count.", minimum=0)


class Ram(Method):
    """Unique changes kept, shared changes averaged."""

    options = RamOptions
    takes = "task_vectors"

    def reductions(self, options: RamOptions) -> Sequence[Sums]:
        """The amplification needs to know how much is shared and how much unique."""
        return [Sums("counts", self._shared_and_unique)] if options.r != 0 else []

    def merge(self, arrays: Sequence[Array], options: RamOptions, context: Context) -> Array:
        """Return the merged task vector of one portion."""
        xp = context.xp
        active = [xp.abs(task_vector) > options.epsilon for task_vector in arrays]
        models = _sum_of(active, arrays[0].dtype, xp)
        total = xp.zeros_like(arrays[0])
        for model, (task_vector, mask) in enumerate(zip(arrays, active, strict=True)):
            task_vector *= mask
            if options.r != 0:
                task_vector *= 1 + xp.astype(models == 1, total.dtype) * self._gain(model, options, context)
            total += task_vector
        total /= xp.clip(models, 1, None)
        return total

    @staticmethod
    def _gain(model: int, options: RamOptions, context: Context) -> float:
        shared, unique = context.result("counts")[2 * model : 2 * model + 2]
        ratio = shared / unique if unique else options.alpha
        return options.r * min(ratio, options.alpha)

    @staticmethod
    def _shared_and_unique(arrays: Sequence[Array], options: RamOptions, context: Context) -> Sequence[Array]:
        xp = context.xp
        active = [xp.abs(task_vector) > options.epsilon for task_vector in arrays]
        models = _sum_of(active, arrays[0].dtype, xp)
        return [mask & kind for mask in active for kind in (models > 1, models == 1)]


def _sum_of(masks: Sequence[Array], dtype: Any, xp: Any) -> Array:
    """Return how many of the masks are set, entry by entry."""
    total = xp.astype(masks[0], dtype)
    for mask in masks[1:]:
        total += xp.astype(mask, dtype)
    return total
