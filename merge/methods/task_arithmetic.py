"""Task arithmetic: add the models' task vectors to the base.

Ilharco et al. 2023, "Editing models with task arithmetic", arXiv:2212.04089, section 2:

    theta = theta_0 + scale * sum_i w_i (theta_i - theta_0)

A negative weight makes the model forget what that task vector does.

Use it to add several skills to one base, to weaken or strengthen one, or to take one away by a negative weight. Choose
the scale on held-out data: 0.3 to 0.5 is usual for several tasks.

Not with the default scale of 1 for many models: the sum goes too far. Not for models of one task, where soup is the
safe choice, nor for models of different bases.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, WeightedSum, refuse_zero_sum
from ..options import Options, option


class TaskArithmeticOptions(Options):
    """Options of task arithmetic."""

    weight: tuple[float, ...] = option(1.0, "Factor of each model's task vector.", per_model=True)
    scale: float = option(1.0, "Factor of the summed task vectors.")
    normalize: bool = option(False, "Divide the weights by their sum.")


class TaskArithmetic(WeightedSum):
    """Base plus the scaled sum of the models' task vectors."""

    options = TaskArithmeticOptions
    takes = "task_vectors"

    def check(self, options: TaskArithmeticOptions, models: int) -> None:
        """Refuse weights that cannot be normalized."""
        refuse_zero_sum(options.weight, normalize=options.normalize)

    def coefficients(self, options: TaskArithmeticOptions, context: Context) -> Sequence[float]:
        """Return scale * w_i, divided by the sum of the weights where that is asked for."""
        divisor = sum(options.weight) if options.normalize else 1.0
        return [options.scale * weight / divisor for weight in options.weight]
