"""DARE: drop entries of each task vector at random and rescale the rest.

Yu et al. 2024, "Language models are Super Mario: absorbing abilities from homologous models as a free lunch",
arXiv:2311.03099, section 3.2:

    m_i     ~ Bernoulli(density), entry by entry
    d_i     = m_i (theta_i - theta_0) / density
    outcome = theta_0 + scale * sum_i w_i d_i

With `rescale` ``l1`` a tensor's kept entries are multiplied by sum|d_i| / sum|m_i d_i| instead, as mergekit does. With
`ties` the sum is over the entries that agree with the elected sign (see ties). The masks depend on the seed, the
tensor's name, the model's position, the entry's index and the merge's place in the recipe (the top, or which nested
one), so that two nested merges drop other entries; on nothing else.

Use it before adding task vectors of long-tuned language models, which are redundant: most entries can be dropped when
the rest makes up for it.

Not for models that moved far from the base, by much training or large learning rates: dropping nine tenths can break
them. The outcome depends on the seed, so try several.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arithmetic.consensus import weighted_sum
from ..method import Context, Method, refuse_zero_sum
from ..options import Options, option
from ..reduction import Array, Sums


class DareOptions(Options):
    """Options of DARE."""

    weight: tuple[float, ...] = option(1.0, "Factor of each model's task vector.", per_model=True)
    density: tuple[float, ...] = option(
        0.5, "Share of each task vector that is kept.", minimum=0, maximum=1, per_model=True, shared=True
    )
    rescale: str = option(
        "density",
        "Make up for what was dropped: by 1/density, by the L1 norm per tensor, or not.",
        choices=("density", "l1", "none"),
    )
    ties: bool = option(False, "Sum only what agrees with the elected sign.")
    scale: float = option(1.0, "Factor of the merged task vector.")
    normalize: bool = option(False, "Divide by the sum of the weights, with --ties of those that agree.")


class Dare(Method):
    """Task vectors with entries dropped at random and the rest rescaled."""

    options = DareOptions
    takes = "task_vectors"
    seeded = True
    ordered = True

    def check(self, options: DareOptions, models: int) -> None:
        """Refuse weights that cannot be normalized."""
        refuse_zero_sum(options.weight, normalize=options.normalize and not options.ties)

    def reductions(self, options: DareOptions) -> Sequence[Sums]:
        """The L1 rescaling needs the norms before and after dropping."""
        return [Sums("norms", self._norms)] if options.rescale == "l1" and min(options.density) < 1 else []

    def merge(self, arrays: Sequence[Array], options: DareOptions, context: Context) -> Array:
        """Return the merged task vector of one portion."""
        for model, task_vector in enumerate(arrays):
            if options.density[model] < 1:
                task_vector *= self._mask(task_vector, model, options, context)
                task_vector *= self._factor(model, options, context)
        if options.ties:
            total = context.agreeing_sum(arrays, options.weight, normalize=options.normalize)
        else:
            total = weighted_sum(arrays, options.weight, normalize=options.normalize)
        total *= options.scale
        return total

    @staticmethod
    def _mask(task_vector: Array, model: int, options: DareOptions, context: Context) -> Array:
        return context.uniform(task_vector, model) < options.density[model]

    @staticmethod
    def _factor(model: int, options: DareOptions, context: Context) -> float:
        if options.rescale == "none" or options.density[model] == 0:
            return 1.0
        if options.rescale == "density":
            return 1 / options.density[model]
        before, after = context.result("norms")[2 * model : 2 * model + 2]
        return before / after if after else 1.0

    def _norms(self, arrays: Sequence[Array], options: DareOptions, context: Context) -> Sequence[Array]:
        found = []
        for model, task_vector in enumerate(arrays):
            magnitudes = context.xp.abs(task_vector)
            found += [magnitudes, magnitudes * self._mask(task_vector, model, options, context)]
        return found
