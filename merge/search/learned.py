"""The learned soup: one weight a model, or one a model and tensor, by gradient descent on held-out data.

Wortsman et al. 2022, "Model soups", arXiv:2203.05482. The weights are alpha = softmax(raw) over the models, so that
they are positive and sum to 1; the logits are multiplied by a learned temperature beta:

    minimize over raw, beta:   mean of cross-entropy(beta * f(x; sum_m alpha_m theta_m), y)

with AdamW. All models need not be in memory: the derivative with respect to alpha_m is <dL/dtheta, theta_m>, so that
one model, one gradient and a stream of the members are enough. The members are read twice a step: once to form the
average, once for the inner products; those that fit into the memory that is allowed are read once in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .streamed import MemberTensors, alpha_gradient, average

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..evaluation.task import Gradients


@dataclass(frozen=True)
class LearnedChoice:
    """How to learn; the defaults are those of the authors' code.

    Attributes:
        by_tensor: One weight for each model and tensor instead of one for each model.
        epochs: Passes over the held-out data.
        learning_rate: Of AdamW, constant, without weight decay.
        batch_size: Held-out items a step.
        memory: Bytes that members may take up in memory; the others are streamed.
        seed: Of the order of the items.
    """

    by_tensor: bool = False
    epochs: int = 5
    learning_rate: float = 0.05
    batch_size: int = 256
    memory: int = 4 * 10**9
    seed: int = 0

    def steps(self, items: int) -> int:
        """Return the number of steps over this many items."""
        return self.epochs * -(-items // self.batch_size)


class Coefficients:
    """The weights being learned: ``raw`` [tensors or 1, models] and the temperature, with their optimizer."""

    def __init__(self, rows: int, models: int, learning_rate: float) -> None:
        import torch

        self.raw = torch.full((rows, models), 1 / models, dtype=torch.float64, requires_grad=True)
        self.temperature = torch.ones((), dtype=torch.float64, requires_grad=True)
        self._optimizer = torch.optim.AdamW([self.raw, self.temperature], lr=learning_rate, weight_decay=0.0)

    def alpha(self) -> Tensor:
        """Return the weights [tensors or 1, models], each row summing to 1."""
        return self.raw.detach().softmax(dim=1)

    def step(self, alpha_gradient: Tensor, temperature_gradient: float) -> None:
        """Take one step of AdamW against these derivatives of the loss."""
        import torch

        self._optimizer.zero_grad()
        torch.autograd.backward(self.raw.softmax(dim=1), alpha_gradient)
        self.temperature.grad = torch.tensor(temperature_gradient, dtype=torch.float64)
        self._optimizer.step()


def learn(
    tensors: MemberTensors,
    rows: int,
    models: int,
    gradients: Gradients,
    items: int,
    choice: LearnedChoice,
    untouched: set[str] | None = None,
) -> tuple[Coefficients, list[float]]:
    """Learn the weights and return them with the loss of every step.

    Args:
        tensors: The members.
        rows: Number of weights a model: 1, or one a tensor.
        models: Number of members.
        gradients: Loss and gradient of any weights on any items.
        items: Number of held-out items.
        choice: How to learn.
        untouched: Gets the names of the tensors that never had a gradient.
    """
    coefficients = Coefficients(rows, models, choice.learning_rate)
    history = []
    seen: set[str] = set()
    weights: dict[str, Tensor] = {}
    for batch in batches(items, choice):
        alpha = coefficients.alpha()
        weights = average(tensors, alpha)
        loss, gradient, slope = gradients.step(weights, batch, coefficients.temperature.item())
        coefficients.step(alpha_gradient(tensors, gradient, alpha), slope)
        history.append(loss)
        seen |= set(gradient)
    if untouched is not None:
        untouched |= set(weights) - seen
    return coefficients, history


def batches(items: int, choice: LearnedChoice) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of the items of every step, shuffled anew in every epoch."""
    import numpy as np

    generator = np.random.default_rng(choice.seed)
    for _ in range(choice.epochs):
        order = generator.permutation(items)
        for first in range(0, items, choice.batch_size):
            yield order[first : first + choice.batch_size]
