r"""RegMean: of every weight matrix, the one whose outputs are nearest to those of each model on its own inputs.

Jin et al. 2022, "Dataless knowledge fusion by merging weights of language models", arXiv:2212.09849, equation 2. With
G_i the mean of x^T x over the inputs x (rows) that model i's matrix sees on its own data, and a the off-diagonal
factor:

    G'_i    = a G_i off the diagonal, G_i on it
    theta^T = (sum_i c_i G'_i)^-1 (sum_i c_i G'_i theta_i^T)

solved in float64 by Cholesky's factorisation. Where that fails, a ridge pulls towards the average: 1e-8 of the mean
diagonal, or the first of 1e-7, 1e-6, … that helps. Biases, norms, embeddings and every matrix without Gram matrices are
averaged with the same weights c_i, as are all blocks outside the `region`. An off-diagonal factor of 0 is an average
per input; one of 1 needs more rows of data than inputs.

Use it for models of one base and different tasks, with a few dozen to a few hundred unlabeled items of each task. It
solves in closed form, so there is no training and little to choose.

Not without data of every task, nor where convolutions, embeddings and norms hold what differs: those are averaged. On
four small experts it gained nothing over an average (docs/quality.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..arithmetic.consensus import weighted_sum
from ..arithmetic.least_squares import merge_by_grams
from ..calibration.declared import GramCalibration
from ..errors import UsageError
from ..method import Access, Context, Method
from ..options import Options, option
from ..reduction import Array

REGIONS = ("all", "early", "middle", "late")


class RegmeanOptions(Options):
    """Options of RegMean."""

    weight: tuple[float, ...] = option(
        lambda models: 1 / models, "How much each model counts.", minimum=0, per_model=True, default_text="1 / models"
    )
    off_diagonal: float = option(0.95, "Factor of a Gram matrix off its diagonal.", minimum=0, maximum=1)
    region: str = option("all", "Third of the blocks that is regressed; the others are averaged.", choices=REGIONS)


class Regmean(Method):
    """Least squares on each model's own inputs, from Gram matrices."""

    options = RegmeanOptions
    statistics = "gram"
    calibration = GramCalibration
    partial_statistics = True
    data_use = "unlabeled"
    minimum_models = 2
    uses_place = True

    def asks_place(self, given: Mapping[str, Any]) -> bool:
        """Depth matters to a region only."""
        return bool(given.get("region", "all") != "all")

    def check(self, options: RegmeanOptions, models: int) -> None:
        """Refuse weights of which nothing is left."""
        if not any(options.weight):
            raise UsageError("all weights are 0", hint="give at least one model a weight above 0")

    def check_rows(self, options: RegmeanOptions, inputs: int, rows: int) -> None:
        """Refuse plain least squares with fewer rows than unknowns."""
        if options.off_diagonal == 1 and rows < inputs:
            what = f"it has {inputs} inputs, but only {rows} rows of data were seen: many matrices fit them exactly"
            raise UsageError(what, hint="give --off-diagonal 0.95, or compute Gram matrices of more --samples")

    def access(self, options: RegmeanOptions) -> Access:
        """A matrix is solved for as a whole."""
        return "whole"

    def merge(self, arrays: Sequence[Array], options: RegmeanOptions, context: Context) -> Array:
        """Return the regressed matrix, or the average where there is nothing to regress."""
        if not context.has_statistics or not _in_region(options.region, context.place.depth):
            return weighted_sum(arrays, options.weight, normalize=False)
        shape, dtype, xp = arrays[0].shape, arrays[0].dtype, context.xp
        solved = merge_by_grams(_terms(arrays, options, context), options.off_diagonal, xp)
        if solved.is_average:
            context.record(why="its Gram matrices are all 0, as without rows")
        else:
            context.record(condition=solved.condition, ridge=solved.ridge, off_diagonal=options.off_diagonal)
        return xp.astype(_as_stored(solved.matrix, context.layout).reshape(shape), dtype)


def _terms(arrays: Sequence[Array], options: RegmeanOptions, context: Context) -> Iterator[tuple[float, Array, Array]]:
    """Yield weight, Gram matrix and matrix of one model after the other."""
    for number, (array, weight) in enumerate(zip(arrays, options.weight, strict=True)):
        yield weight, context.statistic(number), _as_stored(array.reshape(_matrix(array, context)), context.layout)


def _matrix(array: Array, context: Context) -> tuple[int, int]:
    """Return the shape of a tensor as a matrix; the patches of a convolution are one axis."""
    if array.ndim == 2:
        return tuple(array.shape)
    return (array.shape[0], -1) if array.ndim > 1 else (1, -1)


def _as_stored(matrix: Array, layout: str) -> Array:
    """Turn a matrix from [outputs, inputs] into how it is stored, or back."""
    return matrix.T if layout == "in_out" else matrix


def _in_region(region: str, depth: float | None) -> bool:
    """Tell whether a block, by its depth between 0 and 1, lies in a third of the stack."""
    if region == "all":
        return True
    return depth is not None and REGIONS[1 + min(2, int(3 * depth))] == region
