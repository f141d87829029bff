"""A budget ▸ how many pairs of units of each group stay apart, and which: always the least similar ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import UsageError, suggest
from .splits import Split, split_pairs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .joint_file import Joint
    from .widths import Shapes

    Doubles = NDArray[np.float64]
    Similarities = Mapping[str, Doubles]

ALLOCATIONS = ("even", "quantile", "solver")


def split_units(
    joint: Joint, first: Shapes, second: Shapes, budget: float, allocation: str, heads: Mapping[str, int]
) -> dict[str, Split]:
    """Split every group that may be widened.

    Args:
        joint: What is known of the two models.
        first: Shapes of the first model's tensors.
        second: Of the second's.
        budget: From 0, where all pairs are merged, to 1, where all stay apart: a share of pairs, or with ``solver`` of
            the parameters that this takes.
        allocation: ``even``: the same share in every group. ``quantile``: the pairs below one threshold over all
            groups. ``solver``: the similarity that is given up is least, within so many parameters.
        heads: As `Layout` takes them; they count as parameters.

    Returns:
        The splits by group.

    Raises:
        UsageError: The budget is outside of [0, 1], or there is no such allocation.
        MergeError: A tensor has more than two axes that widen, which the solver cannot count.
    """
    if not 0 <= budget <= 1:
        raise UsageError(f"the budget is {budget:g}, and must be from 0 (all merged) to 1 (nothing merged)")
    if allocation not in ALLOCATIONS:
        hint = suggest(allocation, ALLOCATIONS) or f"one of {', '.join(ALLOCATIONS)}"
        raise UsageError(f"there is no allocation '{allocation}'", hint=hint)
    similarity = {name: joint.similarity[name] for name in joint.groups.groups if name in joint.widens}
    counts = _counts(joint, first, second, similarity, budget, allocation, heads)
    return {
        name: split_pairs(joint.orders[name], least_similar(similarity[name], count)) for name, count in counts.items()
    }


def _counts(
    joint: Joint,
    first: Shapes,
    second: Shapes,
    similarity: Similarities,
    budget: float,
    allocation: str,
    heads: Mapping[str, int],
) -> dict[str, int]:
    """Return how many pairs stay apart, by group; the ends of the budget are exact."""
    if budget in (0, 1) or allocation == "even" or not similarity:
        return even_counts(similarity, budget)
    if allocation == "quantile":
        return quantile_counts(similarity, budget)
    from .parameter_counts import count_parameters
    from .solver import solve_counts

    return solve_counts(similarity, count_parameters(joint, first, second, heads), budget)


def least_similar(similarity: Doubles, count: int) -> NDArray[np.bool_]:
    """Return which pairs [units] stay apart; of equally similar ones those that come first."""
    import numpy as np

    apart = np.zeros(len(similarity), dtype=bool)
    apart[np.argsort(similarity, kind="stable")[:count]] = True
    return apart


def even_counts(similarity: Similarities, budget: float) -> dict[str, int]:
    """Return the same share of every group."""
    return {name: rounded(budget * len(values)) for name, values in similarity.items()}


def quantile_counts(similarity: Similarities, budget: float) -> dict[str, int]:
    """Return how many pairs of every group are among the least similar ones of all groups together."""
    import numpy as np

    if not similarity:
        return {}
    everything = np.concatenate(list(similarity.values()))
    apart = least_similar(everything, rounded(budget * len(everything)))
    ends = np.cumsum([len(values) for values in similarity.values()])[:-1]
    return {name: int(part.sum()) for name, part in zip(similarity, np.split(apart, ends), strict=True)}


def rounded(number: float) -> int:
    """Round to the nearest whole number, halves up, so that more budget never means fewer."""
    return math.floor(number + 0.5)
