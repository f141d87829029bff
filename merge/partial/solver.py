"""Layer budgets by an integer programme: give up the least similarity within so many parameters.

Each group takes one of a few numbers of pairs that stay apart, the least similar ones. The paper solves a quadratic
programme instead (PLeaS, arXiv 2407.02447, section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .parameter_counts import Names, evaluate
from .programme import Programme

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Similarities = Mapping[str, NDArray[np.float64]]

STEPS = 10  # into which each group's pairs are parted


def solve_counts(similarity: Similarities, parameters: Mapping[Names, int], budget: float) -> dict[str, int]:
    """Return how many pairs of each group stay apart.

    Args:
        similarity: Of each matched pair [units], by group.
        parameters: Number of parameters, as `count_parameters` gives it.
        budget: Between 0 and 1: at most P(0) + budget (P(1) - P(0)) parameters, with P(0) those of the network in which
            all pairs are merged, and P(1) those of the one in which none is.

    Returns:
        The counts with the least sum of 1 - similarity over merged pairs: never a larger one than the same share in
        every group gives, where that is within the bound.
    """
    from .allocation import even_counts

    least, most = (evaluate(parameters, even_counts(similarity, end)) for end in (0, 1))
    bound = least + budget * (most - least)
    even = even_counts(similarity, budget)
    choices = {name: _choices(len(values), even[name]) for name, values in similarity.items()}
    costs = {name: lost(values)[choices[name]] for name, values in similarity.items()}
    found = Programme(choices, costs, parameters, bound).solve()
    nothing = dict.fromkeys(similarity, 0)
    candidates = [counts for counts in (found, even, nothing) if counts and evaluate(parameters, counts) <= bound]
    return min(candidates, key=lambda counts: objective(similarity, counts))


def lost(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of 1 - similarity over the merged pairs, where the k least similar ones stay apart, by k."""
    import numpy as np

    apart = np.cumsum(np.sort(1 - similarity))[::-1]
    return np.append(apart, 0.0)


def objective(similarity: Similarities, counts: Mapping[str, int]) -> float:
    """Return the sum of 1 - similarity over all merged pairs."""
    return float(sum(lost(values)[counts[name]] for name, values in similarity.items()))


def _choices(units: int, even: int) -> list[int]:
    return sorted({even, *(round(units * step / STEPS) for step in range(STEPS + 1))})
