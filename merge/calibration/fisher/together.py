"""Squared gradients of many examples in one pass, by `torch.func`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .request import EXACT
from .scores import Items, log_probabilities, refuse_not_finite, score

if TYPE_CHECKING:
    from torch import Tensor

    from .job import Job
    from .request import Request

    Tensors = dict[str, Tensor]
    Logits = Callable[[Tensors, Mapping[str, Tensor]], Tensor]


def squares_together(job: Job, items: Items, first: int) -> Tensors:
    """Return what `one_by_one.squares_one_by_one` returns, of all items at once.

    Not every network can be run so: one whose control flow depends on its data raises whatever it likes.

    Raises:
        MergeError: Logits are not finite.
    """
    import torch

    shared, own = _split(items.inputs)
    logits_of = _functional(job)
    request = job.request

    def of_one(inputs: Tensors, counted: Tensor, given: Tensor) -> tuple[Tensors, Tensor]:
        rows = {name: tensor[None] for name, tensor in inputs.items()}
        item = Items(shared | rows, counted[None], given[None])
        found = _expected_squares if request.labels == EXACT else _squares
        return found(lambda tensors: logits_of(tensors, item.inputs), detached, item, request)

    detached = {name: tensor.detach() for name, tensor in job.parameters.tensors.items()}
    with torch.no_grad(), _plain_attention():  # torch.func differentiates all the same; autograd need not watch it
        squares, finite = torch.func.vmap(of_one)(own, items.counted, items.given)
    refuse_not_finite(finite, job.subject, first)
    return {name: square.sum(0) for name, square in squares.items()}


def _squares(logits_of: Any, tensors: Tensors, item: Items, request: Request) -> tuple[Tensors, Tensor]:
    """Return the squared gradient of one item's score, and whether its logits are finite."""
    import torch

    def scored(tensors: Tensors) -> tuple[Tensor, Tensor]:
        logits = logits_of(tensors)
        return score(log_probabilities(logits), item, request.labels), logits.detach().isfinite().all()

    gradients, finite = torch.func.grad(scored, has_aux=True)(tensors)
    return {name: gradient.double().square() for name, gradient in gradients.items()}, finite


def _expected_squares(logits_of: Any, tensors: Tensors, item: Items, request: Request) -> tuple[Tensors, Tensor]:
    """Return sum_c p_c (d log p_c)^2 of one item, one backward pass a class; p_c is not differentiated."""
    import torch

    def predicted(tensors: Tensors) -> tuple[Tensor, Tensor]:
        logits = logits_of(tensors)
        return log_probabilities(logits)[0], logits.detach().isfinite().all()

    differentiated: Any = torch.func.vjp(predicted, tensors, has_aux=True)
    log_p, backward, finite = differentiated
    weights = log_p.detach().exp().double() * item.counted[0][:, None]
    total: Tensors = {name: torch.zeros_like(tensor, dtype=torch.float64) for name, tensor in tensors.items()}
    for place in range(log_p.numel()):
        one = torch.zeros_like(log_p).flatten().index_fill(0, torch.tensor(place, device=log_p.device), 1)
        (gradients,) = backward(one.reshape(log_p.shape))
        weight = weights.flatten()[place]
        total = {name: total[name] + weight * gradients[name].double().square() for name in total}
    return total, finite


def _functional(job: Job) -> Logits:
    """Return the subject's logits as a function of the parameters too.

    Raises:
        KeyError: A parameter is not the module's own, so that it cannot be exchanged.
    """
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = job.subject.module

        def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
            return job.subject.logits(inputs)

    network = Network()
    names = {name: f"module.{job.parameters.own[name]}" for name in job.parameters.tensors}

    def logits(tensors: Tensors, inputs: Mapping[str, Tensor]) -> Tensor:
        named = {names[name]: tensor for name, tensor in tensors.items()}
        found: Tensor = torch.func.functional_call(network, named, (inputs,))
        return found

    return logits


def _split(inputs: Mapping[str, Tensor]) -> tuple[Tensors, Tensors]:
    """Return the inputs that are the same for all items, as one row, and the others.

    Networks often look into an attention mask to see whether anything is padding; what is shared may be looked into.
    """
    shared = {name: tensor[:1] for name, tensor in inputs.items() if bool((tensor == tensor[:1]).all())}
    return shared, {name: tensor for name, tensor in inputs.items() if name not in shared}


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Compute attention in single steps: fused kernels would run item by item, each with a warning."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield
