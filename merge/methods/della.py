"""DELLA: drop entries of each task vector at random, small ones more often, and rescale the rest.

Deep et al. 2024, "DELLA-Merging: reducing interference in model merging through magnitude-based sampling",
arXiv:2406.11617. Within each row (a vector along the last axis) of length n, with ranks from 0 for the smallest
magnitude to n - 1:

    p_i     = density - epsilon + 2 epsilon rank / (n - 1), or density where n is 1
    m_i     ~ Bernoulli(p_i), entry by entry
    d_i     = m_i (theta_i - theta_0) / p_i
    outcome = theta_0 + scale * sum_A w_i d_i / sum_A w_i,    A = models that agree with the elected sign (see ties)

With `rescale` ``l1`` a tensor's kept entries are multiplied by sum|d_i| / sum|m_i d_i| instead, as mergekit does.
A density of 1 keeps everything and one of 0 nothing. The masks depend on what those of dare depend on.

Use it where dare would do, with more care for large entries: within each row, small changes are dropped more often than
large ones.

Not where time counts, since every row is ranked, nor without trying several seeds. With an epsilon of 0 it drops
evenly, as dare does.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arithmetic.consensus import weighted_sum
from ..errors import UsageError
from ..method import Access, Context, Method, refuse_zero_sum
from ..options import Options, option
from ..reduction import Array, Sums


class DellaOptions(Options):
    """Options of DELLA."""

    weight: tuple[float, ...] = option(1.0, "Factor of each model's task vector.", per_model=True)
    density: tuple[float, ...] = option(
        0.5, "Share of each task vector that is kept.", minimum=0, maximum=1, per_model=True, shared=True
    )
    epsilon: tuple[float, ...] = option(
        0.15, "How far the smallest and largest entries' shares are from it.", minimum=0, per_model=True, shared=True
    )
    rescale: str = option(
        "density",
        "Make up for what was dropped: by 1/p, by the L1 norm per tensor, or not.",
        choices=("density", "l1", "none"),
    )
    ties: bool = option(True, "Sum only what agrees with the elected sign.")
    scale: float = option(1.0, "Factor of the merged task vector.")
    normalize: bool = option(True, "Divide by the sum of the weights, with --ties of those that agree.")


class Della(Method):
    """Task vectors with entries dropped at random, by magnitude, and the rest rescaled."""

    options = DellaOptions
    takes = "task_vectors"
    seeded = True
    ordered = True

    def check(self, options: DellaOptions, models: int) -> None:
        """Refuse shares that are none, and weights that cannot be normalized."""
        refuse_zero_sum(options.weight, normalize=options.normalize and not options.ties)
        for density, epsilon in zip(options.density, options.epsilon, strict=True):
            if density not in (0, 1) and not epsilon < density < 1 - epsilon:
                raise UsageError(
                    f"density {density:g} and epsilon {epsilon:g} give shares outside of 0 to 1",
                    hint="both density - epsilon and density + epsilon must lie between",
                )

    def access(self, options: DellaOptions) -> Access:
        """Ranks are those within rows."""
        return "rows"

    def reductions(self, options: DellaOptions) -> Sequence[Sums]:
        """The L1 rescaling needs the norms before and after dropping."""
        return [Sums("norms", self._norms)] if options.rescale == "l1" and min(options.density) < 1 else []

    def merge(self, arrays: Sequence[Array], options: DellaOptions, context: Context) -> Array:
        """Return the merged task vector of one portion."""
        for model, (task_vector, density) in enumerate(zip(arrays, options.density, strict=True)):
            if density == 0:
                task_vector *= 0
            elif density < 1:
                shares = self._shares(task_vector, model, options, context)
                task_vector *= context.uniform(task_vector, model) < shares
                if options.rescale == "density":
                    task_vector /= shares
                elif options.rescale == "l1":
                    before, after = context.result("norms")[2 * model : 2 * model + 2]
                    task_vector *= before / after if after else 1.0
        if options.ties:
            total = context.agreeing_sum(arrays, options.weight, normalize=options.normalize)
        else:
            total = weighted_sum(arrays, options.weight, normalize=options.normalize)
        total *= options.scale
        return total

    @staticmethod
    def _shares(task_vector: Array, model: int, options: DellaOptions, context: Context) -> Array:
        """Return how likely each entry is kept."""
        density, epsilon, last = options.density[model], options.epsilon[model], task_vector.shape[-1] - 1
        shares = context.ranks(task_vector)
        shares *= 2 * epsilon / last if last else 0.0
        shares += density - epsilon if last else density
        return shares

    def _norms(self, arrays: Sequence[Array], options: DellaOptions, context: Context) -> Sequence[Array]:
        found = []
        for model, task_vector in enumerate(arrays):
            magnitudes = context.xp.abs(task_vector)
            kept = context.uniform(task_vector, model) < self._shares(task_vector, model, options, context)
            found += [magnitudes, magnitudes * kept]
        return found
