"""The GPUs of a run: which there are, how much of their memory may be used, and which of them a worker gets."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .shortage import Room

if TYPE_CHECKING:
    from .torch_backend import TorchBackend

SHARE_OF_FREE = 0.9  # the rest is for what libraries take outside of torch's allocator


class Gpus:
    """Makes the backends of workers, one GPU after the other; within a ``with`` block its memory limit is enforced.

    Args:
        names: Torch device names, with their numbers.
        memory: The most bytes of each GPU to use, or None for most of what is free.
        processes: Processes that use the same GPUs; each gets an equal part of what may be used.
        allow_nonfinite: Whether inputs may hold infinities and NaN.
    """

    def __init__(self, names: Sequence[str], memory: int | None, processes: int, *, allow_nonfinite: bool) -> None:
        self._allow_nonfinite = allow_nonfinite
        self._rooms = {name: Room(_limit(name, memory) // processes) for name in names}
        turns = itertools.cycle(names)
        # Processes begin with different ones, so that one thread each does not put all of them on the first.
        self._turns = itertools.islice(turns, os.getpid() % len(names), None)

    @property
    def limit(self) -> int:
        """Bytes of the GPU of which the fewest may be used."""
        return min(room.limit for room in self._rooms.values())

    def __call__(self) -> TorchBackend:
        """Return the backend of one more worker."""
        from .torch_backend import TorchBackend

        name = next(self._turns)
        return TorchBackend(name, self._rooms[name], allow_nonfinite=self._allow_nonfinite)

    def __enter__(self) -> Gpus:
        """Let the allocator refuse more than may be used."""
        from torch import cuda

        load_solvers(next(iter(self._rooms)))
        for name, room in self._rooms.items():
            total = cuda.get_device_properties(name).total_memory
            held = cuda.memory_reserved(name)  # by models that were evaluated before
            cuda.set_per_process_memory_fraction(min(1.0, (held + room.limit) / total), name)
        return self

    def __exit__(self, *error: object) -> None:
        """Give the memory back."""
        from torch import cuda

        cuda.empty_cache()
        for name in self._rooms:
            cuda.set_per_process_memory_fraction(1.0, name)


def load_solvers(device: str) -> None:
    """Let torch load its libraries of linear algebra, which fails when two threads are the first to ask for them."""
    import torch

    torch.linalg.inv(torch.ones(1, 1, device=device))  # https://github.com/pytorch/pytorch/issues/90613


def gpu_names(device: str) -> list[str]:
    """Return the GPUs that a device name stands for: all that are visible for ``cuda``, one for ``cuda:N``.

    Raises:
        UsageError: This machine, or this torch, does not have it.
    """
    import torch

    _check_device(device)
    if device != "cuda":
        return [device]
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def _limit(name: str, memory: int | None) -> int:
    """Return how much of a GPU's memory may be used."""
    from torch import cuda

    free = int(SHARE_OF_FREE * cuda.mem_get_info(name)[0])
    return free if memory is None else min(memory, free)


def _check_device(device: str) -> None:
    import torch

    from ..errors import UsageError

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        count = torch.cuda.device_count()
        hint = f"{count} CUDA devices are visible" if count else "no CUDA device is visible; leave --device out"
        raise UsageError(f"the device '{device}' cannot be used: {str(error).splitlines()[0]}", hint=hint) from None
