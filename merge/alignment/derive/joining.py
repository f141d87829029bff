"""Operations that take axes apart and put them together."""

from __future__ import annotations

from collections.abc import Sequence

from .calls import Call, handles
from .factors import Axis, concatenated, cut, fresh, length, pin
from .values import EMPTY, Known, Value, replaced


@handles("cat", "concat", "concatenate")
def cat(call: Call) -> Value:
    """Tensors side by side on one axis."""
    values = [value for value in call.tensors if 0 not in value.shape]
    dim = call.dimension(rank=len(call.shape))
    _unify_others(call, values, dim)
    return Value(replaced(values[0].axes, dim, concatenated([value.axes[dim] for value in values])))


@handles("stack")
def stack(call: Call) -> Value:
    """Tensors behind each other on a new axis."""
    dim = call.dimension(rank=len(call.shape))
    _unify_others(call, call.tensors, None)
    axes = call.subject.axes
    return Value((*axes[:dim], fresh(call.shape[dim], call.where), *axes[dim:]))


def _unify_others(call: Call, values: Sequence[Value], dim: int | None) -> None:
    """Let all axes but one carry the same units in all tensors."""
    for value in values[1:]:
        for place, (ours, theirs) in enumerate(zip(values[0].axes, value.axes, strict=True)):
            if place != dim:
                call.unify(ours, theirs)


@handles("slice", "narrow")
def piece(call: Call) -> Value:
    """A piece of an axis."""
    value, dim = call.subject, call.dimension()
    size, taken = value.shape[dim], call.shape[dim]
    if taken == size and call.get("step", 1) == 1:
        return value
    start = max(0, call.get("start", 0) + (size if call.get("start", 0) < 0 else 0))
    parts = None
    if call.get("step", 1) == 1:
        parts = pieces_of(value.axes[dim], [start, taken, size - start - taken])
    return _part(call, dim, parts[1] if parts else None)


def _part(call: Call, dim: int, part: Axis | None) -> Value:
    """Return a tensor of which a part of an axis was taken; pinned, if units of inner factors were cut."""
    value = call.subject
    if part is None:
        pin(value.axes[dim], call.where)
        part = fresh(call.shape[dim], call.where)
    return Value(replaced(value.axes, dim, part))


def pieces_of(axis: Axis, sizes: Sequence[int]) -> list[Axis] | None:
    """Cut an axis into consecutive pieces, some of which may be empty; None where they do not fit."""
    parts = cut(axis, [size for size in sizes if size])
    if parts is None:
        return None
    rest = iter(parts)
    return [next(rest) if size else fresh(0, EMPTY) for size in sizes]


@handles("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk")
def split(call: Call) -> Known:
    """Consecutive pieces of an axis."""
    value, dim = call.subject, call.dimension()
    sizes = [shape[dim] for shape in call.shapes]
    parts = pieces_of(value.axes[dim], sizes)
    if parts is None:
        pin(value.axes[dim], call.where)
        parts = [fresh(size, call.where) for size in sizes]
    return [Value(replaced(value.axes, dim, part)) for part in parts]


@handles("pad", "constant_pad_nd")
def pad(call: Call) -> Value:
    """Zeros, or another constant, put around: pairs of numbers from the last axis on."""
    value, amounts = call.subject, list(call.get("pad"))
    is_constant = call.get("mode", "constant") == "constant"
    axes = list(value.axes)
    for number in range(len(amounts) // 2):
        before, after = amounts[2 * number : 2 * number + 2]
        place = len(axes) - 1 - number
        if before or after:
            axes[place] = _padded(call, axes[place], before, after, is_constant, call.shape[place])
    return Value(tuple(axes))


def _padded(call: Call, axis: Axis, before: int, after: int, is_constant: bool, size: int) -> Axis:
    if is_constant and min(before, after) >= 0 and length(axis) > 0:
        return concatenated([part for part, count in _around(axis, before, after) if count])
    pin(axis, call.where)
    return fresh(size, call.where)


def _around(axis: Axis, before: int, after: int) -> list[tuple[Axis, int]]:
    """Return an axis between axes of constants, each with its length."""
    return [(fresh(before), before), (axis, length(axis)), (fresh(after), after)]


@handles("roll", "flip", "cumsum", "cumprod", "tril", "triu", "sort", "argsort", "topk", "diff", "logcumsumexp")
def in_order(call: Call) -> Known:
    """Operations for which the order on some axes matters; along the others all goes on as it was."""
    value, rank = call.subject, len(call.subject.axes)
    dims = call.get("dims", call.get("dim", [-2, -1] if call.operation in ("tril", "triu") else -1))
    stays = {place % rank for place in ([dims] if isinstance(dims, int) else dims or range(rank))}
    call.pin(*(value.axes[place] for place in stays))
    call.pin(*(axis for other in call.tensors[1:] for axis in other.axes))
    found: list[Known] = [_staying(call, shape, stays) for shape in call.shapes]
    return found[0] if len(found) == 1 else found


def _staying(call: Call, shape: Sequence[int], stays: set[int]) -> Value:
    """Return a result: pinned on the axes whose order matters, elsewhere with the axes of what went in."""
    old, new = call.subject.axes, call.pinned(shape).axes
    return Value(tuple(new[place] if place in stays else old[place] for place in range(len(shape))))
