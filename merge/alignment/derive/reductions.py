"""Sums, means and the like: whatever the order of what they run over."""

from __future__ import annotations

from .calls import Call, handles
from .values import Known, Value

REDUCTIONS = """
mean sum amax amin max min var std var_mean std_mean prod logsumexp any all norm linalg_vector_norm nansum nanmean
count_nonzero median argmax argmin aminmax
"""


@handles(*REDUCTIONS.split())
def reduce(call: Call) -> Known:
    """Axes that are summed over go, or stay with length 1.

    The largest of two tensors is none of these; where an index is the result, the order on its axis matters.
    """
    if call.optional("other") is not None:
        from .elementwise import several

        return several(call)
    value, rank = call.subject, len(call.subject.axes)
    gone = _gone(call, rank)
    if call.operation in ("argmax", "argmin", "median") or len(call.shapes) > 1:
        _pin_for_indices(call, value, gone)
    keeps = len(call.shape) == rank and bool(call.get("keepdim", False))
    axes = [([] if place in gone else axis) for place, axis in enumerate(value.axes) if keeps or place not in gone]
    results: list[Known] = [Value(tuple(axes)) for _ in call.shapes]
    return results[0] if len(results) == 1 else results


def _gone(call: Call, rank: int) -> set[int]:
    dims = call.get("dim")
    if dims is None or dims == []:
        return set(range(rank))
    return {place % max(rank, 1) for place in ([dims] if isinstance(dims, int) else dims)}


def _pin_for_indices(call: Call, value: Value, gone: set[int]) -> None:
    """Pin what is run over where the second result is an index; mean and variance are none."""
    if call.operation not in ("var_mean", "std_mean", "aminmax"):
        for place in gone:
            call.pin(value.axes[place])


@handles("cosine_similarity", "pairwise_distance")
def similarity(call: Call) -> Value:
    """How alike two tensors are along an axis."""
    from .elementwise import broadcast

    first, second = call.tensors
    both = broadcast(call, [first, second], max(len(first.axes), len(second.axes)))
    dim = call.dimension(rank=len(both.axes)) if call.operation == "cosine_similarity" else len(both.axes) - 1
    return Value((*both.axes[:dim], *both.axes[dim + 1 :]))
