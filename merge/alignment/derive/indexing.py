"""Operations that pick places by number: on the axis that is picked from, the order matters."""

from __future__ import annotations

from .calls import Call, handles
from .factors import fresh, pin
from .unknown import all_pinned
from .values import Known, Value, replaced

ROWS = "the rows of an embedding, such as the vocabulary"


@handles("embedding")
def embedding(call: Call) -> Value:
    """Rows of a table [rows, features] by number."""
    table, numbers = call.tensor("weight"), call.tensor("indices")
    pin(table.axes[0], ROWS)
    call.mark("written by linear", table.axes[1])
    return Value((*numbers.axes, table.axes[1]))


@handles("select")
def select(call: Call) -> Value:
    """One place of an axis."""
    value, dim = call.subject, call.dimension()
    call.pin(value.axes[dim])
    return Value((*value.axes[:dim], *value.axes[dim + 1 :]))


@handles("unbind")
def unbind(call: Call) -> Known:
    """All places of an axis, each by itself."""
    one = select(call)
    return [one for _ in call.shapes]


@handles("index_select")
def index_select(call: Call) -> Value:
    """Places of an axis by number."""
    value, dim = call.subject, call.dimension()
    call.pin(value.axes[dim], *call.tensor("index").axes)
    return Value(replaced(value.axes, dim, fresh(call.shape[dim], call.where)))


@handles("gather", "take_along_dim")
def gather(call: Call) -> Value:
    """Places of one axis by number, other numbers at each place of the other axes."""
    value, numbers = call.subject, call.tensor("index" if "index" in call.arguments else "indices")
    dim = call.get("dim")
    if dim is None or len(numbers.axes) != len(value.axes):
        return all_pinned(call)
    for place, (ours, theirs) in enumerate(zip(value.axes, numbers.axes, strict=True)):
        if place == dim % len(value.axes):
            call.pin(ours)
        elif value.shape[place] == numbers.shape[place]:
            call.unify(ours, theirs)
        else:
            call.pin(ours, theirs)
    return Value(numbers.axes)


@handles("index")
def index(call: Call) -> Value:
    """Places of some axes by tensors of numbers, which are broadcast against each other."""
    value, numbers = call.subject, list(call.arguments["indices"])
    numbers += [None] * (len(value.axes) - len(numbers))
    picked = [place for place, number in enumerate(numbers) if number is not None]
    tensors = [number for number in numbers if isinstance(number, Value)]
    for axis in (*(value.axes[place] for place in picked), *(axis for one in tensors for axis in one.axes)):
        call.pin(axis)
    others = [axis for place, axis in enumerate(value.axes) if place not in picked]
    count = len(call.shape) - len(others)
    is_run = picked == list(range(picked[0], picked[-1] + 1))
    before = picked[0] if is_run else 0
    new = [fresh(size, call.where) for size in call.shape[before : before + count]]
    return Value((*others[:before], *new, *others[before:]))
