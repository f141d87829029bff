"""Squared gradients by plain backward passes: one example after another, or of a whole batch's sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import MergeError
from .request import EXACT
from .scores import Items, log_probabilities, refuse_not_finite, score

if TYPE_CHECKING:
    from torch import Tensor

    from .job import Job
    from .parameters import Parameters

    Squares = dict[str, Tensor]


def squares_one_by_one(job: Job, items: Items, first: int) -> Squares:
    """Return the squared gradients summed over items, each by itself, as float64 by the name of the parameter.

    Args:
        job: The network and what is asked of it.
        items: The items.
        first: Number of the first of them, for messages.

    Raises:
        MergeError: Logits are not finite, or do not depend on the parameters.
    """
    total = zeros(job.parameters)
    for number in range(len(items)):
        _add_squares(total, job, items.row(number), first + number)
    return total


def squares_of_sum(job: Job, items: Items, first: int) -> Squares:
    """Return the square of the gradient of the sum of all items' scores, as float64.

    With labels drawn from the model the scores are independent and have mean zero, so that the products between
    items vanish on average, and the outcome is that of `squares_one_by_one`, with more noise. With other labels they
    do not vanish.

    Raises:
        MergeError: As above.
    """
    total = zeros(job.parameters)
    _add_squares(total, job, items, first)
    return total


def zeros(parameters: Parameters) -> Squares:
    """Return float64 zeros in the shapes of the parameters, where these are."""
    import torch

    return {name: torch.zeros_like(tensor, dtype=torch.float64) for name, tensor in parameters.tensors.items()}


def _add_squares(total: Squares, job: Job, items: Items, first: int) -> None:
    """Add the squared gradient of the items' score; for exact labels, its expectation over all of them (one item)."""
    logits = job.subject.logits(items.inputs)
    refuse_not_finite(logits.detach().flatten(1).isfinite().all(1), job.subject, first)
    log_p = log_probabilities(logits)
    if job.request.labels != EXACT:
        _add(total, job, score(log_p, items, job.request.labels))
        return
    for position in items.counted[0].nonzero().flatten().tolist():
        for one in log_p[0, position]:
            _add(total, job, one, weight=float(one.detach().exp()), again=True)


def _add(total: Squares, job: Job, output: Tensor, weight: float = 1.0, *, again: bool = False) -> None:
    """Add the squared gradient of one output, whose graph is needed ``again`` for other outputs."""
    import torch

    if not output.requires_grad:
        raise MergeError("the logits do not depend on the parameters: there is no gradient", where=job.subject.name)
    tensors = job.parameters.tensors
    found = torch.autograd.grad(output, list(tensors.values()), retain_graph=again, allow_unused=True)
    for name, gradient in zip(tensors, found, strict=True):
        if gradient is not None:
            total[name] += weight * gradient.double().square()
