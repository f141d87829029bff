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
