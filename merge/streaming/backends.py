"""Which backend, and how large chunks, a worker gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..plan import Plan
from ..planning.rows import Row
from .pieces import BLOCK_ELEMENTS, moves_bytes, portion, widest
from .shortage import bytes_needed

if TYPE_CHECKING:
    from ..engine import RunSettings
    from .gpus import Gpus

CPU_CHUNK_BUDGET = 2**20  # 16-bit elements in flight per input over all workers: 1 MiB each with two, near the cache
GPU_CHUNK_ELEMENTS = 4 * 2**20
GPU_WORKERS = 3  # the fewest with which copies in, arithmetic and copies out go on at the same time
MakeBackend = Callable[[], Any]


def choose_backend(plan: Plan, settings: RunSettings, threads: int) -> tuple[MakeBackend, int]:
    """Return what makes a worker's backend, and the elements of a chunk that suit it.

    Raises:
        UsageError: The device cannot be had, or memory of a GPU is limited where none is used.
    """
    names = gpus_of(plan, settings.device)
    if names:
        from .gpus import Gpus

        processes = settings.workers if settings.engine == "local" else 1
        gpus = Gpus(names, settings.gpu_memory, processes, allow_nonfinite=settings.allow_nonfinite)
        return gpus, settings.chunk_elements or _gpu_chunk(plan, gpus, -(-threads // len(names)))
    if settings.gpu_memory is not None:
        raise _without_gpu(settings)
    from .cpu_backend import CpuBackend

    make = lambda: CpuBackend(allow_nonfinite=settings.allow_nonfinite)  # noqa: E731
    return make, settings.chunk_elements or chunk_for(threads)


def check_gpu_memory(plan: Plan, settings: RunSettings) -> None:
    """Refuse to limit the memory of a GPU where, as far as can be told without looking for one, none is used.

    Raises:
        UsageError: That is asked for.
    """
    on_cpu = settings.device == "cpu" or (settings.device == "auto" and not has_matrices(plan))
    if settings.gpu_memory is not None and on_cpu:
        raise _without_gpu(settings)


def _without_gpu(settings: RunSettings) -> UsageError:
    why = "no GPU is in use" if settings.device == "auto" else "--device is cpu"
    return UsageError(f"--gpu-memory is for merging on a GPU, and {why}", hint="give --device cuda, or leave it out")


def gpus_of(plan: Plan, device: str) -> list[str]:
    """Return the GPUs on which a plan is run, none for the CPU.

    With the device ``auto``, methods that decompose matrices run on GPUs where there are some.

    Raises:
        UsageError: The device cannot be had.
    """
    if device == "auto" and has_matrices(plan):
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device in {"auto", "cpu"}:
        return []
    from .gpus import gpu_names

    return gpu_names(device)


def fewest_threads(plan: Plan, device: str) -> int:
    """Return how many threads it takes to keep a device busy, whatever the number of cores."""
    return len(gpus_of(plan, device)) * GPU_WORKERS or 1


def has_matrices(plan: Plan) -> bool:
    """Tell whether some tensor of a plan can only be computed as a whole."""
    return any(portion(row) == "whole" for row in _distinct(plan))


def _distinct(plan: Plan) -> Iterator[Row]:
    """Yield one row of each expression; neighbours share theirs."""
    yield from {id(row.expression): row for row in plan.rows}.values()


def _gpu_chunk(plan: Plan, gpus: Gpus, workers: int) -> int:
    """Return a chunk of which all workers of a GPU can hold one in its memory; whole matrices take what they take."""
    rows = (row for row in _distinct(plan) if portion(row) != "whole" and not moves_bytes(row))
    largest = max((bytes_needed(row, 1) * 2 / widest(row) for row in rows), default=1)
    fitting = int(gpus.limit / workers / largest) // BLOCK_ELEMENTS * BLOCK_ELEMENTS
    return max(BLOCK_ELEMENTS, min(GPU_CHUNK_ELEMENTS, fitting))


def chunk_for(threads: int) -> int:
    """Return a whole number of blocks that keeps all workers' buffers together in bounds."""
    return max(1, CPU_CHUNK_BUDGET // threads // BLOCK_ELEMENTS) * BLOCK_ELEMENTS
