"""Task arithmetic: add the models' task vectors to the base.

Ilharco et al. 2023, "Editing models with task arithmetic", arXiv:2212.04089, section 2:

    theta = theta_0 + scale * sum_i w_i (theta_i - theta_0)

A negative weight makes the model forget what that task vector does.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Array, Context, Method
from ..options import Options, option


class TaskArithmeticOptions(Options):
    """Options of task arithmetic."""

    weight: tuple[float, ...] = option(1.0, "Factor of each model's task vector.", per_model=True)
    scale: float = option(1.0, "Factor of the summed task vectors.")


class TaskArithmetic(Method):
    """Base plus the scaled sum of the models' task vectors."""

    options = TaskArithmeticOptions
    takes = "task_vectors"

    def merge(self, arrays: Sequence[Array], options: TaskArithmeticOptions, context: Context) -> Array:
        """Return scale * sum_i w_i d_i for the task vectors d_i."""
        total, *others = arrays
        total *= options.weight[0]
        for task_vector, weight in zip(others, options.weight[1:], strict=True):
            task_vector *= weight
            total += task_vector
        total *= options.scale
        return total
