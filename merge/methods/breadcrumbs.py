"""Breadcrumbs: drop each task vector's largest and smallest entries, add what lies between.

Davari and Belilovsky 2023, "Model Breadcrumbs: scaling multi-task model merging with sparse masks", arXiv:2312.06795.
Of the n entries of a tensor, d_i keeps int(density n), those below the int(gamma n) largest:

    d_i   = theta_i - theta_0, its entries of rank int(gamma n) to int(gamma n) + int(density n) kept, the others 0
    theta = theta_0 + scale * sum_i w_i d_i

Where fewer than that are left below the largest, so many of the largest are dropped that density holds; a density of 1
keeps everything. With `ties` the sum is over the entries that agree with the elected sign (see ties). With `rescale`
the kept entries make up for what was dropped: ``density`` divides them by density, ``l1`` multiplies them by
the tensor's sum|theta_i - theta_0| / sum|d_i|, as mergekit does.

Use it for several models of one base where outliers do harm: it drops the largest changes as well as the smallest, and
in its paper settings found on few tasks serve many.

Not without a base. The scale decides much and is to be chosen on held-out data; of one or two models, task-arithmetic
with a scale is the simpler start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..arithmetic.consensus import weighted_sum
from ..arithmetic.rescaling import RESCALE, magnitudes, rescale
from ..method import Context, Method, refuse_zero_sum
from ..options import Options, option
from ..reduction import Array, Largest, Reduction, Sums


class BreadcrumbsOptions(Options):
    """Options of Breadcrumbs."""

    weight: tuple[float, ...] = option(1.0, "Factor of each model's task vector.", per_model=True)
    density: tuple[float, ...] = option(
        0.5, "Share of each task vector that is kept.", minimum=0, maximum=1, per_model=True, shared=True
    )
    gamma: tuple[float, ...] = option(
        0.01, "Share of the largest entries that is dropped.", minimum=0, maximum=1, per_model=True, shared=True
    )
    ties: bool = option(False, "Sum only what agrees with the elected sign.")
    scale: float = option(1.0, "Factor of the merged task vector.")
    normalize: bool = option(False, "Divide by the sum of the weights, with --ties of those that agree.")
    rescale: str = option(
        "none", "Make up for what was dropped: by 1/density, by the L1 norm per tensor, or not.", choices=RESCALE
    )


@dataclass(frozen=True)
class Band:
    """The rule for `Largest.counts`: where the kept entries end, and where they begin."""

    densities: tuple[float, ...]
    gammas: tuple[float, ...]

    def __call__(self, elements: int, results: Callable[[str], Any]) -> list[list[int]]:
        """Return two counts per model; the entries among the first but not the second are kept."""
        found = []
        for density, gamma in zip(self.densities, self.gammas, strict=True):
            kept, largest = int(density * elements), int(gamma * elements)
            last = min(kept + largest, elements)
            found.append([last, last - kept])
        return found


class Breadcrumbs(Method):
    """Task vectors without their largest and smallest entries."""

    options = BreadcrumbsOptions
    takes = "task_vectors"

    def check(self, options: BreadcrumbsOptions, models: int) -> None:
        """Refuse weights that cannot be normalized."""
        refuse_zero_sum(options.weight, normalize=options.normalize and not options.ties)

    def reductions(self, options: BreadcrumbsOptions) -> Sequence[Reduction]:
        """The band needs the rank of every entry, the L1 rescaling the norms before and after dropping."""
        if all(density >= 1 for density in options.density):
            return []
        band = Largest("band", Band(options.density, options.gamma))
        return [band, Sums("norms", self._norms)] if options.rescale == "l1" else [band]

    def merge(self, arrays: Sequence[Array], options: BreadcrumbsOptions, context: Context) -> Array:
        """Return the merged task vector of one portion."""
        self._drop(arrays, options, context)
        rescale(arrays, options.density, options.rescale, context)
        if options.ties:
            total = context.agreeing_sum(arrays, options.weight, normalize=options.normalize)
        else:
            total = weighted_sum(arrays, options.weight, normalize=options.normalize)
        total *= options.scale
        return total

    @staticmethod
    def _drop(arrays: Sequence[Array], options: BreadcrumbsOptions, context: Context) -> None:
        for model, (task_vector, density) in enumerate(zip(arrays, options.density, strict=True)):
            if density < 1:
                context.keep_largest(task_vector, "band", model, border=0)
                context.drop_largest(task_vector, "band", model, border=1)

    def _norms(self, arrays: Sequence[Array], options: BreadcrumbsOptions, context: Context) -> Sequence[Array]:
        before = magnitudes(arrays, context)
        self._drop(arrays, options, context)
        return [*before, *magnitudes(arrays, context)]
