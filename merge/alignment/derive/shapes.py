"""Operations that lay the same units out in other shapes and orders of axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod

from .calls import Call, handles
from .factors import MISFIT, Axis, Factor, cut_product, fresh, length, pin_together, resolve
from .unknown import all_pinned
from .values import Value

SAME_ORDER = "view reshape unsafe_view flatten unflatten squeeze unsqueeze ravel view_as reshape_as reshape_alias"


@handles(*SAME_ORDER.split())
def reshape(call: Call) -> Value:
    """The same elements in another shape."""
    if prod(call.subject.shape) != prod(call.shape):  # the bytes are seen as those of another type
        return all_pinned(call)
    return Value(reshaped(call.subject.axes, call.shape, call.where))


def reshaped(axes: Sequence[Axis], shape: Sequence[int], where: str) -> tuple[Axis, ...]:
    """Deal factors out to axes of another shape, cut where an axis asks for a part.

    Only runs of axes whose lengths multiply to the same number are seen together, so that what does not fit pins no
    more than its run.
    """
    found: list[Axis] = []
    for run, sizes in _runs([(length(axis), axis) for axis in axes], shape):
        parts = _dealt([factor for axis in run for factor in axis], sizes)
        if parts is None:
            reason = f"{where}: {MISFIT}"
            parts = [fresh(size, reason) for size in sizes]
            pin_together([*run, *parts], reason)
        found += parts
    return tuple(found)


def _runs(axes: Sequence[tuple[int, Axis]], shape: Sequence[int]) -> list[tuple[list[Axis], list[int]]]:
    """Return runs of axes, each with the run of lengths that takes its place."""
    found: list[tuple[list[Axis], list[int]]] = []
    rest, wanted = list(axes), list(shape)
    while rest or wanted:
        ours = [rest.pop(0)] if rest else [(1, [])]
        theirs = [wanted.pop(0)] if wanted else []
        have, want = ours[0][0], theirs[0] if theirs else 1
        while have != want:
            if have < want:
                ours.append(rest.pop(0))
                have *= ours[-1][0]
            else:
                theirs.append(wanted.pop(0))
                want *= theirs[-1]
        found.append(([axis for _, axis in ours], theirs))
    return found


def _dealt(factors: Axis, sizes: Sequence[int]) -> list[list[Factor]] | None:
    """Deal factors, the outermost first, out to axes of these lengths; None where they do not fit."""
    found = []
    for size in sizes:
        taken: list[Factor] = []
        while size > 1:
            factors = resolve(factors)
            common = gcd(factors[0].size, size)
            if common == 1 or (common < factors[0].size and factors[0].pieces):
                return None
            if common < factors[0].size:
                cut_product(factors[0], common)
                factors = resolve(factors)
            taken.append(factors[0])
            factors, size = factors[1:], size // common
        found.append(taken)
    return found


@handles("permute", "numpy_T", "movedim", "moveaxis")
def permute(call: Call) -> Value:
    """Axes in another order."""
    axes = call.subject.axes
    if call.operation == "numpy_T":
        return Value(tuple(reversed(axes)))
    if call.operation != "permute":
        return _moved(call)
    return Value(tuple(axes[place] for place in call.get("dims")))


def _moved(call: Call) -> Value:
    axes, rank = call.subject.axes, len(call.subject.axes)
    sources, targets = (_places(call.get(name), rank) for name in ("source", "destination"))
    rest = iter(place for place in range(rank) if place not in sources)
    order = [sources[targets.index(place)] if place in targets else next(rest) for place in range(rank)]
    return Value(tuple(axes[place] for place in order))


def _places(given: int | Sequence[int], rank: int) -> list[int]:
    return [place % rank for place in ([given] if isinstance(given, int) else given)]


@handles("transpose", "t", "swapaxes", "swapdims", "mT", "adjoint", "matrix_H", "mH", "H")
def transpose(call: Call) -> Value:
    """Two axes exchanged."""
    axes = list(call.subject.axes)
    if len(axes) < 2:
        return call.subject
    first, second = (call.get(f"{kind}0"), call.get(f"{kind}1")) if (kind := _named(call)) else (-2, -1)
    axes[first], axes[second] = axes[second], axes[first]
    return Value(tuple(axes))


def _named(call: Call) -> str:
    return next((kind for kind in ("dim", "axis") if f"{kind}0" in call.arguments), "")


@handles("expand", "expand_as", "broadcast_to", "repeat", "tile")
def expand(call: Call) -> Value:
    """Units repeated: the repetitions are all alike, and may be reordered among themselves."""
    axes, rank = call.subject.axes, len(call.shape)
    aligned: list[Axis] = [[] for _ in range(rank - len(axes))] + list(axes)
    return Value(tuple([*fresh(size // length(axis)), *axis] for axis, size in zip(aligned, call.shape, strict=True)))


@handles("repeat_interleave")
def repeat_interleave(call: Call) -> Value:
    """Each unit repeated, one after the other."""
    value = call.subject
    if call.get("dim") is None or not isinstance(call.get("repeats"), int):
        return all_pinned(call)
    dim = call.dimension()
    longer = [*value.axes[dim], *fresh(call.shape[dim] // value.shape[dim])]
    return Value((*value.axes[:dim], longer, *value.axes[dim + 1 :]))
