"""Passthrough: one model's tensors, each multiplied by a factor.

There is no paper: it is the building block with which layers of models are stacked, described with mergekit (Goddard et
al. 2024, "Arcee's MergeKit: a toolkit for merging large language models", arXiv:2403.13257):

    theta = scale * theta_1

With layer rules that set `scale`, single projections are damped or silenced: 0 writes zeros.

Use it to write one model anew: with an adapter baked in, another VAE, a part scaled or silenced, or as a building block
in a recipe.

Not to merge: it takes one model. Scaling by trial is guesswork without an evaluation after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, WeightedSum
from ..options import Options, option


class PassthroughOptions(Options):
    """Options of passthrough."""

    scale: tuple[float, ...] = option(1.0, "Factor of the model's tensors.", per_model=True, shared=True)


class Passthrough(WeightedSum):
    """One model, its tensors scaled."""

    options = PassthroughOptions
    maximum_models = 1

    def coefficients(self, options: PassthroughOptions, context: Context) -> Sequence[float]:
        """Return the factor."""
        return options.scale
