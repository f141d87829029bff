"""The Pareto front: what no other trial beats on all benchmarks at once."""

from __future__ import annotations

from collections.abc import Sequence


def front(costs: Sequence[Sequence[float]]) -> list[int]:
    """Return the numbers of the points that no other one dominates, in their order.

    Args:
        costs: One row for each point, one cost for each benchmark; better when lower.

    One point dominates another where it is nowhere worse and somewhere better; equal points do not.
    """
    return [number for number, one in enumerate(costs) if not any(_dominates(other, one) for other in costs)]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(first <= second for first, second in pairs) and any(first < second for first, second in pairs)
