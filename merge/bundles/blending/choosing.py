"""Finding the fastest way to run a batch with one weight per sample that is also right.

The truth is the network with uniformly interpolated weights, one sample after another. A few samples with weights far
apart are run in the way to be judged and must agree with it. When a module stands in the way, the module that called it
is run under vmap instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import MergeError
from .network import WHOLE, BlendedNetwork, Logits, Method

FATAL = (MergeError, torch.OutOfMemoryError)  # what no other way would help against
MODULES, VMAP, ONE_BY_ONE = "modules", "vmap", "one by one"
_PROBES = 3
_PATIENCE = 50  # attempts; each one moves a module under vmap
_RELATIVE = 1e-4  # of the largest logit; and of how far the members are apart: a fiftieth
_SHARE = 0.02
_FLOORS = {torch.float64: 1e-10, torch.float32: 5e-6, torch.float16: 5e-3, torch.bfloat16: 6e-2}


def choose(network: BlendedNetwork, logits: Logits, batch: int) -> str | None:
    """Return the first way that is right on a few samples, and prepare the network for it.

    Args:
        network: Its ``vectorised`` grows as needed.
        logits: Runs the first network on samples by their numbers.
        batch: The number of samples, at least two.

    Returns:
        ``modules``, ``vmap`` or ``one by one``; None where logits are not finite and nothing can be told.
    """
    indices = np.unique(np.linspace(0, batch - 1, _PROBES).astype(np.int64))
    weights = torch.linspace(0.9, 0.1, len(indices), dtype=network.type, device=network.device)
    wanted, apart = _truth(network, logits, indices, weights)
    if not bool(torch.isfinite(wanted).all()):
        return None
    for _ in range(_PATIENCE):
        blamed = _attempt(network, logits, indices, weights, wanted, apart)
        if blamed is None:
            return VMAP if WHOLE in network.vectorised else MODULES
        if blamed in network.vectorised:
            break
        network.vectorise(*blamed)
    return ONE_BY_ONE


def _truth(
    network: BlendedNetwork, logits: Logits, indices: NDArray[np.int64], weights: Tensor
) -> tuple[Tensor, float]:
    """Return the logits [probes, classes] of uniformly interpolated networks, and how far the members are apart."""
    rows = []
    for index, weight in zip(indices, weights.tolist(), strict=True):
        with network.uniform(weight):
            rows.append(logits(np.array([index])))
    members = []
    for end in (0.0, 1.0):
        with network.uniform(end):
            members.append(logits(indices))
    wanted = torch.cat(rows)
    return wanted, float((members[1] - members[0]).abs().max())


def _limit(wanted: Tensor, apart: float, types: frozenset[torch.dtype], tensor_float: bool) -> float:
    """Return by how much logits may differ from the truth: little, but no less than what rounding alone may do.

    Args:
        wanted: The truth [probes, classes].
        apart: How far the members are apart.
        types: Those of the network's tensors.
        tensor_float: Whether products of float32 are rounded as those of float16 are.
    """
    largest = float(wanted.abs().max())
    rounding = max((_FLOORS[kind] for kind in types if kind in _FLOORS), default=_FLOORS[torch.float32])
    if torch.float32 in types and tensor_float:
        rounding = max(rounding, _FLOORS[torch.float16])
    return max(min(_RELATIVE * largest, _SHARE * apart), rounding * largest)


def _attempt(
    network: BlendedNetwork,
    logits: Logits,
    indices: NDArray[np.int64],
    weights: Tensor,
    wanted: Tensor,
    apart: float,
) -> Method | None:
    """Return None where the network is right as it is, else what to run under vmap next."""
    try:
        types = network.record(0.5, logits, int(indices[0]))
        found = network.per_sample(weights, logits, indices)
    except Exception as error:  # whatever a network raises that is run in a way it was not written for
        cause = of_network(error)
        if isinstance(cause, FATAL):
            raise
        return next(_callers(network, cause.__traceback__), WHOLE)
    limit = _limit(wanted, apart, types, network.device.type == "cuda" and _tensor_float_allowed())
    same = found.shape == wanted.shape and float((found - wanted).abs().max()) <= limit
    return None if same else WHOLE


def _tensor_float_allowed() -> bool:
    """Say whether TF32 may be in use, which it is by default in convolutions."""
    try:
        return torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    except RuntimeError:  # torch's newer settings were used, which these cannot tell
        return True


def of_network(error: BaseException) -> BaseException:
    """Return what the network itself raised, where whoever runs it has put that into words for the user."""
    while isinstance(error, MergeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _callers(network: BlendedNetwork, trace: TracebackType | None) -> Iterator[Method]:
    """Yield what was running when an error was raised and can be run under vmap, innermost first."""
    frames = []
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    for frame in reversed(frames):
        name = network.can_vectorise(frame.f_locals.get("self"), frame.f_code.co_name)
        if name is not None:
            yield name, frame.f_code.co_name
