"""CMA-ES: several options at once, by the library cma.

Hansen and Ostermeier 2001, "Completely derandomized self-adaptation in evolution strategies"; for merging used by
Akiba et al. 2024, arXiv:2403.13187. A generation has 4 + 3 ln(options) trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import UsageError
from .samplers import Position
from .space import Space

FIRST_STEP = 0.3  # standard deviation of the first generation, in shares of the range


class CmaEs:
    """Generations around a mean that begins in the middle; from a random place again whenever it has converged."""

    def __init__(self, space: Space, seed: int) -> None:
        import numpy as np

        if len(space) < 2:
            hint = "leave --sampler out, or use refine, random or grid"
            raise UsageError("the sampler 'cma' needs two options or more, one is marked", hint=hint)
        self._library = _library()
        self._generator = np.random.default_rng(seed)
        self._strategy = self._start([0.5] * len(space))

    def _start(self, mean: list[float]) -> Any:
        # By itself the library draws from numpy's global state; `seed` only sets that one.
        settings = {"bounds": [0, 1], "verbose": -9, "seed": math.nan, "randn": self._draw}
        return self._library.CMAEvolutionStrategy(mean, FIRST_STEP, settings)

    def _draw(self, *shape: int) -> Any:
        return self._generator.standard_normal(shape)

    def ask(self) -> list[Position]:
        """Return a generation."""
        if self._strategy.stop():
            self._strategy = self._start(self._generator.random(self._strategy.N).tolist())
        self._asked = self._strategy.ask()
        return [tuple(one.tolist()) for one in self._asked]

    def tell(self, costs: Sequence[float]) -> None:
        """Adapt to a generation, in which failures count as worse than everything else."""
        worst = max((cost for cost in costs if math.isfinite(cost)), default=0.0)
        self._strategy.tell(self._asked, [cost if math.isfinite(cost) else worst + 1 for cost in costs])


def _library() -> Any:
    try:
        import cma
    except ImportError:
        hint = 'pip install "merge-checkpoints[search]", or use --sampler random or grid'
        raise UsageError("the sampler 'cma' needs the library cma", hint=hint) from None
    return cma
