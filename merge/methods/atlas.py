r"""aTLAS: add task vectors to the base, each tensor of each with a coefficient that was learned from data.

Zhang et al. 2024, "Knowledge composition using task vectors with learned anisotropic scaling", arXiv:2407.02880. With
tau_t the task vector of model t, and K random parts of every tensor, whose masks m_k share out its entries:

    theta = theta_0 + sum_t s_t sum_k C[t, k] m_k tau_t

The coefficients C of a tensor are read from a statistics file for each model, or are learned first from `data`:
by cross-entropy on labels, or without labels by the entropy of the predictions or from sure predictions. AdaMerging
(Yang et al. 2024, arXiv:2310.02575) is a preset of this: one coefficient for each task vector (task-wise) or for each
tensor of each (layer-wise), learned by the entropy on unlabeled inputs, which originally are those of the test set. A
tensor without coefficients stays the base's, as do the statistics of BatchNorm: coefficients of 0 give the base.

Use it for several models that were tuned from one base, with a few hundred items of the tasks: it learns how much of
which task vector each tensor takes.

Not without data that resembles the task, nor on the data that you report on: it learns from what it sees. A network
must run and give gradients, so it costs training steps, not one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..calibration.declared import ScalingCalibration
from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array


class AtlasOptions(Options):
    """Options of the scaling of task vectors."""

    scale: tuple[float, ...] = option(
        1.0, "Further factor of the learned coefficients of each model.", per_model=True, shared=True
    )
    parts_seed: int = option(0, "Seed of the random parts, the same as where they were learned.", minimum=0)


class Atlas(Method):
    """Base plus task vectors, scaled tensor by tensor as learned from data."""

    options = AtlasOptions
    takes = "task_vectors"
    statistics = "coefficients"
    calibration = ScalingCalibration
    learns_together = True

    def shares(self, options: AtlasOptions) -> Sequence[float]:
        """Return shares by which the statistics of BatchNorm are the base's."""
        return (1.0, *(0.0 for _ in options.scale))

    def merge(self, arrays: Sequence[Array], options: AtlasOptions, context: Context) -> Array:
        """Return the sum of the scaled task vectors."""
        if not context.has_statistics:
            return context.xp.zeros_like(arrays[0])
        total: Array = None
        parts: Array = None
        for number, (array, scale) in enumerate(zip(arrays, options.scale, strict=True)):
            coefficients = context.statistic(number) * scale
            if len(coefficients) > 1 and parts is None:
                parts = context.parts(array, len(coefficients), options.parts_seed)
            array *= _factors(coefficients, parts, array, context.xp)
            if total is None:
                total = array
            else:
                total += array
        return total


def _factors(coefficients: Array, parts: Array, array: Array, xp: Any) -> Any:
    """Return what a portion is multiplied with: one number, or that of each entry's part."""
    if len(coefficients) == 1:
        return float(coefficients[0])
    return xp.astype(xp.take(coefficients, parts), array.dtype)
