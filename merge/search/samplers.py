"""Which options are tried next. Positions are from 0 to 1; costs are better when lower.

A sampler gives batches of a size of its own and hears the costs of a whole batch in its order. So what is tried depends
on the seed alone, never on how many processes do the work or which of them is done first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..errors import UsageError, suggest
from .space import Space

Position = tuple[float, ...]
DEFAULT_TRIALS = 50
SAMPLERS = ("cma", "refine", "random", "grid")


class Sampler(Protocol):
    """Asked for positions, told what they cost."""

    def ask(self) -> list[Position]:
        """Return the next batch; an empty one when there is nothing left to try."""

    def tell(self, costs: Sequence[float]) -> None:
        """Hear what the positions of the last batch cost, infinity for those that failed."""


def default_sampler(space: Space) -> str:
    """Return what suits a space: a grid where all options have steps, refinement for one option, else CMA-ES."""
    if all(parameter.mark.step for parameter in space.parameters):
        return "grid"
    return "refine" if len(space) == 1 else "cma"


def make_sampler(name: str, space: Space, seed: int, trials: int | None) -> tuple[Sampler, int]:
    """Return a sampler by name, and how many trials it has at most.

    Args:
        name: One of `SAMPLERS`.
        space: The open options.
        seed: Of all that is drawn.
        trials: How many are wanted; None: the default, or all of a grid.

    Raises:
        UsageError: There is none of that name, it does not fit the space, or its library is missing.
    """
    from .cma_es import CmaEs
    from .refine import Refine
    from .spread import Random, grid_of

    if name == "grid":
        grid = grid_of(space, trials)
        return grid, len(grid)
    makers: dict[str, Callable[[], Sampler]] = {
        "cma": lambda: CmaEs(space, seed),
        "refine": lambda: Refine(space, trials),
        "random": lambda: Random(space, seed),
    }
    if name not in makers:
        raise UsageError(f"no sampler '{name}'", hint=suggest(name, SAMPLERS) or f"one of {', '.join(SAMPLERS)}")
    return makers[name](), trials or DEFAULT_TRIALS
