"""Running networks for their outputs: without gradients, and always the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def inference(seed: int) -> Iterator[None]:
    """Run networks without gradients, with random numbers that depend on the seed alone.

    Args:
        seed: For the rare model that draws at random even when evaluated; torch's own state is left where it was.
    """
    import torch

    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def threads_of_each(threads: int | None, engine: str) -> int:
    """Return how many threads torch has in each of several processes.

    Args:
        threads: How many were asked for. None: as many as in this process, so that sums are the same to the last digit;
            on a cluster, where other machines have other processors, one.
        engine: ``local`` or ``ray``.
    """
    import torch

    return threads or (torch.get_num_threads() if engine == "local" else 1)


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Have torch compute with so many threads on the CPU; None: with as many as it does.

    Sums may depend on their number in the last digits.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
