"""How many examples are differentiated at a time: as many as fit into memory, where the network allows several."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...errors import MergeError
from .memory import free_bytes
from .one_by_one import squares_of_sum, squares_one_by_one
from .request import EXACT
from .scores import items_of
from .together import squares_together

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Batch
    from .job import Job
    from .scores import Items

    Squares = dict[str, Tensor]

BUDGET = 2**30  # bytes of gradients and activations at a time on the CPU, where more is no faster
FRACTION = 3  # of the free memory, one part in so many may be taken up
LARGEST = 512
# Both ways round differently, TF32 the most; a way that is wrong is so by the size of the gradient itself.
TOLERANCE = 1e-2
NOISE = 1e-6  # of the largest entry: what rounding leaves of gradients that are 0, such as those of keys' biases


@dataclass(frozen=True)
class Way:
    """How the gradients are computed; kept with partial sums, so that a resumed run goes on in the same way.

    Attributes:
        size: Items at a time.
        together: Whether `torch.func` differentiates them at once.
    """

    size: int
    together: bool = False


def choose_way(job: Job, first: Batch, limit: int) -> Way:
    """Choose how to go, by trying it out on two items, in both ways.

    Args:
        job: The network and what is asked of it.
        first: The first two items; one, where there are no more.
        limit: The largest number of items at a time.

    Raises:
        MergeError: The network does not run, or its logits are not finite.
    """
    if job.request.summed:
        return Way(limit)
    items = items_of(first, 0, job.request, job.subject)
    alone, activations = _with_activations(job, items)
    gradients = job.parameters.nbytes + 8 * job.parameters.entries * (3 if job.request.labels == EXACT else 1)
    size = _fitting(activations + gradients, job.subject.device, limit)
    if size == 1 or len(items) == 1:
        return Way(1)
    try:
        both = squares_together(job, items, 0)
    except Exception:  # whatever a network raises that cannot be run so
        return Way(1)
    return Way(size, together=True) if _alike(both, alone) else Way(1)


def _with_activations(job: Job, items: Items) -> tuple[Squares, int]:
    """Return the squares of items, and how many bytes their forward passes keep for backward passes."""
    import torch

    own = {tensor.data_ptr() for tensor in job.parameters.tensors.values()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        return squares_one_by_one(job, items, 0), sum(kept.values())


def _alike(one: Squares, other: Squares) -> bool:
    """Tell whether two ways gave the same squares, rounding aside."""
    largest = max(float(tensor.max()) for tensor in other.values() if tensor.numel())
    return all(
        bool(((one[name] - tensor).abs() <= TOLERANCE * tensor.amax().clamp(min=0) + NOISE * largest).all())
        for name, tensor in other.items()
        if tensor.numel()
    )


def _fitting(nbytes: int, device: str, limit: int) -> int:
    """Return the largest power of two of items that fit, at most ``limit``."""
    free = free_bytes(device)
    budget = free // FRACTION if device != "cpu" and free is not None else min(BUDGET, (free or BUDGET) // FRACTION)
    fitting = max(1, min(limit, LARGEST, budget // max(nbytes, 1)))
    return 1 << (fitting.bit_length() - 1)


def carry_out(job: Job, way: Way, items: Items, first: int) -> tuple[Squares, Way]:
    """Return the summed squares of a batch, and the way in which to go on.

    A batch that does not go together, for example since only some of its texts are padded, goes one by one. Where
    memory runs out, half as many items are tried from then on.

    Raises:
        MergeError: The network does not run, its logits are not finite, or one item is too much for the memory.
    """
    if job.request.summed:
        return squares_of_sum(job, items, first), way
    if not way.together:
        return squares_one_by_one(job, items, first), way
    try:
        return squares_together(job, items, first), way
    except Exception as error:
        if _ran_out_of_memory(error):
            way = replace(way, size=max(1, way.size // 2), together=way.size > 1)
        elif first == 0:  # others will not fare better
            way = Way(1)
    return squares_one_by_one(job, items, first), way


def _ran_out_of_memory(error: BaseException | None) -> bool:
    import torch

    while error is not None:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        error = error.__cause__ if isinstance(error, MergeError) else None
    return False
