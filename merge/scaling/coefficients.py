"""The coefficients being learned: their optimizer, its schedule, and what is added to the loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .presets import Choice

_NORMS = {"l1": 1, "l2": 2}


class Coefficients:
    """Coefficients [task vectors, tensors or 1, parts] in float64, with AdamW.

    Weight decay pulls them to 0, which is the base; see Loshchilov and Hutter 2019, arXiv:1711.05101. The gradient is
    clipped in float64, after everything was added to it.

    Args:
        start: Their first values.
        choice: How to learn.
        steps: Number of steps in all.
    """

    def __init__(self, start: Tensor, choice: Choice, steps: int) -> None:
        import torch

        self._choice, self._steps, self._taken = choice, steps, 0
        self._raw = start.double().clone().requires_grad_(True)
        rate, decay = choice.learning_rate, choice.weight_decay
        self._optimizer = torch.optim.AdamW([self._raw], lr=rate, weight_decay=decay)

    def values(self) -> Tensor:
        """Return the coefficients, between 0 and 1 where they are bounded."""
        return self._bounded(self._raw.detach()).clone()

    def _bounded(self, raw: Tensor) -> Tensor:
        return raw.clamp(0, 1) if self._choice.bounded else raw

    def step(self, derivative: Tensor) -> None:
        """Take one step against the derivative of the loss by the coefficients."""
        import torch

        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        self._optimizer.zero_grad()
        bounded = self._bounded(self._raw)
        torch.autograd.backward([bounded], [derivative], inputs=[self._raw])
        if self._choice.regularizer in _NORMS:
            torch.autograd.backward(regularizer(self._raw, _NORMS[self._choice.regularizer]))
        if self._choice.clip is not None:
            torch.nn.utils.clip_grad_norm_([self._raw], self._choice.clip)
        self._optimizer.step()
        self._taken += 1

    def _rate(self) -> float:
        if not self._choice.cosine:
            return self._choice.learning_rate
        return 0.5 * self._choice.learning_rate * (1 + math.cos(math.pi * self._taken / self._steps))


def regularizer(coefficients: Tensor, norm: int) -> Tensor:
    """Return half the mean, over the parts of all tensors, of the norm over the task vectors.

    Args:
        coefficients: [task vectors, tensors, parts].
        norm: 1 or 2.
    """
    import torch

    norms: Tensor = torch.linalg.vector_norm(coefficients.flatten(1), ord=norm, dim=0)
    return 0.5 * norms.mean()
